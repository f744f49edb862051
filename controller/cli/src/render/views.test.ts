/** What all views of many things promise alike: they fit, and they say what matters. */
import { AppPhase } from "@muster/proto/gen/muster/v1/agent.ts";
import { Artifact } from "@muster/proto/gen/muster/v1/artifacts.ts";
import { DeploymentPhase, Target, TargetState } from "@muster/proto/gen/muster/v1/deployments.ts";
import { MachineState } from "@muster/proto/gen/muster/v1/fleet.ts";
import picocolors from "picocolors";
import { expect, test } from "vitest";
import { machine, NOON, rolledBackDeployment, rollingDeployment } from "../fakes/samples.ts";
import { artifactTable, deploymentTable } from "./list-view.ts";
import { machineTable, machineView } from "./machine-view.ts";
import { afterSubmission, nextCommands, nextWhileWatching } from "./next-commands.ts";
import { failedTargetLines, targetTable } from "./target-lines.ts";
import { size } from "./sizes.ts";
import { width } from "./text.ts";
import type { ViewOptions } from "./view-options.ts";

const colors = picocolors.createColors(false);
const view = (columns: number): ViewOptions => ({ colors, columns, now: NOON });
const artifact = Artifact.fromPartial({
  digest: "0123456789abcdef".repeat(4),
  fileCount: 12,
  sizeBytes: 3_400_000,
  packBytes: 1_100_000,
  storedAt: NOON - 60_000,
  releases: ["shop-web@1.4.2", "shop-web@1.4.3"],
});

test.each([60, 80, 120])("fits %d columns", (columns) => {
  const lines = [
    ...deploymentTable([rollingDeployment(), rolledBackDeployment()], view(columns)),
    ...artifactTable([artifact], view(columns)),
    ...machineTable([machine()], view(columns)),
    ...machineView(machine(), view(columns)),
    ...failedTargetLines(rolledBackDeployment(), view(columns)),
  ];
  expect(lines.filter((line) => width(line) > columns)).toEqual([]);
});

test("lists deployments with how far they are and why", () => {
  expect(deploymentTable([rollingDeployment(), rolledBackDeployment({ id: "d-6" })], view(120))).toEqual([
    "ID   APP       VERSION  PHASE        HEALTHY  WAVES  SUBMITTED  TOOK  WHY",
    "d-7  shop-web  1.4.2    rolling         4/20    1/3  1m ago     1m2s  web-4 and web-5 to become healthy",
    "d-6  shop-web  1.4.2    rolled back      0/1    0/1  1m ago     1m2s  wave 1: 1 of 1 targets failed, more than max_fail…",
  ]);
});

test("lists artifacts with their sizes for people", () => {
  expect(artifactTable([artifact], view(100))[1]).toBe("0123456789ab     12  3.4 MB  1.1 MB  1m ago  shop-web@1.4.2, shop-web@1.4.3");
});

test("lists machines with what they run, labels in order", () => {
  expect(machineTable([machine(), machine({ id: "web-2", state: MachineState.SILENT, apps: [] })], view(100))).toEqual([
    "MACHINE  STATE      SEEN    APPS                                LABELS",
    "web-1    connected  2s ago  shop-web 1.4.1 healthy (went back)  role=web,zone=a",
    "web-2    silent     2s ago                                      role=web,zone=a",
  ]);
});

test("shows one machine with each app: wanted, running, since when, where and why", () => {
  const lines = machineView(machine(), view(80)).join("\n");
  expect(lines).toContain("web-1  connected  since 3m ago");
  expect(lines).toContain("labels      role=web, zone=a");
  expect(lines).toContain("assignment  12, and the agent has it");
  expect(lines).toContain("shop-web  healthy (went back)  since 5s ago");
  expect(lines).toContain("wanted      1.4.2\n  running     1.4.1\n  process     pid 4242, started 4 times\n  ports       http 41000");
  expect(lines).toContain("reason      exited with code 1");
});

test("a process that was there before its newest assignment was started by none, and one that has exited does not run", () => {
  const app = machine().apps[0]!;
  const lines = (over: Partial<typeof app>): string => machineView(machine({ apps: [{ ...app, ...over }] }), view(80)).join("\n");
  expect(lines({ starts: 0 })).toContain("process     pid 4242\n");
  expect(lines({ starts: 1 })).toContain("process     pid 4242, started 1 time\n");
  const exited = { pid: 0, reason: { code: "exited", message: "exited with code 9" } };
  expect(lines({ ...exited, phase: AppPhase.UNHEALTHY })).toContain("wanted      1.4.2\n  running     none\n  ports ");
  // Files run without a process.
  expect(lines({ pid: 0, phase: AppPhase.UNHEALTHY, reason: { code: "turned_unhealthy", message: "GET / answered 503" } })).toContain("running     1.4.1\n");
  expect(lines({ ...exited, phase: AppPhase.REVERTED })).toContain("running     1.4.1\n");
});

test("says when a machine lags behind, and when it has no apps", () => {
  const lines = machineView(machine({ acknowledgedGeneration: 9, apps: [] }), view(80)).join("\n");
  expect(lines).toContain("12, the agent still has 9");
  expect(machineView(machine({ acknowledgedGeneration: 13 }), view(80)).join("\n")).toContain("12, the agent has a newer one, 13");
  expect(lines).toContain("no apps");
});

test("says what an agent does not believe, and why", () => {
  const refusal = { code: "not_fresh", message: "the assignment that came from the controller was signed at noon" };
  const lines = machineView(machine({ acknowledgedGeneration: 9, refusal, refusedSince: NOON - 120_000 }), view(160)).join("\n");
  expect(lines).toContain("refuses     the assignment that came from the controller was signed at noon (not_fresh, since 2m ago)");
});

