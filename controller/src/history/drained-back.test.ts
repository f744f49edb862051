/** What `why` and the events say of machines that are drained while their release is taken back, or for another reason do not keep it. */
import { beforeEach, expect, test } from "vitest";
import { eventText } from "../api/event-text.ts";
import { ALL, count, wave } from "../rollout/rollout.fixture.ts";
import { deployedToFour, FOUR, sceneOfFour } from "./four.fixture.ts";
import type { Scene } from "./history.fixture.ts";

const BY = { by: "anna", reason: "" };

let scene: Scene;

beforeEach(async () => {
  scene = await sceneOfFour();
});

const drain = (machine: string) => scene.engine.orders.cordon(machine as never, { drain: true, force: true }, BY);
const uncordon = (machine: string) => scene.engine.orders.uncordon(machine as never, BY);

/** The steps that end a story. */
const last = async (count: number, machine: string): Promise<readonly string[]> => (await scene.whyMachine(machine)).split("\n").slice(-count);
const first = async (machine: string): Promise<string> => (await scene.whyMachine(machine)).split("\n")[0]!;

/** 2 is confirmed everywhere, and is taken back one machine after another. */
async function takenBack() {
  await deployedToFour(scene, "1");
  const id = scene.deploy("2", { waves: [ALL], maxUnavailable: count(1) });
  for (const machine of FOUR) await scene.tell(machine, "healthy", "2");
  scene.elapse(1000, ...FOUR);
  scene.command(id, "rollback");
  expect(FOUR.map((machine) => scene.state(id, machine))).toEqual(["healthy", "healthy", "healthy", "reverting"]);
  return id;
}

test("a machine that is drained before it has gone back gets what it goes back to, since the release is taken back", async () => {
  const id = await takenBack();
  drain("m-1");
  await scene.tell("m-1", "removed");
  expect(await last(4, "m-1")).toMatchInlineSnapshot(`
    [
      "     1s machine_cordoned: anna drained m-1",
      "     1s assignment_renewed: m-1 is given back app@1 when the drain ends: d-2 (app@2) is being taken back",
      "     1s target_reverting: m-1 was told to go back to app@1",
      "     1s target_reverted: m-1 is drained: app@1 starts there when the drain ends",
    ]
  `);
  expect(await first("m-1")).toMatchInlineSnapshot(`"m-1 is drained, and runs app@1 when the drain ends: d-2 (app@2) was taken back."`);
  expect((await scene.whyDeployment(id)).split("\n").at(-1)).toMatchInlineSnapshot(`"     1s target_reverted: m-1 is drained: app@1 starts there when the drain ends"`);
  for (const machine of ["m-4", "m-3", "m-2"]) await scene.tell(machine, "healthy", "1");
  expect([scene.phase(id), await first("m-1")]).toMatchInlineSnapshot(`
    [
      "rolled_back",
      "m-1 is drained, and runs app@1 when the drain ends: d-2 (app@2) was taken back.",
    ]
  `);
  uncordon("m-1");
  scene.elapse(1000, ...FOUR);
  expect(await first("m-1")).toMatchInlineSnapshot(`"m-1 went back to app@1: d-2 (app@2) was taken back; now it is without an answer yet."`);
  await scene.tell("m-1", "healthy", "1");
  expect(await first("m-1")).toMatchInlineSnapshot(`"m-1 is back on app@1: d-2 (app@2) was taken back."`);
});

test("one that is drained on its way back is not said to be back", async () => {
  await takenBack();
  drain("m-4");
  expect([await first("m-4"), ...(await last(2, "m-4"))]).toMatchInlineSnapshot(`
    [
      "m-4 is draining, and runs app@1 when the drain ends: d-2 (app@2) was taken back.",
      "     1s machine_cordoned: anna drained m-4",
      "     1s target_reverted: m-4 is drained: app@1 starts there when the drain ends",
    ]
  `);
  await scene.tell("m-4", "removed");
  expect(await first("m-4")).toMatchInlineSnapshot(`"m-4 is drained, and runs app@1 when the drain ends: d-2 (app@2) was taken back."`);
});

test("one on which the release failed gets what it had before, since it failed there", async () => {
  await deployedToFour(scene, "1");
  scene.deploy("2", { waves: [ALL], maxUnavailable: count(4), maxFailures: count(1) });
  for (const machine of ["m-2", "m-3", "m-4"]) await scene.tell(machine, "healthy", "2");
  await scene.tell("m-1", "reverted", "1");
  drain("m-1");
  expect(await last(2, "m-1")).toMatchInlineSnapshot(`
    [
      "     0s machine_cordoned: anna drained m-1",
      "     0s assignment_renewed: m-1 is given back app@1 when the drain ends: app@2 failed there",
    ]
  `);
});

test("one on which the release was never confirmed gets what it had before, since it was not", async () => {
  await deployedToFour(scene, "1");
  scene.deploy("2", { waves: [{ ...wave(count(2)), gates: [{ kind: "soak", forMs: 60_000 }] }, ALL], maxUnavailable: count(2), onFailure: "abort" });
  await scene.tell("m-1", "healthy", "2");
  await scene.tell("m-2", "reverted", "1");
  drain("m-1");
  expect(await last(2, "m-1")).toMatchInlineSnapshot(`
    [
      "     0s machine_cordoned: anna drained m-1",
      "     0s assignment_renewed: m-1 is given back app@1 when the drain ends: app@2 was never confirmed there",
    ]
  `);
});

test("and one on which nothing was confirmed is to be without the app", async () => {
  const id = scene.deploy("1", { waves: [ALL], maxUnavailable: count(4) });
  await scene.tell("m-1", "healthy", "1");
  scene.command(id, "abort");
  drain("m-1");
  expect(await last(2, "m-1")).toMatchInlineSnapshot(`
    [
      "     0s machine_cordoned: anna drained m-1",
      "     0s assignment_renewed: m-1 is to be without app when the drain ends: app@1 was never confirmed there",
    ]
  `);
});

test("the end of a drain, too, may give back another release, and it is not said to be for later", async () => {
  const id = await takenBack();
  scene.command(id, "abort");
  drain("m-1");
  await scene.tell("m-1", "removed");
  scene.command(id, "rollback");
  scene.elapse(1000, ...FOUR);
  uncordon("m-1");
  expect(await last(4, "m-1")).toMatchInlineSnapshot(`
    [
      "     1s rolling_back: anna rolled it back: 3 machines that were told of app@2 go back, newest wave first, at most 1 at once",
      "     2s machine_uncordoned: anna uncordoned m-1",
      "     2s assignment_renewed: m-1 is given back app@1: d-2 (app@2) is being taken back",
      "     2s target_reverting: m-1 was told to go back to app@1",
    ]
  `);
});

test("an event says what is given back, and no reason that may not be the one", () => {
  const entry = { kind: "assignment_renewed", machine: "m-1" as never, app: "shop" as never } as const;
  expect(eventText({ ...entry })).toBe("m-1 told anew about shop");
  expect(eventText({ ...entry, release: "shop@1" as never })).toBe("m-1 told anew about shop: to run shop@1");
  expect(eventText({ ...entry, release: null })).toBe("m-1 told anew about shop: to be without it");
});
