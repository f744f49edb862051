/** Watching: until when, through which troubles, and with which exit code. */
import { type Deployment, DeploymentPhase } from "@muster/proto/gen/muster/v1/deployments.ts";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { fakeContext, muster, type FakeContext } from "../fakes/fake-context.ts";
import { FakeController } from "../fakes/fake-controller.ts";
import { event, NOON, rolledBackDeployment, rolledBackExcept, rollingDeployment, soakingDeployment, succeededDeployment, succeededExcept, succeededOvertaken } from "../fakes/samples.ts";
import { run } from "../run.ts";

let controller: FakeController;

beforeEach(async () => {
  controller = await FakeController.start();
  controller.deployments = [rollingDeployment()];
});

afterEach(async () => {
  await controller.die();
});

const args = (...words: string[]): string[] => [...words, "--address", controller.address];
const lines = (text: string): string[] => text.trimEnd().split("\n");

/** Once somebody watches, `act` is called; the nth time with n. */
function whenWatched(act: (time: number) => void): void {
  let time = 0;
  controller.onWatch = () => act((time += 1));
}

test.each([
  [succeededDeployment(), 0],
  [rolledBackDeployment(), 1],
  [rollingDeployment({ phase: DeploymentPhase.FAILED, endedAt: NOON }), 1],
  [rollingDeployment({ phase: DeploymentPhase.ABORTED, endedAt: NOON }), 1],
  [rollingDeployment({ phase: DeploymentPhase.SUPERSEDED, endedAt: NOON }), 1],
  [succeededExcept(), 5],
  [succeededOvertaken(), 5],
  [rolledBackExcept(), 6],
])("watch ends with the rollout", async (last, code) => {
  whenWatched(() => controller.change(last));
  const ended = await muster(args("watch", "d-7"));
  expect(ended.code).toBe(code);
  expect(ended.err).toBe("");
});

test("watch of a deployment that has ended already shows it and ends", async () => {
  controller.deployments = [rolledBackDeployment()];
  const { code, out } = await muster(args("watch", "d-7"));
  expect(code).toBe(1);
  expect(out).toContain("reason: wave 1: 1 of 1 targets failed");
  expect(out).toContain("muster status d-7 --targets");
});

test("-o json gives one status for each change, a line each, and the last is final", async () => {
  whenWatched(() => controller.change(succeededDeployment()));
  const { out } = await muster(args("watch", "d-7", "-o", "json"));
  expect(lines(out).map((line) => JSON.parse(line).phase)).toEqual(["rolling", "succeeded"]);
});

test("on a terminal the last picture stays", async () => {
  whenWatched(() => controller.change(succeededDeployment()));
  const { code, out } = await muster(args("watch", "d-7"), { isTty: true, columns: 80 });
  expect(code).toBe(0);
  expect(out).toContain("succeeded");
  expect(out).toContain("3/3 healthy");
});

test("a controller that dies and comes back does not end the watching", async () => {
  whenWatched((time) => {
    if (time === 1) void controller.die().then(() => controller.listen());
    else controller.change(succeededDeployment());
  });
  const { code, out, err } = await muster(args("watch", "d-7"));
  expect(code).toBe(0);
  expect(out).toContain("d-7 shop-web 1.4.2 succeeded");
  expect(err).toContain("trying again");
});

test("a controller that closes the stream in good order is asked again", async () => {
  whenWatched((time) => {
    if (time === 1) controller.endWatches();
    else controller.change(succeededDeployment());
  });
  expect((await muster(args("watch", "d-7"))).code).toBe(0);
});

test("a controller that stays away ends the watching with 3, after --reconnect-for", async () => {
  whenWatched(() => void controller.die());
  const { code, err } = await muster(args("watch", "d-7", "--reconnect-for", "5s"));
  expect(code).toBe(3);
  expect(err).toContain("cannot reach the controller");
});

