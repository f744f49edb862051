/**
 * Forecasts, explanations and releases with every field set, for tests to change what they are about.
 */
import { DeploymentPhase, TargetCounts, WavePhase } from "@muster/proto/gen/muster/v1/deployments.ts";
import { PlanResponse } from "@muster/proto/gen/muster/v1/forecast.ts";
import { DiffReleasesResponse, ReleaseRecord, ReplayResponse, WhyResponse } from "@muster/proto/gen/muster/v1/history.ts";
import { NOON, rollingDeployment, succeededDeployment, wave } from "./samples.ts";

const machines = (from: number, to: number): { id: string }[] =>
  Array.from({ length: to - from + 1 }, (_, index) => ({ id: `web-${from + index}` }));

/** Three waves over 42 machines; the last is longer than what is shown. */
export function forecast(change: Partial<PlanResponse> = {}): PlanResponse {
  return PlanResponse.fromPartial({
    app: "shop-web",
    version: "1.4.2",
    waves: [
      {
        index: 1,
        members: "canary=true",
        machines: [{ id: "web-1", previousVersion: "1.4.1", note: "unhealthy" }],
        gates: ["it is healthy for 10s (min_healthy_time)", "no machine of the wave changes for 5m (soak)", "somebody approves"],
        expectedStartMs: 0,
        expectedEndMs: 330_000,
      },
      { index: 2, members: "25%", machines: machines(2, 11), gates: ["all but at most 1 of 10 are healthy for 10s (min_healthy_time)"], expectedStartMs: 330_000, expectedEndMs: 450_000, maxFailures: 1 },
      { index: 3, members: "100%", machines: machines(12, 42), expectedStartMs: 450_000, expectedEndMs: 700_000, maxFailures: 1 },
    ],
    unchanged: ["web-90", "web-91"],
    expectedMs: 700_000,
    expectedFrom: "120 updates of shop-web (d-5, d-6): half took 12s at most",
    warnings: ["wave 2: soak 5s is shorter than the 15s that the probe needs to find a release unhealthy, so a release that breaks after its start passes the gate"],
    blastRadius: [
      { world: "broken everywhere", maxMachines: 1, stoppedAfterMs: 12_000, restoredAfterMs: 25_000, phase: DeploymentPhase.ROLLED_BACK },
      { world: "broken on 10%", maxMachines: 4, stoppedAfterMs: 500_000, restoredAfterMs: 620_000, phase: DeploymentPhase.ROLLED_BACK },
      { world: "broken after 5m", maxMachines: 42, restoredAfterMs: 1_000_000, phase: DeploymentPhase.SUCCEEDED },
      { world: "cut off: zone=a", maxMachines: 14, phase: DeploymentPhase.PAUSED },
    ],
    maxUnavailable: 5,
    ...change,
  });
}

export function explanation(change: Partial<WhyResponse> = {}): WhyResponse {
  const decision = (seq: number, afterMs: number, kind: string, text: string, machine = "web-3"): WhyResponse["decisions"][number] => ({
    seq,
    at: NOON - 300_000 + afterMs,
    kind,
    machine,
    text,
  });
  return WhyResponse.fromPartial({
    deploymentId: "d-7",
    summary: "web-3 failed with shop-web 1.4.2 in wave 2 of d-7 and runs 1.4.1 again.",
    now: ["d-7 is paused and waits for somebody: muster resume d-7 goes on without web-3.", "web-3 takes its turn again with: muster retry d-7"],
    decisions: [
      decision(12, 0, "deployment_submitted", "ada@laptop submitted d-7: shop-web 1.4.2 to role=web", ""),
      decision(15, 1_000, "target_assigned", "web-3 was told to run shop-web 1.4.2, as the third of wave 2: five at most may be unavailable at once, and four were"),
      decision(19, 62_000, "target_failed", "web-3 failed: exited with code 1, four times"),
      decision(20, 62_010, "rollout_stopped", "wave 2 has 2 failed targets, more than max_failures 1, so the rollout is paused", ""),
    ],
    ...change,
  });
}

/** A rollout of 62 seconds in four pictures. */
export function replayPictures(): ReplayResponse[] {
  const counts = (change: Partial<TargetCounts>): TargetCounts => TargetCounts.fromPartial({ total: 3, ...change });
  const rolling = (healthy: number, updating: number): ReturnType<typeof rollingDeployment> => {
    const now = counts({ healthy, updating, pending: 3 - healthy - updating });
    return rollingDeployment({ waves: [wave({ index: 1, size: 3, phase: WavePhase.ROLLING, counts: now })], counts: now, waitingOn: "web-1" });
  };
  return [
    { at: NOON - 62_000, deployment: rolling(0, 1), happened: ["ada@laptop submitted d-7", "web-1 was told to run shop-web 1.4.2"] },
    { at: NOON - 40_000, deployment: rolling(1, 1), happened: ["web-1 is healthy"] },
    { at: NOON - 20_000, deployment: rolling(2, 1), happened: ["web-2 is healthy"] },
    { at: NOON, deployment: succeededDeployment(), happened: ["web-3 is healthy", "d-7 has succeeded"] },
  ].map((picture) => ReplayResponse.fromPartial(picture));
}

export function releaseRecord(version: string, change: Partial<ReleaseRecord> = {}): ReleaseRecord {
  return ReleaseRecord.fromPartial({
    release: { app: "shop-web", version, artifact: "ab".repeat(32) },
    createdAt: NOON - 3_600_000,
    machines: 3,
    healthy: 3,
    deploymentIds: ["d-7", "d-5", "d-4", "d-2"],
    hasFiles: true,
    ...change,
  });
}

export function difference(change: Partial<DiffReleasesResponse> = {}): DiffReleasesResponse {
  return DiffReleasesResponse.fromPartial({
    fields: [
      { path: "run.env.PORT", before: "8080", after: "9090" },
      { path: "health[0]", before: "", after: "http: http://127.0.0.1:${ports.http}/healthz\ninterval: 5s" },
    ],
    files: [
      { path: "bin/start", beforeBytes: 120, afterBytes: 120, modeOnly: true },
      { path: "lib/old.js", beforeBytes: 900 },
      { path: "server.js", beforeBytes: 12_000, afterBytes: 13_400 },
      { path: "static/new.css", afterBytes: 1_200 },
    ],
    unchangedFiles: 41,
    ...change,
  });
}
