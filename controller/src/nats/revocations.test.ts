import { describe, expect, test } from "vitest";
import { EVERYBODY, REVOCATIONS_MAX, prune, revoke } from "./revocations.ts";

const HOUR_S = 3600;
const nowS = 1_000_000;
const user = (publicKey: string, endsAtS = nowS + 24 * HOUR_S) => ({ publicKey, endsAtS });

describe("a revoked user", () => {
  test("is refused with every JWT that may still count", () => {
    expect(revoke({}, [user("U1")], nowS)).toEqual({ U1: { untilS: nowS + 24 * HOUR_S, endsAtS: nowS + 24 * HOUR_S } });
  });

  test("stays so when another is revoked, and when it is revoked again", () => {
    const once = revoke({}, [user("U1")], nowS);
    const twice = revoke(revoke(once, [user("U2")], nowS + 10), [user("U1")], nowS + 20);
    expect(twice).toMatchObject({ ...once, U2: { untilS: nowS + 24 * HOUR_S } });
  });

  test("whose JWT has just ended is refused for as long as clocks may differ", () => {
    const list = revoke({}, [user("U1", nowS - 10)], nowS);
    expect(list).toEqual({ U1: { untilS: nowS, endsAtS: nowS } });
    expect(prune(list, nowS + HOUR_S - 1)).toEqual(list);
  });

  test("is forgotten an hour after its last JWT has ended, not before", () => {
    const list = revoke({}, [user("U1"), user("U2", nowS + 48 * HOUR_S)], nowS);
    expect(Object.keys(prune(list, nowS + 25 * HOUR_S - 1))).toEqual(["U1", "U2"]);
    expect(Object.keys(prune(list, nowS + 25 * HOUR_S))).toEqual(["U2"]);
  });
});

describe("more than the list may hold", () => {
  const many = Array.from({ length: REVOCATIONS_MAX }, (_, index) => user(`U${index}`, nowS + index));

  test("become one entry for everybody whose JWT was issued until now", () => {
    const full = revoke({}, many, nowS);
    expect(Object.keys(full)).toHaveLength(REVOCATIONS_MAX);
    const list = revoke(full, [user("one more", nowS + 10)], nowS + 5);
    expect(list).toEqual({ [EVERYBODY]: { untilS: nowS + 5, endsAtS: nowS + REVOCATIONS_MAX - 1 } });
  });

  test("are counted after what may be forgotten is forgotten", () => {
    const full = revoke({}, many, nowS);
    const later = nowS + 1000 + HOUR_S;
    expect(Object.keys(revoke(full, [user("one more", later)], later))).toHaveLength(REVOCATIONS_MAX - 1000);
  });
});
