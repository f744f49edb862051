import { DeploymentPhase, WavePhase } from "@muster/proto/gen/muster/v1/deployments.ts";
import { expect, test } from "vitest";
import { NOON, rolledBackDeployment, rollingDeployment, wave } from "../fakes/samples.ts";
import { changeLines } from "./change-lines.ts";

const withoutTime = (lines: readonly string[]): readonly string[] => lines.map((line) => line.replace(/^\d\d:\d\d:\d\d /, ""));

test("begins with where everything stands", () => {
  const lines = changeLines(undefined, rollingDeployment(), NOON);
  expect(lines.every((line) => /^\d\d:\d\d:\d\d /.test(line))).toBe(true);
  expect(withoutTime(lines)).toEqual([
    "d-7 shop-web 1.4.2 rolling",
    "wave 1/3  1/1 healthy  done",
    "wave 2/3  3/5 healthy, 2 updating  waiting on web-4 and web-5 to become healthy",
  ]);
});

test("says nothing when nothing changed, a countdown in words included", () => {
  const before = rollingDeployment({ waitingOn: "min_healthy_time of web-4: 4s left" });
  const after = rollingDeployment({ waitingOn: "min_healthy_time of web-4: 3s left" });
  expect(changeLines(before, after, NOON)).toEqual([]);
});

test("gives one line for a wave that changed, with what it waits for now", () => {
  const before = rollingDeployment();
  const waves = before.waves.map((one) =>
    one.index === 2 ? wave({ index: 2, size: 5, phase: WavePhase.ROLLING, counts: { total: 5, healthy: 4, updating: 1 } }) : one,
  );
  expect(withoutTime(changeLines(before, rollingDeployment({ waves, waitingOn: "web-5" }), NOON))).toEqual([
    "wave 2/3  4/5 healthy, 1 updating  waiting on web-5",
  ]);
});

test("gives a line for a new thing to wait for alone", () => {
  expect(withoutTime(changeLines(rollingDeployment(), rollingDeployment({ waitingOn: "web-9" }), NOON))).toEqual(["waiting on web-9"]);
});

test("ends with the phase, how long it took, and the reason", () => {
  const waves = [wave({ index: 1, size: 1, phase: WavePhase.ROLLING, counts: { total: 1, updating: 1 } })];
  const before = rolledBackDeployment({ phase: DeploymentPhase.ROLLING_BACK, reason: undefined, endedAt: 0, waves });
  expect(withoutTime(changeLines(before, rolledBackDeployment(), NOON))).toEqual([
    "wave 1/1  0/1 healthy, 1 failed  failed",
    "d-7 shop-web 1.4.2 rolled back, 1m2s after it began",
    "reason: wave 1: 1 of 1 targets failed, more than max_failures 0; web-1 exited with code 1",
  ]);
});
