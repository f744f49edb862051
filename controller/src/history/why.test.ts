/** What is told of real engine runs, word for word. */
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { DeploymentId, Instant, MachineId } from "@muster/proto/ids.ts";
import { ALL, APPROVAL, count, percent, soak, wave, webhook } from "../rollout/rollout.fixture.ts";
import { Scene } from "./history.fixture.ts";

const FOUR = ["m-1", "m-2", "m-3", "m-4"];

let scene: Scene;

beforeEach(async () => {
  scene = new Scene();
  await scene.join(...FOUR);
});

afterEach(() => {
  scene.engine.stop();
  scene.journal.close();
});

/** All run version 1. */
async function upgraded(): Promise<void> {
  scene.deploy("1", { waves: [ALL], maxUnavailable: count(4) });
  for (const machine of FOUR) await scene.tell(machine, "healthy", "1");
}

describe("a deployment", () => {
  test("of which enough of a wave let the next begin, while another of it is under way", async () => {
    await upgraded();
    const id = scene.deploy("2", { waves: [wave(count(2), { successThreshold: percent(50), gates: [APPROVAL] }), ALL], maxUnavailable: count(1) });
    await scene.tell("m-1", "healthy", "2");
    expect(await scene.whyDeployment(id)).toMatchInlineSnapshot(`
      "d-2 (app@2) is under way in wave 1 of 2: 1 of 4 machines runs it.
        > it waits for somebody to approve wave 1
        > muster approve d-2 lets it go on
        > muster rollback d-2 takes it back instead
           0s deployment_submitted: an operator submitted d-2: app@2 to the machines with role=web
           0s deployment_submitted: it asks for 2 waves (2 until 50% of it are healthy with an approval, then 100%); at most 1 machine unavailable at once; if any machine fails, all that were changed go back
           0s rollout_started: began: 4 machines in 2 waves (2 and 2), at most 1 unavailable at once
           0s wave_started: wave 1 began: 2 machines, m-1 and m-2
           0s target_assigned: m-1 was told to run app@2
           0s target_healthy: m-1 became healthy
           0s target_assigned: m-2 was told to run app@2
           0s held: waits for somebody to approve wave 1"
    `);
    scene.command(id, "approve", { reason: "" });
    expect(await scene.whyDeployment(id)).toMatchInlineSnapshot(`
      "d-2 (app@2) is under way in wave 2 of 2: 1 of 4 machines runs it.
        > it waits for m-2 to be healthy for 1s; 2 more of wave 2 to come
           0s deployment_submitted: an operator submitted d-2: app@2 to the machines with role=web
           0s deployment_submitted: it asks for 2 waves (2 until 50% of it are healthy with an approval, then 100%); at most 1 machine unavailable at once; if any machine fails, all that were changed go back
           0s rollout_started: began: 4 machines in 2 waves (2 and 2), at most 1 unavailable at once
           0s wave_started: wave 1 began: 2 machines, m-1 and m-2
           0s target_assigned: m-1 was told to run app@2
           0s target_healthy: m-1 became healthy
           0s target_assigned: m-2 was told to run app@2
           0s held: waits for somebody to approve wave 1
           0s gate_opened: the approval of wave 1 was given: anna approved it
           0s wave_finished: wave 1 passed: 1 healthy, 1 on the way; 1 of 2 are enough, and the others go on
           0s wave_started: wave 2 (100%) began: 2 machines, m-3 and m-4"
    `);
  });

  test("that went as planned, wave by wave, through a soak and an approval", async () => {
    await upgraded();
    const id = scene.deploy("2", { waves: [wave(count(1), { gates: [soak(60_000), APPROVAL] }), ALL], maxUnavailable: count(2) });
    scene.elapse(4000);
    await scene.tell("m-1", "healthy", "2");
    expect(await scene.whyDeployment(id)).toMatchInlineSnapshot(`
      "d-2 (app@2) is under way in wave 1 of 2: 1 of 4 machines runs it.
        > it waits for the soak of wave 1 to be over at 1970-01-01 00:17:44 UTC
        > it goes on then by itself; muster promote d-2 skips the rest of the soak
           0s deployment_submitted: an operator submitted d-2: app@2 to the machines with role=web
           0s deployment_submitted: it asks for 2 waves (1 with a soak of 1m and an approval, then 100%); at most 2 machines unavailable at once; if any machine fails, all that were changed go back
           0s rollout_started: began: 4 machines in 2 waves (1 and 3), at most 2 unavailable at once
           0s wave_started: wave 1 began: 1 machine, m-1
           0s target_assigned: m-1 was told to run app@2
           4s target_healthy: m-1 became healthy after 4s
           4s held: waits for the soak of wave 1 to be over at 1970-01-01 00:17:44 UTC"
    `);
    scene.elapse(140_000, ...FOUR);
    expect((await scene.whyDeployment(id)).split("\n").slice(0, 4)).toMatchInlineSnapshot(`
      [
        "d-2 (app@2) is under way in wave 1 of 2: 1 of 4 machines runs it.",
        "  > it waits for somebody to approve wave 1",
        "  > muster approve d-2 lets it go on",
        "  > muster rollback d-2 takes it back instead",
      ]
    `);
    scene.command(id, "approve", { reason: "looks fine" });
    scene.elapse(3000, ...FOUR);
    for (const machine of FOUR) await scene.tell(machine, "healthy", "2");
    await scene.tell("m-4", "healthy", "2");
    expect(await scene.whyDeployment(id)).toMatchInlineSnapshot(`
      "d-2 (app@2) succeeded: 4 of 4 machines run it.
           0s deployment_submitted: an operator submitted d-2: app@2 to the machines with role=web
           0s deployment_submitted: it asks for 2 waves (1 with a soak of 1m and an approval, then 100%); at most 2 machines unavailable at once; if any machine fails, all that were changed go back
           0s rollout_started: began: 4 machines in 2 waves (1 and 3), at most 2 unavailable at once
           0s wave_started: wave 1 began: 1 machine, m-1
           0s target_assigned: m-1 was told to run app@2
           4s target_healthy: m-1 became healthy after 4s
        64.5s gate_opened: waited 1m for the soak of wave 1 to be over
         144s gate_opened: waited 1m19s for somebody to approve wave 1: anna approved it: looks fine
         144s wave_finished: wave 1 passed after 2m24s: 1 healthy
         144s wave_started: wave 2 (100%) began: 3 machines, m-2, m-3 and m-4
         144s target_assigned: m-2 was told to run app@2
         144s target_assigned: m-3 was told to run app@2
         147s target_healthy: m-2 became healthy after 3s
         147s target_assigned: m-4 was told to run app@2
         147s target_healthy: m-3 became healthy after 3s
         147s target_healthy: m-4 became healthy
         147s wave_finished: wave 2 passed after 3s: 3 healthy
         147s succeeded: succeeded after 2m27s: 4 of 4 machines run app@2"
    `);
  });

  test("that failed on one machine too many and was rolled back", async () => {
    await upgraded();
    const id = scene.deploy("2", { waves: [ALL], maxUnavailable: count(2), maxFailures: count(0) });
    scene.elapse(3000);
    await scene.tell("m-1", "healthy", "2");
    scene.elapse(3000);
    await scene.tell("m-2", "reverted", "1");
    scene.elapse(3000);
    for (const machine of ["m-1", "m-2", "m-3"]) await scene.tell(machine, "healthy", "1");
    await scene.tell("m-1", "healthy", "1");
    expect(await scene.whyDeployment(id)).toMatchInlineSnapshot(`
      "d-2 (app@2) was rolled back: 1 machine failed in wave 1, 0 allowed: m-2: exited with code 1.
           0s deployment_submitted: an operator submitted d-2: app@2 to the machines with role=web
           0s deployment_submitted: it asks for one wave; at most 2 machines unavailable at once; if any machine fails, all that were changed go back
           0s rollout_started: began: 4 machines in one wave, at most 2 unavailable at once
           0s wave_started: wave 1 (100%) began: 4 machines, m-1, m-2, m-3 and m-4
           0s target_assigned: m-1 was told to run app@2
           0s target_assigned: m-2 was told to run app@2
           3s target_healthy: m-1 became healthy after 3s
           3s target_assigned: m-3 was told to run app@2
           6s target_failed: m-2 failed in wave 1: exited with code 1 (1 failed in it, 0 allowed)
           6s rolling_back: 1 machine failed in wave 1, 0 allowed: m-2: exited with code 1; as on_failure: rollback says, 3 machines that were told of app@2 go back, newest wave first, at most 2 at once
           6s target_reverting: m-3 was told to go back to app@1
           6s target_reverting: m-2 was told to go back to app@1
           9s target_reverted: m-2 is back on app@1 after 3s
           9s target_reverting: m-1 was told to go back to app@1
           9s target_reverted: m-3 is back on app@1 after 3s
           9s target_reverted: m-1 is back on app@1
           9s rolled_back: rolled back: 3 machines are back on what they ran before"
    `);
  });

  test("that waited for its time, for another, and was then taken out", async () => {
    await upgraded();
    const first = scene.deploy("2", { waves: [ALL] });
    scene.elapse(5000);
    const id = scene.deploy("3", { startAt: (scene.clock.now() + 60_000) as Instant });
    scene.elapse(30_000, ...FOUR);
    expect(await scene.whyDeployment(id)).toMatchInlineSnapshot(`
      "d-3 (app@3) has not begun: it waits for its time: it begins at 1970-01-01 00:17:45 UTC (start_at).
        > it waits for its time: it begins at 1970-01-01 00:17:45 UTC (start_at)
        > it begins then by itself; muster abort d-3 takes it out
           5s deployment_submitted: an operator submitted d-3: app@3 to the machines with role=web
           5s deployment_submitted: it asks for 2 waves (1, then 100%); at most 1 machine unavailable at once; if any machine fails, all that were changed go back
           5s waits: waits for its time: it begins at 1970-01-01 00:17:45 UTC (start_at)"
    `);
    scene.elapse(60_000, ...FOUR);
    expect((await scene.whyDeployment(id)).split("\n").slice(0, 4)).toMatchInlineSnapshot(`
      [
        "d-3 (app@3) has not begun: it waits for d-2 (app@2, rolling back) to end.",
        "  > it waits for d-2 (app@2, rolling back) to end",
        "  > it begins by itself after that (on_conflict: queue); muster abort d-3 takes it out",
        "     5s deployment_submitted: an operator submitted d-3: app@3 to the machines with role=web",
      ]
    `);
    scene.command(id, "abort", { reason: "not today" });
    expect(await scene.whyDeployment(id)).toMatchInlineSnapshot(`
      "d-3 (app@3) was aborted: anna aborted it: not today; it had not begun.
           5s deployment_submitted: an operator submitted d-3: app@3 to the machines with role=web
           5s deployment_submitted: it asks for 2 waves (1, then 100%); at most 1 machine unavailable at once; if any machine fails, all that were changed go back
          65s waited: waited 1m for its time, 1970-01-01 00:17:45 UTC (start_at)
          75s waited: waited 10s for d-2 (app@2, rolling) to end
          95s waited: waited 20s for d-2 (app@2, rolling back) to end
          95s aborted: anna aborted it: not today; every machine stays as it is, and none had been told of it"
    `);
    scene.command(first, "abort");
  });

  test("that somebody had to start, in an order of its own", async () => {
    await upgraded();
    const id = scene.deploy("2", { waves: [ALL], start: "manual", order: [{ kind: "label", label: "zone", reversed: true }, { kind: "shuffle" }] });
    scene.elapse(30_000, ...FOUR);
    expect(await scene.whyDeployment(id)).toMatchInlineSnapshot(`
      "d-2 (app@2) has not begun: it waits for somebody to start it (muster approve d-2).
        > it waits for somebody to start it (muster approve d-2)
        > muster approve d-2 starts it; muster abort d-2 takes it out
           0s deployment_submitted: an operator submitted d-2: app@2 to the machines with role=web
           0s deployment_submitted: it asks for one wave; at most 1 machine unavailable at once; in the order of zone (reversed) and a shuffle by release; if any machine fails, all that were changed go back; begins when somebody starts it
           0s waits: waits for somebody to start it (muster approve d-2)"
    `);
    scene.command(id, "approve", { reason: "checked the shop" });
    expect(await scene.whyDeployment(id)).toMatchInlineSnapshot(`
      "d-2 (app@2) is under way: 0 of 4 machines run it.
        > it waits for m-3 to be healthy for 1s; 3 more of wave 1 to come
           0s deployment_submitted: an operator submitted d-2: app@2 to the machines with role=web
           0s deployment_submitted: it asks for one wave; at most 1 machine unavailable at once; in the order of zone (reversed) and a shuffle by release; if any machine fails, all that were changed go back; begins when somebody starts it
          30s waited: waited 30s for somebody to start it
          30s start_approved: anna approved it: checked the shop
          30s rollout_started: began: 4 machines in one wave, at most 1 unavailable at once
          30s rollout_started: no machine has the label zone, so ordering by it changes nothing
          30s wave_started: wave 1 (100%) began: 4 machines, m-3, m-1, m-4 and m-2
          30s target_assigned: m-3 was told to run app@2"
    `);
  });

  test("whose machine failed, and said later that it has gone back by itself", async () => {
    await upgraded();
    const id = scene.deploy("2", { waves: [ALL], maxUnavailable: count(1), onFailure: "pause" });
    scene.elapse(1000);
    await scene.tell("m-1", "reverting", "2");
    scene.elapse(1000);
    await scene.tell("m-1", "reverted", "1");
    const lines = (await scene.whyDeployment(id)).split("\n").filter((line) => /m-1 (failed|went)/.test(line));
    expect(lines).toMatchInlineSnapshot(`
      [
        "     1s target_failed: m-1 failed in wave 1 (1 failed in it, 0 allowed)",
        "     2s target_failed: m-1 went back by itself: app@1 runs there now",
      ]
    `);
    expect((await scene.whyMachine("m-1")).split("\n").filter((line) => /m-1 failed|went back/.test(line))).toMatchInlineSnapshot(`
      [
        "m-1 failed with app@2 in wave 1 of d-2: exited with code 1; app@1 runs there now.",
        "     1s target_failed: m-1 failed in wave 1; app@2 runs there now",
        "     2s report_reverted: it went back by itself and runs app@1 now: exited with code 1",
      ]
    `);
  });

  test("that paused, was resumed, and had its failure acknowledged", async () => {
    await upgraded();
    const id = scene.deploy("2", { waves: [ALL], maxUnavailable: count(1), onFailure: "pause" });
    scene.elapse(2000);
    await scene.tell("m-1", "reverted", "1");
    expect((await scene.whyDeployment(id)).split("\n").slice(0, 5)).toMatchInlineSnapshot(`
      [
        "d-2 (app@2) is paused: 1 machine failed in wave 1, 0 allowed: m-1: exited with code 1.",
        "  > it waits for an operator to resume, retry, roll back or abort it",
        "  > muster resume d-2 lets it go on; what has failed so far counts no more",
        "  > muster retry d-2 tries the failed machines again",
        "  > muster rollback d-2 takes every machine back to what it ran before",
      ]
    `);
    scene.elapse(60_000, ...FOUR);
    scene.command(id, "resume", { reason: "m-1 is known to be broken" });
    for (const machine of ["m-2", "m-3", "m-4"]) await scene.tell(machine, "healthy", "2");
    scene.command(id, "retry");
    expect(await scene.whyDeployment(id)).toMatchInlineSnapshot(`
      "d-2 (app@2) succeeded: 3 of 4 machines run it; m-1 is on its way to 2.
        > m-1 is on the way: machines that come late, or try again, have their turn though it has succeeded
           0s deployment_submitted: an operator submitted d-2: app@2 to the machines with role=web
           0s deployment_submitted: it asks for one wave; at most 1 machine unavailable at once; if any machine fails, it pauses
           0s rollout_started: began: 4 machines in one wave, at most 1 unavailable at once
           0s wave_started: wave 1 (100%) began: 4 machines, m-1, m-2, m-3 and m-4
           0s target_assigned: m-1 was told to run app@2
           2s target_failed: m-1 failed in wave 1: exited with code 1 (1 failed in it, 0 allowed)
           2s paused: 1 machine failed in wave 1, 0 allowed: m-1: exited with code 1; it is paused, as on_failure: pause says
          62s command_accepted: anna resumed it: m-1 is known to be broken
          62s failures_acknowledged: 1 failed machine of wave 1 counts no more: only new ones stop it again
          62s target_assigned: m-2 was told to run app@2
          62s target_healthy: m-2 became healthy
          62s target_assigned: m-3 was told to run app@2
          62s target_healthy: m-3 became healthy
          62s target_assigned: m-4 was told to run app@2
          62s target_healthy: m-4 became healthy
          62s wave_finished: wave 1 passed after 1m2s: 3 healthy, 1 failed
          62s succeeded: succeeded after 1m2s: 3 of 4 machines run app@2; 1 failed
          62s command_accepted: anna let 1 machine that had failed take its turn again
          62s target_pending: m-1 has its turn again
          62s target_assigned: m-1 was told to run app@2"
    `);
  });

  test("that a freeze and a silent machine held, and whose webhook said stop", async () => {
    await upgraded();
    scene.elapse(20_000, "m-1", "m-2", "m-4");
    scene.engine.orders.addFreeze({ from: 0 as Instant, until: null }, { by: "otto", reason: "fair" });
    const id = scene.deploy("2", { waves: [wave(count(3), { gates: [webhook()] }), ALL], maxUnavailable: count(3), offline: { kind: "wait", forMs: 60_000 }, onFailure: "abort" });
    expect((await scene.whyDeployment(id)).split("\n").slice(0, 4)).toMatchInlineSnapshot(`
      [
        "d-2 (app@2) is under way in wave 1 of 2: 0 of 4 machines run it.",
        "  > it waits for the freeze f-1 to be over (until somebody ends it: fair)",
        "  > muster freeze end f-1 ends the freeze",
        "    20s deployment_submitted: an operator submitted d-2: app@2 to the machines with role=web",
      ]
    `);
    scene.elapse(30_000, "m-1", "m-2", "m-4");
    scene.engine.orders.endFreeze("f-1", "otto");
    for (const machine of ["m-1", "m-2", "m-4"]) await scene.tell(machine, "healthy", "2");
    scene.elapse(90_000, "m-1", "m-2", "m-4");
    scene.asked.at(-1)?.answer({ kind: "stop", detail: "too many complaints" });
    await new Promise((resolve) => setImmediate(resolve));
    expect(await scene.whyDeployment(id)).toMatchInlineSnapshot(`
      "d-2 (app@2) failed: the webhook gate of wave 1 stopped it: too many complaints.
          20s deployment_submitted: an operator submitted d-2: app@2 to the machines with role=web
          20s deployment_submitted: it asks for 2 waves (3 with a webhook, then 100%); at most 3 machines unavailable at once; if any machine fails, it stops and leaves all as it is; silent machines are waited for, at most 1m a wave
          20s rollout_started: began: 4 machines in 2 waves (3 and 1), at most 3 unavailable at once
          20s rollout_started: 1 machine is silent and is changed when heard, if the deployment stands then
          20s wave_started: wave 1 began: 3 machines, m-1, m-2 and m-4
          50s hold_ended: waited 30s for the freeze f-1 to be over (until somebody ends it: fair)
          50s target_assigned: m-1 was told to run app@2
          50s target_assigned: m-2 was told to run app@2
          50s target_healthy: m-1 became healthy
          50s target_assigned: m-4 was told to run app@2
          50s target_healthy: m-2 became healthy
          50s target_healthy: m-4 became healthy
         140s gate_stopped: the webhook of wave 1 said stop after 1m30s: too many complaints
         140s failed: failed after 2m: the webhook gate of wave 1 stopped it: too many complaints; every machine stays as it is, as on_failure: abort says"
    `);
  });

  test("that waited for a silent machine, until somebody had enough of it", async () => {
    await upgraded();
    scene.elapse(20_000, "m-1", "m-2", "m-4");
    const id = scene.deploy("2", { waves: [ALL], maxUnavailable: count(4), offline: { kind: "wait", forMs: null } });
    for (const machine of ["m-1", "m-2", "m-4"]) await scene.tell(machine, "healthy", "2");
    scene.elapse(30_000, "m-1", "m-2", "m-4");
    expect((await scene.whyDeployment(id)).split("\n").slice(0, 4)).toMatchInlineSnapshot(`
      [
        "d-2 (app@2) is under way: 3 of 4 machines run it.",
        "  > it waits for m-3 to be heard from (offline: wait)",
        "  > it goes on when they are heard from; muster promote d-2 goes on without them",
        "  > m-3 is silent and has its turn when heard from again",
      ]
    `);
    scene.steer(id, { kind: "promote", all: false }, { reason: "m-3 is in repair" });
    expect((await scene.whyDeployment(id)).split("\n").slice(-5)).toMatchInlineSnapshot(`
      [
        "    50s command_accepted: anna ended the wait for the silent machines of wave 1: m-3 is in repair",
        "    50s target_let_go: m-3 is waited for no longer",
        "    50s hold_ended: waited 30s for m-3 to be heard from (offline: wait)",
        "    50s wave_finished: wave 1 passed after 30s: 3 healthy, 1 silent",
        "    50s succeeded: succeeded after 30s: 3 of 4 machines run app@2; 1 is silent and has its turn when back",
      ]
    `);
  });

  test("that skipped what was left, and one that waits for its wave to begin", async () => {
    await upgraded();
    const id = scene.deploy("2", { waves: [wave(count(1)), wave(percent(100), { afterMs: 600_000 })], maxUnavailable: count(4) });
    await scene.tell("m-1", "healthy", "2");
    expect((await scene.whyDeployment(id)).split("\n").slice(0, 3)).toMatchInlineSnapshot(`
      [
        "d-2 (app@2) is under way in wave 1 of 2: 1 of 4 machines runs it.",
        "  > it waits for wave 2 to begin at 1970-01-01 00:26:40 UTC",
        "  > it goes on then by itself; muster promote d-2 lets it begin at once",
      ]
    `);
    scene.elapse(60_000, ...FOUR);
    scene.steer(id, { kind: "promote", all: true }, { reason: "urgent" });
    expect((await scene.whyDeployment(id)).split("\n").slice(6, 12)).toMatchInlineSnapshot(`
      [
        "     0s target_assigned: m-1 was told to run app@2",
        "     0s target_healthy: m-1 became healthy",
        "     0s wave_finished: wave 1 passed: 1 healthy",
        "     0s held: waits for wave 2 to begin at 1970-01-01 00:26:40 UTC",
        "    60s command_accepted: anna skipped all gates that were left: urgent",
        "    60s hold_ended: waited 1m for wave 2 to begin at 1970-01-01 00:26:40 UTC",
      ]
    `);
  });

  test("that took the place of another", async () => {
    await upgraded();
    const older = scene.deploy("2", { waves: [ALL], maxUnavailable: count(1) });
    scene.elapse(5000, ...FOUR);
    scene.deploy("3", { waves: [ALL], onConflict: "supersede" });
    expect(await scene.whyDeployment(older)).toMatchInlineSnapshot(`
      "d-2 (app@2) gave way to a newer deployment: d-3 (app@3) took its place.
           0s deployment_submitted: an operator submitted d-2: app@2 to the machines with role=web
           0s deployment_submitted: it asks for one wave; at most 1 machine unavailable at once; if any machine fails, all that were changed go back
           0s rollout_started: began: 4 machines in one wave, at most 1 unavailable at once
           0s wave_started: wave 1 (100%) began: 4 machines, m-1, m-2, m-3 and m-4
           0s target_assigned: m-1 was told to run app@2
           5s superseded: ended, since d-3 (app@3) took its place: 3 not yet told, 1 on the way"
    `);
  });

  test("that nobody has heard of", async () => {
    expect(await scene.whyDeployment("d-9" as DeploymentId)).toBe("there is no deployment d-9");
  });
});

