/** `plan`: the forecast in words and in JSON, and what its exit codes mean. */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { status } from "@grpc/grpc-js";
import picocolors from "picocolors";
import { afterEach, beforeEach, expect, test } from "vitest";
import { fakeContext, muster } from "../fakes/fake-context.ts";
import { FakeController } from "../fakes/fake-controller.ts";
import { forecast } from "../fakes/history-samples.ts";
import { planView } from "../render/plan-view.ts";
import { width } from "../render/text.ts";
import { run as runIn } from "../run.ts";

let controller: FakeController;
let cwd: string;

beforeEach(async () => {
  controller = await FakeController.start();
  controller.plan = forecast();
  cwd = await mkdtemp(join(tmpdir(), "muster-plan-"));
  await writeFile(join(cwd, "muster.yaml"), "app: shop-web\n");
});

afterEach(async () => {
  await controller.die();
  await rm(cwd, { recursive: true });
});

const plan = (...words: string[]): ReturnType<typeof muster> =>
  muster(["plan", ...words, "--address", controller.address], { cwd, columns: 80, stdin: "app: from-stdin\n" });

test("tells waves, machines in their order, gates, time, warnings and how far a bad release would come", async () => {
  const { code, out, err } = await plan("-f", "muster.yaml");
  expect([code, err]).toEqual([10, ""]);
  expect(out).toBe(`shop-web 1.4.2  →  42 machines in 3 waves, about 11m40s
  at most 5 unavailable at once
  time from 120 updates of shop-web (d-5, d-6): half took 12s at most

  warning: wave 2: soak 5s is shorter than the 15s that the probe needs to find
           a release unhealthy, so a release that breaks after its start passes
           the gate

  wave 1  canary=true, 1 machine, +0s to +5m30s
    web-1 (unhealthy)
    until it is healthy for 10s (min_healthy_time)
      and no machine of the wave changes for 5m (soak)
      and somebody approves

  wave 2  25%, 10 machines, +5m30s to +7m30s, up to 1 may fail
    web-2, web-3, web-4, web-5, web-6, web-7, web-8, web-9, web-10, web-11
    until all but at most 1 of 10 are healthy for 10s (min_healthy_time)

  wave 3  100%, 31 machines, +7m30s to +11m40s, up to 1 may fail
    web-12, web-13, web-14, web-15, web-16, web-17, web-18, web-19, web-20,
    web-21, web-22, web-23, web-24, web-25, web-26, web-27, web-28, web-29,
    web-30, web-31, web-32, web-33, web-34, web-35, and 7 more

  2 machines run it already
    web-90, web-91

how far a bad release would come:
  IF IT IS           MACHINES  STOPPED AFTER  BACK AFTER  ENDS
  broken everywhere         1            12s         25s  rolled back
  broken on 10%             4          8m20s      10m20s  rolled back
  broken after 5m          42          never      16m40s  succeeded
  cut off: zone=a          14          never       never  paused
`);
});

test("what would not pass has no time, neither in words nor in JSON; what may surprise is said", async () => {
  const waves = forecast().waves.map((wave, index) => ({ ...wave, expectedStartMs: index === 2 ? undefined : 0, expectedEndMs: index === 0 ? 330_000 : undefined }));
  controller.plan = forecast({ waves, expectedMs: undefined, unchanged: ["web-90"], notes: ["2 machines run it already, unconfirmed"] });
  const { out } = await plan("-f", "muster.yaml");
  expect(out).toContain("42 machines in 3 waves; would not succeed\n");
  expect(out).toContain("  2 machines run it already, unconfirmed\n");
  expect(out).toContain("wave 1  canary=true, 1 machine, +0s to +5m30s");
  expect(out).toContain("wave 2  25%, 10 machines, from +0s, would not pass, up to 1 may fail");
  expect(out).toContain("wave 3  100%, 31 machines, would not begin");
  expect(out).toContain("  1 machine runs it already\n");
  const planned = JSON.parse((await plan("-f", "muster.yaml", "-o", "json")).out);
  expect([planned.expected_ms, planned.waves[1].expected_end_ms, planned.waves[2].expected_start_ms]).toEqual([null, null, null]);
});

test("--all names every machine", async () => {
  const { out } = await plan("-f", "muster.yaml", "--all");
  expect(out).toContain("web-42");
  expect(out).not.toContain("more");
});

