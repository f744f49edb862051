/** Which release was confirmed may be said with the goal that comes after it. */
import { expect, test } from "vitest";
import { HandDriven, processRelease, run, remove } from "./hand-driven.fixture.ts";
const v1 = processRelease("1.0");
const v2 = processRelease("2.0");
const v3 = processRelease("3.0");

test("a goal of an older generation confirms nothing", () => {
  const app = new HandDriven().deploy(run(1, v1)).deploy(run(5, v2, { confirmed: false, lastGoodVersion: "1.0" }));
  app.goal(run(3, v1, { lastGoodVersion: "2.0" }));
  expect(app.state.lastGood?.version).toBe("1.0");
});

test("a release that is probed anew after a reboot was confirmed all the same: the one after it goes back to it", () => {
  const app = new HandDriven().deploy(run(1, v1)).deploy(run(2, v2, { confirmed: false, lastGoodVersion: "1.0" }));
  app.say({ kind: "woken", found: undefined, bootId: "another" }).work();
  expect([app.state.phase.kind, app.state.lastGood?.version]).toEqual(["probing", "1.0"]);
  app.goal(run(3, v3, { confirmed: false, lastGoodVersion: "2.0" })).work();
  expect(app.state.lastGood?.version).toBe("2.0");
  app.exit().work().pass(70_000).work();
  expect([app.state.current?.version, app.lastReport?.phase]).toEqual(["2.0", expect.anything()]);
});

test.each([true, false])("a drain, its end and a removal with what was good before throw nothing (drained: %s)", (drained) => {
  const app = new HandDriven().deploy(run(1, v1)).deploy(run(2, v2, { confirmed: false }));
  app.goal({ ...remove(3, drained), lastGoodVersion: "2.0" }).work();
  app.goal(run(4, v2, { confirmed: false, lastGoodVersion: "1.0" })).work().healthy().pass(5000).work();
  app.goal(run(5, v3, { confirmed: false, lastGoodVersion: "2.0" })).work().healthy().pass(5000).work().unhealthy().work().healthy();
  expect(app.lastReport?.phase).toBeDefined();
});

test("random goals, whatever they say of what was good, break no invariant", () => {
  let seed = 7;
  const random = (below: number) => {
    seed = (seed * 1103515245 + 12345) % 2147483648;
    return Math.floor((seed / 2147483648) * below);
  };
  const releases = [v1, v2, v3];
  const failures = new Set<string>();
  for (let round = 0; round < 3000; round += 1) {
    const app = new HandDriven();
    const done: string[] = [];
    let generation = 1;
    try {
      for (let step = 0; step < 25; step += 1) {
        const act = random(12);
        const lastGoodVersion = ["", "1.0", "2.0", "3.0"][random(4)]!;
        done.push(`${act}/${lastGoodVersion}`);
        if (act < 3) app.goal(run((generation += 1), releases[random(3)]!, { confirmed: random(2) === 0, lastGoodVersion, minHealthyTimeMs: random(2) * 5000 }));
        else if (act === 3) app.goal({ ...remove((generation += 1), random(2) === 0), lastGoodVersion });
        else if (act === 4 && app.state.goal !== undefined) app.goal({ ...app.state.goal, confirmed: random(2) === 0, lastGoodVersion });
        else if (act === 5) app.work().healthy().pass(5000).work();
        else if (act === 6) app.work().unhealthy();
        else if (act === 7 && app.state.launch.kind === "running") app.exit();
        else if (act === 8) app.say({ kind: "woken", found: undefined, bootId: `boot-${step}` });
        else if (act === 9) app.pass(70_000);
        else if (act === 10 && app.demand.files !== undefined) app.failStep({ code: "artifact_corrupt", message: "x", retryable: random(2) === 0 });
        else if (act === 11 && generation > 2) app.goal(run(generation - 1, releases[random(3)]!, { lastGoodVersion }));
      }
    } catch (error) {
      failures.add(`${String(error)} after ${done.join(" ")}`);
    }
  }
  expect([...failures].slice(0, 3)).toEqual([]);
});
