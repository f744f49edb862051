/** What `why` says of a machine that took turns between deployments: an older one told it something again, after a newer one had. */
import { beforeEach, expect, test } from "vitest";
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

/** m-4 is lost with 2 and removed, 2 is taken back, and a new host of its name gets 1 from the first deployment. */
async function joinedAgain() {
  const first = await deployedToFour(scene, "1");
  const second = await deployedToFour(scene, "2");
  scene.elapse(20_000, "m-1", "m-2", "m-3");
  scene.remove("m-4");
  scene.command(second, "rollback");
  for (const machine of ["m-1", "m-2", "m-3"]) await scene.tell(machine, "healthy", "1");
  await scene.joinAs({ role: "web", zone: "a" }, "m-4");
  scene.elapse(1000, ...FOUR);
  return { first, second };
}

test("a machine that joined anew after a newer deployment had told its namesake something", async () => {
  const { first, second } = await joinedAgain();
  await scene.tell("m-4", "healthy", "1");
  expect(await scene.whyMachine("m-4")).toMatchInlineSnapshot(`
    "m-4 runs app@1: it became healthy in wave 1 of d-1.
         0s machine_joined: m-4 joined with the label role=web
         0s deployment_submitted: an operator submitted d-1: app@1 to the machines with role=web
         0s rollout_started: began: 4 machines in one wave, at most 4 unavailable at once
         0s rollout_started: m-4 is in the only wave, at turn 4 of 4: turns go by name
         0s wave_started: wave 1 (100%) began: 4 machines, m-1, m-2, m-3 and m-4
         0s target_assigned: m-4 was told to run app@1: 3 of 4 places were taken; it did not run app before
         0s target_healthy: m-4 became healthy
         0s succeeded: succeeded: 4 of 4 machines run app@1
         0s target_assigned: d-2 told m-4 to run app@2
        20s target_removed: m-4 counts no more: anna removed it from the fleet: scrapped
        20s machine_joined: m-4 joined with the labels role=web, zone=a
        20s machine_joined: m-4 is not among its machines: it joined after the plan was made; such machines have their turn afterwards (late_joiners: deploy)
        20s target_joined: m-4 joined later and has its turn in wave 1
        20s target_assigned: m-4 was told to run app@1: 0 of 4 places were taken; it did not run app before
        21s target_healthy: m-4 became healthy after 1s"
  `);
  expect(await scene.whyMachine("m-4", first)).toBe(await scene.whyMachine("m-4"));
  expect(await scene.whyMachine("m-4", second)).toMatchInlineSnapshot(`
    "m-4 is not among the machines of d-2: it joined after the plan was made.
         0s machine_joined: m-4 joined with the label role=web
         0s deployment_submitted: an operator submitted d-2: app@2 to the machines with role=web
         0s rollout_started: began: 4 machines in one wave, at most 4 unavailable at once
         0s rollout_started: m-4 is in the only wave, at turn 4 of 4: turns go by name
         0s wave_started: wave 1 (100%) began: 4 machines, m-1, m-2, m-3 and m-4
         0s target_assigned: m-4 was told to run app@2: 3 of 4 places were taken; it goes back to app@1 if need be
         0s target_healthy: m-4 became healthy
         0s succeeded: succeeded: 4 of 4 machines run app@2
        20s target_removed: m-4 is gone, and counts as lost with the release: it was not heard any more, or not well: anna removed it from the fleet: scrapped
        20s rolling_back: anna rolled it back: 3 machines that were told of app@2 go back, newest wave first, at most 4 at once
        20s rolled_back: rolled back: 3 machines are back on what they ran before; m-4 was removed from the fleet, and may still run 2
        20s machine_joined: m-4 joined with the labels role=web, zone=a
        20s machine_joined: m-4 is not among its machines: it joined after the plan was made
        20s target_assigned: d-1 told m-4 to run app@1"
  `);
});

test("and it is said to be on its way while it is", async () => {
  await joinedAgain();
  expect((await scene.whyMachine("m-4")).split("\n").slice(0, 3)).toMatchInlineSnapshot(`
    [
      "m-4 was told to run app@1 in wave 1 of d-1 and is on the way.",
      "  > it waits for the agent of m-4 to say that app@1 has been healthy for 1s; it has not answered yet",
      "  > if that has not come within 1m (healthy_deadline), m-4 goes back by itself",
    ]
  `);
});

test("one of those that stayed is told where its first deployment's story ends", async () => {
  const { first } = await joinedAgain();
  expect(await scene.whyMachine("m-1", first)).toMatchInlineSnapshot(`
    "m-1 ran app@1: it became healthy in wave 1 of d-1. Now d-2 decides there: it is to run app@1.
         0s machine_joined: m-1 joined with the label role=web
         0s deployment_submitted: an operator submitted d-1: app@1 to the machines with role=web
         0s rollout_started: began: 4 machines in one wave, at most 4 unavailable at once
         0s rollout_started: m-1 is in the only wave, at turn 1 of 4: turns go by name
         0s wave_started: wave 1 (100%) began: 4 machines, m-1, m-2, m-3 and m-4
         0s target_assigned: m-1 was told to run app@1: 0 of 4 places were taken; it did not run app before
         0s target_healthy: m-1 became healthy
         0s succeeded: succeeded: 4 of 4 machines run app@1
         0s target_assigned: d-2 told m-1 to run app@2"
  `);
});

