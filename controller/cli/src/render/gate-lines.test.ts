import { GateState, WavePhase } from "@muster/proto/gen/muster/v1/deployments.ts";
import picocolors from "picocolors";
import { expect, test } from "vitest";
import { awaitingApproval, NOON, rollingDeployment, soakingDeployment, succeededDeployment, wave } from "../fakes/samples.ts";
import { changeLines } from "./change-lines.ts";
import { nextCommands } from "./next-commands.ts";
import { rolloutView } from "./rollout-view.ts";
import { width } from "./text.ts";
import type { ViewOptions } from "./view-options.ts";

const colors = picocolors.createColors(false);
const view = (columns: number, change: Partial<ViewOptions> = {}): ViewOptions => ({ colors, columns, now: NOON, ...change });
const withoutTime = (lines: readonly string[]): readonly string[] => lines.map((line) => line.replace(/^\d\d:\d\d:\d\d /, ""));

test("shows how long a soak has left, and which gates come then", () => {
  expect(rolloutView(soakingDeployment({ maxUnavailable: 5 }), view(80))).toEqual([
    "d-7  shop-web 1.4.2  soaking  1m2s",
    "  ▸ wave 1  ██████████████████████████████  2/2 healthy",
    "      ▸ soaking, 3m left of 5m",
    "      then: approval",
    "    wave 2  ······························  0/18 healthy, 18 pending  100%",
    "  waiting on: wave 1 to soak",
    "  at most 5 unavailable at once",
  ]);
});

test("says how to approve, how many are enough, who belongs to a wave, who was skipped, and when the next one begins", () => {
  const lines = rolloutView(awaitingApproval(), view(80));
  expect(lines.slice(0, 7)).toEqual([
    "d-7  shop-web 1.4.2  awaiting approval  1m2s",
    "  ✓ wave 1  ██████████████████████████████  1/1 healthy  canary=true",
    "  ▸ wave 2  ████████████████████████»»»»»»  4/5 healthy, 1 skipped  25%",
    "      4 of 5 healthy are enough",
    "      ✓ soak 5m",
    "      ▸ waits for approval: muster approve d-7",
    "    wave 3  ······························  0/14 healthy, 14 pending  100%",
  ]);
  expect(lines[7]).toMatch(/^ {6}begins at (2026-01-31|2026-02-01)? ?\d\d:00:00, in 1h$/);
  expect(lines.slice(8)).toEqual([
    "  waiting on: somebody to approve wave 2",
    "  at most 5 unavailable at once; priority 2; promoted: the gates that were left",
    "  are skipped",
  ]);
});

test("names the gate that stopped a rollout, with what it said, also after the end", () => {
  const gates = [
    { kind: "soak", state: GateState.OPEN, asks: "no target changes for 5m" },
    { kind: "prometheus", state: GateState.STOPPED, asks: "error_rate is at most 0.01, 3 times, every 30s", said: "0.2" },
  ];
  const stopped = succeededDeployment({ waves: [wave({ index: 1, size: 3, phase: WavePhase.FAILED, gates })] });
  expect(rolloutView(stopped, view(100)).slice(2)).toEqual([
    "      ✗ prometheus stopped it: 0.2",
  ]);
});

const SOAK = { kind: "soak", asks: "no target changes for 20s", since: NOON - 6_000 };

test.each([
  ["is over when the controller says so, however long ago it began", { endsAt: NOON + 18_000 }, "▸ soaking, 18s left of 20s"],
  ["lasts no longer than it is, whatever the clock of the controller says", { endsAt: NOON + 400 * 86_400_000 }, "▸ soaking, 20s left of 20s"],
  ["is about to be over", { endsAt: NOON - 1 }, "▸ soaking, 0s left of 20s"],
  ["stands still while somebody is waited for", { said: "web-1 to be heard from" }, "▸ soak 20s waits for web-1 to be heard from"],
  ["says that nobody is watched", { endsAt: NOON + 4_000, said: "no machine of the wave is healthy" }, "▸ soaking, 4s left of 20s: no machine of the wave is healthy"],
  ["of a controller that does not say when is no sum", {}, "▸ soaking: no target changes for 20s"],
])("a soak %s", (_how, change, line) => {
  const waves = [wave({ index: 1, size: 3, phase: WavePhase.ROLLING, gates: [{ ...SOAK, state: GateState.REACHED, ...change }] })];
  expect(rolloutView(rollingDeployment({ waves }), view(100))[2]).toBe(`      ${line}`);
});

