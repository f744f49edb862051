import { expect, test } from "vitest";
import type { MachineId } from "@muster/proto/ids.ts";
import { ALL } from "../rollout/rollout.fixture.ts";
import { World } from "./world.fixture.ts";

const MACHINES = 1000;
/** Of a step that reads machines. */
const MACHINES_AT_ONCE = 200;

test("the picture of a large fleet is made in steps, and those that join between them are in it or not", () => {
  const world = new World();
  const join = world.journal.db.prepare("INSERT INTO machines (id, instance, labels, agent_version, hostname, os, arch, first_seen_at) VALUES (?, '', ?, '', '', '', '', 0)");
  const joined = (index: number): MachineId => {
    const id = `m-${String(index).padStart(4, "0")}` as MachineId;
    join.run(id, JSON.stringify({ role: index % 2 === 0 ? "web" : "db" }));
    return id;
  };
  const ids = Array.from({ length: MACHINES }, (_, index) => joined(2 * index));
  const { app, release, strategy, selector } = world.submission("1", { waves: [ALL] });
  const steps = world.engine.outlook.picture({ app, releaseId: `${app}@1` as never, release, strategy, selector });
  let [count, step] = [0, steps.next()];
  while (step.done !== true) {
    count += 1;
    // The table is not held between two steps.
    if (count === 2) joined(1);
    step = steps.next();
  }
  expect(count).toBeGreaterThanOrEqual(MACHINES / MACHINES_AT_ONCE);
  if (!step.value.ok) throw new Error(step.value.refusal.message);
  expect(step.value.value.machines.map(({ id }) => id)).toEqual(ids);
  world.engine.stop();
});
