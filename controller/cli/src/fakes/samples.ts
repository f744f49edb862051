/**
 * Messages of the protocol with every field set, for tests to change what they are about.
 */
import { AppPhase } from "@muster/proto/gen/muster/v1/agent.ts";
import { Deployment, DeploymentPhase, GateState, Target, TargetState, Wave, WavePhase } from "@muster/proto/gen/muster/v1/deployments.ts";
import { Event } from "@muster/proto/gen/muster/v1/events.ts";
import { Machine, MachineState } from "@muster/proto/gen/muster/v1/fleet.ts";

/** 2026-01-31T12:00:00Z */
export const NOON = Date.UTC(2026, 0, 31, 12);

/** In the middle of its second of three waves. */
export function rollingDeployment(change: Partial<Deployment> = {}): Deployment {
  return Deployment.fromPartial({
    id: "d-7",
    app: "shop-web",
    version: "1.4.2",
    artifact: "ab".repeat(32),
    phase: DeploymentPhase.ROLLING,
    waitingOn: "web-4 and web-5 to become healthy",
    waves: [
      wave({ index: 1, size: 1, phase: WavePhase.DONE, counts: { total: 1, healthy: 1 } }),
      wave({ index: 2, size: 5, phase: WavePhase.ROLLING, counts: { total: 5, healthy: 3, updating: 2 } }),
      wave({ index: 3, size: 14, phase: WavePhase.PENDING, counts: { total: 14, pending: 14 } }),
    ],
    counts: { total: 20, healthy: 4, updating: 2, pending: 14 },
    targetsSelector: "role=web",
    submittedAt: NOON - 65_000,
    startedAt: NOON - 62_000,
    ...change,
  });
}

export function succeededDeployment(change: Partial<Deployment> = {}): Deployment {
  return rollingDeployment({
    phase: DeploymentPhase.SUCCEEDED,
    waitingOn: "",
    waves: [wave({ index: 1, size: 3, phase: WavePhase.DONE, counts: { total: 3, healthy: 3 } })],
    counts: Wave.fromPartial({ counts: { total: 3, healthy: 3 } }).counts,
    endedAt: NOON,
    ...change,
  });
}

export function rolledBackDeployment(change: Partial<Deployment> = {}): Deployment {
  return rollingDeployment({
    phase: DeploymentPhase.ROLLED_BACK,
    waitingOn: "",
    reason: { code: "failures_exceeded", message: "wave 1: 1 of 1 targets failed, more than max_failures 0; web-1 exited with code 1" },
    waves: [wave({ index: 1, size: 1, phase: WavePhase.FAILED, counts: { total: 1, failed: 1 } })],
    counts: Wave.fromPartial({ counts: { total: 1, failed: 1 } }).counts,
    endedAt: NOON,
    targets: [
      Target.fromPartial({
        machine: "web-1",
        wave: 1,
        state: TargetState.FAILED,
        generation: 12,
        since: NOON - 4_000,
        attempts: 1,
        reason: { code: "exited", message: "exited with code 1, four times" },
        appPhase: AppPhase.REVERTED,
        previousVersion: "1.4.1",
        runningVersion: "1.4.1",
      }),
    ],
    ...change,
  });
}

/** One of its machines was lost, and one is down again. */
export function rolledBackExcept(change: Partial<Deployment> = {}): Deployment {
  return rolledBackDeployment({
    waves: [wave({ index: 1, size: 3, phase: WavePhase.ROLLED_BACK, counts: { total: 3, reverted: 2, unreachable: 1 } })],
    counts: Wave.fromPartial({ counts: { total: 3, reverted: 2, unreachable: 1 } }).counts,
    outcome: "rolled back, except 1 unreachable: web-3 may still run 1.4.2, and goes back when it is heard",
    outstanding: { count: 1, removed: 0, machines: [{ machine: "web-3", state: TargetState.UNREACHABLE, text: "web-3 may still run 1.4.2, and goes back when it is heard" }] },
    now: { machines: 3, healthy: 1, bad: 2, text: "1 of 3 healthy: web-1 unhealthy: exited with code 1; and 1 more", lateWaitsFor: "" },
    ...change,
  });
}

/** All of its machines are down since. */
export function succeededThenDown(change: Partial<Deployment> = {}): Deployment {
  return succeededDeployment({
    remedies: { rollback: true, rollbackTo: "", retry: false },
    outcome: "succeeded",
    now: { machines: 3, healthy: 0, bad: 3, text: "0 of 3 healthy: web-1, web-2 and web-3 unhealthy: exited with code 1", lateWaitsFor: "shop-web@1.4.2 to be healthy where it runs: 0 of 3 are now" },
    ...change,
  });
}

