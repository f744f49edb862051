/**
 * Bad releases stop in wave one and are taken back, and say which kind of bad they were; operators steer; what nobody asked to change is not touched.
 */
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";

import { DevFleet, type Ran, type Status } from "./fleet.ts";
import { type Answer, type ReleaseOptions, TestApp } from "./test-app.ts";

const MACHINES = ["dev-0", "dev-1", "dev-2", "dev-3"];

let fleet: DevFleet;
let shop: TestApp;
/** What runs before each test, by machine. */
let before: Readonly<Record<string, Answer>>;
let good = 0;

beforeAll(async () => {
  fleet = await DevFleet.start({ agents: MACHINES.length });
  shop = new TestApp(fleet, "shop");
});

afterAll(() => fleet?.stop());

beforeEach(async () => {
  good += 1;
  const file = shop.release(`good-${good}`, { rollout: { waves: "[100%]", max_unavailable: "4" } });
  expect(await fleet.ended(await fleet.deploy(file))).toMatchObject({ phase: "succeeded" });
  before = await shop.answers(MACHINES);
  expect(Object.values(before).map(({ version }) => version)).toEqual(MACHINES.map(() => `good-${good}`));
});

describe("a bad release stops in wave one and is taken back", () => {
  it("when its process exits", async () => {
    const { status, ran } = await deployBad("exits", { behaviour: "exits" });
    expectTakenBack(status, ran, "exited", /exited with code 3.*cannot find the prices/);
    await expectBack(["dev-1", "dev-2", "dev-3"]);
  });

  it("when its probe is never answered well", async () => {
    const { status, ran } = await deployBad("never", { behaviour: "never_healthy", rollout: { healthy_deadline: "3s" } });
    expectTakenBack(status, ran, "never_healthy", /503/);
    await expectBack(["dev-1", "dev-2", "dev-3"]);
  });

  it("when it turns unhealthy 3 s after it was healthy, within min_healthy_time", async () => {
    const { status, ran } = await deployBad("turns-soon", { behaviour: "turns_unhealthy", rollout: { min_healthy_time: "5s", healthy_deadline: "7s" } });
    expectTakenBack(status, ran, "turned_unhealthy", /of the 5s required.*503/);
    await expectBack(["dev-1", "dev-2", "dev-3"]);
  });

  it("when it turns unhealthy 3 s after it was healthy, while other machines of the wave are on the move", async () => {
    const rollout = { waves: "[3, 100%]", max_unavailable: "1", min_healthy_time: "1500ms" };
    const { id, status, ran } = await deployBad("turns-late", { behaviour: "turns_unhealthy", rollout });
    expectTakenBack(status, ran, "turned_unhealthy", /503/);
    const changes = (await fleet.events(id)).filter(({ kind, machine }) => kind === "target_changed" && machine === "dev-0").map(({ data }) => [data["state"], data["runs"]]);
    // It had gone back by itself before the rollout told it to.
    expect(changes).toEqual([["healthy", "turns-late"], ["failed", "turns-late"], ["failed", `good-${good}`], ["reverted", `good-${good}`]]);
    await expectBack(["dev-3"]);
  });

  it("when its artifact is corrupted on the way", async () => {
    const file = shop.release("corrupt", { files: { "prices.bin": Buffer.alloc(100_000, "prices ") } });
    const { digest } = await fleet.json<{ digest: string }>("artifact", "push", join(dirname(file), "files"));
    corrupt(join(fleet.dir, "controller/artifacts", digest), "prices.bin");
    const ran = await fleet.muster(["deploy", "-f", file, "--watch"]);
    expectTakenBack(await newest(), ran, "artifact_corrupt", /prices\.bin/);
    // It never came to a start, so the old process was not even stopped.
    await expectUntouched(MACHINES);
  });

  it("and is removed where it was the first of its app", async () => {
    const first = new TestApp(fleet, "first");
    const ran = await fleet.muster(["deploy", "-f", first.release("1", { behaviour: "exits" }), "--watch"]);
    expectTakenBack(await newest(), ran, "exited", /exited with code 3/);
    const { apps } = await fleet.machine("dev-0");
    expect(apps.find(({ app }) => app === "first")).toMatchObject({ wanted_version: null, running_version: null, phase: "removed", pid: null });
    expect(existsSync(join(fleet.dir, "agents/dev-0/apps/first/releases"))).toBe(false);
    expect(existsSync(join(fleet.dir, "agents/dev-1/apps/first"))).toBe(false);
    await expectUntouched(MACHINES);
  });
});

