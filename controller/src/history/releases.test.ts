/** Releases: where they run, and what differs between two. */
import { expect, test } from "vitest";
import { Release } from "@muster/proto/gen/muster/v1/release.ts";
import type { Manifest } from "@muster/proto/manifest.ts";
import { artifactOf } from "../artifacts/artifact.fixture.ts";
import { SLICE_ROWS } from "../journal/slices.ts";
import { Work } from "../journal/work.fixture.ts";
import { ALL, count } from "../rollout/rollout.fixture.ts";
import { differingFiles } from "./file-diff.ts";
import { Scene } from "./history.fixture.ts";
import { differingFields } from "./release-diff.ts";
import { findRelease, listReleases } from "./releases.ts";
import { attendedAlways } from "../rollout/moment.ts";

test("releases are listed newest first, with the machines that run them, their deployments and whether their files are there", async () => {
  const scene = new Scene();
  await scene.join("a", "b", "c");
  for (const version of ["1", "2"]) {
    scene.elapse(1000, "a", "b", "c");
    scene.deploy(version, { waves: [ALL], maxUnavailable: count(3), maxFailures: count(3) });
    for (const machine of ["a", "b"]) await scene.tell(machine, "healthy", version);
    await scene.tell("c", "reverted", "1");
  }
  scene.elapse(1000, "a", "b", "c");
  scene.deploy("1", { waves: [ALL], maxUnavailable: count(3) });
  expect(await listReleases(scene.journal.db, "app", 50)).toMatchObject([
    { release: { app: "app", version: "2" }, machines: 2, deploymentIds: ["d-2"], hasFiles: true, createdAt: 1_002_000 },
    { release: { version: "1" }, machines: 1, deploymentIds: ["d-3", "d-1"], hasFiles: true },
  ]);
  expect(await listReleases(scene.journal.db, "", 1)).toHaveLength(1);
  expect(await listReleases(scene.journal.db, "other", 50)).toEqual([]);
  scene.journal.transaction(() => scene.journal.append({ kind: "artifact_removed", artifact: "a".repeat(64) as never }, attendedAlways(scene.clock.now())));
  expect((await listReleases(scene.journal.db, "app", 50)).map(({ hasFiles }) => hasFiles)).toEqual([false, false]);
  expect(findRelease(scene.journal.db, "app@2")?.version).toBe("2");
  expect(findRelease(scene.journal.db, "app@9")).toBeUndefined();
  scene.engine.stop();
});

test("a release that can't be read hides no other", async () => {
  const scene = new Scene();
  await scene.join("a");
  for (const version of ["1", "2"]) scene.deploy(version, { waves: [ALL], maxUnavailable: count(3) });
  scene.journal.db.prepare("UPDATE releases SET release = '{' WHERE id = 'app@2'").run();
  expect((await listReleases(scene.journal.db, "", 50)).map(({ release }) => release?.version).toSorted((a = "", b = "") => a.localeCompare(b))).toEqual(["1", "2"]);
  scene.engine.stop();
});

test("machines are counted in slices, by index, and for one app alone where one is asked for", async () => {
  const { db } = new Scene().journal;
  db.transaction(() => {
    const join = db.prepare("INSERT INTO machines (id, instance, labels, agent_version, hostname, os, arch, first_seen_at, silent_since) VALUES (?, '', '{}', '', '', '', '', 0, ?)");
    const run = db.prepare("INSERT INTO machine_apps (machine, app, generation, phase, reason_code, reason_message, running_version, running_artifact, starts, pid, ports, since, said_attended) VALUES (?, ?, 1, 'healthy', NULL, NULL, ?, '', 0, 0, '{}', 0, 0)");
    for (const app of ["app", "other"]) for (const version of ["1", "2"]) db.prepare("INSERT INTO releases VALUES (?, ?, '', '{}', '{}', 0, NULL)").run(`${app}@${version}`, app);
    for (let index = 0; index < 3 * SLICE_ROWS; index += 1) {
      join.run(`m-${index}`, index % 10 === 0 ? 1 : null);
      for (const app of ["app", "other"]) run.run(`m-${index}`, app, index < SLICE_ROWS ? "1" : "2");
    }
  })();
  const work = new Work(db);
  const listed = await work.of(() => listReleases(work.db, "app", 50));
  expect(listed.map(({ machines, healthy }) => [machines, healthy])).toEqual([[2 * SLICE_ROWS, 0.9 * 2 * SLICE_ROWS], [SLICE_ROWS, 0.9 * SLICE_ROWS]]);
  // Each look at so many rows is a turn of its own, or nearly.
  expect(work.statementsInTurn).toBeLessThanOrEqual(6);
  expect(work.scans(/releases|machines|machine_apps|deployments|\b(?:r|m|ma|d)\b/)).toEqual([]);
});