describe("a machine", () => {
  test("that waits for its turn, in a wave that has not begun and in one that has", async () => {
    await upgraded();
    const id = scene.deploy("2", { waves: [wave(count(1), { gates: [soak(60_000)] }), ALL], maxUnavailable: count(1) });
    await scene.tell("m-1", "healthy", "2");
    expect(await scene.whyMachine("m-4")).toMatchInlineSnapshot(`
      "m-4 waits for its turn in wave 2 of d-2 (app@2).
        > wave 1 must pass first: it waits for the soak of wave 1 to be over at 1970-01-01 00:17:40 UTC
        > it goes on then by itself; muster promote d-2 skips the rest of the soak
           0s machine_joined: m-4 joined with the label role=web
           0s deployment_submitted: an operator submitted d-2: app@2 to the machines with role=web
           0s rollout_started: began: 4 machines in 2 waves (1 and 3), at most 1 unavailable at once
           0s rollout_started: m-4 is in wave 2 of 2 (100%), at turn 3 of 3: turns go by name
           0s held: waits for the soak of wave 1 to be over at 1970-01-01 00:17:40 UTC"
    `);
    scene.elapse(61_000, ...FOUR);
    expect(await scene.whyMachine("m-4")).toMatchInlineSnapshot(`
      "m-4 waits for its turn in wave 2 of d-2 (app@2).
        > it has its turn after 1 other
        > the window is full: m-2 is on the move; 1 may be unavailable at once (muster set d-2 max_unavailable N changes that)
           0s machine_joined: m-4 joined with the label role=web
           0s deployment_submitted: an operator submitted d-2: app@2 to the machines with role=web
           0s rollout_started: began: 4 machines in 2 waves (1 and 3), at most 1 unavailable at once
           0s rollout_started: m-4 is in wave 2 of 2 (100%), at turn 3 of 3: turns go by name
        60.5s gate_opened: waited 1m for the soak of wave 1 to be over
        60.5s wave_finished: wave 1 passed after 1m: 1 healthy
        60.5s wave_started: wave 2 (100%) began: 3 machines, m-2, m-3 and m-4"
    `);
    scene.command(id, "pause", { reason: "lunch" });
    expect((await scene.whyMachine("m-4")).split("\n").slice(0, 6)).toMatchInlineSnapshot(`
      [
        "m-4 waits for its turn in wave 2 of d-2 (app@2).",
        "  > d-2 is paused",
        "  > muster resume d-2 lets it go on; what its machines came to meanwhile counts then",
        "  > muster rollback d-2 takes every machine back to what it ran before",
        "  > muster abort d-2 leaves every machine as it is",
        "     0s machine_joined: m-4 joined with the label role=web",
      ]
    `);
  });

  test("on its way, with what its agent says, then failed, then told to go back", async () => {
    await upgraded();
    scene.deploy("2", { waves: [ALL], maxUnavailable: count(2), maxFailures: count(1) });
    scene.elapse(1000);
    await scene.tell("m-1", "pulling", "1");
    scene.elapse(1000);
    await scene.tell("m-1", "probing", "2");
    expect(await scene.whyMachine("m-1")).toMatchInlineSnapshot(`
      "m-1 was told to run app@2 in wave 1 of d-2 and is on the way.
        > it waits for the agent of m-1 to say that app@2 has been healthy for 1s; it says: probing
        > if that has not come within 1m (healthy_deadline), m-1 goes back by itself
           0s machine_joined: m-1 joined with the label role=web
           0s deployment_submitted: an operator submitted d-2: app@2 to the machines with role=web
           0s rollout_started: began: 4 machines in one wave, at most 2 unavailable at once
           0s rollout_started: m-1 is in the only wave, at turn 1 of 4: turns go by name
           0s wave_started: wave 1 (100%) began: 4 machines, m-1, m-2, m-3 and m-4
           0s target_assigned: m-1 was told to run app@2: 0 of 2 places were taken; it goes back to app@1 if need be
           1s report_pulling: its agent fetches the files of app@2
           2s report_probing: its agent has started app@2 and probes it"
    `);
    scene.elapse(1000);
    await scene.tell("m-1", "reverted", "1");
    expect((await scene.whyMachine("m-1")).split("\n").slice(0, 2)).toMatchInlineSnapshot(`
      [
        "m-1 failed with app@2 in wave 1 of d-2: exited with code 1; app@1 runs there now.",
        "  > m-1 takes its turn again with: muster retry d-2",
      ]
    `);
    scene.elapse(1000);
    await scene.tell("m-2", "failed", "");
    scene.elapse(1000);
    await scene.tell("m-1", "healthy", "1");
    expect(await scene.whyMachine("m-1")).toMatchInlineSnapshot(`
      "m-1 runs app@2 and goes back to app@1 when its turn comes: d-2 is being rolled back.
        > m-1 goes back to app@1 when its turn comes: newest wave first, at most 2 at once
           0s machine_joined: m-1 joined with the label role=web
           0s deployment_submitted: an operator submitted d-2: app@2 to the machines with role=web
           0s rollout_started: began: 4 machines in one wave, at most 2 unavailable at once
           0s rollout_started: m-1 is in the only wave, at turn 1 of 4: turns go by name
           0s wave_started: wave 1 (100%) began: 4 machines, m-1, m-2, m-3 and m-4
           0s target_assigned: m-1 was told to run app@2: 0 of 2 places were taken; it goes back to app@1 if need be
           1s report_pulling: its agent fetches the files of app@2
           2s report_probing: its agent has started app@2 and probes it
           3s target_failed: m-1 failed in wave 1: exited with code 1; it went back by itself; app@1 runs there now
           4s rolling_back: 2 machines failed in wave 1, 1 allowed: m-1: exited with code 1; m-2: exited with code 1; as on_failure: rollback says, 3 machines that were told of app@2 go back, newest wave first, at most 2 at once
           5s target_healthy: m-1 is healthy after all"
    `);
    expect((await scene.whyMachine("m-4")).split("\n").slice(0, 2)).toMatchInlineSnapshot(`
      [
        "d-2 did not come to m-4 with app@2: it is being rolled back.",
        "     0s machine_joined: m-4 joined with the label role=web",
      ]
    `);
  });

  test("that was silent at its turn and caught up when it was back", async () => {
    await upgraded();
    scene.elapse(20_000, "m-1", "m-2", "m-4");
    const id = scene.deploy("2", { waves: [ALL], maxUnavailable: count(4) });
    for (const machine of ["m-1", "m-2", "m-4"]) await scene.tell(machine, "healthy", "2");
    expect((await scene.whyMachine("m-3")).split("\n").slice(0, 2)).toMatchInlineSnapshot(`
      [
        "m-3 was passed over in wave 1 of d-2: nothing is heard from it.",
        "  > m-3 has its turn when it is heard from again: is its agent running, and can it reach the controller?",
      ]
    `);
    expect((await scene.whyDeployment(id)).split("\n").slice(0, 2)).toMatchInlineSnapshot(`
      [
        "d-2 (app@2) succeeded: 3 of 4 machines run it; m-3 is unreachable and gets it when it is heard.",
        "  > m-3 is silent and has its turn when heard from again",
      ]
    `);
    scene.elapse(20_000, "m-1", "m-2", "m-4");
    await scene.join("m-3");
    scene.elapse(2000, ...FOUR);
    await scene.tell("m-3", "healthy", "2");
    expect(await scene.whyMachine("m-3")).toMatchInlineSnapshot(`
      "m-3 runs app@2: it became healthy in wave 1 of d-2.
           0s machine_joined: m-3 joined with the label role=web
          20s deployment_submitted: an operator submitted d-2: app@2 to the machines with role=web
          20s rollout_started: began: 4 machines in one wave, at most 4 unavailable at once
          20s rollout_started: m-3 is in the only wave, at turn 4 of 4: nothing was heard from it, and those that answer go first
          20s wave_started: wave 1 (100%) began: 4 machines, m-1, m-2, m-4 and m-3
          20s target_unreachable: m-3 was passed over: nothing is heard from the machine; it has its turn when it is back
          20s succeeded: succeeded: 3 of 4 machines run app@2; 1 is silent and has its turn when back
          40s target_pending: m-3 is heard from again and has its turn
          40s target_assigned: m-3 was told to run app@2: 0 of 4 places were taken; it goes back to app@1 if need be
          42s target_healthy: m-3 became healthy after 2s"
    `);
  });

  test("that was cordoned, and is used again when the release has been taken back: it waits for nothing", async () => {
    await upgraded();
    scene.engine.orders.cordon("m-4" as never, { drain: false, force: false }, { by: "otto", reason: "" });
    const others = ["m-1", "m-2", "m-3"];
    const all = scene.deploy("2", { waves: [ALL], maxUnavailable: count(4) });
    for (const machine of others) await scene.tell(machine, "healthy", "2");
    const again = scene.deploy("2", { waves: [ALL], maxUnavailable: count(4), targets: "role in (web,db)" });
    scene.command(all, "rollback");
    for (const machine of others) await scene.tell(machine, "healthy", "1");
    scene.engine.orders.uncordon("m-4" as never, { by: "otto", reason: "" });
    scene.elapse(5000, ...FOUR);
    expect([(await scene.whyMachine("m-4")).includes("muster uncordon m-4"), (await scene.whyDeployment(again)).includes("muster uncordon")]).toEqual([false, false]);
  });

  test("that a person had paused: resume excuses nothing", async () => {
    await upgraded();
    const id = scene.deploy("2", { waves: [ALL], maxUnavailable: count(1) });
    scene.command(id, "pause");
    scene.elapse(1000, ...FOUR);
    expect(await scene.whyDeployment(id)).toContain(`muster resume ${id} lets it go on; what its machines came to meanwhile counts then`);
  });

  test("that is cordoned", async () => {
    await upgraded();
    scene.engine.orders.cordon("m-2" as never, { drain: false, force: false }, { by: "otto", reason: "new disk" });
    scene.deploy("2", { waves: [ALL], maxUnavailable: count(4) });
    for (const machine of ["m-1", "m-3", "m-4"]) await scene.tell(machine, "healthy", "2");
    expect(await scene.whyMachine("m-2")).toMatchInlineSnapshot(`
      "m-2 was passed over in wave 1 of d-2: the machine is cordoned; it has its turn when that ends.
        > m-2 is cordoned and has its turn after: muster uncordon m-2
           0s machine_joined: m-2 joined with the label role=web
           0s deployment_submitted: an operator submitted d-2: app@2 to the machines with role=web
           0s rollout_started: began: 4 machines in one wave, at most 4 unavailable at once
           0s rollout_started: m-2 is in the only wave, at turn 4 of 4: it was cordoned, and those that are not go first
           0s wave_started: wave 1 (100%) began: 4 machines, m-1, m-3, m-4 and m-2
           0s target_skipped: m-2 was passed over: the machine is cordoned; it has its turn when that ends
           0s succeeded: succeeded: 3 of 4 machines run app@2; 1 is passed over"
    `);
  });

  test("that is not selected, ran it already, came late, or is in no deployment", async () => {
    await scene.joinAs({ role: "db", zone: "a" }, "x-1");
    expect(await scene.whyMachine("x-1")).toMatchInlineSnapshot(`
      "x-1 is in no deployment: nothing has been deployed yet.
           0s machine_joined: x-1 joined with the labels role=db, zone=a"
    `);
    await upgraded();
    expect(await scene.whyMachine("x-1")).toMatchInlineSnapshot(`
      "x-1 is in no deployment: the only one does not select it by its labels.
           0s machine_joined: x-1 joined with the labels role=db, zone=a"
    `);
    expect(await scene.whyMachine("x-1", "d-1" as DeploymentId)).toMatchInlineSnapshot(`
      "x-1 is not selected: role=web is wanted, and it has role=db.
           0s machine_joined: x-1 joined with the labels role=db, zone=a
           0s deployment_submitted: an operator submitted d-1: app@1 to the machines with role=web
           0s rollout_started: began: 4 machines in one wave, at most 4 unavailable at once
           0s rollout_started: x-1 is not selected: role=web is wanted, and it has role=db
           0s succeeded: succeeded: 4 of 4 machines run app@1"
    `);
    const again = scene.deploy("1", { waves: [ALL], lateJoiners: "ignore" });
    expect(await scene.whyMachine("m-1", again)).toMatchInlineSnapshot(`
      "m-1 ran app@1 already: d-2 left it out.
           0s machine_joined: m-1 joined with the label role=web
           0s deployment_submitted: an operator submitted d-2: app@1 to the machines with role=web
           0s rollout_started: began, with nobody to change
           0s rollout_started: m-1 is left out: it runs app@1 already
           0s succeeded: succeeded with nothing to do: every machine ran it already"
    `);
    await scene.join("m-9");
    expect(await scene.whyMachine("m-9", again)).toMatchInlineSnapshot(`
      "m-9 is not among the machines of d-2: it joined after the plan was made; late_joiners: ignore leaves such machines as they are.
           0s deployment_submitted: an operator submitted d-2: app@1 to the machines with role=web
           0s rollout_started: began, with nobody to change
           0s succeeded: succeeded with nothing to do: every machine ran it already
           0s machine_joined: m-9 joined with the label role=web
           0s machine_joined: m-9 is not among its machines: it joined after the plan was made; late_joiners: ignore leaves such machines as they are
           0s target_assigned: d-1 told m-9 to run app@1"
    `);
    expect(await scene.whyMachine("m-77")).toBe("there is no machine m-77; muster machines lists them");
  });

  test("that came late, cordoned, and that was drained after it was changed", async () => {
    await upgraded();
    await scene.joinAs({ role: "db" }, "m-9");
    scene.engine.orders.cordon("m-9" as never, { drain: false, force: false }, { by: "otto", reason: "" });
    scene.label({ role: "web" }, "m-9");
    expect(await scene.whyMachine("m-9")).toMatchInlineSnapshot(`
      "m-9 has not had its turn in d-1 (app@1) yet: it came after the plan was made.
        > m-9 is cordoned and has its turn after: muster uncordon m-9
           0s deployment_submitted: an operator submitted d-1: app@1 to the machines with role=web
           0s rollout_started: began: 4 machines in one wave, at most 4 unavailable at once
           0s succeeded: succeeded: 4 of 4 machines run app@1
           0s machine_joined: m-9 joined with the label role=db
           0s machine_joined: m-9 is not selected: role=web is wanted, and it has role=db
           0s machine_cordoned: otto cordoned m-9
           0s machine_labelled: anna gave m-9 other labels: role=web
           0s machine_labelled: m-9 is not among its machines: it joined after the plan was made; such machines have their turn afterwards (late_joiners: deploy)"
    `);
    scene.engine.orders.cordon("m-1" as never, { drain: true, force: false }, { by: "otto", reason: "move" });
    expect(await scene.whyMachine("m-1")).toMatchInlineSnapshot(`
      "m-1 became healthy with app@1 in wave 1 of d-1; now it is draining.
        > what runs on m-1 is not to run, since it is drained: muster uncordon m-1 starts it again
           0s machine_joined: m-1 joined with the label role=web
           0s deployment_submitted: an operator submitted d-1: app@1 to the machines with role=web
           0s rollout_started: began: 4 machines in one wave, at most 4 unavailable at once
           0s rollout_started: m-1 is in the only wave, at turn 1 of 4: turns go by name
           0s wave_started: wave 1 (100%) began: 4 machines, m-1, m-2, m-3 and m-4
           0s target_assigned: m-1 was told to run app@1: 0 of 4 places were taken; it did not run app before
           0s target_healthy: m-1 became healthy
           0s succeeded: succeeded: 4 of 4 machines run app@1
           0s machine_cordoned: otto drained m-1: move"
    `);
  });

  test("whose wave goes by zone, and whose zone has to wait", async () => {
    await scene.joinAs({ role: "db", zone: "a" }, "x-1", "x-2");
    await scene.joinAs({ role: "db", zone: "b" }, "y-1");
    scene.deploy("1", { waves: [ALL], targets: "role=db", spread: "zone", maxUnavailable: count(3) });
    expect(await scene.whyMachine("y-1")).toMatchInlineSnapshot(`
      "y-1 waits for its turn in wave 1 of d-1 (app@1).
        > it has the next turn
        > machines of another zone are on the move, and only one zone may be at a time
           0s machine_joined: y-1 joined with the labels role=db, zone=b
           0s deployment_submitted: an operator submitted d-1: app@1 to the machines with role=db
           0s rollout_started: began: 3 machines in one wave, at most 3 unavailable at once, one zone at a time
           0s rollout_started: y-1 is in the only wave, at turn 3 of 3: turns go by zone, and then by name
           0s wave_started: wave 1 (100%) began: 3 machines, x-1, x-2 and y-1"
    `);
  });

  test("that was chosen by name for a wave, and fell silent on its way", async () => {
    await upgraded();
    scene.label({ role: "web", canary: "true" }, "m-4");
    const id = scene.deploy("2", { waves: [wave("canary=true"), ALL] });
    scene.elapse(20_000, "m-1", "m-2", "m-3");
    expect(await scene.whyMachine("m-4")).toMatchInlineSnapshot(`
      "m-4 fell silent on its way to app@2 in wave 1 of d-2.
        > m-4 goes on when it is heard from again: is its agent running, and can it reach the controller?
           0s machine_joined: m-4 joined with the label role=web
           0s machine_labelled: anna gave m-4 other labels: canary=true, role=web
           0s deployment_submitted: an operator submitted d-2: app@2 to the machines with role=web
           0s rollout_started: began: 4 machines in 2 waves (1 and 3), at most 1 unavailable at once
           0s rollout_started: m-4 is alone in wave 1 of 2 (canary=true)
           0s wave_started: wave 1 (canary=true) began: 1 machine, m-4
           0s target_assigned: m-4 was told to run app@2: 0 of 1 places were taken; it goes back to app@1 if need be
          15s target_unreachable: m-4 fell silent on its way: nothing heard for 15s, and it had not said before that it has the assignment
          15s target_let_go: m-4 is waited for no longer"
    `);
    expect(await scene.whyDeployment(id)).toMatchInlineSnapshot(`
      "d-2 (app@2) is under way in wave 2 of 2: 0 of 4 machines run it.
        > it waits for m-1 to be healthy for 1s; 2 more of wave 2 to come
        > m-4 is silent and goes on when heard from again
           0s deployment_submitted: an operator submitted d-2: app@2 to the machines with role=web
           0s deployment_submitted: it asks for 2 waves (canary=true, then 100%); at most 1 machine unavailable at once; if any machine fails, all that were changed go back
           0s rollout_started: began: 4 machines in 2 waves (1 and 3), at most 1 unavailable at once
           0s wave_started: wave 1 (canary=true) began: 1 machine, m-4
           0s target_assigned: m-4 was told to run app@2
          15s target_unreachable: m-4 fell silent on its way: nothing heard for 15s, and it had not said before that it has the assignment
          15s target_let_go: m-4 is waited for no longer
          15s wave_finished: wave 1 passed after 15s: 1 silent
          15s wave_started: wave 2 (100%) began: 3 machines, m-1, m-2 and m-3
          15s target_assigned: m-1 was told to run app@2"
    `);
  });

  test("that another deployment has told something else since", async () => {
    await upgraded();
    const id = scene.deploy("2", { waves: [ALL], maxUnavailable: count(4) });
    for (const machine of FOUR) await scene.tell(machine, "healthy", "2");
    scene.elapse(1000);
    scene.deploy("3", { waves: [ALL], maxUnavailable: count(4), targets: "role=web" });
    expect(await scene.whyMachine("m-1", id)).toMatchInlineSnapshot(`
      "m-1 ran app@2: it became healthy in wave 1 of d-2. Now d-3 decides there: it is to run app@3.
           0s machine_joined: m-1 joined with the label role=web
           0s deployment_submitted: an operator submitted d-2: app@2 to the machines with role=web
           0s rollout_started: began: 4 machines in one wave, at most 4 unavailable at once
           0s rollout_started: m-1 is in the only wave, at turn 1 of 4: turns go by name
           0s wave_started: wave 1 (100%) began: 4 machines, m-1, m-2, m-3 and m-4
           0s target_assigned: m-1 was told to run app@2: 0 of 4 places were taken; it goes back to app@1 if need be
           0s target_healthy: m-1 became healthy
           0s succeeded: succeeded: 4 of 4 machines run app@2
           1s target_assigned: d-3 told m-1 to run app@3"
    `);
  });
});

