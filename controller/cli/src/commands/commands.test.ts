/** Command lines against a controller that is fake behind its gRPC services and real in front of them. */
import { dirname } from "node:path";
import { status } from "@grpc/grpc-js";
import { Artifact } from "@muster/proto/gen/muster/v1/artifacts.ts";
import { afterEach, beforeEach, expect, test } from "vitest";
import { Controller } from "../client/controller.ts";
import { FakeController } from "../fakes/fake-controller.ts";
import { muster } from "../fakes/fake-context.ts";
import { event, machine, NOON, rolledBackDeployment, rollingDeployment, succeededDeployment } from "../fakes/samples.ts";

let controller: FakeController;

beforeEach(async () => {
  controller = await FakeController.start();
  controller.deployments = [rollingDeployment(), succeededDeployment({ id: "d-6" })];
  controller.machines = [machine(), machine({ id: "web-2" })];
});

afterEach(async () => {
  await controller.die();
});

const run = (...args: string[]): ReturnType<typeof muster> => muster([...args, "--address", controller.address], { now: NOON });

test("status shows the newest deployment, and what else is active", async () => {
  controller.deployments.push(rollingDeployment({ id: "d-5", app: "shop-api" }));
  const { code, out } = await run("status");
  expect(code).toBe(0);
  expect(out).toContain("d-7  shop-web 1.4.2  rolling  1m2s");
  expect(out).toContain("also active:\n  d-5  shop-api 1.4.2  rolling");
});

test("status of one that was taken back names the failed machines, why, and what to try", async () => {
  controller.deployments = [rolledBackDeployment()];
  const { code, out } = await run("status", "d-7");
  expect(code).toBe(0);
  expect(out).toContain("why:\n  web-1  exited with code 1, four times");
  expect(out).toContain("muster why d-7");
});

test("status -o json gives targets only when asked for", async () => {
  controller.deployments = [rolledBackDeployment()];
  expect(JSON.parse((await run("status", "-o", "json")).out)).not.toHaveProperty("targets");
  expect(JSON.parse((await run("status", "d-7", "--targets", "-o", "json")).out).targets).toHaveLength(1);
  expect((await run("status", "d-7", "--targets")).out).toContain("four times");
});

test("-o json may stand before the command", async () => {
  expect(JSON.parse((await run("-o", "json", "status")).out).id).toBe("d-7");
});

test("what is not there ends with 4, in words and in JSON", async () => {
  expect(await run("status", "d-99")).toEqual({ code: 4, out: "", err: "muster: there is no deployment d-99\n" });
  const { code, err } = await run("machine", "nobody", "-o", "json");
  expect(code).toBe(4);
  expect(JSON.parse(err)).toEqual({ error: { code: "not_found", message: "there is no machine nobody", faults: [] } });
});

test("list gives a table, or an array of statuses", async () => {
  expect((await run("list")).out.split("\n")).toHaveLength(4);
  const listed = JSON.parse((await run("list", "--active", "-o", "json")).out);
  expect(listed.map(({ id }: { id: string }) => id)).toEqual(["d-7"]);
  controller.deployments = [];
  expect((await run("list")).out).toContain("muster deploy -f");
  expect((await run("list", "-o", "json")).out).toBe("[]\n");
});

test.each([
  [["--active"], "no deployment is under way or waits; all of them: muster list\n"],
  [["--app", "shop-api"], "no deployments of shop-api; those of all apps: muster list\n"],
  [["--app", "shop-web", "--active"], "no deployment of shop-web is under way or waits; all of them: muster list --app shop-web\n"],
])("list %j says what it has not found, where there are others", async (options, said) => {
  controller.deployments = [succeededDeployment()];
  expect(await run("list", ...options)).toEqual({ code: 0, out: said, err: "" });
});

test("machines with labels that none has says so", async () => {
  controller.machines = [];
  expect((await run("machines", "-l", "role=db")).out).toBe("no machine has the labels role=db; all of them: muster machines\n");
  expect((await run("machines")).out).toBe("no machines\n");
});

