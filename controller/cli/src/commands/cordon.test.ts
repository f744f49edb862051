/** Cordons and drains, with the machine changing while somebody waits. */
import { status } from "@grpc/grpc-js";
import { AppPhase } from "@muster/proto/gen/muster/v1/agent.ts";
import { MachineState } from "@muster/proto/gen/muster/v1/fleet.ts";
import { afterEach, beforeEach, expect, test } from "vitest";
import { fakeContext, muster } from "../fakes/fake-context.ts";
import { FakeController } from "../fakes/fake-controller.ts";
import { machine, NOON } from "../fakes/samples.ts";
import { run as runIn } from "../run.ts";

let controller: FakeController;

beforeEach(async () => {
  controller = await FakeController.start();
  controller.machines = [machine(), machine({ id: "web-2" })];
});

afterEach(async () => {
  await controller.die();
});

const args = (...words: string[]): string[] => [...words, "--address", controller.address];
const run = (...words: string[]): ReturnType<typeof muster> => muster(args(...words), { now: NOON + 300_000, columns: 80 });
const stop = (): void => controller.changeMachine("web-1", { apps: [{ ...machine().apps[0]!, pid: 0, phase: AppPhase.REMOVED }] });

test("cordon says who, why and since when, to the controller and to the user", async () => {
  const { code, out } = await run("cordon", "web-1", "--reason", "new disk");
  expect(code).toBe(0);
  expect(out).toMatch(/^web-1 {2}connected {2}since 8m ago\n {2}cordoned by ada@laptop, 5m ago \(\d\d:\d\d:\d\d\): new disk\n$/);
  expect(controller.asked).toEqual([
    { method: "cordon", request: { machine: "web-1", reason: "new disk", by: "ada@laptop", drain: false, force: false } },
  ]);
});

test("MUSTER_USER says who asks", async () => {
  await muster(args("cordon", "web-1"), { env: { MUSTER_USER: "bot" } });
  expect(controller.asked[0]?.request).toMatchObject({ by: "bot" });
});

test("machines and machine show a cordon, and nothing of it where there is none", async () => {
  expect((await run("machines")).out).not.toContain("CORDON");
  await run("cordon", "web-1", "--reason", "new disk");
  const lines = (await run("machines")).out.split("\n");
  expect(lines[0]).toContain("CORDON");
  expect(lines[1]).toContain("cordoned");
  expect(lines[2]).not.toContain("cordoned");
  expect((await run("machine", "web-1")).out).toMatch(/cordon {6}cordoned by ada@laptop, 5m ago \(\d\d:\d\d:\d\d\): new disk/);
  expect((await run("machine", "web-2")).out).not.toContain("cordon");
});

test("uncordon gives it back", async () => {
  await run("cordon", "web-1");
  expect(JSON.parse((await run("uncordon", "web-1", "-o", "json")).out)).toMatchObject({ id: "web-1", cordon: null });
  expect((await run("uncordon", "web-1")).out).toContain("rollouts may use it");
});

test("drain waits until nothing runs there, and says what still does", async () => {
  controller.onGetMachine = (time) => {
    if (time === 2) stop();
  };
  const { code, out } = await run("drain", "web-1", "--reason", "kernel update");
  expect(code).toBe(0);
  expect(out).toMatch(
    /^\d\d:\d\d:\d\d web-1 still runs shop-web 1\.4\.1\nweb-1 is drained: nothing runs there\. Give it back with: muster uncordon web-1\n$/,
  );
  expect(controller.asked.filter(({ method }) => method === "getMachine")).toHaveLength(3);
  expect(controller.asked[0]?.request).toMatchObject({ drain: true, force: false, reason: "kernel update" });
});

test("drain -o json prints the machine once, when it is drained", async () => {
  controller.onGetMachine = stop;
  const { out } = await run("drain", "web-1", "--watch", "--force", "-o", "json");
  expect(JSON.parse(out)).toMatchObject({ id: "web-1", cordon: { drained: true }, apps: [{ phase: "removed" }] });
  expect(controller.asked[0]?.request).toMatchObject({ force: true });
});

test("drain of a machine that is not heard says what it waits for", async () => {
  controller.changeMachine("web-1", { state: MachineState.SILENT });
  controller.onGetMachine = stop;
  expect((await run("drain", "web-1")).out).toContain("web-1 is silent; when it is heard again it stops shop-web 1.4.1");
});

test("drain --no-wait returns at once", async () => {
  const { code, out } = await run("drain", "web-1", "--no-wait");
  expect([code, controller.asked.length]).toEqual([0, 1]);
  expect(out).toContain("draining by ada@laptop");
});

test("drain outlives a controller that restarts", async () => {
  controller.onGetMachine = (time) => {
    if (time === 1) void controller.die().then(() => controller.listen());
    if (time > 1) stop();
  };
  const { code, out } = await run("drain", "web-1");
  expect(code).toBe(0);
  expect(out).toContain("web-1 is drained");
});

test("Ctrl-C ends the waiting and says that the draining goes on", async () => {
  const context = fakeContext();
  controller.onGetMachine = () => context.interrupt("SIGINT");
  await runIn(args("drain", "web-1"), context);
  expect(context.exitCode()).toBe(130);
  expect(context.err()).toContain("stopped waiting; web-1 is being drained all the same. Look again with: muster machine web-1");
});

test("a budget that forbids it is heard, with the way out that the controller names", async () => {
  controller.failures.set("cordon", { code: status.FAILED_PRECONDITION, details: "role=web allows 1 unavailable, and web-2 is; --force drains all the same" });
  expect(await run("drain", "web-1")).toMatchObject({ code: 2, err: expect.stringContaining("--force") as string });
});

test.each<[readonly string[], number, string]>([
  [["cordon", "nobody"], 4, "there is no machine nobody"],
  [["uncordon"], 2, "missing required argument 'machine'"],
  [["drain", "web-1", "--watch", "--no-wait"], 2, "leave one of them out"],
])("muster %j ends with %d", async (words, code, message) => {
  expect(await run(...words)).toMatchObject({ code, err: expect.stringContaining(message) as string });
});
