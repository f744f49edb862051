/** Budgets, freezes and retention: what holds for all rollouts. */
import { afterEach, beforeEach, expect, test } from "vitest";
import { muster } from "../fakes/fake-context.ts";
import { FakeController } from "../fakes/fake-controller.ts";
import { NOON } from "../fakes/samples.ts";

let controller: FakeController;

beforeEach(async () => {
  controller = await FakeController.start();
});

afterEach(async () => {
  await controller.die();
});

const HOUR_MS = 3_600_000;
const run = (...words: string[]): ReturnType<typeof muster> => muster([...words, "--address", controller.address], { now: NOON, columns: 80 });
const json = async (...words: string[]): Promise<unknown> => JSON.parse((await run(...words, "-o", "json")).out);

test("a budget is set, listed and removed", async () => {
  expect((await run("budget", "list")).out).toContain("muster budget set");
  expect((await run("budget", "set", "role=db", "1")).out).toBe("role=db  at most 1 of 3 machines unavailable; now 1: db-2\n");
  expect(controller.asked.at(-1)).toEqual({ method: "setBudget", request: { selector: "role=db", maxUnavailable: 1, by: "ada@laptop" } });
  expect((await run("budget", "list")).out).toBe(
    "SELECTOR  MACHINES  ALLOWED  USED  UNAVAILABLE NOW\nrole=db          3        1     1  db-2\n",
  );
  const budget = { selector: "role=db", max_unavailable: 1, machines: 3, unavailable: ["db-2"] };
  expect(await json("budget", "list")).toStrictEqual([budget]);
  expect(await json("budget", "set", "role=db", "1")).toStrictEqual(budget);
  expect(await json("budget", "rm", "role=db")).toStrictEqual({ selector: "role=db", removed: true });
  expect(await run("budget", "rm", "role=db")).toMatchObject({ code: 4, err: "muster: role=db has no budget\n" });
});

test("the budget of all machines is called that", async () => {
  expect((await run("budget", "set", "", "1")).out).toBe("all machines  at most 1 of 3 machines unavailable; now 1: db-2\n");
  expect((await run("budget", "list")).out).toMatch(/\nall machines {9}3 /);
  expect((await json("budget", "list")) as object[]).toMatchObject([{ selector: "" }]);
  expect((await run("budget", "rm", "")).out).toBe("all machines have no budget any more\n");
});

test("names five machines of a budget and says how many more there are", async () => {
  controller.budgets = [{ selector: "role=db", maxUnavailable: 9, machines: 20, unavailable: Array.from({ length: 7 }, (_, index) => `db-${index}`) }];
  expect((await run("budget", "list")).out).toContain("db-0, db-1, db-2, db-3, db-4 and 2 more");
});

test.each<[readonly string[], object]>([
  [[], { from: 0, until: 0 }],
  [["--for", "2h"], { from: 0, until: NOON + 2 * HOUR_MS }],
  [["--from", "+1h"], { from: NOON + HOUR_MS, until: 0 }],
  [["--from", "+1h", "--for", "1d"], { from: NOON + HOUR_MS, until: NOON + 25 * HOUR_MS }],
  [["--from", "2026-02-01T00:00:00Z", "--until", "2026-02-02T00:00:00Z"], { from: NOON + 12 * HOUR_MS, until: NOON + 36 * HOUR_MS }],
  [["--until", "+30m", "--reason", "sale"], { from: 0, until: NOON + HOUR_MS / 2, reason: "sale" }],
])("muster freeze add %j", async (words, request) => {
  expect((await run("freeze", "add", ...words)).code).toBe(0);
  expect(controller.asked).toEqual([{ method: "addFreeze", request: { reason: "", by: "ada@laptop", ...request } }]);
});

test("a freeze that begins in the evening ends the next morning", async () => {
  await run("freeze", "add", "--from", "22:00", "--until", "06:00");
  const request = controller.asked[0]?.request as { from: number; until: number };
  expect([new Date(request.from).getHours(), new Date(request.until).getHours()]).toEqual([22, 6]);
  expect(request.until - request.from).toBe(8 * HOUR_MS);
});

test("freezes are listed with when they begin and end, and ended", async () => {
  expect((await run("freeze", "list")).out).toBe("no freezes; rollouts may start at any time\n");
  expect((await run("freeze", "add", "--reason", "sale")).out).toContain("f-1  freeze from now until it is ended with: muster freeze end f-1\n");
  await run("freeze", "add", "--from", "+1h", "--for", "30m");
  const [titles, first, second] = (await run("freeze", "list")).out.split("\n");
  expect(titles).toMatch(/^ID +STATE +FROM +UNTIL +BY +REASON$/);
  expect(first).toMatch(/^f-1 {2}under way {2}\d\d:00:00 {2}ended by hand {2}ada@laptop {2}sale$/);
  expect(second).toMatch(/^f-2 {2}in 1h {6}\S/);
  expect(await json("freeze", "list")).toStrictEqual([
    { id: "f-1", from: "2026-01-31T12:00:00.000Z", until: null, reason: "sale", by: "ada@laptop" },
    { id: "f-2", from: "2026-01-31T13:00:00.000Z", until: "2026-01-31T13:30:00.000Z", reason: null, by: "ada@laptop" },
  ]);
  expect(await json("freeze", "end", "f-2")).toStrictEqual({ id: "f-2", ended: true });
  expect((await run("freeze", "end", "f-1")).out).toBe("f-1 is ended\n");
  expect(await run("freeze", "end", "f-1")).toMatchObject({ code: 4, err: "muster: there is no freeze f-1\n" });
});

