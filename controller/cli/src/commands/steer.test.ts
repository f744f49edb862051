/** The commands that steer a rollout: what they ask of the controller, and what they refuse before they ask. */
import { type Deployment, DeploymentPhase, TargetState } from "@muster/proto/gen/muster/v1/deployments.ts";
import { afterEach, beforeEach, expect, test } from "vitest";
import { muster } from "../fakes/fake-context.ts";
import { FakeController } from "../fakes/fake-controller.ts";
import { awaitingApproval, NOON, rollingDeployment, succeededDeployment } from "../fakes/samples.ts";

let controller: FakeController;

beforeEach(async () => {
  controller = await FakeController.start();
  controller.deployments = [awaitingApproval()];
});

afterEach(async () => {
  await controller.die();
});

const run = (...words: string[]): ReturnType<typeof muster> => muster([...words, "--address", controller.address], { now: NOON, columns: 80 });

test.each<[readonly string[], string, object]>([
  [["approve", "d-7"], "approve", { wave: 0 }],
  [["approve", "d-7", "--wave", "2"], "approve", { wave: 2 }],
  [["retry", "d-7"], "retry", {}],
  [["promote", "d-7"], "promote", { all: false }],
  [["promote", "d-7", "--all", "--reason", "outage"], "promote", { all: true, reason: "outage" }],
  [["abort", "d-7"], "abort", { revert: false }],
  [["abort", "d-7", "--keep"], "abort", { revert: false }],
  [["abort", "d-7", "--revert"], "abort", { revert: true }],
  [["rollback", "d-7"], "rollback", { toVersion: "" }],
  [["rollback", "d-7", "--to", "1.3.0"], "rollback", { toVersion: "1.3.0" }],
  [["set", "d-7", "max_unavailable", "10"], "setMaxUnavailable", { maxUnavailable: "10" }],
  [["set", "d-7", "max_unavailable", "25%", "--reason", "quiet hour"], "setMaxUnavailable", { maxUnavailable: "25%", reason: "quiet hour" }],
])("muster %j asks for just that, and says who asks", async (words, method, request) => {
  const { code, err } = await run(...words);
  expect([code, err]).toEqual([0, ""]);
  expect(controller.asked).toEqual([{ method, request: { id: "d-7", reason: "", by: "ada@laptop", ...request } }]);
});

test.each<[readonly string[], string]>([
  [["promote", "d-7", "--all"], "promote --all skips every gate that is left, and the journal has to say why; add --reason 'TEXT'"],
  [["abort", "d-7", "--keep", "--revert"], "'--keep' cannot be used with option '--revert'"],
  [["abort", "d-7", "--revert", "--keep"], "'--keep' cannot be used with option '--revert'"],
  [["approve", "d-7", "--wave", "0"], "not a whole number from 1"],
  [["rollback", "d-7", "--to"], "argument missing"],
  [["set", "d-7", "max_unavailable", "0"], "neither a count from 1 nor a percentage from 1% to 100%"],
  [["set", "d-7", "max_unavailable", "101%"], "neither a count from 1 nor a percentage"],
  [["set", "d-7", "max_unavailable", "ten"], "neither a count from 1 nor a percentage"],
  [["set", "d-7", "max_failures", "1"], "Allowed choices are max_unavailable"],
  [["set", "d-7", "max_unavailable"], "missing required argument 'value'"],
])("muster %j is bad input, and the controller is not asked", async (words, message) => {
  const { code, out, err } = await run(...words);
  expect([code, out]).toEqual([2, ""]);
  expect(err).toContain(message);
  expect(err).toMatch(/^muster: [^\n]*\n$/);
  expect(controller.asked).toEqual([]);
});

test("rollback --to shows the new deployment and what to do with it", async () => {
  const { out } = await run("rollback", "d-7", "--to", "1.3.0");
  expect(out).toContain("d-8  shop-web 1.3.0  pending");
  expect(out).toContain("muster watch d-8");
  expect(JSON.parse((await run("rollback", "d-7", "--to", "1.3.0", "-o", "json")).out)).toMatchObject({ id: "d-8", version: "1.3.0" });
});

test("rollback --to --watch follows the new deployment, and succeeds with it", async () => {
  controller.onWatch = () => controller.change(succeededDeployment({ id: "d-8", version: "1.3.0" }));
  const { code, out } = await run("rollback", "d-7", "--to", "1.3.0", "--watch");
  expect(code).toBe(0);
  expect(out).toContain("d-8 shop-web 1.3.0 succeeded");
});