/** m-4 was drained while 2 came, failed with 3, is back on 1, and gets 2 in the tail of the second deployment. */
async function drainedOverTwo(isFrozen = false) {
  const first = await deployedToFour(scene, "1");
  drain("m-4");
  await scene.tell("m-4", "removed");
  const second = scene.deploy("2", { waves: [ALL], maxUnavailable: count(4) });
  for (const machine of ["m-1", "m-2", "m-3"]) await scene.tell(machine, "healthy", "2");
  scene.elapse(1000, ...FOUR);
  const third = scene.deploy("3", { waves: [wave(count(2)), ALL], maxUnavailable: count(2) });
  uncordon("m-4");
  await scene.tell("m-4", "healthy", "1");
  for (const machine of ["m-1", "m-2", "m-3"]) await scene.tell(machine, "healthy", "3");
  if (isFrozen) scene.engine.orders.addFreeze({ from: 0 as never, until: null }, BY);
  await scene.tell("m-4", "reverted", "1");
  for (let round = 0; round < 4; round += 1) {
    for (const machine of ["m-1", "m-2", "m-3"]) if (scene.wanted(machine) === "2") await scene.tell(machine, "healthy", "2");
    if (scene.wanted("m-4") === "1") await scene.tell("m-4", "healthy", "1");
  }
  scene.elapse(1000, ...FOUR);
  expect([scene.phase(third), scene.wanted("m-4")]).toEqual(["rolled_back", isFrozen ? "1" : "2"]);
  return { first, second, third };
}

test("a machine to which the tail of an older deployment came after a newer one was taken back", async () => {
  const { first, second, third } = await drainedOverTwo();
  await scene.tell("m-4", "healthy", "2");
  expect(await scene.whyMachine("m-4")).toMatchInlineSnapshot(`
    "m-4 runs app@2: it became healthy in wave 1 of d-2.
         0s machine_joined: m-4 joined with the label role=web
         0s deployment_submitted: an operator submitted d-2: app@2 to the machines with role=web
         0s rollout_started: began: 4 machines in one wave, at most 4 unavailable at once
         0s rollout_started: m-4 is in the only wave, at turn 4 of 4: it was cordoned, and those that are not go first
         0s wave_started: wave 1 (100%) began: 4 machines, m-1, m-2, m-3 and m-4
         0s target_skipped: m-4 was passed over: the machine is cordoned; it has its turn when that ends
         0s succeeded: succeeded: 3 of 4 machines run app@2; 1 is passed over
         1s machine_uncordoned: anna uncordoned m-4
         1s target_assigned: d-3 told m-4 to run app@3
         1s target_reverting: d-3 told m-4 to run app@1
         1s target_pending: m-4 is not cordoned any more and has its turn
         1s target_assigned: m-4 was told to run app@2: 0 of 4 places were taken; it goes back to app@1 if need be
         2s target_healthy: m-4 became healthy after 1s"
  `);
  expect(await scene.whyMachine("m-4", third)).toMatchInlineSnapshot(`
    "m-4 went back to app@1: d-3 (app@3) was taken back. Now d-2 decides there: it is to run app@2.
         0s machine_joined: m-4 joined with the label role=web
         1s deployment_submitted: an operator submitted d-3: app@3 to the machines with role=web
         1s rollout_started: began: 4 machines in 2 waves (2 and 2), at most 2 unavailable at once
         1s rollout_started: m-4 is in wave 2 of 2 (100%), at turn 2 of 2: it was cordoned, and those that are not go first
         1s machine_uncordoned: anna uncordoned m-4
         1s wave_finished: wave 1 passed: 2 healthy
         1s wave_started: wave 2 (100%) began: 2 machines, m-3 and m-4
         1s target_assigned: m-4 was told to run app@3: 1 of 2 places was taken; it goes back to app@1 if need be
         1s target_failed: m-4 failed in wave 2: exited with code 1; it went back by itself; app@1 runs there now
         1s rolling_back: 1 machine failed in wave 2, 0 allowed: m-4: exited with code 1; as on_failure: rollback says, 4 machines that were told of app@3 go back, newest wave first, at most 2 at once
         1s target_reverting: m-4 was told to go back to app@1
         1s target_reverted: m-4 is back on app@1
         1s rolled_back: rolled back: 4 machines are back on what they ran before
         1s target_assigned: d-2 told m-4 to run app@2"
  `);
  expect(await scene.whyMachine("m-4", second)).toBe(await scene.whyMachine("m-4"));
  expect((await scene.whyMachine("m-4", first)).split("\n").at(0)).toMatchInlineSnapshot(`"m-4 ran app@1: it became healthy in wave 1 of d-1. Now d-2 decides there: it is to run app@2."`);
  expect((await scene.whyMachine("m-4", first)).split("\n").slice(-3)).toMatchInlineSnapshot(`
    [
      "     0s machine_cordoned: anna drained m-4",
      "     1s machine_uncordoned: anna uncordoned m-4",
      "     1s target_assigned: d-3 told m-4 to run app@3",
    ]
  `);
});

test("and one that waits for its turn in that tail", async () => {
  const { second } = await drainedOverTwo(true);
  expect((await scene.whyMachine("m-4")).split("\n")[0]).toBe("m-4 is back on app@1: d-3 (app@3) was taken back.");
  const told = (await scene.whyMachine("m-4", second)).split("\n");
  expect(told[0]).toBe("m-4 waits for its turn in wave 1 of d-2 (app@2).");
  expect(told.slice(-4)).toEqual([
    "     1s target_assigned: d-3 told m-4 to run app@3",
    "     1s target_reverting: d-3 told m-4 to run app@1",
    "     1s target_pending: m-4 is not cordoned any more and has its turn",
    "     1s held: waits for the freeze f-1 to be over (until somebody ends it)",
  ]);
});
