/**
 * A real third-party server, in two versions from the npm registry, upgraded in waves while every machine is asked without a pause:
 * for how long does a machine not answer, and are never more of them away than was allowed?
 */
import { spawn } from "node:child_process";
import { mkdirSync } from "node:fs";
import { get } from "node:http";
import { dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, expect, it } from "vitest";

import { DevFleet, type FleetEvent } from "./fleet.ts";

const OLD = "14.1.0";
const NEW = "14.1.1";
const AGENTS = 5;
const MAX_UNAVAILABLE = 2;
const WAVES = [1, 2, 2];
const ASK_INTERVAL_MS = 10;
/** Waiting longer for one answer would hide how long the machine was away. */
const ANSWER_TIMEOUT_MS = 1000;

let fleet: DevFleet;

beforeAll(async () => {
  fleet = await DevFleet.start({ agents: AGENTS });
});

afterAll(() => fleet?.stop());

it("http-server is upgraded in waves: each machine is away once, shortly, and no more of them at once than allowed", async () => {
  const [oldFile, newFile] = await Promise.all([release(OLD), release(NEW)]);
  expect(await fleet.ended(await fleet.deploy(oldFile))).toMatchObject({ phase: "succeeded", version: OLD });

  const questioners = await Promise.all(fleet.file().agents.map(async ({ id }) => new Questioner(id, await portOf(id))));
  await sleep(500);
  const id = await fleet.deploy(newFile);
  const status = await fleet.ended(id);
  await sleep(500);
  await Promise.all(questioners.map((questioner) => questioner.stop()));

  console.log(table(questioners, new Map(status.targets!.map(({ machine, wave }) => [machine, wave]))));
  expect(status).toMatchObject({ phase: "succeeded", version: NEW });
  expect(status.waves.map(({ size }) => size)).toEqual(WAVES);
  for (const { machine, versions, gaps } of questioners) {
    expect(versions, machine).toEqual([OLD, NEW]);
    expect(gaps.length, `${machine} was away ${gaps.length} times`).toBeLessThanOrEqual(1);
  }
  expect(mostAtOnce(questioners.flatMap(({ gaps }) => gaps))).toBeLessThanOrEqual(MAX_UNAVAILABLE);
  const course = courseOf(await fleet.events(id));
  expect(course.mostMoving).toBeLessThanOrEqual(MAX_UNAVAILABLE);
  expect(course.waves).toEqual(WAVES.map((size, index) => `wave ${index + 1} of ${size}`));
});

/** The package with its dependencies, as npm installs it; returns the path of the muster.yaml. */
async function release(version: string): Promise<string> {
  const file = fleet.release(
    `http-server-${version}`,
    [
      "app: http-server",
      `version: "${version}"`,
      "artifact: ./files",
      "run:",
      '  command: [node, node_modules/http-server/bin/http-server, ., -a, 127.0.0.1, -p, "${ports.http}", -c-1]',
      "  ports: { http: auto }",
      "  stop_timeout: 5s",
      "health:",
      "  - http: http://127.0.0.1:${ports.http}/package.json",
      "    interval: 200ms",
      "rollout:",
      "  targets: role=web",
      "  waves: [1, 60%, 100%]",
      `  max_unavailable: ${MAX_UNAVAILABLE}`,
      "  min_healthy_time: 1s",
      "  healthy_deadline: 1m",
      "  progress_deadline: 2m",
      "",
    ].join("\n"),
    {},
  );
  const files = join(dirname(file), "files");
  mkdirSync(files);
  const npm = spawn("npm", ["install", "--prefix", files, "--no-audit", "--no-fund", "--ignore-scripts", `http-server@${version}`], { stdio: ["ignore", "ignore", "pipe"] });
  let said = "";
  npm.stderr.setEncoding("utf8").on("data", (chunk: string) => (said += chunk));
  const code = await new Promise((done) => npm.once("close", done));
  if (code !== 0) throw new Error(`npm install http-server@${version} exited with ${String(code)}: ${said}`);
  return file;
}

