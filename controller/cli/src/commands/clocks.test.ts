/** Instants are the controller's: whatever our own clock says, ages are measured against its clock. */
import { afterEach, beforeEach, expect, test } from "vitest";
import { muster } from "../fakes/fake-context.ts";
import { FakeController } from "../fakes/fake-controller.ts";
import { machine, NOON, rolledBackDeployment, rollingDeployment } from "../fakes/samples.ts";

const HOUR_MS = 3_600_000;
let controller: FakeController;

beforeEach(async () => {
  controller = await FakeController.start();
  controller.deployments = [rollingDeployment()];
  controller.machines = [machine({ lastSeenAt: NOON - 1000 })];
});

afterEach(async () => {
  await controller.die();
});

const COMMANDS = [["machines"], ["machine", "web-1"], ["status"], ["status", "--targets"], ["list"]];

test.each([2 * HOUR_MS, -2 * HOUR_MS])("views are the same with a clock that is %d ms away from the controller's", async (aheadMs) => {
  controller.now = NOON;
  for (const words of COMMANDS) {
    const [right, wrong] = [0, aheadMs].map((ahead) => muster([...words, "--address", controller.address], { now: NOON + ahead }));
    expect(await wrong).toEqual(await right);
  }
  expect((await muster(["machines", "--address", controller.address], { now: NOON + aheadMs })).out).toContain("1s ago");
});

test("a watch goes by it, too", async () => {
  controller.now = NOON;
  controller.deployments = [rolledBackDeployment()];
  const [right, wrong] = await Promise.all([0, 2 * HOUR_MS].map((ahead) => muster(["watch", "d-7", "--address", controller.address], { now: NOON + ahead })));
  expect(wrong).toEqual(right);
});

test("a controller that says nothing of its clock is taken to have ours", async () => {
  expect((await muster(["machines", "--address", controller.address], { now: NOON })).out).toContain("1s ago");
});

test("where the controller's clock was set back in the middle nobody says how long it took", async () => {
  controller.deployments = [rolledBackDeployment({ startedAt: NOON, endedAt: NOON - 2 * HOUR_MS })];
  const { out } = await muster(["watch", "d-7", "--address", controller.address], { now: NOON });
  expect(out).toMatch(/ d-7 shop-web 1\.4\.2 rolled back$/m);
  expect((await muster(["status", "d-7", "--address", controller.address], { now: NOON })).out).toMatch(/^d-7 {2}shop-web 1\.4\.2 {2}rolled back$/m);
  expect((await muster(["list", "--address", controller.address], { now: NOON, columns: 140 })).out).toMatch(/ - {2,}/);
});
