/** `why`, `releases`, `diff` and `status --at`: what the journal knows. */
import { status } from "@grpc/grpc-js";
import { afterEach, beforeEach, expect, test } from "vitest";
import { muster } from "../fakes/fake-context.ts";
import { FakeController } from "../fakes/fake-controller.ts";
import { difference, explanation, releaseRecord } from "../fakes/history-samples.ts";
import { NOON, rolledBackDeployment, rollingDeployment } from "../fakes/samples.ts";
import { width } from "../render/text.ts";

let controller: FakeController;

beforeEach(async () => {
  controller = await FakeController.start();
  controller.deployments = [rollingDeployment()];
  controller.why = explanation();
  controller.difference = difference();
  controller.releases = [releaseRecord("1.4.2"), releaseRecord("1.4.1", { machines: 0, hasFiles: false, deploymentIds: ["d-1"] })];
});

afterEach(async () => {
  await controller.die();
});

const run = (...words: string[]): ReturnType<typeof muster> => muster([...words, "--address", controller.address], { now: NOON, columns: 80 });
const json = async (...words: string[]): Promise<unknown> => JSON.parse((await run(...words, "-o", "json")).out);
const withoutTimes = (text: string): string => text.replaceAll(/\d\d:\d\d:\d\d/g, "hh:mm:ss").replaceAll(/\d{4}-\d\d-\d\d/g, "date");

test.each<[readonly string[], object]>([
  [["web-3"], { machine: "web-3", deploymentId: "" }],
  [["web-3", "d-7"], { machine: "web-3", deploymentId: "d-7" }],
  [["d-7"], { machine: "", deploymentId: "d-7" }],
  [["d-7b"], { machine: "d-7b", deploymentId: "" }],
])("muster why %j asks about that", async (words, request) => {
  expect((await run("why", ...words)).code).toBe(0);
  expect(controller.asked).toEqual([{ method: "why", request }]);
});

test("why tells the state, what would let it go on, and each decision with its time", async () => {
  expect(withoutTimes((await run("why", "web-3")).out)).toBe(`web-3 failed with shop-web 1.4.2 in wave 2 of d-7 and runs 1.4.1 again.

now:
  ▸ d-7 is paused and waits for somebody: muster resume d-7 goes on without
    web-3.
  ▸ web-3 takes its turn again with: muster retry d-7

how it came to this, since date hh:mm:ss (5m ago):
  hh:mm:ss  +0s    ada@laptop submitted d-7: shop-web 1.4.2 to role=web
  hh:mm:ss  +1s    web-3 was told to run shop-web 1.4.2, as the third of wave 2:
                   five at most may be unavailable at once, and four were
  hh:mm:ss  +1m2s  web-3 failed: exited with code 1, four times
  hh:mm:ss  +1m2s  wave 2 has 2 failed targets, more than max_failures 1, so the
                   rollout is paused
`);
});

test.each([20, 40, 60, 120])("why fits %d columns", async (columns) => {
  const { out } = await muster(["why", "web-3", "--address", controller.address], { now: NOON, columns });
  expect(out.split("\n").filter((line) => width(line) > columns)).toEqual([]);
});

test("why of a machine that was in no deployment says that, and no more", async () => {
  controller.why = explanation({ deploymentId: "", summary: "web-9 was in no deployment.", now: [], decisions: [] });
  expect((await run("why", "web-9")).out).toBe("web-9 was in no deployment.\n");
  expect(await json("why", "web-9")).toStrictEqual({ machine: "web-9", deployment_id: null, summary: "web-9 was in no deployment.", now: [], decisions: [] });
});

test("why -o json", async () => {
  expect(await json("why", "web-3", "d-7")).toMatchObject({
    machine: "web-3",
    deployment_id: "d-7",
    now: [expect.any(String), expect.any(String)],
    decisions: [
      { seq: 12, at: "2026-01-31T11:55:00.000Z", kind: "deployment_submitted", machine: null, text: expect.any(String) },
      { seq: 15, machine: "web-3" },
      { seq: 19 },
      { seq: 20 },
    ],
  });
});

test("a machine's words do not move the cursor", async () => {
  controller.why = explanation({ summary: "\u001b[2Jgone", now: ["\u001b[Hup"] });
  expect((await run("why", "web-3")).out).not.toContain("\u001b");
});

test("releases are listed with where they run, of one app if so wished", async () => {
  expect((await run("releases")).out.split("\n").map((line) => line.trimEnd())).toEqual([
    "RELEASE         CREATED  MACHINES  DEPLOYMENTS             FILES    ARTIFACT",
    "shop-web@1.4.2  1h ago          3  d-7, d-5, d-4 and 1 m…  kept     abababababab",
    "shop-web@1.4.1  1h ago          -  d-1                     removed  abababababab",
    "",
  ]);
  expect((await run("releases", "shop-api")).out).toBe("no releases of shop-api; make one with: muster deploy -f muster.yaml\n");
  expect(controller.asked.at(-1)?.request).toEqual({ app: "shop-api", limit: 50 });
  expect(await json("releases", "shop-web", "--limit", "5")).toMatchObject([
    {
      app: "shop-web",
      version: "1.4.2",
      artifact: "ab".repeat(32),
      created_at: "2026-01-31T11:00:00.000Z",
      machines: 3,
      deployment_ids: ["d-7", "d-5", "d-4", "d-2"],
      has_files: true,
    },
    { has_files: false },
  ]);
});