test.each([
  [DeploymentPhase.ABORTED, 0],
  [DeploymentPhase.ROLLED_BACK, 0],
  [DeploymentPhase.FAILED, 1],
])("abort --revert --watch succeeds when all is taken back", async (phase, code) => {
  controller.deployments = [rollingDeployment({ phase: DeploymentPhase.ROLLING_BACK })];
  controller.onWatch = () => controller.change(rollingDeployment({ phase, endedAt: NOON }));
  // The fake ends an abort at once; the real one goes back first.
  controller.onSteer = () => controller.change(rollingDeployment({ phase: DeploymentPhase.ROLLING_BACK }));
  expect((await run("abort", "d-7", "--revert", "--watch")).code).toBe(code);
});

test("abort --revert --watch fails when machines keep the release, since those before them could not go back", async () => {
  const ended = rollingDeployment({ phase: DeploymentPhase.ABORTED, endedAt: NOON, reason: { code: "revert_failed", message: "1 machine could not go back to what it ran before: web-1 runs nothing; web-2 keeps 1.4.2" } });
  controller.deployments = [rollingDeployment({ phase: DeploymentPhase.ROLLING_BACK })];
  controller.onWatch = () => controller.change(ended);
  controller.onSteer = () => controller.change(rollingDeployment({ phase: DeploymentPhase.ROLLING_BACK }));
  expect((await run("abort", "d-7", "--revert", "--watch")).code).toBe(1);
  controller.onSteer = () => controller.change(ended);
  expect((await run("abort", "d-7", "--watch")).code).toBe(0);
});

test.each<[string, DeploymentPhase, string]>([
  ["retry", DeploymentPhase.SUCCEEDED, "succeeded"],
  ["abort", DeploymentPhase.ABORTED, "aborted"],
  ["rollback", DeploymentPhase.ROLLED_BACK, "rolled back"],
])("%s --watch waits for those that are on their way after the end, and says how it ended then", async (command, phase, word) => {
  const left = { count: 1, removed: 0, machines: [{ machine: "web-3", state: TargetState.UPDATING, text: "web-3 is on its way to 1.4.2" }] };
  const ended = (change: Partial<Deployment>) => succeededDeployment({ phase, outcome: "as asked", ...change });
  controller.onSteer = () => controller.change(ended({ underWay: true, outstanding: left }));
  let time = 0;
  controller.onWatch = () => {
    time += 1;
    controller.change(ended({ underWay: true, outstanding: left, waitingOn: "others" }));
    controller.change(ended({ underWay: false }));
  };
  controller.deployments = [ended({ underWay: true, outstanding: left })];
  const watched = await run(command, "d-7", "--watch");
  expect([watched.code, watched.err, time]).toEqual([0, "", 1]);
  expect(watched.out.split("\n\nnext:")[0]!.trimEnd().split("\n").at(-1)).toMatch(new RegExp(`d-7 shop-web 1\\.4\\.2 ${word}(?:, \\S+)? after `));
});

test("watch itself ends with the rollout, whoever is still on the way", async () => {
  const left = { count: 1, removed: 0, machines: [{ machine: "web-3", state: TargetState.UPDATING, text: "web-3 is on its way to 1.4.2" }] };
  controller.deployments = [succeededDeployment({ underWay: true, outcome: "succeeded on 2 of 3; web-3 is on its way to 1.4.2", outstanding: left })];
  expect((await run("watch", "d-7")).code).toBe(5);
});

test("a rollout that waits for approval is watched on, and says how to approve", async () => {
  let time = 0;
  controller.onWatch = () => {
    time += 1;
    controller.change(awaitingApproval({ waitingOn: "somebody else" }));
    controller.change(succeededDeployment());
  };
  const { code, out } = await run("watch", "d-7");
  expect([code, time]).toEqual([0, 1]);
  expect(out).toContain("waits for approval: muster approve d-7");
  expect(out).toContain("d-7 shop-web 1.4.2 succeeded");
});

test("set says what a window is for after the end", async () => {
  controller.deployments = [succeededDeployment({ maxUnavailable: 2 })];
  const { code, out } = await run("set", "d-7", "max_unavailable", "2");
  expect(code).toBe(0);
  expect(out).toContain("\nmax_unavailable is 2 from now on, for machines that take d-7 after its end: those that were away or cordoned, join later, or are retried\n");
  controller.deployments = [rollingDeployment()];
  expect((await run("set", "d-7", "max_unavailable", "2")).out).not.toContain("after its end");
});