test("retention shows the rule, and changes what is named alone", async () => {
  expect(await json("retention", "show")).toStrictEqual({ keep: 10, keep_for_ms: 2_592_000_000, steps_for_ms: 2_592_000_000, archived: { steps: 0, size_bytes: 0, since: null, faults: [] } });
  expect((await run("retention", "show")).out).toBe(
    "The files of the 10 newest releases of each app that were healthy somewhere are\nkept, and of all that are younger than 30d.\n" +
      "Steps of deployments stay in the database for 30d, and are in the archive\nafterwards.\nThe archive is empty.\n",
  );
  controller.archived = { archivedSteps: 12_000, archivedBytes: 1_500_000, archivedSince: NOON, archiveFaults: ["the steps of 2026-11 are missing"] };
  expect((await run("retention", "show")).out).toContain("The archive has 12000 steps since 2026-01-31 12:00:00, in 1.5 MB.\nthe steps of 2026-11 are missing\n");
  controller.removed = ["shop-web@1.0.0", "shop-web@1.0.1"];
  const { out } = await run("retention", "set", "--for", "90d");
  expect(out).toContain("younger than 90d.\nSteps of deployments stay in the database for 30d, and are in the archive\nafterwards.\nremoved the files of 2 releases:\n  shop-web@1.0.0 shop-web@1.0.1\n");
  expect(controller.asked.at(-1)).toEqual({
    method: "setRetention",
    request: { retention: { keep: 10, keepForMs: 90 * 24 * HOUR_MS, stepsForMs: 2_592_000_000 }, by: "ada@laptop" },
  });
  controller.removed = [];
  expect((await run("retention", "set", "--keep", "10")).out).toMatch(/\nno files were removed\n\s*$/);
  expect((await run("retention", "set", "--steps", "29d")).out).toContain("no files were removed\n");
  expect((await run("retention", "set", "--steps", "28d")).out.replaceAll("\n", " ")).toContain("Steps that are older than 28d go to the archive now; muster retention show says how many are there.");
  await run("retention", "set", "--steps", "30d");
  expect(await json("retention", "set", "--keep", "3")).toStrictEqual({ keep: 3, keep_for_ms: 90 * 24 * HOUR_MS, steps_for_ms: 2_592_000_000, removed: [] });
  expect(await json("retention", "set", "--steps", "14d")).toStrictEqual({ keep: 3, keep_for_ms: 90 * 24 * HOUR_MS, steps_for_ms: 14 * 24 * HOUR_MS, removed: [] });
  expect((await run("retention", "set", "--keep", "1")).out).toContain("The files of the newest release of each app");
});

test.each<[readonly string[], string]>([
  [["budget", "set", "role=db", "-1"], "not a whole number from 0"],
  [["budget", "set", "role=db", "half"], "not a whole number from 0"],
  [["budget", "set", "role=db"], "missing required argument 'count'"],
  [["budget", "rm"], "missing required argument 'selector'"],
  [["freeze", "add", "--from", "soon"], '--from: "soon" is not a time; try'],
  [["freeze", "add", "--until", "yesterday"], '--until: "yesterday" is not a time; try'],
  [["freeze", "add", "--for", "a while"], "not a duration"],
  [["freeze", "add", "--for", "0"], "--for 0 freezes nothing"],
  [["freeze", "add", "--for", "2h", "--until", "+1h"], "cannot be used with option '--until"],
  [["freeze", "add", "--from", "+2h", "--until", "+1h"], "is not after --from"],
  [["freeze", "add", "--until", "2020-01-01T00:00:00Z"], "is not after now"],
  [["freeze", "end"], "missing required argument 'freeze'"],
  [["freeze", "thaw"], "unknown command 'thaw'"],
  [["retention", "set"], "nothing to change; give --keep, --for or --steps"],
  [["retention", "set", "--keep", "0"], "not a whole number from 1"],
])("muster %j is bad input, and the controller is not asked", async (words, message) => {
  const { code, out, err } = await run(...words);
  expect([code, out]).toEqual([2, ""]);
  expect(err).toContain(message);
  expect(controller.asked).toEqual([]);
});