/** Passed over one that is cordoned. */
export function succeededExcept(): Deployment {
  const counts = { total: 3, healthy: 2, skipped: 1 };
  const text = "web-3 is cordoned and gets it after muster uncordon web-3";
  return succeededDeployment({
    waves: [wave({ index: 1, size: 3, phase: WavePhase.DONE, counts })],
    counts: Wave.fromPartial({ counts }).counts,
    outcome: `succeeded on 2 of 3; ${text}`,
    outstanding: { count: 1, removed: 0, machines: [{ machine: "web-3", state: TargetState.SKIPPED, text }] },
  });
}

/** One failed, and a newer deployment has it by now. */
export function succeededOvertaken(): Deployment {
  const counts = { total: 3, healthy: 2, failed: 1 };
  const text = "web-3 failed, and d-8 has decided about it since";
  return succeededDeployment({
    waves: [wave({ index: 1, size: 3, phase: WavePhase.DONE, counts })],
    counts: Wave.fromPartial({ counts }).counts,
    outcome: `succeeded on 2 of 3; ${text}`,
    overtaken: { count: 1, removed: 0, machines: [{ machine: "web-3", state: TargetState.FAILED, text }] },
  });
}

/** At the second gate of its second of three waves. */
export function awaitingApproval(change: Partial<Deployment> = {}): Deployment {
  return rollingDeployment({
    phase: DeploymentPhase.AWAITING_APPROVAL,
    waitingOn: "somebody to approve wave 2",
    waves: [
      wave({ index: 1, size: 1, phase: WavePhase.DONE, counts: { total: 1, healthy: 1 }, members: "canary=true" }),
      wave({
        index: 2,
        size: 5,
        phase: WavePhase.ROLLING,
        counts: { total: 5, healthy: 4, skipped: 1 },
        members: "25%",
        gates: [
          { kind: "soak", state: GateState.OPEN, asks: "no target changes for 5m", since: NOON - 60_000 },
          { kind: "approval", state: GateState.REACHED, asks: "somebody approves it", said: "asked twice", since: NOON - 30_000 },
        ],
        maxFailures: 1,
        maxUnreachable: 2,
        successThreshold: 4,
        successThresholdOf: 5,
      }),
      wave({
        index: 3,
        size: 14,
        phase: WavePhase.PENDING,
        counts: { total: 14, pending: 14 },
        members: "100%",
        gates: [{ kind: "prometheus", state: GateState.PENDING, asks: "error_rate is at most 0.01, 3 times, every 30s" }],
        beginsAt: NOON + 3_600_000,
      }),
    ],
    maxUnavailable: 5,
    priority: 2,
    promoted: true,
    ...change,
  });
}

/** In the soak of its first wave, with three of five minutes left. */
export function soakingDeployment(change: Partial<Deployment> = {}): Deployment {
  return rollingDeployment({
    phase: DeploymentPhase.SOAKING,
    waitingOn: "wave 1 to soak",
    waves: [
      wave({
        index: 1,
        size: 2,
        phase: WavePhase.ROLLING,
        counts: { total: 2, healthy: 2 },
        members: "2",
        gates: [
          { kind: "soak", state: GateState.REACHED, asks: "no target changes for 5m", since: NOON - 120_000, endsAt: NOON + 180_000 },
          { kind: "approval", state: GateState.PENDING, asks: "somebody approves it" },
        ],
      }),
      wave({ index: 2, size: 18, phase: WavePhase.PENDING, counts: { total: 18, pending: 18 }, members: "100%" }),
    ],
    ...change,
  });
}

export function wave(change: Parameters<typeof Wave.fromPartial>[0]): Wave {
  return Wave.fromPartial(change);
}

export function machine(change: Partial<Machine> = {}): Machine {
  return Machine.fromPartial({
    id: "web-1",
    labels: { zone: "a", role: "web" },
    state: MachineState.CONNECTED,
    stateSince: NOON - 180_000,
    agentVersion: "0.1.0",
    hostname: "host-1",
    os: "linux",
    arch: "x64",
    firstSeenAt: NOON - 86_400_000,
    lastSeenAt: NOON - 2_000,
    assignedGeneration: 12,
    acknowledgedGeneration: 12,
    apps: [
      {
        app: "shop-web",
        wantedVersion: "1.4.2",
        runningVersion: "1.4.1",
        phase: AppPhase.REVERTED,
        reason: { code: "exited", message: "exited with code 1" },
        since: NOON - 5_000,
        starts: 4,
        pid: 4242,
        ports: { http: 41_000 },
        deploymentId: "d-7",
        generation: 12,
      },
    ],
    ...change,
  });
}

export function event(seq: number, change: Partial<Event> = {}): Event {
  return Event.fromPartial({
    seq,
    at: NOON + seq * 1000,
    kind: "target_assigned",
    deploymentId: "d-7",
    machine: "web-1",
    app: "shop-web",
    dataJson: '{"generation":12}',
    text: `web-1 was told to run shop-web 1.4.2 (${seq})`,
    ...change,
  });
}