test("a gate without which the rollout went on was not passed", () => {
  const gates = [{ ...SOAK, state: GateState.SKIPPED, said: "anna promoted it" }];
  const waves = [wave({ index: 1, size: 3, phase: WavePhase.ROLLING, gates })];
  const skipped = rollingDeployment({ waves });
  expect(rolloutView(skipped, view(80))[2]).toBe("      ! went on without soak 20s: anna promoted it");
  const before = rollingDeployment({ waves: [wave({ index: 1, size: 3, phase: WavePhase.ROLLING, gates: [{ ...SOAK, state: GateState.REACHED }] })] });
  expect(withoutTime(changeLines(before, skipped, NOON))[0]).toMatch(/^wave 1\/1 {2}went on without soak 20s: anna promoted it/);
});

test("how many are enough is said of those to which the release is new", () => {
  const waves = [wave({ index: 1, size: 5, phase: WavePhase.ROLLING, successThreshold: 2, successThresholdOf: 3 })];
  expect(rolloutView(rollingDeployment({ waves }), view(100))[2]).toBe("      2 of 3 healthy are enough; 2 that ran it already, unconfirmed, do not count");
});

test.each([24, 40, 60, 80, 120])("no line is wider than %d columns", (columns) => {
  for (const deployment of [awaitingApproval(), soakingDeployment()]) {
    const tooWide = rolloutView(deployment, view(columns)).filter((line) => width(line) > Math.max(columns, 40));
    expect(tooWide).toEqual([]);
  }
});

test("a long plan with gates fits the terminal", () => {
  const waves = [...awaitingApproval().waves, ...Array.from({ length: 50 }, (_, index) => wave({ index: index + 4, size: 1, phase: WavePhase.PENDING }))];
  expect(rolloutView(awaitingApproval({ waves }), view(80, { rows: 20 })).length).toBeLessThan(20);
});

test("a log has a line for each gate that is reached or opens, and none for those to come", () => {
  const before = rollingDeployment({ waves: awaitingApproval().waves.map((one) => ({ ...one, gates: one.gates.map((gate) => ({ ...gate, state: GateState.PENDING })) })) });
  const lines = withoutTime(changeLines(before, awaitingApproval(), NOON));
  expect(lines).toEqual([
    "d-7 shop-web 1.4.2 awaiting approval",
    "wave 2/3  passed soak 5m",
    "wave 2/3  waits for approval: muster approve d-7  waiting on somebody to approve wave 2",
  ]);
  expect(changeLines(awaitingApproval(), awaitingApproval(), NOON + 1_000)).toEqual([]);
});

test("says what opens a gate, and offers a retry only where something failed", () => {
  expect(nextCommands(awaitingApproval(), colors).join("\n")).toContain("muster approve d-7");
  expect(nextCommands(soakingDeployment(), colors).join("\n")).toContain("muster promote d-7");
});

test("a gate that asks somebody outside says whom, and what was answered", () => {
  const gates = [
    { kind: "approval", state: GateState.OPEN, asks: "somebody approves it", said: "ada@laptop: looks well" },
    { kind: "webhook", state: GateState.REACHED, asks: "ci.example.com says go", said: "503" },
    { kind: "prometheus", state: GateState.PENDING, asks: "error_rate is at most 0.01, 3 times, every 30s" },
  ];
  const waves = [wave({ index: 1, size: 3, phase: WavePhase.ROLLING, gates })];
  expect(rolloutView(rollingDeployment({ waves }), view(80)).slice(2, 5)).toEqual([
    "      ✓ approval: ada@laptop: looks well",
    "      ▸ waits until ci.example.com says go: 503",
    "      then: prometheus",
  ]);
});

test("offers a retry of what failed within the budget", () => {
  const failed = succeededDeployment();
  expect(nextCommands(failed, colors)).toEqual([]);
  const counts = { ...failed.counts!, failed: 1, healthy: 2 };
  expect(nextCommands({ ...failed, counts, remedies: { rollback: true, rollbackTo: "", retry: true } }, colors).join("\n")).toContain("muster retry d-7");
});
