/** A file of the archive is gone, or damaged: whoever asks for its steps is told so, and nobody is told another story. */
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { credentials, status } from "@grpc/grpc-js";
import pino from "pino";
import { afterEach, beforeEach, expect, test } from "vitest";
import { EventsServiceClient, EventsServiceService, type ReadEventsResponse } from "@muster/proto/gen/muster/v1/events.ts";
import { HistoryServiceClient, HistoryServiceService, type ReplayResponse } from "@muster/proto/gen/muster/v1/history.ts";
import type { DeploymentId } from "@muster/proto/ids.ts";
import { Fleet } from "../fleet/fleet.ts";
import { serveOpenly } from "../grpc/open.fixture.ts";
import { Scene } from "../history/history.fixture.ts";
import { ALL, count } from "../rollout/rollout.fixture.ts";
import { deploymentAt } from "./deployment-at.ts";
import { eventsApi } from "./events-api.ts";
import { historyApi } from "./history-api.ts";
import { DeploymentViews } from "./views.ts";

const DAY = 86_400_000;
const GONE = "the steps of 2026-10 are missing: archive/2026-10.jsonl.zst cannot be read (there is no such file)";

let folder: string;
let scene: Scene;
let server: Awaited<ReturnType<typeof serveOpenly>>;
let history: HistoryServiceClient;
let events: EventsServiceClient;
/** The steps of the first, in October, are in the archive; those of the second, in November, are in the database. */
let ids: DeploymentId[];
/** Before anything was archived. */
let kinds: readonly string[];
let told: string;

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), "muster-missing-"));
  scene = new Scene(join(folder, "muster.db"));
  scene.engine.archiving.stop();
  scene.clock.wall = Date.UTC(2026, 9, 20);
  await scene.join("a", "b");
  // The clock was set, and they are heard.
  scene.pass(2000, "a", "b");
  ids = [];
  for (const version of ["1", "2"]) {
    ids.push(scene.deploy(version, { waves: [ALL], maxUnavailable: count(2) }));
    for (const machine of ["a", "b"]) await scene.tell(machine, "healthy", version);
    scene.pass(2000, "a", "b");
    scene.age(20 * DAY);
    scene.pass(2000, "a", "b");
  }
  kinds = [...scene.journal.read({ fromSeq: 1 })].map(({ entry }) => entry.kind);
  told = await scene.whyDeployment(ids[0]!);
  await scene.engine.archiving.sweep();
  const logger = pino({ level: "silent" });
  const { journal, engine, clock } = scene;
  const views = new DeploymentViews(journal.db, (id) => engine.waitingOn(id), (id) => engine.rollout(id), engine);
  const store = { manifest: async () => undefined };
  server = await serveOpenly([
    { definition: HistoryServiceService, implementation: historyApi({ journal, engine, fleet: new Fleet(15_000), isRevoked: () => false, views, store, now: () => clock.now(), logger }) },
    { definition: EventsServiceService, implementation: eventsApi({ journal, engine, logger }) },
  ]);
  history = new HistoryServiceClient(server.address, credentials.createInsecure());
  events = new EventsServiceClient(server.address, credentials.createInsecure());
});

afterEach(() => {
  history.close();
  events.close();
  server.close();
  scene.engine.stop();
  scene.journal.close();
  rmSync(folder, { recursive: true, force: true });
});

const call = <Response>(ask: (callback: (error: Error | null, response: Response) => void) => unknown): Promise<Response> =>
  new Promise((resolve, reject) => void ask((error, response) => (error === null ? resolve(response) : reject(error))));
const why = (deploymentId: string) => call<{ summary: string }>((callback) => history.why({ machine: "", deploymentId }, callback));
const faults = async () => (await call<{ archiveFaults: string[] }>((callback) => history.getRetention({}, callback))).archiveFaults;

/** What came before the stream ended, and how it ended. */
async function drained<Item>(stream: AsyncIterable<Item>): Promise<{ readonly items: readonly Item[]; readonly failed: unknown }> {
  const items: Item[] = [];
  try {
    for await (const item of stream) items.push(item);
    return { items, failed: undefined };
  } catch (error) {
    return { items, failed: error };
  }
}
const replay = (deploymentId: string) => drained<ReplayResponse>(history.replay({ deploymentId, includeTargets: false }));
async function read(deploymentId: string, follow = false) {
  const { items, failed } = await drained<ReadEventsResponse>(events.readEvents({ fromSeq: 0, follow, deploymentId }));
  return { kinds: items.flatMap(({ events: some }) => some.map(({ kind }) => kind)), failed };
}

test("a file that is gone is named by whoever needs its steps", async () => {
  rmSync(join(folder, "archive", "2026-10.jsonl.zst"));
  await expect(why(ids[0]!)).rejects.toMatchObject({ code: status.DATA_LOSS, details: GONE });
  await expect(deploymentAt(scene.journal, ids[0]!, scene.clock.now(), true)).rejects.toThrow(GONE);
  expect(await replay(ids[0]!)).toMatchObject({ items: [], failed: { code: status.DATA_LOSS, details: GONE } });
  const left = kinds.filter((kind) => kind !== "target_assigned" && kind !== "report_accepted");
  expect((await read(ids[0]!)).failed).toMatchObject({ code: status.DATA_LOSS, details: GONE });
  for (const follow of [false, true]) {
    const all = await read("", follow);
    expect(all.failed).toMatchObject({ code: status.DATA_LOSS, details: GONE });
    expect(all.kinds).toEqual(expect.arrayContaining(left));
    expect(all.kinds.length).toBeLessThan(kinds.length);
  }
  expect(await faults()).toEqual([GONE]);
});

test("and costs nobody else anything", async () => {
  rmSync(join(folder, "archive", "2026-10.jsonl.zst"));
  expect((await why(ids[1]!)).summary).toBe("d-2 (app@2) succeeded: 2 of 2 machines run it.");
  expect((await replay(ids[1]!)).failed).toBeUndefined();
  expect((await read(ids[1]!)).failed).toBeUndefined();
  expect(await deploymentAt(scene.journal, ids[1]!, scene.clock.now(), true)).toMatchObject({ outcome: "succeeded" });
});

test("one that is brought back answers again", async () => {
  const path = join(folder, "archive", readdirSync(join(folder, "archive"))[0]!);
  const bytes = readFileSync(path);
  writeFileSync(path, bytes.subarray(0, bytes.length - 5));
  await expect(why(ids[0]!)).rejects.toMatchObject({ details: expect.stringMatching(/^steps of 2026-10 are missing, \d+ to \d+: archive\/2026-10\.jsonl\.zst cannot be read there \(2026-10\.jsonl\.zst ends at \d+, within a frame\)$/) as string });
  expect(await faults()).toHaveLength(1);
  writeFileSync(path, bytes);
  expect(await scene.whyDeployment(ids[0]!)).toBe(told);
  expect(await faults()).toEqual([]);
});