describe("a large rollout", () => {
  test("is told in few lines, with every failure of the first twenty", async () => {
    const many = Array.from({ length: 600 }, (_, index) => `n-${String(index).padStart(3, "0")}`);
    await scene.join(...many);
    const id = scene.deploy("1", { waves: [wave(percent(5)), ALL], maxUnavailable: percent(10), maxFailures: percent(50) });
    const told = new Map<string, number>();
    for (let round = 0; round < 60; round += 1) {
      scene.elapse(1000, ...many, ...FOUR);
      const open = [...many, ...FOUR].filter((machine) => scene.generation(machine) > (told.get(machine) ?? 0));
      if (open.length === 0) break;
      for (const machine of open) {
        told.set(machine, scene.generation(machine));
        await scene.tell(machine, machine.endsWith("7") ? "reverted" : "healthy", "1");
      }
    }
    const answer = await scene.why.deployment(id);
    if (!answer.ok) throw new Error(answer.refusal.message);
    const { decisions } = answer.value;
    expect(decisions.length).toBeLessThan(200);
    expect(decisions.filter(({ kind }) => kind === "target_failed")).toHaveLength(20);
    expect(decisions.some(({ text }) => /\d+ machines failed, too/.test(text))).toBe(true);
    expect(decisions.at(-1)!.text).toMatch(/^succeeded after \d+s: 544 of 604 machines run app@1; 60 failed$/);
  });
});