describe("an operator", () => {
  const slow = { waves: "[1, 100%]", min_healthy_time: "6s" };

  it("aborts: what has the new release keeps it, and nobody else is touched", async () => {
    const id = await fleet.deploy(shop.release("aborted", { rollout: slow }));
    await until(id, (status) => status.counts["updating"] === 1);
    expect(await fleet.json<Status>("abort", id)).toMatchObject({ phase: "aborted", reason: { code: "operator" } });
    await until(id, (status) => status.counts["healthy"] === 1);
    await expectUntouched(["dev-1", "dev-2", "dev-3"]);
    expect(await shop.answers(["dev-0"])).toMatchObject({ "dev-0": { version: "aborted" } });
    expect((await fleet.status(id)).targets!.map(({ attempts }) => attempts)).toEqual([1, 0, 0, 0]);
  });

  it("pauses: those under way finish, nobody new is touched, and it goes on when resumed", async () => {
    const id = await fleet.deploy(shop.release("paused", { rollout: slow }));
    await until(id, (status) => status.counts["updating"] === 1);
    expect((await fleet.muster(["pause", id, "--watch"])).code).toBe(0);
    await sleep(1000);
    const paused = await fleet.status(id);
    expect(paused).toMatchObject({ phase: "paused", waiting_on: expect.stringContaining("operator") });
    expect(paused.targets!.map(({ state, attempts }) => `${state} ${attempts}`)).toEqual(["healthy 1", "pending 0", "pending 0", "pending 0"]);
    await expectUntouched(["dev-1", "dev-2", "dev-3"]);

    expect((await fleet.muster(["resume", id, "--watch"])).code).toBe(0);
    expect(versionsOf(await shop.answers(MACHINES))).toEqual(MACHINES.map(() => "paused"));
  });

  it("rolls a success back: each machine runs what it ran before", async () => {
    const file = shop.release("regretted", { rollout: { waves: "[100%]", max_unavailable: "4" } });
    expect((await fleet.muster(["deploy", "-f", file, "--watch"])).code).toBe(0);
    expect(versionsOf(await shop.answers(MACHINES))).toEqual(MACHINES.map(() => "regretted"));
    const { id } = await newest();

    expect((await fleet.muster(["rollback", id, "--watch", "--reason", "wrong prices"])).code).toBe(0);
    expect(await fleet.status(id)).toMatchObject({ phase: "rolled_back", reason: { code: "operator", message: expect.stringContaining("wrong prices") } });
    expect(versionsOf(await shop.answers(MACHINES))).toEqual(MACHINES.map(() => `good-${good}`));
  });
});

describe("files alone", () => {
  const files = (version: string, probe: string): string =>
    fleet.release(
      `pages-${version}`,
      [
        "app: pages",
        `version: "${version}"`,
        "artifact: ./files",
        "run: { driver: files }",
        "health:",
        `  - exec: [grep, -q, "${probe}", index.html]`,
        "    interval: 100ms",
        "rollout: { targets: role=web, waves: [1, 100%], min_healthy_time: 300ms, healthy_deadline: 2s, progress_deadline: 1m }",
        "",
      ].join("\n"),
      { "index.html": `welcome to ${version}\n`, "css/style.css": "body {}\n" },
    );
  const pages = (): string[] => MACHINES.map((machine) => readFileSync(join(fleet.dir, "agents", machine, "apps/pages/current/index.html"), "utf8"));

  it("are put in place, exchanged, and taken back when their probe fails", async () => {
    expect((await fleet.muster(["deploy", "-f", files("1", "welcome"), "--watch"])).code).toBe(0);
    expect(pages()).toEqual(MACHINES.map(() => "welcome to 1\n"));
    expect((await fleet.muster(["deploy", "-f", files("2", "welcome"), "--watch"])).code).toBe(0);
    expect(pages()).toEqual(MACHINES.map(() => "welcome to 2\n"));
    const ran = await fleet.muster(["deploy", "-f", files("3", "farewell"), "--watch"]);
    expectTakenBack(await newest(), ran, "never_healthy", /exit/);
    expect(pages()).toEqual(MACHINES.map(() => "welcome to 2\n"));
    await expectUntouched(MACHINES);
  });
});

async function deployBad(version: string, options: ReleaseOptions): Promise<{ readonly id: string; readonly status: Status; readonly ran: Ran }> {
  const ran = await fleet.muster(["deploy", "-f", shop.release(version, options), "--watch"]);
  const status = await newest();
  expect(status.version).toBe(version);
  return { id: status.id, status, ran };
}

function newest(): Promise<Status> {
  return fleet.json<Status>("status", "--targets");
}

function expectTakenBack(status: Status, ran: Ran, code: string, message: RegExp): void {
  expect(ran.code, ran.stdout + ran.stderr).toBe(1);
  expect(status).toMatchObject({ phase: "rolled_back", reason: { code, message: expect.stringMatching(message) } });
  expect(ran.stdout).toContain(status.reason!.message);
  const waveOne = status.targets!.filter(({ wave }) => wave === 1);
  const later = status.targets!.filter(({ wave }) => wave > 1);
  expect(waveOne[0]).toMatchObject({ machine: "dev-0", state: "reverted", attempts: 2 });
  expect(waveOne.length + later.length).toBe(MACHINES.length);
  for (const target of later) expect(target).toMatchObject({ state: "pending", attempts: 0 });
}

/** Every machine answers with the version of before, and `untouched` ones by the very same process. */
async function expectBack(untouched: readonly string[]): Promise<void> {
  expect(versionsOf(await shop.answers(MACHINES))).toEqual(versionsOf(before));
  await expectUntouched(untouched);
}

async function expectUntouched(machines: readonly string[]): Promise<void> {
  const now = await shop.answers(machines);
  expect(now).toEqual(Object.fromEntries(machines.map((machine) => [machine, before[machine]])));
}

function versionsOf(answers: Readonly<Record<string, Answer>>): readonly string[] {
  return MACHINES.map((machine) => answers[machine]!.version);
}

async function until(id: string, holds: (status: Status) => boolean): Promise<void> {
  for (const end = Date.now() + 30_000; Date.now() < end; await sleep(50)) if (holds(await fleet.status(id))) return;
  throw new Error(`it did not come to that: ${JSON.stringify(await fleet.status(id))}`);
}

/** Flips one byte of the frame in which a file travels. */
function corrupt(stored: string, path: string): void {
  const manifest = JSON.parse(readFileSync(join(stored, "manifest"), "utf8")) as {
    readonly entries: readonly { readonly path: string; readonly chunks?: readonly { readonly frameOffset: number; readonly frameBytes: number }[] }[];
  };
  const { frameOffset, frameBytes } = manifest.entries.find((entry) => entry.path === path)!.chunks![0]!;
  const pack = readFileSync(join(stored, "pack"));
  const at = frameOffset + Math.floor(frameBytes / 2);
  pack[at] = pack[at]! ^ 0xff;
  writeFileSync(join(stored, "pack"), pack);
}