async function portOf(machine: string): Promise<number> {
  return (await fleet.machine(machine)).apps[0]!.ports["http"]!;
}

/** From the last answer before to the first answer after, on the monotonic clock. */
interface Gap {
  readonly from: number;
  readonly to: number;
}

/** Asks one machine again and again, each time over a new connection, which version it serves. */
class Questioner {
  readonly machine: string;
  /** In the order in which they were first served. */
  readonly versions: string[] = [];
  readonly gaps: Gap[] = [];
  asked = 0;
  failed = 0;
  readonly #port: number;
  readonly #ended: Promise<void>;
  #isStopping = false;

  constructor(machine: string, port: number) {
    this.machine = machine;
    this.#port = port;
    this.#ended = this.#run();
  }

  stop(): Promise<void> {
    this.#isStopping = true;
    return this.#ended;
  }

  async #run(): Promise<void> {
    let answeredAt = performance.now();
    let isAway = false;
    while (!this.#isStopping) {
      const version = await servedVersion(this.#port);
      this.asked += 1;
      if (version === undefined) {
        this.failed += 1;
        isAway = true;
      } else {
        const now = performance.now();
        if (isAway) this.gaps.push({ from: answeredAt, to: now });
        if (this.versions.at(-1) !== version) this.versions.push(version);
        answeredAt = now;
        isAway = false;
      }
      await sleep(ASK_INTERVAL_MS);
    }
    if (isAway) this.gaps.push({ from: answeredAt, to: Infinity });
  }
}

/** Undefined when there was no whole answer. */
function servedVersion(port: number): Promise<string | undefined> {
  const { promise, resolve } = Promise.withResolvers<string | undefined>();
  const request = get({ host: "127.0.0.1", port, path: "/node_modules/http-server/package.json", agent: false, timeout: ANSWER_TIMEOUT_MS }, (response) => {
    let text = "";
    response.setEncoding("utf8").on("data", (chunk: string) => (text += chunk));
    response.once("end", () => resolve(response.statusCode === 200 ? (JSON.parse(text) as { version: string }).version : undefined));
    response.once("error", () => resolve(undefined));
  });
  request.once("timeout", () => request.destroy());
  request.once("error", () => resolve(undefined));
  return promise;
}

function mostAtOnce(gaps: readonly Gap[]): number {
  return Math.max(0, ...gaps.map(({ from }) => gaps.filter((gap) => gap.from <= from && from < gap.to).length));
}

/** What the journal says: how many were on the move at most, and the waves, each done before the next was begun. */
function courseOf(events: readonly FleetEvent[]): { readonly mostMoving: number; readonly waves: readonly string[] } {
  const moving = new Set<string>();
  const waves: string[] = [];
  let mostMoving = 0;
  let changed = 0;
  for (const { kind, machine, data } of events) {
    if (kind === "wave_started") changed = 0;
    if (kind === "target_assigned") mostMoving = Math.max(mostMoving, moving.add(machine!).size);
    if (kind === "target_changed" && data["state"] === "healthy" && moving.delete(machine!)) changed += 1;
    if (kind === "wave_finished") waves.push(`wave ${Number(data["wave"]) + 1} of ${changed}`);
  }
  return { mostMoving, waves };
}

function table(questioners: readonly Questioner[], waves: ReadonlyMap<string, number>): string {
  const rows = questioners.map(({ machine, asked, failed, gaps, versions }) => {
    const longestMs = Math.max(0, ...gaps.map(({ from, to }) => to - from));
    return [machine, waves.get(machine) ?? 0, asked, failed, gaps.length, Math.round(longestMs), versions.join(" → ")];
  });
  const lines = [["machine", "wave", "asked", "unanswered", "times away", "longest gap (ms)", "versions served"], ...rows];
  return lines.map((cells) => cells.map((cell) => String(cell).padEnd(12)).join("  ").trimEnd()).join("\n");
}
