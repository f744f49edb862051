/** Whatever happens, it can be told: engine runs at random, and every sentence about each of them. The seed is in the name of a failing run. */
import { expect, test } from "vitest";
import type { DeploymentId, Instant, MachineId } from "@muster/proto/ids.ts";
import { loadRollout } from "../journal/load.ts";
import { DeploymentViews } from "../api/views.ts";
import type { Strategy } from "../plan/strategy.ts";
import { isEnded } from "../rollout/state.ts";
import { ALL, APPROVAL, count, percent, prometheus, soak, wave, webhook } from "../rollout/rollout.fixture.ts";
import { Scene } from "./history.fixture.ts";
import { Past } from "./past.ts";
import { pictures } from "./replay.ts";

const SEEDS = 15;
const STEPS = 60;
const MACHINES = ["a", "b", "c", "d", "e", "f"];

/** Mulberry32. */
function generator(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

async function play(scene: Scene, seed: number): Promise<void> {
  const next = generator(seed);
  const pick = <T>(from: readonly T[]): T => from[Math.floor(next() * from.length)]!;
  const away = new Set<string>();
  const strategy = (): Partial<Strategy> => ({
    waves: [wave(pick([count(1), count(3), percent(50), "zone=x"]), { gates: pick([[], [soak(10_000)], [APPROVAL], [webhook()], [prometheus({ count: 2, failureLimit: 1 })]]), afterMs: pick([0, 0, 20_000]) }), ALL],
    maxUnavailable: pick([count(1), count(3), percent(50)]),
    maxFailures: pick([count(0), count(1), percent(50)]),
    spread: pick([null, null, "zone"]),
    onFailure: pick(["rollback", "pause", "abort"]),
    onConflict: pick(["queue", "queue", "supersede"]),
    offline: pick([{ kind: "skip" }, { kind: "wait", forMs: 30_000 }]),
    lateJoiners: pick(["deploy", "ignore"]),
    order: pick([[], [{ kind: "shuffle" }], [{ kind: "label", label: "zone", reversed: true }]] as const),
    start: pick(["auto", "auto", "auto", "manual"]),
    startAt: pick([null, null, (scene.clock.now() + 20_000) as Instant]),
    after: pick([null, null, { deploymentOf: "app" as never, targets: "role=web", soakMs: 5000 }]),
    progressDeadlineMs: 60_000,
  });
  const here = () => MACHINES.filter((machine) => !away.has(machine));
  const deployments = () => scene.journal.db.prepare("SELECT id FROM deployments ORDER BY number").pluck().all() as DeploymentId[];
  const order = { by: "anna", reason: pick(["", "because"]) };
  await scene.joinAs({ role: "web", zone: "x" }, "a", "b", "c");
  await scene.joinAs({ role: "web", zone: "y" }, "d", "e");
  for (let step = 0; step < STEPS; step += 1) {
    const machine = pick(MACHINES);
    switch (pick(["report", "report", "report", "report", "time", "time", "submit", "steer", "leave", "return", "cordon", "uncordon", "freeze", "answer"] as const)) {
      case "report":
        if (!away.has(machine) && scene.generation(machine) > 0) await scene.tell(machine, pick(["pulling", "probing", "healthy", "healthy", "healthy", "reverted", "failed", "unhealthy", "removed"]), pick(["", "1", "2"]));
        break;
      case "time":
        scene.elapse(pick([100, 5000, 20_000, 40_000]), ...here());
        break;
      case "submit":
        scene.submit(pick(["1", "2", "3"]), strategy());
        break;
      case "steer": {
        const ids = deployments();
        if (ids.length > 0) scene.command(pick(ids), pick(["pause", "resume", "abort", "rollback", "approve", "promote", "retry", "set_max_unavailable"]), order);
        break;
      }
      case "leave":
        away.add(machine);
        break;
      case "return":
        away.delete(machine);
        await scene.joinAs({ role: pick(["web", "web", "web", "db"]), zone: pick(["x", "y"]) }, machine);
        break;
      case "cordon":
        scene.engine.orders.cordon(machine as MachineId, { drain: pick([true, false]), force: true }, order);
        break;
      case "uncordon":
        scene.engine.orders.uncordon(machine as MachineId, order);
        break;
      case "freeze":
        if (next() < 0.5) scene.engine.orders.addFreeze({ from: 0 as Instant, until: (scene.clock.now() + 20_000) as Instant }, order);
        break;
      case "answer":
        scene.asked.shift()?.answer({ kind: pick(["go", "stop", "wait", "silent"]), detail: pick(["", "said so"]) });
        await new Promise((resolve) => setImmediate(resolve));
        break;
    }
  }
}

function checkText(text: string): void {
  const lines = text.split("\n");
  for (const line of lines) expect(line).not.toMatch(/undefined|NaN|null|\[object|: $|^\s*$/);
}

test.each(Array.from({ length: SEEDS }, (_, seed) => seed))("seed %i: everything can be told, and the past is as it was", async (seed) => {
  const scene = new Scene();
  const then = new Map<DeploymentId, { readonly at: Instant; readonly view: unknown }>();
  await play(scene, seed);
  const ids = scene.journal.db.prepare("SELECT id FROM deployments ORDER BY number").pluck().all() as DeploymentId[];
  const live = new DeploymentViews(scene.journal.db, (id) => scene.engine.waitingOn(id));
  for (const id of ids) {
    const waiting = scene.engine.waitingOn(id);
    checkText(await scene.whyDeployment(id));
    const ended = isEnded(loadRollout(scene.journal, id)!.phase);
    const answer = await scene.why.deployment(id);
    if (!answer.ok) throw new Error(answer.refusal.message);
    if (!ended) expect(answer.value.now.length, waiting).toBeGreaterThan(0);
    for (const machine of MACHINES) if (scene.journal.db.prepare("SELECT 1 FROM machines WHERE id = ?").get(machine) !== undefined) checkText(await scene.whyMachine(machine, id));
    then.set(id, { at: scene.clock.now(), view: await live.withTargets(id) });
  }
  for (const machine of ["a", "b", "c", "d", "e"]) checkText(await scene.whyMachine(machine));

  // Time goes on: what was then is told as it was seen then.
  const seen = [...then];
  scene.elapse(60_000);
  for (const machine of MACHINES) if (scene.generation(machine) > 0) await scene.tell(machine, "healthy", "9");
  for (const [id, { at, view }] of seen) {
    const past = await Past.at(scene.journal, id, at);
    expect(await new DeploymentViews(past!.db, () => past!.waiting()).withTargets(id)).toEqual(view);
    past!.close();
    const replayed = new Past(scene.journal);
    let count = 0;
    for await (const { happened } of pictures(scene.journal, id, replayed)) {
      count += 1;
      expect(happened.length).toBeGreaterThan(0);
    }
    expect(count).toBeGreaterThan(0);
    expect(replayed.state!.phase).toBe(loadRollout(scene.journal, id)!.phase);
    replayed.close();
  }
  scene.engine.stop();
  scene.journal.close();
});