describe("a machine that was removed", () => {
  test("is told of by its own story, and by that of its deployment", async () => {
    await scene.join("m-5");
    const id = scene.deploy("1", { waves: [ALL], maxUnavailable: count(5) });
    await scene.tell("m-1", "healthy", "1");
    scene.remove("m-5", "broken disk");
    expect(await scene.whyMachine("m-5")).toMatchInlineSnapshot(`
      "anna removed m-5 from the fleet: broken disk.
           0s machine_joined: m-5 joined with the label role=web
           0s deployment_submitted: an operator submitted d-1: app@1 to the machines with role=web
           0s rollout_started: began: 5 machines in one wave, at most 5 unavailable at once
           0s rollout_started: m-5 is in the only wave, at turn 5 of 5: turns go by name
           0s wave_started: wave 1 (100%) began: 5 machines, m-1, m-2, m-3 and 2 more
           0s target_assigned: m-5 was told to run app@1: 4 of 5 places were taken; it did not run app before
           0s target_removed: m-5 counts no more: anna removed it from the fleet: broken disk"
    `);
    await scene.settle("m-1", "m-2", "m-3", "m-4");
    expect(await scene.whyDeployment(id)).toMatchInlineSnapshot(`
      "d-1 (app@1) succeeded: 4 of 4 machines run it; 1 more was removed from the fleet.
           0s deployment_submitted: an operator submitted d-1: app@1 to the machines with role=web
           0s deployment_submitted: it asks for one wave; at most 5 machines unavailable at once; if any machine fails, all that were changed go back
           0s rollout_started: began: 5 machines in one wave, at most 5 unavailable at once
           0s wave_started: wave 1 (100%) began: 5 machines, m-1, m-2, m-3 and 2 more
           0s target_assigned: m-1 was told to run app@1
           0s target_assigned: m-2 was told to run app@1
           0s target_assigned: m-3 was told to run app@1
           0s target_assigned: m-4 was told to run app@1
           0s target_assigned: m-5 was told to run app@1
           0s target_healthy: m-1 became healthy
           0s target_removed: m-5 counts no more: anna removed it from the fleet: broken disk
           0s target_healthy: m-2 became healthy
           0s target_healthy: m-3 became healthy
           0s target_healthy: m-4 became healthy
           0s wave_finished: wave 1 passed: 4 healthy, 1 removed from the fleet
           0s succeeded: succeeded: 4 of 4 machines run app@1"
    `);
    scene.remove("m-1");
    expect(await scene.whyMachine("m-1")).toMatchInlineSnapshot(`
      "anna removed m-1 from the fleet: scrapped.
           0s machine_joined: m-1 joined with the label role=web
           0s deployment_submitted: an operator submitted d-1: app@1 to the machines with role=web
           0s rollout_started: began: 5 machines in one wave, at most 5 unavailable at once
           0s rollout_started: m-1 is in the only wave, at turn 1 of 5: turns go by name
           0s wave_started: wave 1 (100%) began: 5 machines, m-1, m-2, m-3 and 2 more
           0s target_assigned: m-1 was told to run app@1: 0 of 5 places were taken; it did not run app before
           0s target_healthy: m-1 became healthy
           0s succeeded: succeeded: 4 of 4 machines run app@1
           0s target_removed: m-1 counts no more: anna removed it from the fleet: scrapped"
    `);
    expect(await scene.whyMachine("m-5", id)).toContain("anna removed m-5 from the fleet: broken disk.");
  });

  test("without ever having been in a deployment is known, too; one that never was is not", async () => {
    await scene.joinAs({ role: "db" }, "x");
    scene.remove("x", "");
    expect(await scene.whyMachine("x")).toMatchInlineSnapshot(`"anna removed x from the fleet."`);
    expect(await scene.whyMachine("y")).toBe("there is no machine y; muster machines lists them");
  });

  test("leaves nothing to one that joins under its name: that came after the plan was made", async () => {
    const id = scene.deploy("1", { waves: [ALL], maxUnavailable: count(4), lateJoiners: "ignore" });
    await scene.settle("m-1", "m-2", "m-3", "m-4");
    scene.remove("m-1");
    await scene.joinAs({ role: "web", zone: "a" }, "m-1");
    expect(await scene.whyMachine("m-1")).toMatchInlineSnapshot(`
      "m-1 is not among the machines of d-1: it joined after the plan was made; late_joiners: ignore leaves such machines as they are.
           0s machine_joined: m-1 joined with the label role=web
           0s deployment_submitted: an operator submitted d-1: app@1 to the machines with role=web
           0s rollout_started: began: 4 machines in one wave, at most 4 unavailable at once
           0s rollout_started: m-1 is in the only wave, at turn 1 of 4: turns go by name
           0s wave_started: wave 1 (100%) began: 4 machines, m-1, m-2, m-3 and m-4
           0s target_assigned: m-1 was told to run app@1: 0 of 4 places were taken; it did not run app before
           0s target_healthy: m-1 became healthy
           0s succeeded: succeeded: 4 of 4 machines run app@1
           0s target_removed: m-1 counts no more: anna removed it from the fleet: scrapped
           0s machine_joined: m-1 joined with the labels role=web, zone=a
           0s machine_joined: m-1 is not among its machines: it joined after the plan was made; late_joiners: ignore leaves such machines as they are"
    `);
    expect(await scene.whyDeployment(id)).toContain("d-1 (app@1) succeeded: 3 of 3 machines run it; 1 more was removed from the fleet.");
  });
});

