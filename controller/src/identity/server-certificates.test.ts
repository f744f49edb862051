/** Certificates of servers under a wall clock that is wrong and then set, back or ahead. */
import { X509Certificate } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Instant } from "@muster/proto/ids.ts";
import pino from "pino";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import type { Clock } from "../engine/clock.ts";
import { Authorities } from "./authorities.ts";
import { renewServerCertificates } from "./server-certificates.ts";

const MINUTE = 60_000;
const DAY = 24 * 60 * MINUTE;
const RIGHT = Date.parse("2026-05-04T12:00:00Z");

let dir: string;
let wall: number;
let look: (() => void) | undefined;
let log: string[];
let end: () => void;

const clock: Clock = {
  now: () => wall as Instant,
  monotonicMs: () => 0,
  wakeAfter(_delayMs, callback) {
    look = callback;
    return () => (look = undefined);
  },
};

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "muster-certificates-"));
  [wall, look, log, end] = [RIGHT, undefined, [], () => {}];
});
afterEach(() => {
  end();
  rmSync(dir, { recursive: true });
});

/** A controller that starts at that time. Returns what it shows; `looksAgain` resolves when it has looked at the clock once more. */
async function start(at: number) {
  wall = at;
  const authorities = await Authorities.open(dir, clock.now);
  let renewed = 0;
  end = renewServerCertificates({ authorities, clock, onRenewed: () => (renewed += 1), logger: pino({ base: null }, { write: (line: string) => void log.push(line) }) });
  const looksAgain = async (): Promise<void> => {
    await vi.waitFor(() => expect(look).toBeDefined());
    const due = look!;
    look = undefined;
    due();
    await vi.waitFor(() => expect(look).toBeDefined());
  };
  const isGood = (): boolean => {
    const shown = new X509Certificate(authorities.shownToAll.chain);
    const chain = [shown, authorities.newest.certificate];
    return chain.every(({ validFromDate, validToDate }) => validFromDate.getTime() <= wall - MINUTE && wall < validToDate.getTime());
  };
  return { authorities, looksAgain, isGood, renewals: () => renewed };
}

test.each([
  ["2 days ahead", 2 * DAY],
  ["6 minutes ahead", 6 * MINUTE],
  ["40 days behind", -40 * DAY],
  ["a day behind", -DAY],
])("a controller that starts with a clock %s shows certificates for the right time within a look of its being set", async (_, wrongMs) => {
  const controller = await start(RIGHT + wrongMs);
  await controller.looksAgain();
  expect(controller.renewals()).toBe(0);
  wall = RIGHT;
  await controller.looksAgain();
  expect([controller.isGood(), controller.renewals(), log]).toEqual([true, 1, []]);
  await controller.looksAgain();
  expect(controller.renewals()).toBe(1);
});

test("a clock that jumps away and back leaves good certificates each time, and one that is set by seconds changes nothing", async () => {
  const controller = await start(RIGHT);
  for (const at of [RIGHT + 50 * DAY, RIGHT, RIGHT - 50 * DAY, RIGHT]) {
    wall = at;
    await controller.looksAgain();
    expect(controller.isGood()).toBe(true);
  }
  const before = controller.renewals();
  for (const at of [RIGHT + 30_000, RIGHT - 30_000]) {
    wall = at;
    await controller.looksAgain();
  }
  expect([controller.isGood(), controller.renewals()]).toEqual([true, before]);
});

test("they are made anew each day", async () => {
  const controller = await start(RIGHT);
  for (let hours = 1; hours <= 72; hours += 1) {
    wall = RIGHT + (hours * DAY) / 24;
    await controller.looksAgain();
  }
  expect([controller.renewals(), controller.isGood()]).toEqual([3, true]);
});

test("an authority that does not count by the clock is named once, with the way out, and the time it was made is known", async () => {
  const controller = await start(RIGHT);
  expect(controller.authorities.newest.madeAt - RIGHT).toBeLessThanOrEqual(1_000);
  expect(controller.authorities.newest.madeAt - RIGHT).toBeGreaterThanOrEqual(0);
  wall = RIGHT - 400 * DAY;
  await controller.looksAgain();
  await controller.looksAgain();
  expect(log).toHaveLength(1);
  expect(JSON.parse(log[0]!)).toMatchObject({ level: 50, detail: expect.stringMatching(/^[0-9a-f]{12} counts from 2025-05-03.* and it is 2025-03-30.* set the clock\..* remove .*, start it again, and let machines join anew$/) });
});
