/** `spread` and `max_unavailable_per`: who may be on the move together. */
import { describe, expect, test } from "vitest";
import { count, fleetOf, Harness, type FleetMachine } from "./rollout.fixture.ts";

/** `aabbb`: the zone of each machine. Machines have their turn in the order of their zones. */
function zones(text: string): FleetMachine[] {
  return fleetOf(text.length, (index) => ({ labels: { zone: text[index]! } }));
}

describe("spread", () => {
  test("never has two values of the label on the move", () => {
    const rollout = new Harness(zones("aaabb"), { spread: "zone", maxUnavailable: count(4) });
    expect(rollout.moving()).toEqual([0, 1, 2]);
    rollout.healthy(0, 2);
    expect(rollout.moving()).toEqual([1]);
    rollout.healthy(1);
    expect(rollout.moving()).toEqual([3, 4]);
  });

  test("goes on with the next value once the last of the one before has settled", () => {
    const rollout = new Harness(zones("abc"), { spread: "zone", maxUnavailable: count(3), maxFailures: count(1) });
    expect(rollout.moving()).toEqual([0]);
    rollout.report(0, "failed");
    expect(rollout.moving()).toEqual([1]);
    rollout.healthy(1);
    expect(rollout.moving()).toEqual([2]);
  });

  test("holds for the way back, too", () => {
    const rollout = new Harness(zones("aabb"), { spread: "zone", maxUnavailable: count(4) });
    rollout.healthy(0, 1);
    rollout.report(2, "failed");
    expect(rollout.phase).toBe("rolling_back");
    expect(rollout.moving()).toEqual([2, 3]);
    rollout.healthy(2);
    expect(rollout.moving()).toEqual([3]);
    rollout.healthy(3);
    expect(rollout.moving()).toEqual([0, 1]);
  });

  test("starts nobody while machines that came back have two values on the move", () => {
    const rollout = new Harness(zones("aaabbb"), { spread: "zone", maxUnavailable: count(1) });
    rollout.healthy(0);
    rollout.silence(1);
    rollout.healthy(2);
    expect(rollout.moving()).toEqual([3]);
    rollout.hear(1);
    expect(rollout.moving()).toEqual([1, 3]);
    rollout.healthy(3);
    expect(rollout.moving()).toEqual([1]);
    rollout.healthy(1);
    expect(rollout.moving()).toEqual([4]);
  });
});

describe("max_unavailable_per", () => {
  test("allows so many of one value, and a full one does not stop the others", () => {
    const rollout = new Harness(zones("aaabbb"), { maxUnavailablePer: [{ label: "zone", max: 1 }], maxUnavailable: count(6) });
    expect(rollout.moving()).toEqual([0, 3]);
    rollout.healthy(3);
    expect(rollout.moving()).toEqual([0, 4]);
    rollout.healthy(4, 5);
    expect(rollout.moving()).toEqual([0]);
    rollout.healthy(0);
    expect(rollout.moving()).toEqual([1]);
  });

  test("leaves the window as it is", () => {
    const rollout = new Harness(zones("aabbcc"), { maxUnavailablePer: [{ label: "zone", max: 1 }], maxUnavailable: count(2) });
    expect(rollout.moving()).toEqual([0, 2]);
    rollout.healthy(2);
    expect(rollout.moving()).toEqual([0, 3]);
  });

  test("counts machines without the label as one value", () => {
    const rollout = new Harness(fleetOf(4), { maxUnavailablePer: [{ label: "zone", max: 1 }], maxUnavailable: count(4) });
    expect(rollout.moving()).toEqual([0]);
  });

  test("may name several labels, beside spread", () => {
    const fleet = fleetOf(8, (index) => ({ labels: { zone: index < 4 ? "a" : "b", rack: `r${Math.floor(index / 2)}` } }));
    const rollout = new Harness(fleet, { spread: "zone", maxUnavailablePer: [{ label: "rack", max: 1 }], maxUnavailable: count(8) });
    expect(rollout.moving()).toEqual([0, 2]);
    rollout.healthy(2);
    expect(rollout.moving()).toEqual([0, 3]);
    rollout.healthy(0, 1, 3);
    expect(rollout.moving()).toEqual([4, 6]);
  });

  test("waits behind whatever is full now: the zone, then the rack", () => {
    const fleet = fleetOf(6, (index) => ({ labels: { zone: index < 4 ? "a" : "b", rack: ["r0", "r0", "r1", "r1", "r2", "r2"][index]! } }));
    const rollout = new Harness(fleet, { maxUnavailablePer: [{ label: "zone", max: 2 }, { label: "rack", max: 1 }], maxUnavailable: count(6) });
    expect(rollout.moving()).toEqual([0, 2, 4]);
    rollout.healthy(2);
    expect(rollout.moving()).toEqual([0, 3, 4]);
    rollout.healthy(3);
    expect(rollout.moving()).toEqual([0, 4]);
    rollout.healthy(0, 4);
    expect(rollout.moving()).toEqual([1, 5]);
  });

  test("whoever is changing anyway goes on when the lane that it helped to fill has room again", () => {
    const rollout = new Harness(zones("aaab"), { maxUnavailablePer: [{ label: "zone", max: 2 }], maxUnavailable: count(1) });
    expect(rollout.moving()).toEqual([0]);
    rollout.report(1, "pulling", { generation: 0 });
    rollout.report(3, "unhealthy", { generation: 0 });
    expect(rollout.moving()).toEqual([0]);
    rollout.healthy(0);
    expect(rollout.moving()).toEqual([1]);
  });

  test("whoever is changing anyway does not fill its lane for itself", () => {
    const rollout = new Harness(zones("aaab"), { maxUnavailablePer: [{ label: "zone", max: 1 }], maxUnavailable: count(2) });
    expect(rollout.moving()).toEqual([0, 3]);
    rollout.report(1, "pulling", { generation: 0 });
    rollout.healthy(0);
    expect(rollout.moving()).toEqual([1, 3]);
  });
});
