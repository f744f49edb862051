/** The shapes that scripts rely on (docs/cli.md). A change here is a change for every user. */
import { AppPhase } from "@muster/proto/gen/muster/v1/agent.ts";
import { Artifact } from "@muster/proto/gen/muster/v1/artifacts.ts";
import { DeploymentPhase, GateState, TargetState, WavePhase } from "@muster/proto/gen/muster/v1/deployments.ts";
import { MachineState } from "@muster/proto/gen/muster/v1/fleet.ts";
import { expect, test } from "vitest";
import { awaitingApproval, event, machine, NOON, rolledBackDeployment, rolledBackExcept, rollingDeployment } from "../fakes/samples.ts";
import { artifactJson, pushedJson } from "./artifact-json.ts";
import { deploymentJson, deploymentWithTargetsJson, submittedJson } from "./deployment-json.ts";
import { eventJson } from "./event-json.ts";
import { machineJson } from "./machine-json.ts";
import { appPhaseWord, gateStateWord, hasEnded, machineStateWord, phaseWord, targetStateWord, wavePhaseWord } from "./words.ts";

const counts = (change: object): object => ({
  total: 0,
  pending: 0,
  updating: 0,
  healthy: 0,
  failed: 0,
  unreachable: 0,
  reverting: 0,
  reverted: 0,
  unchanged: 0,
  skipped: 0,
  removed: 0,
  ...change,
});

const shapeOfWave = { members: "", gates: [], begins_at: null, max_failures: 0, max_unreachable: null, success_threshold: null, success_threshold_of: null };

test("status", () => {
  expect(deploymentJson(rollingDeployment())).toStrictEqual({
    id: "d-7",
    app: "shop-web",
    version: "1.4.2",
    phase: "rolling",
    reason: null,
    waiting_on: "web-4 and web-5 to become healthy",
    waves: [
      { ...shapeOfWave, index: 1, size: 1, phase: "done", counts: counts({ total: 1, healthy: 1 }) },
      { ...shapeOfWave, index: 2, size: 5, phase: "rolling", counts: counts({ total: 5, healthy: 3, updating: 2 }) },
      { ...shapeOfWave, index: 3, size: 14, phase: "pending", counts: counts({ total: 14, pending: 14 }) },
    ],
    counts: counts({ total: 20, healthy: 4, updating: 2, pending: 14 }),
    targets_selector: "role=web",
    submitted_at: "2026-01-31T11:58:55.000Z",
    started_at: "2026-01-31T11:58:58.000Z",
    ended_at: null,
    max_unavailable: 0,
    priority: 0,
    awaits_start: false,
    promoted: false,
    alarms: [],
    outcome: null,
    outstanding_count: 0,
    outstanding: [],
    overtaken_count: 0,
    overtaken: [],
    now: null,
    under_way: false,
    remedies: null,
  });
});

test("status of a deployment that waits at a gate", () => {
  const { waves, ...rest } = Object(deploymentJson(awaitingApproval()));
  expect(rest).toMatchObject({ phase: "awaiting_approval", max_unavailable: 5, priority: 2, promoted: true });
  expect(waves[1]).toStrictEqual({
    index: 2,
    size: 5,
    phase: "rolling",
    counts: counts({ total: 5, healthy: 4, skipped: 1 }),
    members: "25%",
    gates: [
      { kind: "soak", state: "open", asks: "no target changes for 5m", said: null, since: "2026-01-31T11:59:00.000Z", ends_at: null },
      { kind: "approval", state: "reached", asks: "somebody approves it", said: "asked twice", since: "2026-01-31T11:59:30.000Z", ends_at: null },
    ],
    begins_at: null,
    max_failures: 1,
    max_unreachable: 2,
    success_threshold: 4,
    success_threshold_of: 5,
  });
  expect(waves[2]).toMatchObject({ begins_at: "2026-01-31T13:00:00.000Z", gates: [{ kind: "prometheus", state: "pending", since: null }] });
});

test("status of a deployment that has ended: no more waiting, a reason with its code", () => {
  expect(deploymentJson(rolledBackDeployment())).toMatchObject({
    phase: "rolled_back",
    waiting_on: null,
    reason: { code: "failures_exceeded", message: expect.stringContaining("web-1 exited") },
    ended_at: "2026-01-31T12:00:00.000Z",
  });
});

test("status of one that did not end on every machine, and whose machines are not well now", () => {
  expect(deploymentJson(rolledBackExcept())).toMatchObject({
    outcome: "rolled back, except 1 unreachable: web-3 may still run 1.4.2, and goes back when it is heard",
    outstanding_count: 1,
    outstanding: [{ machine: "web-3", state: "unreachable", text: "web-3 may still run 1.4.2, and goes back when it is heard" }],
    overtaken_count: 0,
    overtaken: [],
    now: { machines: 3, healthy: 1, bad: 2, text: "1 of 3 healthy: web-1 unhealthy: exited with code 1; and 1 more", late_waits_for: null },
  });
});

