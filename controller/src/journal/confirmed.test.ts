/** What machines go back to is asked of each, whatever a deployment is: by keys, however many deployments the app has had. */
import { expect, test } from "vitest";
import type { AppName, DeploymentId, MachineId, ReleaseId } from "@muster/proto/ids.ts";
import { World } from "../engine/world.fixture.ts";
import { ALL, count } from "../rollout/rollout.fixture.ts";
import { lastGood } from "./last-good.ts";
import { Work } from "./work.fixture.ts";

const WIDE = { waves: [ALL], maxUnavailable: count(9) };
/** All that an app has had. */
const ALL_OF_APP = /\b(?:deployments|d|n|x|between_|me)\b.*\(app=\?\)$/;

test("what a machine goes back to is found without a look at every deployment of the app, or at the names that one has left out", async () => {
  const world = new World();
  await world.join("a", "b");
  world.deploy("1", WIDE);
  await world.settle("a", "b");
  const second = world.deploy("2", WIDE);
  await world.settle("a", "b");
  const answer = world.engine.operators.rollbackTo(second, "1", { by: "anna", reason: "" });
  if (!answer.ok) throw new Error(answer.refusal.message);
  const by = { id: answer.value.deployment as DeploymentId, release: "app@1" as ReleaseId };
  const work = new Work(world.journal.db);
  expect(await work.of(() => lastGood(work.db, "a" as MachineId, "app" as AppName, by))).toBe("app@2");
  expect([...work.asked].filter((sql) => sql.includes("unchanged"))).toEqual([]);
  const plans = [...work.asked].flatMap((sql) => {
    const given = Object.fromEntries(Array.from(sql.matchAll(/@(\w+)/g), ([, name]) => [name!, name === "continued" ? "[]" : null]));
    return (world.journal.db.prepare(`EXPLAIN QUERY PLAN ${sql}`).all(given) as { readonly detail: string }[]).map(({ detail }) => detail);
  });
  expect(plans.length).toBeGreaterThan(0);
  expect(plans.filter((detail) => ALL_OF_APP.test(detail) || /^SCAN (?:d|n|x|deployments)\b/.test(detail))).toEqual([]);
});