test("how long it is tried again counts from the loss, however long there was nothing to say before", async () => {
  const context = fakeContext();
  whenWatched((time) => {
    if (time > 1) return void controller.change(succeededDeployment());
    controller.change(rollingDeployment({ waitingOn: "the last word for an hour" }));
    const wait = (): void => void (context.out().includes("the last word") ? context.clock.sleep(3_600_000).then(() => controller.die()).then(() => controller.listen()) : setImmediate(wait));
    wait();
  });
  await run(args("watch", "d-7", "--reconnect-for", "1m"), context);
  expect([context.exitCode(), context.err()]).toEqual([0, expect.stringContaining("trying again")]);
});

test("while there is no connection the picture stands still, and says of when it is", async () => {
  const context = fakeContext({ isTty: true, columns: 80, now: NOON });
  controller.deployments = [soakingDeployment()];
  whenWatched(() => {
    // Nothing is new for a minute; then the controller is gone.
    void context.clock.sleep(60_000).then(() => controller.die());
  });
  await run(args("watch", "d-7", "--reconnect-for", "4m"), context);
  expect(context.exitCode()).toBe(3);
  const last = context.out().slice(context.out().lastIndexOf("d-7  shop-web"));
  expect(last).toMatch(/as of \d\d:\d\d:\d\d; trying again: cannot reach/);
  // The soak would be over by now, for all that the watcher's own clock knows.
  expect(context.clock.now()).toBeGreaterThan(NOON + 180_000);
  expect(last).toMatch(/soaking, [12]m(?:\d+s)? left of 5m/);
});

test("an address that is wrong from the beginning is not tried again", async () => {
  await controller.die();
  const context = fakeContext();
  await run(args("watch", "d-7"), context);
  expect(context.exitCode()).toBe(3);
  expect(context.clock.now()).toBe(0);
});

test("watch of a deployment that is not there ends with 4", async () => {
  expect((await muster(args("watch", "d-99"))).code).toBe(4);
});

test.each([
  ["SIGINT", 130],
  ["SIGTERM", 143],
] as const)("%s leaves the rollout alone and says so", async (signal, code) => {
  const context: FakeContext = fakeContext();
  whenWatched(() => context.interrupt(signal));
  await run(args("watch", "d-7"), context);
  expect(context.exitCode()).toBe(code);
  expect(context.err()).toContain("changes nothing about d-7");
  expect(controller.steered).toEqual([]);
});

test("a reader who has gone ends the watching without a word", async () => {
  const context = fakeContext();
  whenWatched(() => context.interrupt("EPIPE"));
  await run(args("watch", "d-7"), context);
  expect([context.exitCode(), context.err()]).toEqual([0, ""]);
});

test("rollback --watch succeeds when everything is taken back", async () => {
  whenWatched(() => controller.change(rolledBackDeployment()));
  expect((await muster(args("rollback", "d-7", "--watch"))).code).toBe(0);
});

test("abort --watch succeeds when it is aborted, resume --watch does not", async () => {
  const aborted = rollingDeployment({ phase: DeploymentPhase.ABORTED, endedAt: NOON });
  whenWatched(() => controller.change(aborted));
  expect((await muster(args("abort", "d-7", "--watch"))).code).toBe(0);
  controller.deployments = [rollingDeployment()];
  expect((await muster(args("resume", "d-7", "--watch"))).code).toBe(1);
});

test("pause --watch waits until no machine is under way", async () => {
  const paused = rollingDeployment({ phase: DeploymentPhase.PAUSED });
  const settled = { ...paused, counts: { ...paused.counts!, updating: 0, healthy: 6 } };
  whenWatched(() => controller.change(settled));
  const { code, out } = await muster(args("pause", "d-7", "--watch"));
  expect(code).toBe(0);
  expect(out).toContain("muster resume d-7");
});

/** Nothing is under way; `resume`, `abort` and others are up to somebody. */
const paused = (change: Partial<Deployment> = {}): Deployment => {
  const settled = { ...rollingDeployment().counts!, updating: 0, healthy: 5, failed: 1 };
  return rollingDeployment({ phase: DeploymentPhase.PAUSED, waitingOn: "an operator to resume, retry, roll back or abort it", counts: settled, remedies: { rollback: true, rollbackTo: "", retry: true }, ...change });
};