test("status --targets", () => {
  expect(deploymentWithTargetsJson(rolledBackDeployment())).toMatchObject({
    id: "d-7",
    targets: [
      {
        machine: "web-1",
        wave: 1,
        state: "failed",
        generation: 12,
        since: "2026-01-31T11:59:56.000Z",
        attempts: 1,
        reason: { code: "exited", message: "exited with code 1, four times" },
        app_phase: "reverted",
        previous_version: "1.4.1",
        running_version: "1.4.1",
        now: null,
      },
    ],
  });
});

test("deploy", () => {
  expect(submittedJson(rollingDeployment(), ["wave 2 adds nobody"])).toStrictEqual({
    id: "d-7",
    app: "shop-web",
    version: "1.4.2",
    artifact: "ab".repeat(32),
    phase: "rolling",
    notes: ["wave 2 adds nobody"],
  });
});

test("machine", () => {
  expect(machineJson(machine())).toStrictEqual({
    id: "web-1",
    labels: { zone: "a", role: "web" },
    state: "connected",
    state_since: "2026-01-31T11:57:00.000Z",
    agent_version: "0.1.0",
    hostname: "host-1",
    os: "linux",
    arch: "x64",
    first_seen_at: "2026-01-30T12:00:00.000Z",
    last_seen_at: "2026-01-31T11:59:58.000Z",
    assigned_generation: 12,
    acknowledged_generation: 12,
    apps: [
      {
        app: "shop-web",
        wanted_version: "1.4.2",
        running_version: "1.4.1",
        phase: "reverted",
        reason: { code: "exited", message: "exited with code 1" },
        since: "2026-01-31T11:59:55.000Z",
        starts: 4,
        pid: 4242,
        ports: { http: 41_000 },
        deployment_id: "d-7",
        generation: 12,
      },
    ],
    cordon: null,
    refusal: null,
    held_reports: 0,
  });
});

test("machine that does not believe what it is sent", () => {
  expect(machineJson(machine({ refusal: { code: "expired", message: "the assignment was good until noon" }, refusedSince: NOON }))).toMatchObject({
    refusal: { code: "expired", message: "the assignment was good until noon", since: "2026-01-31T12:00:00.000Z" },
  });
});

test("machine that is cordoned", () => {
  expect(machineJson(machine({ cordon: { since: NOON, by: "ada@laptop", reason: "", drained: true } }))).toMatchObject({
    cordon: { since: "2026-01-31T12:00:00.000Z", by: "ada@laptop", reason: null, drained: true },
  });
});

test("event", () => {
  expect(eventJson(event(3, { app: "" }))).toStrictEqual({
    seq: 3,
    at: "2026-01-31T12:00:03.000Z",
    kind: "target_assigned",
    deployment_id: "d-7",
    machine: "web-1",
    app: null,
    data: { generation: 12 },
    text: "web-1 was told to run shop-web 1.4.2 (3)",
  });
});

test("artifact push and artifact list", () => {
  expect(pushedJson({ digest: "d", created: true, fileCount: 1, sizeBytes: 2, packBytes: 3 })).toStrictEqual({
    digest: "d",
    created: true,
    file_count: 1,
    size_bytes: 2,
    pack_bytes: 3,
  });
  expect(artifactJson(Artifact.fromPartial({ digest: "d", fileCount: 1, sizeBytes: 2, packBytes: 3, storedAt: NOON, releases: ["a@1"] }))).toStrictEqual({
    digest: "d",
    file_count: 1,
    size_bytes: 2,
    pack_bytes: 3,
    stored_at: "2026-01-31T12:00:00.000Z",
    releases: ["a@1"],
  });
});

test("every word of an enum is lower case, and the phases are those that are promised", () => {
  const phases = Object.values(DeploymentPhase).map(phaseWord);
  expect(phases.slice(1).join(" ")).toBe(
    "pending rolling soaking awaiting_approval paused rolling_back succeeded rolled_back failed aborted superseded",
  );
  const words = [
    ...Object.values(WavePhase).map(wavePhaseWord),
    ...Object.values(GateState).map(gateStateWord),
    ...Object.values(TargetState).map(targetStateWord),
    ...Object.values(MachineState).map(machineStateWord),
    ...Object.values(AppPhase).map(appPhaseWord),
  ];
  expect(words.filter((word) => word !== null && !/^[a-z_]+$/.test(word))).toEqual([]);
  expect(appPhaseWord(AppPhase.UNSPECIFIED)).toBeNull();
});

test("five phases are the end of a deployment", () => {
  expect(Object.values(DeploymentPhase).filter(hasEnded).map(phaseWord)).toEqual(["succeeded", "rolled_back", "failed", "aborted", "superseded"]);
});
