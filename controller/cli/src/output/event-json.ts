/**
 * Rows of the journal in `events -o json`. Once released, a key keeps its name and its meaning.
 */
import type { Event } from "@muster/proto/gen/muster/v1/events.ts";
import { isoOrNull, textOrNull, type Json } from "./json.ts";

export function eventJson(event: Event): Json {
  return {
    seq: event.seq,
    at: isoOrNull(event.at),
    kind: event.kind,
    deployment_id: textOrNull(event.deploymentId),
    machine: textOrNull(event.machine),
    app: textOrNull(event.app),
    data: dataOf(event.dataJson),
    text: event.text,
  };
}

function dataOf(dataJson: string): Json {
  return dataJson === "" ? null : (JSON.parse(dataJson) as Json);
}