describe("one that is paused goes on only when somebody decides", () => {
  test.each([[["watch", "d-7"]], [["resume", "d-7", "--watch"]], [["retry", "d-7", "--watch"]]])("without a terminal %j ends with 7, says so, and how to go on", async (words) => {
    whenWatched(() => controller.change(paused()));
    const { code, out, err } = await muster(args(...words));
    expect([code, err]).toEqual([7, "muster: d-7 is paused, and goes on when somebody decides; stopped watching. Look again with: muster watch d-7\n"]);
    expect(out).toMatch(/next:\n {2}muster resume d-7 .*\n {2}muster retry d-7 .*\n {2}muster rollback d-7 .*\n {2}muster abort d-7 /);
  });

  test("for programs, too, whose last object says that it is paused", async () => {
    controller.deployments = [paused()];
    const { code, out, err } = await muster(args("watch", "d-7", "-o", "json"), { isTty: true });
    expect([code, lines(out).map((line) => JSON.parse(line).phase), err]).toEqual([7, ["paused"], ""]);
  });

  test("machines that are under way are waited for, unless a fault of the controller had paused it, as then nobody counts them", async () => {
    const moving = { ...paused().counts!, updating: 1, healthy: 4 };
    whenWatched(() => {
      controller.change(paused({ counts: moving }));
      controller.change(paused());
    });
    const { code, out } = await muster(args("watch", "d-7", "-o", "json"));
    expect([code, lines(out).map((line) => JSON.parse(line).counts.updating)]).toEqual([7, [2, 1, 0]]);
    controller.deployments = [paused({ counts: moving, reason: { code: "internal", message: "a fault" } })];
    expect((await muster(args("watch", "d-7"))).code).toBe(7);
  });

  test("on a terminal it is watched on, and the picture proposes what to do, once", async () => {
    const context = fakeContext({ isTty: true, columns: 80 });
    whenWatched(() => {
      controller.change(paused());
      const wait = (): void => void (context.out().includes("muster resume d-7") ? controller.change(succeededDeployment()) : setTimeout(wait, 1));
      wait();
    });
    await run(args("watch", "d-7"), context);
    expect([context.exitCode(), context.err()]).toEqual([0, ""]);
    expect(context.out().slice(context.out().lastIndexOf("succeeded"))).not.toContain("next:");
  });

  test("--on-pause has it otherwise", async () => {
    controller.deployments = [paused()];
    const shown = await muster(args("watch", "d-7", "--on-pause", "exit"), { isTty: true, columns: 80 });
    expect([shown.code, shown.out.slice(shown.out.lastIndexOf("waiting on:")).match(/next:/g)]).toEqual([7, ["next:"]]);
    whenWatched(() => controller.change(succeededDeployment()));
    expect((await muster(args("watch", "d-7", "--on-pause", "wait"))).code).toBe(0);
    expect((await muster(args("watch", "d-7", "--on-pause", "guess"))).code).toBe(2);
  });
});

test("events --follow goes on where it stood when the controller comes back", async () => {
  controller.events = [event(1), event(2)];
  const context = fakeContext({
    onStdout: (text) => {
      if (text.includes("(3)")) context.interrupt("SIGINT");
    },
  });
  whenWatched((time) => {
    if (time > 1) return;
    controller.events.push(event(3));
    // Only once the first two have been read.
    const wait = (): void => void (context.out().includes("(2)") ? controller.die().then(() => controller.listen()) : setImmediate(wait));
    wait();
  });
  await run(args("events", "--follow"), context);
  expect(context.exitCode()).toBe(130);
  expect(controller.readFrom).toEqual([1, 3]);
  expect(context.err()).toMatch(/^trying again: [^\n]*\n$/);
  expect(context.out().match(/\(\d\)/g)).toEqual(["(1)", "(2)", "(3)"]);
});
