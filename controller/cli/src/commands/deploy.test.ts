/** `deploy` and `artifact push`, with real files and a real stream. */
import { randomBytes } from "node:crypto";
import { mkdir, mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { status } from "@grpc/grpc-js";
import { afterEach, beforeEach, expect, test } from "vitest";
import { fakeContext, muster } from "../fakes/fake-context.ts";
import { FakeController } from "../fakes/fake-controller.ts";
import { rollingDeployment, succeededDeployment } from "../fakes/samples.ts";
import { run } from "../run.ts";

let controller: FakeController;
let cwd: string;
let scratchRoot: string;
let tmpdirBefore: string | undefined;

beforeEach(async () => {
  controller = await FakeController.start();
  controller.deployments = [rollingDeployment()];
  cwd = await mkdtemp(join(tmpdir(), "muster-deploy-"));
  await mkdir(join(cwd, "project/dist"), { recursive: true });
  await writeFile(join(cwd, "project/muster.yaml"), "app: shop-web\n");
  await writeFile(join(cwd, "project/dist/server.js"), "console.log('hello')\n");
  scratchRoot = join(cwd, "tmp");
  await mkdir(scratchRoot);
  tmpdirBefore = process.env["TMPDIR"];
  process.env["TMPDIR"] = scratchRoot;
});

afterEach(async () => {
  if (tmpdirBefore === undefined) delete process.env["TMPDIR"];
  else process.env["TMPDIR"] = tmpdirBefore;
  // Whatever happened, nothing is left behind.
  expect(await readdir(scratchRoot)).toEqual([]);
  await controller.die();
  await rm(cwd, { recursive: true });
});

const deploy = (...words: string[]): ReturnType<typeof muster> => muster(["deploy", ...words, "--address", controller.address], { cwd });

test("checks, packs, sends and submits, and says what to try next", async () => {
  controller.notes = ["wave 2 adds nobody and is dropped"];
  const { code, out, err } = await deploy("-f", "project/muster.yaml");
  expect([code, err]).toEqual([0, ""]);
  expect(out).toMatch(/^artifact [0-9a-f]{12} {2}1 file, 21 B, \d+ B packed: sent\n/);
  expect(out).toContain("d-7  shop-web 1.4.2  →  20 machines in 3 waves\n  note: wave 2 adds nobody and is dropped\n");
  expect(out).toContain("muster watch d-7");
  expect(controller.pushed).toHaveLength(1);
});

test("sends nothing when the controller has the same content", async () => {
  await deploy("-f", "project/muster.yaml");
  const { out } = await deploy("-f", "project/muster.yaml");
  expect(out).toContain("already there, nothing sent");
  expect(controller.pushed).toHaveLength(1);
});

test("-o json prints the deployment with its artifact, and nothing else", async () => {
  const { out } = await deploy("-f", "project/muster.yaml", "-o", "json");
  expect(JSON.parse(out)).toEqual({
    id: "d-7",
    app: "shop-web",
    version: "1.4.2",
    artifact: controller.pushed[0]?.digest,
    phase: "rolling",
    notes: [],
  });
});

test("a large artifact travels in pieces that the protocol allows, byte for byte", async () => {
  await writeFile(join(cwd, "project/dist/blob"), randomBytes(5 * 1024 * 1024));
  expect((await deploy("-f", "project/muster.yaml")).code).toBe(0);
  const [pushed] = controller.pushed;
  expect(pushed?.largestPieceBytes).toBeLessThanOrEqual(1024 * 1024);
  const manifest = JSON.parse(String(pushed?.manifest)) as { packBytes: number };
  expect(pushed?.pack.length).toBe(manifest.packBytes);
});

test("reads the file from stdin, and then the artifact is relative to the current folder", async () => {
  controller.artifactPath = "project/dist";
  const context = fakeContext({ cwd, stdin: "app: shop-web\n" });
  await run(["deploy", "-f", "-", "--address", controller.address], context);
  expect(context.exitCode()).toBe(0);
});

test("prints every fault with its place, and deploys nothing", async () => {
  controller.faults = [
    { line: 14, column: 9, path: "rollout.waves[1]", message: '"ten" is neither a count nor a percentage (try 10 or "10%")' },
    { line: 0, column: 0, path: "", message: "app is missing" },
  ];
  const { code, out, err } = await deploy("-f", "project/muster.yaml");
  expect([code, out]).toEqual([2, ""]);
  expect(err).toBe(
    'project/muster.yaml:14:9 rollout.waves[1]: "ten" is neither a count nor a percentage (try 10 or "10%")\n' +
      "project/muster.yaml: app is missing\n" +
      "muster: project/muster.yaml has 2 faults; nothing was deployed\n",
  );
  expect(controller.pushed).toEqual([]);
  const json = JSON.parse((await deploy("-f", "project/muster.yaml", "-o", "json")).err);
  expect(json.error).toMatchObject({ code: "invalid_file", faults: [{ line: 14, column: 9, path: "rollout.waves[1]" }, { line: 0 }] });
});

test.each([
  ["nowhere.yaml", "there is no such file"],
  ["project", "is a directory"],
  ["project/muster.yaml/x", "there is no such file"],
  ["large.yaml", "larger than 1 MiB"],
])("refuses %s as a deployment file", async (file, message) => {
  await writeFile(join(cwd, "large.yaml"), Buffer.alloc(1024 * 1024 + 1));
  const { code, err } = await deploy("-f", file);
  expect(code).toBe(2);
  expect(err).toContain(message);
});

test("an artifact that is not there is bad input", async () => {
  controller.artifactPath = "nowhere";
  const { code, err } = await deploy("-f", "project/muster.yaml", "-o", "json");
  expect(code).toBe(2);
  expect(JSON.parse(err).error).toMatchObject({ code: "artifact_not_found", message: `project/muster.yaml artifact: ${join(cwd, "project/nowhere")}: no such file or directory; nothing was deployed` });
});

test("a controller that refuses the artifact in the middle is heard", async () => {
  await writeFile(join(cwd, "project/dist/blob"), randomBytes(3 * 1024 * 1024));
  controller.failures.set("pushArtifact", { code: status.INVALID_ARGUMENT, details: "frame 3 is not what the manifest says" });
  const { code, err } = await deploy("-f", "project/muster.yaml");
  expect([code, err]).toEqual([2, "muster: frame 3 is not what the manifest says\n"]);
});

test("a version that exists with other content is bad input", async () => {
  controller.failures.set("submit", { code: status.ALREADY_EXISTS, details: "shop-web@1.4.2 exists with other content" });
  const { code, err } = await deploy("-f", "project/muster.yaml");
  expect([code, err]).toEqual([2, "muster: shop-web@1.4.2 exists with other content\n"]);
});

test("--watch goes on until the end", async () => {
  controller.onWatch = () => controller.change(succeededDeployment());
  const text = await deploy("-f", "project/muster.yaml", "--watch");
  expect(text.code).toBe(0);
  expect(text.out).toContain("d-7 shop-web 1.4.2 succeeded");
  controller.deployments = [rollingDeployment()];
  const json = await deploy("-f", "project/muster.yaml", "--watch", "-o", "json");
  expect(json.out.trimEnd().split("\n").map((line) => JSON.parse(line).phase)).toEqual(["rolling", "succeeded"]);
});

test("Ctrl-C before the submission deploys nothing and says so", async () => {
  const context = fakeContext({ cwd });
  context.interrupt("SIGINT");
  await run(["deploy", "-f", "project/muster.yaml", "--address", controller.address], context);
  expect(context.exitCode()).toBe(130);
  expect(context.err()).toContain("nothing was deployed");
  expect(controller.pushed).toEqual([]);
});

test("artifact push sends a folder by itself", async () => {
  const args = ["artifact", "push", "project/dist", "-o", "json", "--address", controller.address];
  const first = JSON.parse((await muster(args, { cwd })).out);
  expect(first).toEqual({ digest: controller.pushed[0]?.digest, created: true, file_count: 1, size_bytes: 21, pack_bytes: expect.any(Number) });
  expect(JSON.parse((await muster(args, { cwd })).out)).toEqual({ ...first, created: false });
});