test.each([
  ["pause", "paused"],
  ["resume", "rolling"],
  ["abort", "aborted"],
  ["rollback", "rolling_back"],
  ["approve", "rolling"],
  ["promote", "rolling"],
  ["retry", "rolling"],
])("%s asks the controller, with the reason, and shows how it stands afterwards", async (command, phase) => {
  const { code, out } = await run(command, "d-7", "--reason", "high error rate", "-o", "json");
  expect(code).toBe(0);
  expect(JSON.parse(out).phase).toBe(phase);
  expect(controller.steered).toEqual([{ command, id: "d-7", reason: "high error rate", by: "ada@laptop" }]);
});

test("a command that does not fit the state of things is bad input", async () => {
  controller.failures.set("resume", { code: status.FAILED_PRECONDITION, details: "d-7 is not paused" });
  expect(await run("resume", "d-7")).toEqual({ code: 2, out: "", err: "muster: d-7 is not paused\n" });
});

test("machines hands the selector on as it is", async () => {
  const { out } = await run("machines", "-l", "role=web,zone=a", "-o", "json");
  expect(controller.selectors).toEqual(["role=web,zone=a"]);
  expect(JSON.parse(out).map(({ id }: { id: string }) => id)).toEqual(["web-1", "web-2"]);
});

test("machine shows one", async () => {
  expect((await run("machine", "web-2")).out).toContain("web-2  connected");
});

test("events prints the journal, from a sequence and of a deployment if so wished", async () => {
  controller.events = [event(1), event(2, { deploymentId: "d-6" }), event(3)];
  const all = (await run("events", "-o", "json")).out.trimEnd().split("\n");
  expect(all.map((line) => JSON.parse(line).seq)).toEqual([1, 2, 3]);
  expect((await run("events", "d-7", "--from", "2", "-o", "json")).out).toMatch(/^\{"seq":3,.*\}\n$/);
  expect((await run("events")).out).toContain("web-1 was told to run shop-web 1.4.2 (1)");
});

test("logs gives the app's own bytes to a pipe, and harmless ones to a terminal", async () => {
  controller.logs = [
    { stream: "stdout", text: "old" },
    { stream: "stdout", text: "\u001b[2J\u001b[32mok\u001b[0m" },
    { stream: "stderr", text: "oops" },
  ];
  const args = ["logs", "web-1", "shop-web", "-n", "2", "--address", controller.address];
  expect((await muster(args)).out).toBe("\u001b[2J\u001b[32mok\u001b[0m\noops\n");
  expect((await muster(args, { isTty: true })).out).toBe("\u001b[32mok\u001b[0m\u001b[0m\noops\n");
  expect((await muster([...args, "-o", "json"])).out.split("\n")[1]).toBe('{"stream":"stderr","text":"oops"}');
});

test("logs of a machine that is away says what the controller says, not that the controller is away", async () => {
  controller.failures.set("readLogs", { code: status.UNAVAILABLE, details: "web-1 is not connected" });
  expect(await run("logs", "web-1", "shop-web")).toEqual({ code: 3, out: "", err: "muster: web-1 is not connected\n" });
});

test("artifact list gives a table, or an array", async () => {
  controller.artifacts = [Artifact.fromPartial({ digest: "ab".repeat(32), fileCount: 3, sizeBytes: 2_000, packBytes: 900, storedAt: NOON })];
  expect((await run("artifact", "list")).out).toContain("abababababab");
  expect(JSON.parse((await run("artifact", "list", "-o", "json")).out)[0].digest).toBe("ab".repeat(32));
});

test("an unreachable controller ends with 3, and says where it was sought and what to do", async () => {
  await controller.die();
  const { code, err } = await run("list");
  expect(code).toBe(3);
  expect(err).toBe(
    `muster: cannot reach the controller at ${controller.address} (from --address): there is no such socket. Is it running? Start it with: muster controller --dir ${dirname(controller.address.slice("unix:".length))}\n`,
  );
});

test("a socket of another user is no controller that is not running", () => {
  const refused = Object.assign(new Error("14 UNAVAILABLE"), { code: status.UNAVAILABLE, details: "connect EACCES /tmp/fleet/operators.sock", metadata: undefined });
  const away = new Controller({ target: "unix:/tmp/no-fleet/operators.sock", source: "--address" });
  const said = String((away.explain(refused) as Error).message);
  away.close();
  expect(said).toMatch(/only the user that it runs as may open it; others log in: muster login HOST:PORT$/);
});