test.each<[readonly string[]]>([[["shop-web@1.4.1", "shop-web@1.4.2"]], [["shop-web", "1.4.1", "1.4.2"]], [["shop-web@1.4.1", "1.4.2"]]])(
  "muster diff %j means two versions of one app",
  async (words) => {
    expect((await run("diff", ...words)).code).toBe(0);
    expect(controller.asked).toEqual([{ method: "diffReleases", request: { app: "shop-web", fromVersion: "1.4.1", toVersion: "1.4.2" } }]);
  },
);

test("diff shows settings and files that differ, as git does", async () => {
  expect((await run("diff", "shop-web", "1.4.1", "1.4.2")).out).toBe(`--- shop-web@1.4.1
+++ shop-web@1.4.2

@@ run.env.PORT @@
- 8080
+ 9090

@@ health[0] @@
+ http: http://127.0.0.1:\${ports.http}/healthz
+ interval: 5s

@@ files @@
~ bin/start       mode only
- lib/old.js      900 B
~ server.js       12 kB → 13 kB
+ static/new.css  1.2 kB
  41 files unchanged
`);
});

test("diff says when nothing differs, and when files could not be compared", async () => {
  controller.difference = difference({ fields: [], files: [], unchangedFiles: 45 });
  expect((await run("diff", "shop-web", "1", "2")).out).toContain("nothing differs\n  45 files unchanged\n");
  controller.difference = difference({ files: [], unchangedFiles: 0, filesUnknown: "the files of 1.4.1 were removed by retention" });
  expect((await run("diff", "shop-web", "1", "2")).out).toContain("files: the files of 1.4.1 were removed by retention");
});

test("diff -o json", async () => {
  expect(await json("diff", "shop-web", "1.4.1", "1.4.2")).toMatchObject({
    app: "shop-web",
    from: "1.4.1",
    to: "1.4.2",
    fields: [{ path: "run.env.PORT", before: "8080", after: "9090" }, { path: "health[0]", before: null }],
    files: [
      { path: "bin/start", change: "mode", before_bytes: 120, after_bytes: 120 },
      { path: "lib/old.js", change: "removed", after_bytes: null },
      { path: "server.js", change: "changed" },
      { path: "static/new.css", change: "added", before_bytes: null },
    ],
    unchanged_files: 41,
    files_unknown: null,
  });
});

test("diff of a release that is not there ends with 4", async () => {
  controller.failures.set("diffReleases", { code: status.NOT_FOUND, details: "there is no release shop-web@9" });
  expect(await run("diff", "shop-web", "1.4.1", "9")).toEqual({ code: 4, out: "", err: "muster: there is no release shop-web@9\n" });
});

test("status --at asks for that moment, and says that it is past", async () => {
  controller.deployments = [rolledBackDeployment()];
  const { out } = await run("status", "d-7", "--at", "-30s");
  expect(controller.asked.map(({ method, request }) => [method, (request as { at: number }).at])).toEqual([
    ["getDeployment", NOON - 30_000],
    ["getDeployment", NOON - 30_000],
  ]);
  expect(out).toMatch(/^as it stood at \d{4}-\d\d-\d\d \d\d:\d\d:\d\d, 30s ago\nd-7 {2}shop-web/);
  expect(out).not.toContain("next:");
  await run("status", "d-7", "--at", "2026-01-31T11:00:00Z", "-o", "json");
  expect(controller.asked.at(-1)?.request).toMatchObject({ at: NOON - 3_600_000 });
});

test.each<[readonly string[], string]>([
  [["why"], "missing required argument 'subject'"],
  [["why", "web-3", "web-4"], '"web-4" is not a deployment; try web-3 d-7'],
  [["why", "d-7", "d-8"], "d-7 and d-8 are both deployments"],
  [["diff", "shop-web@1"], "missing required argument"],
  [["diff", "shop-web", "1.4.1"], '"shop-web" is not APP@VERSION; try'],
  [["diff", "shop-web@", "1.4.1"], '"shop-web@" is not APP@VERSION; try'],
  [["diff", "shop-web@1", "shop-api@1"], "releases of two apps"],
  [["diff", "shop-web", "shop-web@1", "2"], "shop-web@1 names a whole release"],
  [["releases", "--limit", "0"], "1 to 1000"],
  [["status", "--at", "later"], '--at: "later" is not a time; try'],
  [["status", "--at", "+5m"], "or -5m"],
  [["status", "--at", "2030-01-01T00:00:00Z"], "lies ahead"],
])("muster %j is bad input, and the controller is not asked", async (words, message) => {
  const { code, out, err } = await run(...words);
  expect([code, out]).toEqual([2, ""]);
  expect(err).toContain(message);
  expect(controller.asked).toEqual([]);
});
