/** A start that is under way when the deadline of a confirmed release passes is not forgotten: else its process runs beside the next one, and nobody stops it. */
import { expect, it } from "vitest";
import { HandDriven, processRelease, run, workload } from "./hand-driven.fixture.ts";

const v1 = processRelease("1.0");
const v2 = processRelease("2.0");
const back = run(3, v1, { healthyDeadlineMs: 8_000, minHealthyTimeMs: 2_000 });

function inFlight(app: HandDriven): string {
  const step = app.demand.process;
  if (step?.kind !== "start") throw new Error(`no start is under way: ${JSON.stringify(app.state.launch)}`);
  return step.launchId;
}

it("goes back by order of the controller", () => {
  const app = new HandDriven().deploy(run(1, v1)).deploy(run(2, v2)).goal(back).workTo("start").failStart(true);
  while (app.demand.process === undefined || app.now < 86_400_000 + 5_000) app.pass(500);
  // The start takes a while: a slow disk.
  const launchId = inFlight(app);
  app.pass(40_000);
  app.say({ kind: "started", workload: workload(launchId) });
  app.pass(1_000);
  const { launch } = app.state;
  expect(launch).toMatchObject({ kind: "running", workload: { launchId } });
});

it("goes back by itself", () => {
  const app = new HandDriven().deploy(run(1, v1)).goal(run(2, v2, { confirmed: false })).work().unhealthy().pass(60_000);
  app.workTo("start").failStart(true);
  while (app.demand.process === undefined) app.pass(500);
  const launchId = inFlight(app);
  app.pass(70_000);
  app.say({ kind: "started", workload: workload(launchId) });
  app.pass(1_000);
  expect(app.state.launch).toMatchObject({ kind: "running", workload: { launchId } });
});
