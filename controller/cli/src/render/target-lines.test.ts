/** Machines one by one: nothing is said to be well that nobody hears. */
import picocolors from "picocolors";
import { expect, test } from "vitest";
import { AppPhase } from "@muster/proto/gen/muster/v1/agent.ts";
import { Target, TargetState } from "@muster/proto/gen/muster/v1/deployments.ts";
import { NOON, succeededDeployment } from "../fakes/samples.ts";
import { targetTable } from "./target-lines.ts";

const OPTIONS = { colors: picocolors.createColors(false), columns: 200, now: NOON };
const row = (target: Partial<Target>): string =>
  targetTable(succeededDeployment({ targets: [Target.fromPartial({ machine: "web-1", wave: 1, attempts: 1, since: NOON, appPhase: AppPhase.HEALTHY, ...target })] }), OPTIONS)[1]!;

test("the app of a machine that is heard is as that says", () => {
  expect(row({ state: TargetState.HEALTHY })).toMatch(/^web-1 +1 {2}healthy {2}healthy /);
  expect(row({ state: TargetState.HEALTHY, now: "draining" })).toMatch(/^web-1 +1 {2}healthy {2}healthy /);
});

test("that of one that is not heard is not known", () => {
  expect(row({ state: TargetState.UNREACHABLE })).toMatch(/^web-1 +1 {2}unreachable {2}- /);
  expect(row({ state: TargetState.HEALTHY, now: "not heard" })).toMatch(/^web-1 +1 {2}healthy {2}- .*not heard/);
});
