/**
 * What `muster dev` says: each event once as data (`-o json`) and once as a line for people.
 */
import { durationText } from "@muster/proto/duration.ts";
import { counted } from "@muster/proto/text.ts";
import type { DevFile } from "./dev-file.ts";

export type DevEvent =
  | { readonly event: "waiting_for_earlier"; readonly children: readonly string[] }
  | { readonly event: "earlier_killed"; readonly children: readonly string[] }
  | { readonly event: "controller_ready"; readonly pid: number; readonly grpc: string; readonly https: string; readonly address: string }
  | { readonly event: "agents_connected"; readonly connected: number; readonly total: number }
  | { readonly event: "agents_missing"; readonly ids: readonly string[] }
  | { readonly event: "agents_off"; readonly ids: readonly string[] }
  | { readonly event: "child_restarting"; readonly name: string; readonly ended: string; readonly delayMs: number; readonly log: string }
  | { readonly event: "agent_away"; readonly id: string; readonly command: string }
  | { readonly event: "not_recorded"; readonly message: string }
  | ({ readonly event: "ready" } & DevFile)
  | { readonly event: "stopping" }
  | { readonly event: "stop_overdue"; readonly afterMs: number }
  | { readonly event: "workloads_stopped"; readonly count: number }
  | { readonly event: "stopped" };

export function eventLine(event: DevEvent): string {
  switch (event.event) {
    case "waiting_for_earlier":
      return `an earlier muster dev was killed; waiting for ${listed(event.children)} to end`;
    case "earlier_killed":
      return `${listed(event.children)} of the earlier muster dev did not end and had to be killed`;
    case "controller_ready":
      return `controller is up: ${event.grpc}, pid ${event.pid}`;
    case "agents_connected":
      return `agents connected: ${event.connected} of ${event.total}`;
    case "agents_missing":
      return `still waiting for ${listed(event.ids)}`;
    case "agents_off":
      return `${listed(event.ids)} from an earlier start ${event.ids.length === 1 ? "stays" : "stay"} off; a larger --agents brings ${event.ids.length === 1 ? "it" : "them"} back`;
    case "child_restarting":
      return `${event.name} ${event.ended}; starting it again in ${durationText(event.delayMs)} (its log: ${event.log})`;
    case "agent_away":
      return `${event.id} was asked to go and stays away; this brings it back: ${event.command}`;
    case "not_recorded":
      return `dev.json and dev.lock no longer say the pids of now: ${event.message}`;
    case "ready":
      return "ready";
    case "stopping":
      return "stopping the agents with their workloads, then the controller (Ctrl-C again kills them)";
    case "stop_overdue":
      return `not stopped after ${durationText(event.afterMs)}; killing what is left`;
    case "workloads_stopped":
      return `stopped ${counted(event.count, "workload")} whose agent was gone`;
    case "stopped":
      return "stopped; nothing is left running";
  }
}

/** One object of `-o json`: keys are snake_case there. */
export function eventJson(event: DevEvent): string {
  const entries = Object.entries(event).map(([key, value]) => [key.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`), value]);
  return JSON.stringify(Object.fromEntries(entries));
}

/** `a`, `a and b`, `a, b and c`; long lists are cut. */
export function listed(names: readonly string[]): string {
  const shown = names.length > 5 ? [...names.slice(0, 4), `${names.length - 4} more`] : names;
  return shown.length < 2 ? shown.join("") : `${shown.slice(0, -1).join(", ")} and ${shown.at(-1)}`;
}
