/**
 * An app for tests: releases of the server in app/server.mjs, what their processes wrote down, and what they answer.
 */
import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";

import type { DevFleet } from "./fleet.ts";

/** As app/server.mjs understands it. */
export type Behaviour = "good" | "exits" | "never_healthy" | "turns_unhealthy";

/** One start of a process, as the process itself wrote it down. */
export interface Start {
  readonly version: string;
  readonly machine: string;
  readonly pid: number;
  readonly port: number;
  readonly at: number;
}

/** What a process says of itself over HTTP. */
export interface Answer {
  readonly version: string;
  readonly machine: string;
  readonly pid: number;
}

export interface ReleaseOptions {
  readonly behaviour?: Behaviour;
  /** After its start it is not healthy for so long; default 0. */
  readonly startsInMs?: number;
  /** After a SIGTERM it goes on for so long, within 30 s; default 0. */
  readonly stopsInMs?: number;
  /** Of its probe; default 250ms: what is asked more often costs many fleets at a time their cores. */
  readonly interval?: string;
  /** Keys of `rollout` that differ from the quick ones. */
  readonly rollout?: Readonly<Record<string, string>>;
  /** Further files of the release. */
  readonly files?: Readonly<Record<string, string | Buffer>>;
}

const SERVER = readFileSync(join(import.meta.dirname, "app/server.mjs"));

const QUICK = {
  targets: "role=web",
  waves: "[1, 100%]",
  max_unavailable: "2",
  min_healthy_time: "300ms",
  healthy_deadline: "30s",
  progress_deadline: "1m",
} as const;

export class TestApp {
  readonly name: string;
  readonly #fleet: DevFleet;
  readonly #ledger: string;

  constructor(fleet: DevFleet, name: string) {
    this.name = name;
    this.#fleet = fleet;
    this.#ledger = join(fleet.root, `${name}.ledger`);
  }

  /** Writes a release; returns the path of its muster.yaml. */
  release(version: string, { behaviour = "good", startsInMs = 0, stopsInMs = 0, interval = "250ms", rollout = {}, files = {} }: ReleaseOptions = {}): string {
    const yaml = [
      `app: ${this.name}`,
      `version: "${version}"`,
      "artifact: ./files",
      "run:",
      "  command: [node, server.mjs]",
      "  ports: { http: auto }",
      "  env:",
      '    PORT: "${ports.http}"',
      '    MACHINE: "${machine.id}"',
      `    LEDGER: ${JSON.stringify(this.#ledger)}`,
      `    BEHAVIOUR: ${behaviour}`,
      `    STARTS_IN_MS: "${startsInMs}"`,
      `    STOPS_IN_MS: "${stopsInMs}"`,
      `  stop_timeout: ${stopsInMs === 0 ? "5s" : "30s"}`,
      "health:",
      "  - http: http://127.0.0.1:${ports.http}/healthz",
      `    interval: ${interval}`,
      "    timeout: 1s",
      "    healthy_after: 1",
      "    unhealthy_after: 3",
      "rollout:",
      ...Object.entries({ ...QUICK, ...rollout }).map(([key, value]) => `  ${key}: ${value}`),
      "",
    ];
    return this.#fleet.release(`${this.name}-${version}`, yaml.join("\n"), { "server.mjs": SERVER, "version.txt": version, ...files });
  }

  /** Every start of every process so far, oldest first. */
  starts(): readonly Start[] {
    if (!existsSync(this.#ledger)) return [];
    const lines = readFileSync(this.#ledger, "utf8").split("\n");
    return lines.filter((line) => line !== "").map((line) => JSON.parse(line) as Start);
  }

  /** A version's processes answer their probes badly from now on: on one machine, or wherever it runs. */
  turnUnhealthy(version: string, machine?: string): void {
    writeFileSync(this.#unhealthyFile(version, machine), "");
  }

  /** The end of that. */
  turnHealthy(version: string, machine?: string): void {
    rmSync(this.#unhealthyFile(version, machine));
  }

  /** The port of the last that was started on the machine: all of them have the same. */
  port(machine: string): number {
    const last = this.starts().findLast((start) => start.machine === machine);
    if (last === undefined) throw new Error(`${this.name} was never started on ${machine}`);
    return last.port;
  }

  /** What answers on each of these machines, by machine. */
  async answers(machines: readonly string[]): Promise<Readonly<Record<string, Answer>>> {
    const answers = machines.map(async (machine) => [machine, await ask(this.port(machine))] as const);
    return Object.fromEntries(await Promise.all(answers));
  }

  #unhealthyFile(version: string, machine: string | undefined): string {
    return [`${this.#ledger}.unhealthy`, version, ...(machine === undefined ? [] : [machine])].join("-");
  }
}

/** What the process on a port says of itself. */
export async function ask(port: number): Promise<Answer> {
  const response = await fetch(`http://127.0.0.1:${port}/`, { signal: AbortSignal.timeout(5000), headers: { connection: "close" } });
  return (await response.json()) as Answer;
}