test("-o json has the keys that are promised, and no others", async () => {
  const { code, out } = await plan("-f", "muster.yaml", "-o", "json");
  expect(code).toBe(10);
  const planned = JSON.parse(out);
  expect(Object.keys(planned)).toEqual(["waves", "unchanged", "expected_ms", "expected_from", "begins_when", "max_unavailable", "warnings", "notes", "alarms", "blast_radius"]);
  expect(planned.waves[0]).toStrictEqual({
    index: 1,
    members: "canary=true",
    machines: ["web-1"],
    gates: ["it is healthy for 10s (min_healthy_time)", "no machine of the wave changes for 5m (soak)", "somebody approves"],
    expected_start_ms: 0,
    expected_end_ms: 330_000,
  });
  expect(planned.waves[2].machines).toHaveLength(31);
  expect(planned).toMatchObject({ unchanged: ["web-90", "web-91"], expected_ms: 700_000, expected_from: "120 updates of shop-web (d-5, d-6): half took 12s at most" });
  expect(planned.blast_radius).toStrictEqual([
    { world: "broken everywhere", max_machines: 1, stopped_after_ms: 12_000, restored_after_ms: 25_000, phase: "rolled_back" },
    { world: "broken on 10%", max_machines: 4, stopped_after_ms: 500_000, restored_after_ms: 620_000, phase: "rolled_back" },
    { world: "broken after 5m", max_machines: 42, stopped_after_ms: null, restored_after_ms: 1_000_000, phase: "succeeded" },
    { world: "cut off: zone=a", max_machines: 14, stopped_after_ms: null, restored_after_ms: null, phase: "paused" },
  ]);
});

test("says where times are guessed, and of a release that no machine came to run not that it never goes", async () => {
  const [nobody] = forecast().blastRadius;
  controller.plan = forecast({ expectedFrom: "the file alone: 2s to fetch and start (a guess)", blastRadius: [{ ...nobody!, world: "broken everywhere", maxMachines: 0, restoredAfterMs: undefined }] });
  const { out } = await plan("-f", "muster.yaml");
  expect(out).toContain("how far a bad release would come, with times that are guessed:");
  expect(out).toMatch(/broken everywhere {9}0 {12}12s {11}- /);
});

test("nothing to change ends with 0, in words and in JSON", async () => {
  controller.plan = forecast({ waves: [], unchanged: ["web-1", "web-2"], blastRadius: [], warnings: [] });
  expect(await plan("-f", "muster.yaml")).toEqual({ code: 0, out: "shop-web 1.4.2  →  nothing to change\n  2 machines run it already\n", err: "" });
  const { code, out } = await plan("-f", "muster.yaml", "-o", "json");
  expect([code, JSON.parse(out).waves]).toEqual([0, []]);
  controller.plan = forecast({ waves: [], unchanged: [], blastRadius: [], warnings: ["no machine matches role=wbe"] });
  expect((await plan("-f", "muster.yaml")).out).toContain("it selects no machine\n\n  warning: no machine matches role=wbe\n");
});

test("a rollout that would not begin at once says when", async () => {
  controller.plan = forecast({ beginsWhen: "waits for d-6 to end" });
  expect((await plan("-f", "muster.yaml")).out).toContain("\n  does not begin at once: waits for d-6 to end\n");
});

test("faults are printed as deploy prints them", async () => {
  controller.faults = [{ line: 14, column: 9, path: "rollout.waves[1]", message: '"ten" is neither a count nor a percentage' }];
  expect(await plan("-f", "muster.yaml")).toEqual({
    code: 2,
    out: "",
    err: 'muster.yaml:14:9 rollout.waves[1]: "ten" is neither a count nor a percentage\nmuster: muster.yaml has 1 fault; nothing was planned\n',
  });
  const { err } = await plan("-f", "muster.yaml", "-o", "json");
  expect(JSON.parse(err).error).toMatchObject({ code: "invalid_file", faults: [{ line: 14 }] });
});

test("sends the bytes of the file, or of stdin, and no artifact", async () => {
  await plan("-f", "muster.yaml");
  await plan("-f", "-");
  expect(controller.asked.map(({ method, request }) => [method, Object(request).fileName, String(Object(request).content)])).toEqual([
    ["plan", "muster.yaml", "app: shop-web\n"],
    ["plan", "stdin", "app: from-stdin\n"],
  ]);
});

test.each<[readonly string[], number, string]>([
  [[], 2, "--file"],
  [["-f", "nowhere.yaml"], 2, "there is no such file"],
  [["-f", "muster.yaml", "extra"], 2, "too many arguments"],
])("muster plan %j ends with %d", async (words, code, message) => {
  expect(await plan(...words)).toMatchObject({ code, out: "", err: expect.stringContaining(message) as string });
});

test("an old controller that can't foretell says so", async () => {
  controller.failures.set("plan", { code: status.UNIMPLEMENTED, details: "the controller does not know how" });
  expect(await plan("-f", "muster.yaml")).toMatchObject({ code: 1, err: "muster: the controller does not know how\n" });
});

test("Ctrl-C while it plans ends with 130", async () => {
  const context = fakeContext({ cwd });
  context.interrupt("SIGINT");
  await runIn(["plan", "-f", "muster.yaml", "--address", controller.address], context);
  expect(context.exitCode()).toBe(130);
});

test.each([30, 40, 60, 80, 120])("no line is wider than %d columns", (columns) => {
  for (const all of [true, false]) {
    const lines = planView(forecast(), { colors: picocolors.createColors(false), columns, now: 0, all });
    expect(lines.filter((line) => width(line) > Math.max(columns, 60))).toEqual([]);
  }
});
