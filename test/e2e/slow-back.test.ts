/**
 * Going back ends on the release that is gone back to, however hard the file judges that is taken back: what needs long to start, or to stop, or to come to its turn has that time. Judged by what answers on the machines.
 *
 * Each test has a fleet of its own, and all of them run at a time: they wait for nearly all of theirs.
 */
import { describe, expect, it } from "vitest";

import { comes, DevFleet, type Status } from "./fleet.ts";
import { type ReleaseOptions, TestApp } from "./test-app.ts";

const MACHINES = ["dev-0", "dev-1"];
const ALL_AT_ONCE = { waves: "[100%]", max_unavailable: "100%" } as const;
const SLOW: ReleaseOptions = { startsInMs: 12_000, rollout: { ...ALL_AT_ONCE, healthy_deadline: "40s" } };
/** Of a release that starts at once. */
const HARD = { ...ALL_AT_ONCE, healthy_deadline: "6s", progress_deadline: "10s" } as const;

describe.concurrent("a release that needs longer to start than the file allows that is taken back", () => {
  it.each(["rollback", "rollback --to"])("is what runs everywhere in the end, by %s", (how) =>
    onFleet(async (fleet) => {
      const app = new TestApp(fleet, "shop");
      await succeeds(fleet, app, "1", SLOW);
      const id = await succeeds(fleet, app, "2", { rollout: HARD });
      const { status } = await fleet.follow("rollback", id, ...(how === "rollback" ? [] : ["--to", "1"])).end();
      await expectOn(app, status, how === "rollback" ? "rolled_back" : "succeeded");
    }));

  it("is what runs everywhere when the rollout goes back by itself", () =>
    onFleet(async (fleet) => {
      const app = new TestApp(fleet, "shop");
      await succeeds(fleet, app, "1", SLOW);
      app.turnUnhealthy("2", "dev-1");
      const { status } = await fleet.follow("deploy", "-f", app.release("2", { rollout: { ...HARD, waves: "[1, 100%]" } })).end();
      await expectOn(app, status, "rolled_back");
    }));

  it("is what runs everywhere when what it replaces is long in ending", () =>
    onFleet(async (fleet) => {
      const app = new TestApp(fleet, "stubborn");
      await succeeds(fleet, app, "1", SLOW);
      const id = await succeeds(fleet, app, "2", { stopsInMs: 22_000, rollout: HARD });
      const { status } = await fleet.follow("rollback", id).end();
      await expectOn(app, status, "rolled_back");
    }));

  it("is what runs everywhere when another app of its machines is on the move for long", () =>
    onFleet(async (fleet) => {
      const [app, other] = [new TestApp(fleet, "behind"), new TestApp(fleet, "before")];
      await succeeds(fleet, app, "1", SLOW);
      const id = await succeeds(fleet, app, "2", { rollout: HARD });
      await succeeds(fleet, other, "1", { stopsInMs: 28_000, rollout: ALL_AT_ONCE });
      const moving = fleet.follow("deploy", "-f", other.release("2", { rollout: { ...ALL_AT_ONCE, healthy_deadline: "50s" } }));
      await moving.until(({ counts }) => counts["updating"] === MACHINES.length);
      await comes(async () => (await fleet.machine("dev-0")).apps.some((each) => each.app === other.name && each.phase === "activating"));
      const { status } = await fleet.follow("rollback", id).end();
      await expectOn(app, status, "rolled_back");
      expect(await moving.end()).toMatchObject({ code: 0 });
    }));
});

async function onFleet(run: (fleet: DevFleet) => Promise<void>): Promise<void> {
  const fleet = await DevFleet.start({ agents: MACHINES.length, args: ["--silent-after", "2s"] });
  try {
    await run(fleet);
  } finally {
    await fleet.stop();
  }
}

async function succeeds(fleet: DevFleet, app: TestApp, version: string, options: ReleaseOptions = {}): Promise<string> {
  const { code, status } = await fleet.follow("deploy", "-f", app.release(version, options)).end();
  expect([code, status.phase], JSON.stringify(status)).toEqual([0, "succeeded"]);
  return status.id;
}

async function expectOn(app: TestApp, status: Status, phase: string): Promise<void> {
  const answers = await app.answers(MACHINES);
  expect([status.phase, ...MACHINES.map((machine) => answers[machine]!.version)], JSON.stringify(status)).toEqual([phase, "1", "1"]);
}