const probe = (changes: object = {}) => ({ check: { $case: "http", value: { url: "http://127.0.0.1/ok" } }, intervalMs: 2000, timeoutMs: 1000, healthyAfter: 2, unhealthyAfter: 3, ...changes });
const release = (changes: object = {}): Release =>
  Release.fromPartial({
    app: "app",
    version: "1",
    driver: { $case: "process", value: { command: ["node", "server.js"], env: { PORT: "8080", GONE: "x" }, stopTimeoutMs: 10_000 } },
    ports: { http: 0 },
    health: [probe()],
    ...changes,
  } as never);

test("settings that differ are named as in the deployment file", () => {
  const after = release({
    version: "2",
    driver: { $case: "process", value: { command: ["node", "--a b", "server.js"], env: { PORT: "9090", NEW: "" }, stopTimeoutMs: 90_000 } },
    ports: { http: 8080, admin: 9 },
    health: [probe({ intervalMs: 500, check: { $case: "tcp", value: { address: "127.0.0.1:5432" } } }), probe({ check: { $case: "exec", value: { command: ["./check.sh"] } } })],
  });
  expect(differingFields(release(), after)).toEqual([
    { path: "run.command", before: "[node, server.js]", after: '[node, "--a b", server.js]' },
    { path: "run.env.GONE", before: "x", after: "" },
    { path: "run.env.NEW", before: "", after: '""' },
    { path: "run.env.PORT", before: "8080", after: "9090" },
    { path: "run.stop_timeout", before: "10s", after: "1m30s" },
    { path: "run.ports.admin", before: "", after: "9" },
    { path: "run.ports.http", before: "auto", after: "8080" },
    { path: "health[0].http", before: "http://127.0.0.1/ok", after: "" },
    { path: "health[0].interval", before: "2s", after: "500ms" },
    { path: "health[0].tcp", before: "", after: "127.0.0.1:5432" },
    { path: "health[1]", before: "", after: "{ exec: [./check.sh], interval: 2s, timeout: 1s, healthy_after: 2, unhealthy_after: 3 }" },
  ]);
  expect(differingFields(release(), release({ version: "2" }))).toEqual([]);
});

test("a release that runs nothing any more differs by its driver", () => {
  expect(differingFields(release({ health: [] }), release({ driver: { $case: "files", value: {} }, health: [] })).map(({ path, before, after }) => `${path}: ${before} > ${after}`)).toEqual([
    "run.driver: process > files",
    "run.command: [node, server.js] > ",
    "run.env.GONE: x > ",
    "run.env.PORT: 8080 > ",
    "run.stop_timeout: 10s > ",
  ]);
});

const bytes = (text: string): readonly Uint8Array[] => [new TextEncoder().encode(text)];

test("files are added, removed, changed, or have another mode", () => {
  const before = artifactOf({ "a.txt": bytes("same"), "b.txt": bytes("old"), "gone.txt": bytes("gone"), "run.sh": bytes("sh") }).manifest;
  const base = artifactOf({ "a.txt": bytes("same"), "b.txt": bytes("newer"), "new.txt": bytes("!"), "run.sh": bytes("sh") }).manifest;
  const after: Manifest = { ...base, entries: base.entries.map((entry) => (entry.path === "run.sh" && entry.type === "file" ? { ...entry, mode: 0o755 } : entry)) };
  expect(differingFiles(before, after)).toEqual({
    unchanged: 1,
    left: 0,
    files: [
      { path: "b.txt", beforeBytes: 3, afterBytes: 5, modeOnly: false },
      { path: "gone.txt", beforeBytes: 4, modeOnly: false },
      { path: "new.txt", afterBytes: 1, modeOnly: false },
      { path: "run.sh", beforeBytes: 2, afterBytes: 2, modeOnly: true },
    ],
  });
  expect(differingFiles(before, after, 1)).toMatchObject({ files: [{ path: "b.txt" }], left: 3 });
});

test("directories and links count as what they are", () => {
  const manifest = (entries: Manifest["entries"]): Manifest => ({ format: "muster.manifest.v1", packBytes: 0, entries });
  const dir = (path: string, mode = 0o755) => ({ type: "dir", path, mode }) as const;
  const link = (path: string, target: string) => ({ type: "symlink", path, target }) as const;
  const before = manifest([dir("bin"), link("bin/run", "../a"), dir("empty"), link("same", "x")]);
  const after = manifest([dir("bin", 0o700), link("bin/run", "../longer"), dir("lib"), link("lib/a", "x"), link("same", "x")]);
  expect(differingFiles(before, after)).toEqual({
    unchanged: 1,
    left: 0,
    files: [
      { path: "bin/", beforeBytes: 0, afterBytes: 0, modeOnly: true },
      { path: "bin/run", beforeBytes: 4, afterBytes: 9, modeOnly: false },
      { path: "empty/", beforeBytes: 0, modeOnly: false },
      { path: "lib/a", afterBytes: 1, modeOnly: false },
    ],
  });
});
