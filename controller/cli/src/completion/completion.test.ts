/** The scripts, in the shells that they are for. */
import { execFile, spawnSync } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, test } from "vitest";
import { muster } from "../fakes/fake-context.ts";
import { FakeController } from "../fakes/fake-controller.ts";
import { releaseRecord } from "../fakes/history-samples.ts";
import { machine, NOON, rollingDeployment } from "../fakes/samples.ts";

const run = promisify(execFile);
const MAIN = fileURLToPath(new URL("../main.ts", import.meta.url));

let controller: FakeController;
let cwd: string;

beforeAll(async () => {
  controller = await FakeController.start();
  controller.deployments = [rollingDeployment({ id: "d-12" }), rollingDeployment({ id: "d-7" })];
  controller.machines = [machine(), machine({ id: "db-1" })];
  controller.releases = [releaseRecord("1.4.2"), releaseRecord("1.4.1")];
  controller.freezes = [{ id: "f-1", from: NOON, until: 0, reason: "", by: "" }];
  controller.secrets = [{ name: "db-password", apps: "*", versions: [] }];
  cwd = await mkdtemp(join(tmpdir(), "muster-completion-"));
  // The command that the script calls back.
  await writeFile(join(cwd, "muster"), `#!/bin/sh\nexec "${process.execPath}" "${MAIN}" "$@"\n`, { mode: 0o755 });
  await writeFile(join(cwd, "muster.bash"), (await muster(["completion", "bash"])).out);
  await writeFile(join(cwd, "_muster"), (await muster(["completion", "zsh"])).out);
  await writeFile(join(cwd, "web app.yaml"), "");
});

afterAll(async () => {
  await controller.die();
  await rm(cwd, { recursive: true });
});

const env = (): NodeJS.ProcessEnv => ({ PATH: `${cwd}:${process.env["PATH"]}`, HOME: cwd, MUSTER_ADDRESS: controller.address });

/** What bash offers for the last word. `=` and `@` are words of their own there. */
async function bashOffers(words: readonly string[], address: string = controller.address): Promise<readonly string[]> {
  const script = `source ./muster.bash; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _muster; printf '%s\\n' "\${COMPREPLY[@]}"`;
  const { stdout, stderr } = await run("bash", ["--norc", "-c", script, "bash", "muster", ...words], { cwd, env: { ...env(), MUSTER_ADDRESS: address } });
  expect(stderr).toBe("");
  return stdout.split("\n").filter((line) => line !== "").sort();
}

test.each<[readonly string[], readonly string[]]>([
  [["st"], ["status"]],
  [["artifact", ""], ["list", "push"]],
  [["-o", ""], ["json", "text"]],
  [["status", "-o", "j"], ["json"]],
  [["status", "--output", "=", "j"], ["json"]],
  [["status", "--output", "="], ["json", "text"]],
  [["status", "--output", "=", "json", "--t"], ["--targets"]],
  [["logs", "--"], ["--address", "--follow", "--help", "--lines", "--output", "--version"]],
  [["completion", "z"], ["zsh"]],
  [["deploy", "-f", "web"], ["web app.yaml"]],
  [["rollback", "--reason", ""], []],
  [["set", "d-7", "max"], ["max_unavailable"]],
  [["freeze", ""], ["add", "end", "list"]],
  [["abort", "d-7", "--re"], ["--reason", "--reconnect-for", "--revert"]],
  [["drain", "web-1", "--no"], ["--no-wait"]],
])("bash offers for %j", async (words, offers) => {
  expect(await bashOffers(words)).toEqual(offers);
});

test.each<[readonly string[], readonly string[]]>([
  [["status", ""], ["d-12", "d-7"]],
  [["watch", "d-1"], ["d-12"]],
  [["rollback", "--reason", "bad", "--watch", ""], ["d-12", "d-7"]],
  [["machine", ""], ["approve", "db-1", "label", "reject", "remove", "revoke", "show", "web-1"]],
  [["machine", "w"], ["web-1"]],
  [["machine", "remove", "d"], ["db-1"]],
  [["logs", "-n", "5", "web-1", ""], ["shop-web"]],
  [["logs", "nobody", ""], []],
  [["approve", "d-1"], ["d-12"]],
  [["why", ""], ["d-12", "d-7", "db-1", "web-1"]],
  [["why", "web-1", "d-1"], ["d-12"]],
  [["cordon", "d"], ["db-1"]],
  [["freeze", "end", ""], ["f-1"]],
  [["secret", "rm", ""], ["db-password"]],
  [["releases", ""], ["shop-web"]],
  [["diff", "shop-web"], ["shop-web@1.4.1", "shop-web@1.4.2"]],
  [["diff", "shop-web", "@"], ["@1.4.1", "@1.4.2"]],
  [["diff", "shop-web", "@", "1.4.1", "shop-web", "@", "1.4.2"], ["@1.4.2"]],
  [["--output", "=", "json", "machine", "db"], ["db-1"]],
])("bash asks the controller for %j", async (words, offers) => {
  expect(await bashOffers(words)).toEqual(offers);
});

test("bash breaks --address at its colon, and the script mends it", async () => {
  const [host = "", port = ""] = controller.address.split(":");
  const nobody = "127.0.0.1:1";
  expect(await bashOffers(["--address", host, ":", port, "status", ""], nobody)).toEqual(["d-12", "d-7"]);
  expect(await bashOffers(["--address", "=", host, ":", port, "status", ""], nobody)).toEqual(["d-12", "d-7"]);
  expect(await bashOffers(["status", ""], nobody)).toEqual([]);
});

test("offers nothing, and complains about nothing, when no controller answers", async () => {
  const { code, out, err } = await muster(["__complete", "--address", "127.0.0.1:1", "status", ""]);
  expect([code, out, err]).toEqual([0, "", ""]);
});

const hasZsh = spawnSync("zsh", ["-c", ":"]).error === undefined;

test.runIf(hasZsh)("zsh can read its script", async () => {
  const { stderr } = await run("zsh", ["-f", "-c", "autoload -U compinit && compinit -u -D && source ./_muster && whence -w _muster_command_logs"], { cwd, env: env() });
  expect(stderr).toBe("");
});

test("the script for zsh has a function for each command, with descriptions", async () => {
  const { out } = await muster(["completion", "zsh"]);
  expect(out).toMatch(/^#compdef muster\n/);
  expect(out).toContain("'status:show where a deployment stands, and why'");
  expect(out).toContain("_muster_command_artifact_push() {");
  expect(out).toContain("'(-o --output)'{-o,--output=}'[how results are written]:format:(text json)'");
});