test.each<[readonly string[], string]>([
  [["stauts"], "Did you mean status?"],
  [["logs", "a", "b", "--folow"], "Did you mean --follow?"],
  [["history"], "unknown command 'history' (Did you mean why ID, events or releases?). See"],
  [["mestore"], "unknown command 'mestore'. See"],
  [["restor"], "Did you mean restore?"],
  [["deploy"], "--file"],
  [["watch"], "missing required argument 'id'"],
  [["status", "d-1", "d-2"], "too many arguments"],
  [["list", "-o", "yaml"], "Allowed choices are text, json"],
  [["logs", "a", "b", "-n", "many"], "not a whole number"],
  [["logs", "a", "b", "-n", "10001"], "1 to 10000"],
  [["watch", "d-1", "--reconnect-for", "soon"], "not a duration"],
  [["completion", "fish"], "bash, zsh"],
  [["list", "--address", "nowhere"], "HOST:PORT"],
])("muster %j is bad input", async (args, message) => {
  const { code, out, err } = await muster(args);
  expect(code).toBe(2);
  expect(out).toBe("");
  expect(err).toContain(message);
  expect(err).toMatch(/^muster: [^\n]*\n$/);
});

test("usage errors are JSON too when JSON is wanted", async () => {
  const { err } = await muster(["-o", "json", "watch"]);
  expect(JSON.parse(err).error.code).toBe("usage");
});

test.each([[[]], [["--help"]], [["help"]], [["artifact"]], [["deploy", "--help"]], [["help", "deploy"]]])("muster %j shows help, and that is no error", async (args) => {
  const { code, out, err } = await muster(args);
  expect(code).toBe(0);
  expect(out).toContain("Usage: muster");
  expect(err).toBe("");
});

test.each(["--version", "-V"])("muster %s prints the version, as people try it", async (option) => {
  expect(await muster([option])).toMatchObject({ code: 0, out: expect.stringMatching(/^muster \d+\.\d+\.\d+\n$/) as string });
});

test("the help of every command has examples, and fits the terminal", async () => {
  for (const command of ["deploy", "status", "watch", "list", "pause", "resume", "abort", "rollback", "approve", "promote", "retry", "set", "plan", "why", "replay", "machines", "machine", "machine show", "machine label", "machine remove", "cordon", "uncordon", "drain", "budget set", "budget list", "budget rm", "freeze add", "freeze list", "freeze end", "releases", "diff", "retention show", "retention set", "events", "logs", "dev", "completion"]) {
    const { out } = await muster([...command.split(" "), "--help"], { columns: 80 });
    expect(out).toContain("Examples:");
    expect(out.split("\n").filter((line) => line.length > 80 && !line.includes("  # "))).toEqual([]);
  }
});

test("the list of commands fits 80 columns, in groups", async () => {
  const { out } = await muster(["--help"], { columns: 80 });
  expect(out.split("\n").filter((line) => line.length > 80)).toEqual([]);
  const groups = out.split("\n").filter((line) => /^[A-Z].*:$/.test(line));
  expect(groups).toEqual(["Options:", "Deployments:", "Steering a rollout:", "Understanding:", "Fleet:", "Releases:", "Signing:", "Access:", "Running Muster:", "This command:"]);
});

test("an error is broken between words on a terminal, and stays one line for a program", async () => {
  const command = ["promote", "d-7", "--all", "--address", controller.address];
  const { err } = await muster(command, { columns: 60, isErrTty: true });
  expect(err.split("\n")).toEqual([
    "muster: promote --all skips every gate that is left, and the",
    "journal has to say why; add --reason 'TEXT'. d-7 is as it",
    "was",
    "",
  ]);
  expect((await muster(command, { columns: 60, isTty: true })).err.trimEnd().split("\n")).toHaveLength(1);
  expect((await muster([...command, "-o", "json"], { columns: 60, isErrTty: true })).err.trimEnd().split("\n")).toHaveLength(1);
});

test("version", async () => {
  expect((await muster(["version"])).out).toMatch(/^muster \d+\.\d+\.\d+ \(Node \d+/);
  expect(JSON.parse((await muster(["version", "-o", "json"])).out)).toHaveProperty("version");
});
