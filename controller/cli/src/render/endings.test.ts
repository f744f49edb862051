/** After the end: what is said where the outcome does not hold everywhere, and where it does not hold any more. */
import picocolors from "picocolors";
import { expect, test } from "vitest";
import { type Deployment, DeploymentPhase, TargetState, Wave, WavePhase } from "@muster/proto/gen/muster/v1/deployments.ts";
import { releaseRecord } from "../fakes/history-samples.ts";
import { NOON, rolledBackDeployment, rolledBackExcept, succeededDeployment, succeededExcept, succeededOvertaken, succeededThenDown, wave } from "../fakes/samples.ts";
import { changeLines } from "./change-lines.ts";
import { deploymentTable } from "./list-view.ts";
import { nextCommands } from "./next-commands.ts";
import { releaseTable } from "./release-view.ts";
import { rolloutView } from "./rollout-view.ts";

const OPTIONS = { colors: picocolors.createColors(false), columns: 200, now: NOON };
const picture = (deployment: Deployment): string => rolloutView(deployment, OPTIONS).join("\n");
const listed = (deployment: Deployment): string => deploymentTable([deployment], OPTIONS)[1] ?? "";
const logged = (deployment: Deployment): readonly string[] => changeLines(undefined, deployment, NOON).map((line) => line.slice(9));

test("a plain end needs no second half", () => {
  const ended = succeededDeployment({ outcome: "succeeded", now: { machines: 3, healthy: 3, bad: 0, text: "", lateWaitsFor: "" } });
  expect(picture(ended)).toMatch(/^d-7 {2}shop-web 1\.4\.2 {2}succeeded {2}1m2s\n {2}✓ wave 1 /);
  expect(picture(ended)).not.toMatch(/now:|outcome:/);
  expect(listed(ended)).toContain("  succeeded  ");
  expect(logged(ended).at(-1)).toBe("d-7 shop-web 1.4.2 succeeded after 1m2s");
});

test("a release that machines which come late do not get says so in the list, too, though all that are left are well", () => {
  const ended = succeededDeployment({ outcome: "succeeded", now: { machines: 1, healthy: 1, bad: 0, text: "", lateWaitsFor: "shop-web@1.4.2 to be healthy where it runs" } });
  expect(listed(ended)).toContain("succeeded, catch-up is on hold");
});

test("a rollback that left a machine out is no plain one, and names it", () => {
  expect(picture(rolledBackExcept())).toContain("shop-web 1.4.2  rolled back, except 1, now 1/3 healthy  1m2s");
  expect(picture(rolledBackExcept())).toContain("  outcome: rolled back, except 1 unreachable: web-3 may still run 1.4.2, and goes back when it is heard");
  expect(listed(rolledBackExcept())).toMatch(/ rolled back, except 1, now 1\/3 healthy .*  1 unreachable: web-3 may still run 1\.4\.2, and goes back when it is heard; 1 of 3 healthy/);
  expect(logged(rolledBackExcept())).toEqual(
    expect.arrayContaining(["d-7 shop-web 1.4.2 rolled back, except 1, now 1/3 healthy, 1m2s after it began", expect.stringContaining("outcome: rolled back, except 1 unreachable: web-3"), expect.stringContaining("now: 1 of 3 healthy")]),
  );
  expect(picture(rolledBackDeployment({ outcome: "rolled back" }))).toContain("  rolled back  1m2s");
});

test("on 80 columns the list says of an end that does not hold what is missing, and why, once", () => {
  const lines = deploymentTable([rolledBackExcept(), succeededThenDown(), succeededExcept(), succeededDeployment()], { ...OPTIONS, columns: 80 });
  expect(lines).toEqual([
    "ID   APP       VERSION  PHASE        HEALTHY  WAVES  WHY",
    "d-7  shop-web  1.4.2    rolled back      0/3    0/1  except 1, now 1/3 healthy;…",
    "d-7  shop-web  1.4.2    succeeded        3/3    1/1  now 0/3 healthy: web-1, we…",
    "d-7  shop-web  1.4.2    succeeded        2/3    1/1  except 1; on 2 of 3; web-3…",
    "d-7  shop-web  1.4.2    succeeded        3/3    1/1",
  ]);
});

test("a success without a machine that was let go says so in the picture, the log and the list, though nobody is missing", () => {
  const counts = { total: 3, healthy: 2, skipped: 1 };
  const outcome = "succeeded on 2 of 3; web-3 was let go, since its labels match no more";
  const ended = succeededDeployment({ waves: [wave({ index: 1, size: 3, phase: WavePhase.DONE, counts })], counts: Wave.fromPartial({ counts }).counts, outcome });
  expect(picture(ended)).toMatch(/succeeded {2}1m2s\n {2}! wave 1 /);
  expect(picture(ended)).toContain(`outcome: ${outcome}`);
  expect(logged(ended)).toContain(`outcome: ${outcome}`);
  expect(listed(ended)).toMatch(/ 2\/3 .* on 2 of 3; web-3 was let go, since its labels match no more$/);
});

test("who left the fleet well is not counted in the list, and who left it with the release is", () => {
  const counts = { total: 3, healthy: 2, removed: 1 };
  const ended = { waves: [wave({ index: 1, size: 3, phase: WavePhase.DONE, counts })], counts: Wave.fromPartial({ counts }).counts };
  expect(listed(succeededDeployment({ ...ended, outcome: "succeeded" }))).toMatch(/ succeeded +2\/2 /);
  const text = "web-3 failed, and was removed from the fleet";
  const machines = [{ machine: "web-3", state: TargetState.REMOVED, text }];
  expect(listed(succeededDeployment({ ...ended, outcome: `succeeded on 2 of 3; ${text}`, outstanding: { count: 1, removed: 1, machines } }))).toMatch(/ succeeded, except 1 +2\/3 /);
  // Not all are named, and all are counted.
  const many = { total: 40, healthy: 2, failed: 20, removed: 18 };
  const half = { ...ended, counts: Wave.fromPartial({ counts: many }).counts, outcome: `succeeded on 2 of 34; ${text}` };
  expect(listed(succeededDeployment({ ...half, outstanding: { count: 32, removed: 12, machines } }))).toMatch(/ succeeded, except 32 +2\/34 /);
});

