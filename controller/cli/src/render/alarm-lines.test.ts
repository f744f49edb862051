import { AlarmState, DeploymentPhase } from "@muster/proto/gen/muster/v1/deployments.ts";
import picocolors from "picocolors";
import { expect, test } from "vitest";
import { NOON, rollingDeployment } from "../fakes/samples.ts";
import { alarmLines } from "./alarm-lines.ts";
import { changeLines } from "./change-lines.ts";

const options = { colors: picocolors.createColors(false), columns: 60, now: NOON };
const asks = "error_rate is at most 0.01, asked every 30s";
const alarm = (state: AlarmState, said = "") => ({ kind: "prometheus", state, asks, said, askedAt: NOON });

test("shows what each alarm said last, and before that what it asks", () => {
  const alarms = [
    alarm(AlarmState.PENDING),
    alarm(AlarmState.QUIET, "error_rate is 0.002, within max 0.01"),
    alarm(AlarmState.ACTIVE, "error_rate is 0.2, more than max 0.01"),
    alarm(AlarmState.SILENT, "http://p refused the connection"),
  ];
  expect(alarmLines(rollingDeployment({ alarms }), options)).toEqual([
    "  alarm 1 asks whether error_rate is at most 0.01, asked",
    "    every 30s",
    "  alarm 2 quiet: error_rate is 0.002, within max 0.01",
    "  alarm 3 active: error_rate is 0.2, more than max 0.01",
    "  alarm 4 silent: http://p refused the connection",
  ]);
});

test("says nothing of alarms that nobody asks any more", () => {
  const alarms = [alarm(AlarmState.QUIET, "error_rate is 0")];
  for (const change of [{ phase: DeploymentPhase.SUCCEEDED }, { phase: DeploymentPhase.ROLLING_BACK }, { promoted: true }]) {
    expect(alarmLines(rollingDeployment({ alarms, ...change }), options)).toEqual([]);
  }
});

test("as a log tells when one goes off or is quiet again, and not each answer", () => {
  const quiet = (said: string) => rollingDeployment({ alarms: [alarm(AlarmState.QUIET, said)] });
  const active = rollingDeployment({ alarms: [alarm(AlarmState.ACTIVE, "error_rate is 0.2")] });
  expect(changeLines(quiet("error_rate is 0"), quiet("error_rate is 0.001"), NOON)).toEqual([]);
  expect(changeLines(quiet("error_rate is 0"), active, NOON).map((line) => line.slice(9))).toEqual(["alarm 1 active: error_rate is 0.2  waiting on web-4 and web-5 to become healthy"]);
});
