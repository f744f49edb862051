/** Repeated submissions, overlapping selectors, removal and return, at random; judged by the hosts and by who decided last. */
import { expect, test } from "vitest";
import { ALL, count } from "../rollout/rollout.fixture.ts";
import { World } from "./world.fixture.ts";

const WIDE = { waves: [ALL], maxUnavailable: count(9) };
const NAMES = ["a", "b", "c", "d"];

function rng(seed: number) {
  let x = seed * 2654435761 + 12345;
  return (n: number) => {
    x = (Math.imul(x, 1103515245) + 12345) >>> 0;
    return (x >>> 8) % n;
  };
}

/** Hosts answer all that they are told at once, and well; after each decision the fleet comes to rest, and stays so over time, a restart, and hellos. */
test("a fleet at rest stays at rest, whatever was decided before", async () => {
  for (let seed = 1; seed <= 60; seed += 1) {
    const random = rng(seed);
    const world = new World();
    const log: string[] = [];
    for (const [index, name] of NAMES.entries()) await world.joinAs({ role: "web", zone: index < 2 ? "a" : "b" }, name);
    const ids: string[] = [];
    const here = () => NAMES.filter((name) => world.journal.db.prepare("SELECT 1 FROM machines WHERE id = ?").get(name) !== undefined);
    const answered = new Map<string, number>();
    const settle = async () => {
      for (let round = 0; round < 30; round += 1) {
        let any = false;
        for (const name of here()) {
          const generation = world.generation(name);
          if (generation <= (answered.get(name) ?? 0)) continue;
          any = true;
          answered.set(name, generation);
          await world.say(name, world.wanted(name) === "remove" ? "removed" : "healthy");
        }
        world.pass(1000, ...here());
        if (!any && round > 3) return;
      }
      throw new Error(`seed ${seed} does not settle: ${log.join("; ")}`);
    };
    const runs = () => NAMES.map((name) => world.wanted(name) ?? "-").join("");
    for (let step = 0; step < 8; step += 1) {
      const what = random(6);
      const targets = ["role=web", "zone=a", "zone=b"][random(3)]!;
      const id = ids.length > 0 ? ids[random(ids.length)]! : undefined;
      try {
        if (what <= 1 || id === undefined) {
          const version = String(1 + random(3));
          const id = world.deploy(version, { ...WIDE, targets, onConflict: random(2) === 0 ? "queue" : "supersede" });
          ids.push(id);
          log.push(`${id}: ${version} on ${targets}`);
        } else if (what === 2) log.push(`rollback ${id} ${world.command(id as never, "rollback").ok}`);
        else if (what === 3) {
          const back = world.engine.operators.rollbackTo(id as never, String(1 + random(3)), { by: "anna", reason: "" });
          if (back.ok) ids.push(back.value.deployment);
          log.push(`rollback --to ${id} ${back.ok}`);
        } else if (what === 4) log.push(`abort ${id} ${world.command(id as never, "abort").ok}`);
        else {
          const name = NAMES[random(4)]!;
          if (here().includes(name)) {
            world.remove(name);
            answered.delete(name);
            log.push(`remove ${name}`);
          } else {
            await world.joinAs({ role: "web", zone: NAMES.indexOf(name) < 2 ? "a" : "b" }, name);
            log.push(`join ${name}`);
          }
        }
      } catch (error) {
        if (!/selects none/.test(String(error))) throw error;
      }
      if (random(3) > 0) await settle();
    }
    await settle();
    const { db } = world.journal;
    const told = () => db.prepare("SELECT count(*) FROM journal WHERE kind IN ('target_assigned', 'target_joined')").pluck().get();
    const before = [runs(), told()];
    world.startEngine();
    for (const name of here()) await world.engine.hello({ kind: "machine_joined", labels: {}, agentVersion: "0", hostname: "h", os: "linux", arch: "x64", machine: name as never, instance: `i-${name}` }, world.generation(name));
    world.pass(120_000, ...here());
    await settle();
    const twice = db.prepare("SELECT d.id || ' counts ' || u.value || ' twice' FROM deployments d, json_each(d.unchanged) u JOIN targets t ON t.deployment = d.id AND t.machine = u.value AND t.state <> 'removed'").pluck().all();
    expect([seed, log.join("; "), runs(), told(), twice, world.bugs]).toEqual([seed, log.join("; "), ...before, [], []]);
  }
}, 90_000);
