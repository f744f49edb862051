/** What changes a machine for good: its labels, and that it is there at all. */
import { afterEach, beforeEach, expect, test } from "vitest";
import { AppPhase } from "@muster/proto/gen/muster/v1/agent.ts";
import { muster } from "../fakes/fake-context.ts";
import { FakeController } from "../fakes/fake-controller.ts";
import { machine, NOON } from "../fakes/samples.ts";

let controller: FakeController;

beforeEach(async () => {
  controller = await FakeController.start();
  controller.machines = [machine({ id: "web-1", labels: { role: "web", canary: "true" } }), machine({ id: "label" })];
});

afterEach(async () => {
  await controller.die();
});

const run = (...words: string[]): ReturnType<typeof muster> => muster([...words, "--address", controller.address], { now: NOON, columns: 80 });

test("label sets and removes in one go, and says what the machine has then", async () => {
  expect(await run("machine", "label", "web-1", "zone=b", "canary-", "tier=")).toMatchObject({ code: 0, out: "web-1 has role=web, tier=, zone=b\n" });
  expect(controller.asked).toEqual([{ method: "labelMachine", request: { machine: "web-1", set: { zone: "b", tier: "" }, remove: ["canary"], by: "ada@laptop" } }]);
  expect(JSON.parse((await run("machine", "label", "web-1", "zone-", "-o", "json")).out)).toMatchObject({ id: "web-1", labels: { role: "web", tier: "" } });
  expect((await run("machine", "label", "web-1", "role-", "tier-")).out).toBe("web-1 has no labels\n");
});

test.each([
  [["zone"], `"zone" is neither KEY=VALUE nor KEY- (for example role=web or canary-)`],
  [["a b=c"], `"a b=c": "a b" is not a label's name (letters, digits and . _ - /, for example role)`],
  [["zone=a/b"], `"zone=a/b": "a/b" is not a label's value (at most 63 letters, digits and . _ -)`],
  [["zone=a", "zone-"], `"zone-": zone is given twice`],
])("label %j is refused before anything is asked", async (labels, message) => {
  expect(await run("machine", "label", "web-1", ...labels)).toEqual({ code: 2, out: "", err: `muster: ${message}. Nothing was changed\n` });
  expect(controller.asked).toEqual([]);
});

test("remove says who and why, and asks nothing", async () => {
  expect(await run("machine", "remove", "web-1", "--reason", "scrapped")).toEqual({ code: 0, out: "web-1 is no part of the fleet any more\n", err: "" });
  expect(controller.asked).toEqual([{ method: "removeMachine", request: { machine: "web-1", reason: "scrapped", by: "ada@laptop" } }]);
  expect(await run("machine", "remove", "web-1")).toMatchObject({ code: 4, err: "muster: there is no machine web-1\n" });
  expect(JSON.parse((await run("machine", "remove", "label", "-o", "json")).out)).toEqual({ id: "label", removed: true });
});

test("what runs there though nobody has assigned it is told from what is to be removed", async () => {
  const [app] = machine().apps;
  controller.machines = [machine({ id: "web-1", apps: [{ ...app!, wantedVersion: "", phase: AppPhase.HEALTHY, reason: undefined, deploymentId: "", generation: 0 }] })];
  expect((await run("machines")).out).toContain("shop-web 1.4.1 healthy (not assign");
  expect((await run("machine", "show", "web-1")).out).toContain("wanted   not assigned: it was there when the machine joined, and is left as it");
  expect(JSON.parse((await run("machine", "show", "web-1", "-o", "json")).out)).toMatchObject({ apps: [{ app: "shop-web", wanted_version: null, running_version: "1.4.1", deployment_id: null }] });
});

test("a machine that is called like a command is within reach, and shown", async () => {
  expect((await run("machine", "show", "label")).out).toContain("label  connected");
  expect((await run("machine", "web-1")).out).toContain("web-1  connected");
  expect((await run("machine", "web-1", "-o", "json")).out).toBe((await run("machine", "show", "web-1", "-o", "json")).out);
});
