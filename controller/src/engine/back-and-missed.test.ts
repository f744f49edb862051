/** A machine that goes back after all, since the deployment that its rollback had left it to ended without it, and that missed what stands: one after the other. */
import { expect, test } from "vitest";
import type { DeploymentId } from "@muster/proto/ids.ts";
import { viewsOf } from "../api/views.fixture.ts";
import { ALL, APPROVAL, wave } from "../rollout/rollout.fixture.ts";
import { NAMES, obey } from "./on-one.fixture.ts";
import { BY, ONE_BY_ONE, rounds, wanted } from "./way-back.fixture.ts";
import { World } from "./world.fixture.ts";

const AWAY = "a";
const OTHERS = NAMES.filter((name) => name !== AWAY);

/** 1 everywhere; 2 stands, and a, which was away, missed it; 3, which a has got, is taken back. */
async function takenBack(): Promise<{ readonly world: World; readonly third: DeploymentId }> {
  const world = new World();
  await world.joinAs({ role: "web", zone: "a" }, AWAY);
  await world.joinAs({ role: "web", zone: "b" }, ...OTHERS);
  world.deploy("1", ONE_BY_ONE);
  await rounds(world, 10);
  world.pass(20_000, ...OTHERS);
  const second = world.deploy("2", { ...ONE_BY_ONE, offline: { kind: "skip" } });
  await rounds(world, 8, OTHERS);
  expect([world.phase(second), wanted(world)]).toEqual(["succeeded", "1,2,2,2"]);
  const third = world.deploy("3", { ...ONE_BY_ONE, offline: { kind: "skip" } });
  await world.joinAs({ role: "web", zone: "a" }, AWAY);
  await rounds(world, 12);
  expect([world.phase(third), wanted(world)]).toEqual(["succeeded", "3,3,3,3"]);
  // It goes back first, and nobody beside it.
  await world.say("d", "unhealthy");
  world.command(third, "rollback");
  return { world, third };
}

test.each([false, true])("left to a newer deployment, which ends without it: it goes back, then gets what it missed, and nobody waits for it afterwards; cordoned for a moment on its way: %s", async (isCordoned) => {
  const { world, third } = await takenBack();
  const fourth = world.deploy("4", { ...ONE_BY_ONE, waves: [wave("zone=b", { gates: [APPROVAL] }), ALL], onConflict: "supersede" });
  await rounds(world, 2);
  expect(world.wanted(AWAY)).toBe("3");
  world.command(fourth, "rollback");
  for (let round = 0; round < 16; round += 1) {
    if (isCordoned && world.wanted(AWAY) === "1") {
      world.engine.orders.cordon(AWAY as never, { drain: false, force: false }, BY);
      world.engine.orders.uncordon(AWAY as never, BY);
      expect(world.wanted(AWAY)).toBe("1");
    }
    await obey(world, ...NAMES);
  }
  expect([world.phase(fourth), wanted(world)]).toEqual(["rolled_back", "2,2,2,2"]);
  expect((await viewsOf(world).one(third))!.outcome).not.toMatch(/way back|may still run/);
  const narrow = world.deploy("5", { ...ONE_BY_ONE, targets: "role in (web,db)", onConflict: "supersede" });
  await rounds(world, 10);
  expect([world.phase(narrow), wanted(world)]).toEqual(["succeeded", "5,5,5,5"]);
});

test("lost while its rollback goes over the fleet, and heard after it: the same", async () => {
  const { world, third } = await takenBack();
  world.pass(20_000, ...OTHERS);
  await rounds(world, 12, OTHERS);
  expect(world.phase(third)).toBe("rolled_back");
  await world.joinAs({ role: "web", zone: "a" }, AWAY);
  await rounds(world, 8);
  expect([wanted(world), (await viewsOf(world).one(third))!.outcome]).toEqual(["2,2,2,2", "rolled back"]);
});