test("shows ten failed targets and says how many more there are", () => {
  const targets = Array.from({ length: 13 }, (_, index) =>
    Target.fromPartial({ machine: `web-${index}`, state: TargetState.FAILED, reason: { code: "exited", message: "exited with code 1" } }),
  );
  const lines = failedTargetLines(rolledBackDeployment({ targets }), view(80));
  expect(lines).toHaveLength(11);
  expect(lines[0]).toBe("  web-0  exited with code 1");
  expect(lines[10]).toBe("  … and 3 more, see --targets");
});

test("shows every target with --targets", () => {
  expect(targetTable(rolledBackDeployment(), view(120))[1]).toBe(
    "web-1       1  failed  reverted  1.4.1       1  4s ago  exited with code 1, four times",
  );
});

test("says what to try next when a rollout waits for somebody or went wrong, and nothing else", () => {
  expect(nextCommands(rolledBackDeployment(), colors).join("\n")).toContain("muster status d-7 --targets");
  expect(nextCommands(rollingDeployment(), colors)).toEqual([]);
  const pending = rollingDeployment({ phase: DeploymentPhase.PENDING });
  expect(nextCommands(pending, colors)).toEqual([]);
  expect(nextCommands({ ...pending, awaitsStart: true }, colors).join("\n")).toContain("muster approve d-7");
  expect(afterSubmission({ ...pending, awaitsStart: true }, colors).join("\n")).toContain("muster approve d-7");
});

test.each([
  ["dev-0 to be heard from: 1 machine took the release and was lost after it, which may be its fault; else it is taken back at 2026-01-31 12:05:00 UTC (progress_deadline)", ["promote", "rollback", "why"]],
  ["somebody to go on without it (muster promote d-7) or to take it back: 1 machine took the release and was lost after it, which may be its fault: a, drained or removed since", ["promote", "rollback", "why"]],
  ["dev-0 to be uncordoned: no other machine of wave 1 shows how the release does (muster promote d-7 goes on without it)", ["promote", "why"]],
  ["dev-11 to be heard from (offline: wait:1m)", ["promote", "why"]],
  ["dev-0 to be heard from: no machine has answered yet", []],
])("of a rollout that waits for a machine that may never come back, what lets it go on: %s", (waitingOn, commands) => {
  const proposed = nextCommands(rollingDeployment({ waitingOn }), colors).slice(2);
  expect(proposed.map((line) => /muster (\w+) d-7/.exec(line)?.[1])).toEqual(commands);
  expect(nextWhileWatching(rollingDeployment({ waitingOn }), colors).length > 0).toBe(commands.length > 0);
});

test("on 80 columns what a target says stands below its row, whole, and nothing is cut", () => {
  const [failed] = rolledBackDeployment().targets;
  const deployment = rolledBackDeployment({ targets: [{ ...failed!, now: "unhealthy: exited with code 1, four times in a row" }, { ...failed!, machine: "web-2", reason: undefined }] });
  expect(targetTable(deployment, view(80))).toEqual([
    "MACHINE  WAVE  STATE   APP       BEFORE  TRIES  SINCE",
    "web-1       1  failed  reverted  1.4.1       1  4s ago",
    "    now: unhealthy: exited with code 1, four times in a row",
    "    reason: exited with code 1, four times",
    "web-2       1  failed  reverted  1.4.1       1  4s ago",
  ]);
  expect(targetTable(deployment, view(200))[1]).toMatch(/ 4s ago {2}unhealthy: exited with code 1, four times in a row {2}exited with code 1, four times$/);
});

test("what to try next is broken between words on a terminal, beside its command or below it; elsewhere no line is broken", () => {
  const failed = rolledBackDeployment({ phase: DeploymentPhase.FAILED, remedies: { retry: false, rollback: true, rollbackTo: "" } });
  expect(nextCommands(failed, colors, { columns: 80 }).slice(2, 4)).toEqual([
    "  muster rollback d-7          take every machine back to what it ran before",
    "                               (remove shop-web where that is nothing)",
  ]);
  expect(nextCommands(failed, colors, { columns: 40 }).slice(2, 5)).toEqual([
    "  muster rollback d-7",
    "      take every machine back to what it",
    "      ran before (remove shop-web where",
  ]);
  expect(nextCommands(failed, colors)[2]).toMatch(/take every machine back to what it ran before \(remove shop-web where that is nothing\)$/);
});

test("proposes what leads further: not what is shown already, and after a failure that took nothing back, what would", () => {
  const failed = rolledBackDeployment({ phase: DeploymentPhase.FAILED, remedies: { retry: true, rollback: true, rollbackTo: "" }, counts: { ...rolledBackDeployment().counts!, failed: 1, healthy: 2, reverted: 0 } });
  const proposed = nextCommands(failed, colors, { showsTargets: true }).join("\n");
  expect(proposed).toMatch(/muster retry d-7 .*\n.*muster rollback d-7 .*remove shop-web where that is nothing/);
  expect(proposed).not.toContain("--targets");
  expect(nextCommands({ ...failed, remedies: { retry: false, rollback: false, rollbackTo: "" } }, colors).join("\n")).not.toMatch(/retry|rollback/);
});

test.each([
  [0, "0 B"],
  [999, "999 B"],
  [1_000, "1.0 kB"],
  [999_600, "1.0 MB"],
  [12_345_678, "12 MB"],
  [5e15, "5000 TB"],
])("writes %d bytes as %s", (sizeBytes, text) => {
  expect(size(sizeBytes)).toBe(text);
});
