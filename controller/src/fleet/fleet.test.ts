import { describe, expect, test } from "vitest";
import type { Generation, Instant, MachineId } from "@muster/proto/ids.ts";
import { attendedAlways } from "../rollout/moment.ts";
import { Fleet, type HeardAt } from "./fleet.ts";

const a = "a" as MachineId;
const b = "b" as MachineId;
const at = (ms: number) => ms as Instant;
/** On all clocks at once; the wall clock may say another time. */
const seen = (ms: number, wall = ms): HeardAt => ({ ...attendedAlways(ms as Instant), at: at(wall), watchedMs: ms });

describe("a machine", () => {
  test("is overdue after silent_after without a word, whether its session ended or froze", () => {
    const fleet = new Fleet(10_000);
    fleet.connected(a, seen(0), 0);
    fleet.connected(b, seen(0), 0);
    fleet.disconnected(b, at(1000));
    expect(fleet.presence(b).presence).toBe("disconnected");
    expect(fleet.overdue(9_999)).toEqual([]);
    expect(fleet.overdue(10_000)).toEqual([a, b]);
  });

  test("is overdue by the time in which the controller looked on, whatever the wall clock was set to meanwhile", () => {
    const fleet = new Fleet(10_000);
    fleet.connected(a, seen(0, 1_000_000), 0);
    fleet.heard(a, seen(1_000, 0));
    fleet.connected(b, seen(2_000, 500), 0);
    expect(fleet.overdue(10_999)).toEqual([]);
    expect(fleet.overdue(11_000)).toEqual([a]);
    expect(fleet.overdue(12_000)).toEqual([a, b]);
    expect(fleet.overdue(12_000, 1)).toEqual([a]);
  });

  test("that is heard moves to the end of the line", () => {
    const fleet = new Fleet(10_000);
    fleet.connected(a, seen(0), 0);
    fleet.connected(b, seen(0), 0);
    fleet.heard(a, seen(5000), 7 as Generation);
    expect(fleet.overdue(12_000)).toEqual([b]);
    expect(fleet.presence(a)).toEqual({ presence: "connected", since: 0, lastSeenAt: 5000, acknowledgedGeneration: 7 });
  });

  test("refuses what it is sent until it says nothing of it any more, since it said so first", () => {
    const fleet = new Fleet(10_000);
    const refusal = (code: "expired" | "not_fresh") => ({ code, message: "the assignment is no good" }) as const;
    fleet.connected(a, seen(0), 0);
    expect(fleet.refusal(a)).toBeUndefined();
    fleet.refuses(a, at(1000), refusal("expired"));
    fleet.refuses(a, at(2000), refusal("expired"));
    expect(fleet.refusal(a)).toEqual({ ...refusal("expired"), since: 1000 });
    fleet.refuses(a, at(3000), refusal("not_fresh"));
    expect(fleet.refusal(a)).toEqual({ ...refusal("not_fresh"), since: 3000 });
    fleet.refuses(a, at(4000), undefined);
    expect(fleet.refusal(a)).toBeUndefined();
    fleet.refuses(b, at(4000), refusal("expired"));
    expect(fleet.refusal(b)).toBeUndefined();
  });

  test("is silent until it says hello again", () => {
    const fleet = new Fleet(10_000);
    fleet.connected(a, seen(0), 0);
    fleet.markSilent(a, at(10_000));
    fleet.heard(a, seen(11_000));
    expect(fleet.isSilent(a)).toBe(true);
    expect(fleet.overdue(99_000)).toEqual([]);
    fleet.connected(a, seen(12_000), 0);
    expect(fleet.isSilent(a)).toBe(false);
  });

  test("counts from the controller's own start when nothing was heard of it since", () => {
    const fleet = new Fleet(10_000);
    fleet.restore([{ id: a, silent_since: null }, { id: b, silent_since: at(20_000) }], seen(50_000));
    expect(fleet.presence(a).presence).toBe("disconnected");
    expect(fleet.presence(b)).toMatchObject({ presence: "silent", since: 20_000 });
    expect(fleet.overdue(60_000)).toEqual([a]);
  });
});