test("a success that passed somebody over has no tick", () => {
  expect(picture(succeededExcept())).toMatch(/succeeded, except 1 {2}1m2s\n {2}! wave 1 /);
  expect(picture(succeededExcept())).toContain("outcome: succeeded on 2 of 3; web-3 is cordoned and gets it after muster uncordon web-3");
  expect(listed(succeededExcept())).toMatch(/ succeeded, except 1 .* on 2 of 3; web-3 is cordoned/);
});

test("nor has one of which a machine failed that a newer deployment has by now", () => {
  expect(picture(succeededOvertaken())).toMatch(/succeeded, except 1 {2}1m2s\n {2}! wave 1 /);
  expect(picture(succeededOvertaken())).toContain("outcome: succeeded on 2 of 3; web-3 failed, and d-8 has decided about it since");
  expect(listed(succeededOvertaken())).toMatch(/ succeeded, except 1 .* on 2 of 3; web-3 failed, and d-8 has decided about it since/);
  expect(logged(succeededOvertaken())).toEqual(expect.arrayContaining([expect.stringContaining("outcome: succeeded on 2 of 3; web-3 failed")]));
});

test("nor has one of which a machine has failed since", () => {
  const counts = { total: 3, healthy: 2, failed: 1 };
  const ended = succeededDeployment({
    waves: [wave({ index: 1, size: 3, phase: WavePhase.DONE, counts })],
    counts: wave({ counts }).counts,
    outcome: "succeeded on 2 of 3; web-3 failed: exited with code 1",
    outstanding: { count: 1, removed: 0, machines: [{ machine: "web-3", state: TargetState.FAILED, text: "web-3 failed: exited with code 1" }] },
  });
  expect(picture(ended)).toMatch(/succeeded, except 1 {2}1m2s\n {2}! wave 1 /);
  expect(listed(ended)).toMatch(/ succeeded, except 1 .* on 2 of 3; web-3 failed: exited with code 1/);
});

test("a success whose machines are down now says so", () => {
  const shown = picture(succeededThenDown());
  expect(shown).toContain("succeeded, now 0/3 healthy  1m2s");
  expect(shown).toContain("  now: 0 of 3 healthy: web-1, web-2 and web-3 unhealthy: exited with code 1");
  expect(shown).toContain("  catch-up is on hold, waiting for: shop-web@1.4.2 to be healthy where it runs: 0 of 3 are now");
  expect(listed(succeededThenDown())).toMatch(/ succeeded, now 0\/3 healthy .* 0 of 3 healthy: web-1, web-2 and web-3/);
});

test("whoever has the release still, though nobody is missing, is named in the picture, in the list and in each line", () => {
  const outcome = "rolled back; web-1 and web-2 still run 1.4.2, which is also what they go back to";
  const back = rolledBackDeployment({ outcome });
  expect(picture(back)).toContain(`  outcome: ${outcome}`);
  expect(listed(back)).toMatch(/ rolled back .* web-1 and web-2 still run 1\.4\.2, which is also what they go back to/);
  expect(logged(back)).toContain(`outcome: ${outcome}`);
  const superseded = rolledBackDeployment({ phase: DeploymentPhase.SUPERSEDED, outcome: "superseded; web-1 failed with 1.4.2, and did not go back", reason: undefined });
  expect(picture(superseded)).toContain("  outcome: superseded; web-1 failed with 1.4.2, and did not go back");
  expect(listed(superseded)).toMatch(/ superseded .* web-1 failed with 1\.4\.2, and did not go back/);
  expect(logged(superseded)).toContain("outcome: superseded; web-1 failed with 1.4.2, and did not go back");
});

test("and what can be done about it", () => {
  expect(nextCommands(succeededThenDown(), OPTIONS.colors).join("\n")).toMatch(/muster status d-7 --targets .*\n.*muster rollback d-7 .*\n.*muster why d-7/);
  const besides = succeededThenDown({ remedies: { rollback: false, rollbackTo: "1.4.1", retry: false } });
  expect(nextCommands(besides, OPTIONS.colors).join("\n")).toMatch(/muster rollback d-7 --to 1\.4\.1 /);
  expect(nextCommands(besides, OPTIONS.colors).join("\n")).not.toMatch(/muster rollback d-7 {2}/);
  expect(nextCommands(succeededThenDown({ remedies: undefined }), OPTIONS.colors).join("\n")).not.toContain("rollback");
  const failed = rolledBackDeployment({ phase: DeploymentPhase.FAILED, remedies: { rollback: true, rollbackTo: "", retry: true } });
  expect(nextCommands(failed, OPTIONS.colors).join("\n")).toMatch(/muster retry d-7 .*\n.*muster rollback d-7 /);
  expect(nextCommands(succeededDeployment(), OPTIONS.colors)).toEqual([]);
});

test("releases say on how many of their machines they serve, where that is not all", () => {
  const columns = (change: object): string => releaseTable([releaseRecord("1.4.2", change)], OPTIONS)[1] ?? "";
  expect(columns({})).toMatch(/ 1h ago +3 {2}d-7/);
  expect(columns({ healthy: 1 })).toMatch(/ 1h ago +1\/3 healthy {2}d-7/);
});
