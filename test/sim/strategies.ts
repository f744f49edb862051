/** Strategies at random, within what a deployment file may say. Every time in them is short, so that a run comes to its end. */
import type { AppName, Instant } from "@muster/proto/ids.ts";
import type { Alarm, Gate, Members, OrderKey, Size, Strategy, WaveSpec } from "@muster/controller/src/plan/strategy.ts";
import type { Random } from "./random.ts";

export function randomSize(random: Random): Size {
  return random.chance(0.6) ? { kind: "count", count: random.whole(1, 4) } : { kind: "percent", percent: random.pick([10, 25, 34, 50, 75, 100]) };
}

/** A wave without gates, of so many in all. */
export function waveOf(size: Size, gates: readonly Gate[] = []): WaveSpec {
  return { members: { kind: "size", size }, gates, at: null, afterMs: 0, maxFailures: null, maxUnreachable: null, successThreshold: null };
}

/** To all machines, in one wave, one at a time. */
export function plainStrategy(): Strategy {
  return {
    targets: "role=web",
    waves: [waveOf({ kind: "percent", percent: 100 })],
    alarms: [],
    maxUnavailable: { kind: "count", count: 1 },
    maxUnavailablePer: [],
    spread: null,
    order: [],
    minHealthyTimeMs: 1_000,
    healthyDeadlineMs: 30_000,
    progressDeadlineMs: 300_000,
    maxFailures: { kind: "count", count: 9 },
    maxUnreachable: null,
    offline: { kind: "skip" },
    lateJoiners: "deploy",
    window: null,
    start: "auto",
    startAt: null,
    after: null,
    priority: 0,
    onFailure: "pause",
    onConflict: "supersede",
  };
}

function gate(random: Random): Gate {
  const kind = random.weighted([[4, "soak"], [3, "approval"], [2, "webhook"], [2, "prometheus"]] as const);
  const asked = { url: "http://gate", timeoutMs: 2_000, retries: random.whole(0, 2), onSilence: random.pick(["stop", "go", "wait"] as const) };
  switch (kind) {
    case "soak":
      return { kind, forMs: random.pick([1_000, 10_000, 60_000, 120_000]) };
    case "approval":
      return { kind };
    case "webhook":
      return { kind, ...asked, retryIntervalMs: random.pick([1_000, 10_000]) };
    case "prometheus":
      return { kind, ...asked, query: "errors", max: 1, min: null, intervalMs: random.pick([1_000, 5_000]), count: random.whole(1, 3), failureLimit: random.whole(0, 1) };
  }
}

function alarm(random: Random): Alarm {
  return {
    check: { kind: "prometheus", url: "http://gate", query: "errors", max: 1, min: null, timeoutMs: 2_000 },
    intervalMs: random.pick([5_000, 30_000]),
    failureLimit: random.whole(0, 2),
    retries: random.whole(0, 2),
    onSilence: random.pick(["stop", "go"] as const),
  };
}

function wave(random: Random, members: Members, isLast: boolean, now: Instant): WaveSpec {
  const gates: Gate[] = [];
  while (random.chance(0.25) && gates.length < 3) gates.push(gate(random));
  return {
    members,
    gates,
    at: random.chance(0.05) ? ((now + random.whole(0, 120_000)) as Instant) : null,
    afterMs: random.chance(0.1) ? random.whole(1_000, 60_000) : 0,
    maxFailures: random.chance(0.1) ? randomSize(random) : null,
    maxUnreachable: random.chance(0.1) ? randomSize(random) : null,
    successThreshold: isLast || random.chance(0.7) ? null : randomSize(random),
  };
}

function randomOrder(random: Random): readonly OrderKey[] {
  const reversed = random.chance(0.5);
  const label: OrderKey = { kind: "label", label: random.pick(["zone", "canary"]), reversed };
  return random.pick<readonly OrderKey[]>([[{ kind: "id", reversed }], [{ kind: "shuffle" }], [label], [label, { kind: "shuffle" }]]);
}

export function randomStrategy(random: Random, now: Instant, apps: readonly string[]): Strategy {
  const members: Members[] = [];
  const all = (percent: number): Members => ({ kind: "size", size: { kind: "percent", percent } });
  if (random.chance(0.2)) members.push({ kind: "selector", selector: random.pick(["canary=true", "zone=a"]) });
  if (random.chance(0.6)) members.push({ kind: "size", size: { kind: "count", count: random.whole(1, 2) } });
  if (random.chance(0.4)) members.push(all(random.pick([40, 50, 60])));
  members.push(all(100));
  const perZone = random.chance(0.15);
  const targets = random.weighted([[6, "role=web"], [1, "role=web,zone=a"], [1, "zone in (a,b)"], [1, "!canary"]] as const);
  return {
    targets,
    alarms: random.chance(0.15) ? [alarm(random)] : [],
    waves: members.map((each, index) => wave(random, each, index === members.length - 1, now)),
    maxUnavailable: randomSize(random),
    maxUnavailablePer: perZone ? [{ label: "zone", max: random.whole(1, 2) }] : [],
    spread: random.chance(0.15) ? random.pick(perZone ? ["role"] : ["zone", "role"]) : null,
    minHealthyTimeMs: random.pick([0, 1_000, 5_000, 10_000]),
    healthyDeadlineMs: random.pick([10_000, 30_000, 60_000]),
    progressDeadlineMs: random.pick([60_000, 120_000, 300_000]),
    maxFailures: random.chance(0.5) ? { kind: "count", count: 0 } : randomSize(random),
    maxUnreachable: random.chance(0.2) ? { kind: "count", count: random.whole(0, 1) } : null,
    offline: random.weighted([[4, { kind: "skip" }], [1, { kind: "wait", forMs: null }], [1, { kind: "wait", forMs: 60_000 }]] as const),
    lateJoiners: random.pick(["deploy", "ignore"] as const),
    // Read by the simulated schedule, which knows no other cron expressions.
    window: random.chance(0.1) ? { cron: `*/${random.pick([5, 10])} * * * *`, durationMs: random.whole(1, 4) * 60_000, timeZone: "UTC" } : null,
    startAt: random.chance(0.05) ? ((now + random.whole(-10_000, 200_000)) as Instant) : null,
    after: random.chance(0.06) ? { deploymentOf: random.pick(apps) as AppName, targets, soakMs: random.pick([0, 30_000]) } : null,
    priority: random.chance(0.15) ? random.whole(-1, 2) : 0,
    onFailure: random.weighted([[3, "rollback"], [2, "pause"], [1, "abort"]] as const),
    onConflict: random.pick(["queue", "supersede"] as const),
    order: random.chance(0.2) ? randomOrder(random) : [],
    start: random.chance(0.06) ? "manual" : "auto",
  };
}
