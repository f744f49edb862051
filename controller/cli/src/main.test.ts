/** What only a process has: signals, a pipe that closes, a Node that is too old. */
import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { hostname, userInfo } from "node:os";
import { text } from "node:stream/consumers";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterEach, beforeEach, expect, test } from "vitest";
import { FakeController } from "./fakes/fake-controller.ts";
import { event, rollingDeployment, succeededDeployment } from "./fakes/samples.ts";

const BIN = fileURLToPath(new URL("../bin/muster.js", import.meta.url));
const run = promisify(execFile);

let controller: FakeController;

beforeEach(async () => {
  controller = await FakeController.start();
  controller.deployments = [rollingDeployment()];
});

afterEach(async () => {
  await controller.die();
});

test("the exit code is the process's", async () => {
  controller.deployments = [succeededDeployment()];
  await run(process.execPath, [BIN, "watch", "d-7", "--address", controller.address]);
  await expect(run(process.execPath, [BIN, "status", "d-99", "--address", controller.address])).rejects.toMatchObject({ code: 4 });
  await expect(run(process.execPath, [BIN, "nonsense"])).rejects.toMatchObject({ code: 2 });
});

test("says who asks: user@host, or what MUSTER_USER says", async () => {
  const pause = [BIN, "pause", "d-7", "--address", controller.address];
  const { MUSTER_USER: _, ...env } = process.env;
  await run(process.execPath, pause, { env });
  await run(process.execPath, pause, { env: { ...env, MUSTER_USER: "release-bot" } });
  expect(controller.steered.map(({ by }) => by)).toEqual([`${userInfo().username}@${hostname()}`, "release-bot"]);
});

test("`muster events | head` ends quietly", async () => {
  controller.events = Array.from({ length: 5_000 }, (_, index) => event(index + 1));
  const command = `"${process.execPath}" "${BIN}" events --address ${controller.address} | head -n 1; echo "\${PIPESTATUS[0]}"`;
  const { stdout, stderr } = await run("bash", ["-c", command]);
  expect(stderr).toBe("");
  expect(stdout.split("\n")[1]).toBe("0");
});

test("output that can't be written ends it with the cause, and without a word of the program's insides", async () => {
  controller.events = [event(1)];
  const { stdout } = await run("bash", ["-c", `"${process.execPath}" "${BIN}" events --address ${controller.address} 2>&1 > /dev/full; echo "$?"`]);
  expect(stdout).toBe("muster: the output can't be written: ENOSPC: no space left on device, write; what the controller was asked to do goes on\n1\n");
});

test("Ctrl-C while watching ends with 130, in well under a second signal", async () => {
  const child = spawn(process.execPath, [BIN, "watch", "d-7", "--address", controller.address], { stdio: ["ignore", "ignore", "pipe"] });
  controller.onWatch = () => child.kill("SIGINT");
  const [words, [code]] = await Promise.all([text(child.stderr), once(child, "exit")]);
  expect(code).toBe(130);
  expect(words).toContain("changes nothing about d-7");
});

test.each(["SIGTERM", "SIGKILL"] as const)("ends when the npx that started it is ended by %s, though the shell between them passes nothing on", async (signal) => {
  const shell = `"${process.execPath}" "${BIN}" watch d-7 --address ${controller.address} & wait`;
  const npmScript = `require("node:child_process").spawn("sh", ["-c", ${JSON.stringify(shell)}], { stdio: "inherit" })`;
  const npm = spawn(process.execPath, ["-e", npmScript], { argv0: "npm exec muster", stdio: ["ignore", "pipe", "pipe"] });
  controller.onWatch = () => npm.kill(signal);
  // The pipe is closed when the last that holds it has ended: the shell and muster.
  await text(npm.stdout);
  expect(npm.signalCode).toBe(signal);
});

/** Makes the Node that runs it look like one from before types were stripped; what it hands over to is told nothing of it. */
const OLD_NODE = ["--import", "data:text/javascript,Object.defineProperty(process,'versions',{value:{...process.versions,node:'20.19.0'}})"];

test("an old Node hands over to the one that npm brought, with signals and exit code", async () => {
  const { stdout } = await run(process.execPath, [...OLD_NODE, BIN, "version", "-o", "json"]);
  expect(Number(JSON.parse(stdout).node.split(".")[0])).toBeGreaterThanOrEqual(22);
  const child = spawn(process.execPath, [...OLD_NODE, BIN, "watch", "d-7", "--address", controller.address], { stdio: "ignore" });
  controller.onWatch = () => child.kill("SIGTERM");
  expect((await once(child, "exit"))[0]).toBe(143);
});
