/**
 * EventsService: the journal, as it is and as it grows.
 */
import type { Event, EventsServiceServer } from "@muster/proto/gen/muster/v1/events.ts";
import type { Logger } from "pino";
import type { Engine } from "../engine/engine.ts";
import { ArchiveError } from "../journal/archive-error.ts";
import type { JournalRow } from "../journal/entry.ts";
import type { Journal } from "../journal/journal.ts";
import { turn } from "../journal/slices.ts";
import { statement } from "../journal/statement.ts";
import { missing } from "../grpc/answer.ts";
import { eventText } from "./event-text.ts";
import { serve, until } from "../grpc/stream.ts";

export interface EventsApiOptions {
  readonly journal: Journal;
  readonly engine: Engine;
  readonly logger: Logger;
}

export function eventsApi({ journal, engine, logger }: EventsApiOptions): EventsServiceServer {
  const isThere = (deployment: string): boolean => statement(journal.db, "SELECT 1 FROM deployments WHERE id = ?").get(deployment) !== undefined;

  return {
    readEvents: (call) =>
      serve(call, logger, async (write, signal) => {
        const { fromSeq, follow, deploymentId } = call.request;
        const deployment = deploymentId === "" ? undefined : deploymentId;
        if (deployment !== undefined && !isThere(deployment)) throw missing(`there is no deployment ${deployment}`);
        let next = Math.max(1, fromSeq);
        const unreadable = new Map<number, ArchiveError>();
        const onMissing = (error: ArchiveError): void => void unreadable.set(error.lastSeq, error);
        while (!signal.aborted) {
          const rows = journal.page({ fromSeq: next, deployment, onMissing });
          const last = rows.at(-1);
          if (last !== undefined) {
            next = last.seq + 1;
            await write({ events: rows.map(toEvent) });
            // A reader who keeps up makes nobody wait but the other readers.
            await turn();
          } else if (unreadable.size > 0) {
            // All that can be read has been written: what is missing in it is no secret.
            throw ArchiveError.all(unreadable.values())!;
          } else if (follow) {
            await until(signal, (done) => engine.onCommit(done));
          } else {
            return;
          }
        }
      }),
  };
}

function toEvent(row: JournalRow): Event {
  const { kind, ...data } = row.entry;
  return {
    seq: row.seq,
    at: row.at,
    kind,
    deploymentId: "deployment" in row.entry ? row.entry.deployment : "",
    machine: "machine" in row.entry ? row.entry.machine : "",
    app: "app" in row.entry ? row.entry.app : "",
    dataJson: JSON.stringify(data),
    text: eventText(row.entry),
  };
}
