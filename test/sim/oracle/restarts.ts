/**
 * Whether a program that should run is started again when it has ended, by itself or with its machine: by what the host really started, and when. It is asked of what its agent was well with, or went back
 * to: that has nothing else to run there, and starts it again with back-off for as long as it takes.
 */
import type { MachineId } from "@muster/proto/ids.ts";
import type { Court } from "./court.ts";
import { LAG_MS } from "./hosts.ts";

/** The first time after so long; twice as long each time, and at most so long. */
const FIRST_MS = 500;
const MOST_MS = 60_000;

export class Restarts {
  readonly #court: Court;

  constructor(court: Court) {
    this.#court = court;
  }

  /** `said`: what its agent has said last of the newest order that it has taken, at `saidAt`. */
  check(machine: MachineId, app: string, said: string | undefined, saidAt: number): void {
    const { hosts, releases, complain } = this.#court;
    const host = hosts.machines.get(machine);
    const linked = host?.disk.links.get(app);
    if (host?.agent === undefined || host.isDown || host.isDiskFull || host.unwritten.size > 0 || linked === undefined || releases.isFiles(linked)) return;
    if ((said !== "healthy" && said !== "unhealthy" && said !== "reverted") || host.running(app) !== undefined) return;
    const serving = host.serving(app);
    const tries = serving.mishaps.length;
    const least = Math.min(MOST_MS, FIRST_MS * 2 ** Math.max(0, tries - 1));
    const since = Math.max(serving.endedAt, serving.mishaps.at(-1)?.at ?? -1, host.agentSince, host.lastFaultAt, saidAt);
    if (hosts.now - since > least + LAG_MS) complain("started_again", `${app} has ended on ${machine}, which was ${said} with it, and was not started again for ${hosts.now - since} ms`);
  }
}