describe("the first sentence about a machine", () => {
  const firstOf = async (machine: string, id?: DeploymentId) => (await scene.whyMachine(machine, id)).split("\n")[0];

  test("says of one that was healthy and is lost just that, and what becomes of it", async () => {
    await upgraded();
    const id = scene.deploy("2", { waves: [ALL], maxUnavailable: count(4) });
    for (const machine of ["m-1", "m-2", "m-3"]) await scene.tell(machine, "healthy", "2");
    scene.elapse(20_000, "m-2", "m-3", "m-4");
    expect(await firstOf("m-1")).toBe("m-1 was healthy with app@2 in wave 1 of d-2, and has not been heard since.");
    scene.command(id, "rollback");
    expect(await firstOf("m-1")).toBe("m-1 was healthy with app@2 in wave 1 of d-2, and has not been heard since; d-2 is being rolled back, and it goes back to app@1 when it is heard.");
    for (const machine of ["m-2", "m-3", "m-4"]) await scene.tell(machine, "healthy", "1");
    expect(await firstOf("m-1")).toBe("m-1 was healthy with app@2 in wave 1 of d-2, and has not been heard since; d-2 was rolled back, and it goes back to app@1 when it is heard.");
  });

  test("is about the deployment that decided there, and not about a later one that ended before it came to it", async () => {
    await upgraded();
    const again = scene.deploy("2", { waves: [wave(count(1)), ALL], maxUnavailable: count(1), onFailure: "abort" });
    await scene.tell("m-1", "failed", "1");
    expect(await firstOf("m-4")).toBe("m-4 runs app@1: it became healthy in wave 1 of d-1.");
    expect(await firstOf("m-4", again)).toBe("d-2 did not come to m-4 with app@2: it ended before (failed).");
  });

  test("says of one that failed and went back by itself what it runs now, and that it went back once", async () => {
    scene.engine.orders.cordon("m-4" as MachineId, { drain: false, force: false }, { by: "anna", reason: "" });
    await upgraded();
    scene.engine.orders.uncordon("m-4" as MachineId, { by: "anna", reason: "" });
    await scene.tell("m-4", "healthy", "1");
    const id = scene.deploy("2", { waves: [ALL], maxUnavailable: count(4), maxFailures: count(1) });
    for (const machine of ["m-1", "m-2", "m-3"]) await scene.tell(machine, "healthy", "2");
    await scene.tell("m-4", "reverting", "2");
    await scene.tell("m-4", "reverted", "1");
    const told = await scene.whyMachine("m-4", id);
    expect(told.split("\n")[0]).toMatch(/^m-4 failed with app@2 in wave 1 of d-2.*; app@1 runs there now\.$/);
    expect(told.match(/went back by itself/g)).toHaveLength(1);
  });
});
