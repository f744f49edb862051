import { beforeEach, expect, test } from "vitest";
import { Attempts, hostOf } from "./attempts.ts";

let now: number;
let attempts: Attempts;
beforeEach(() => {
  now = 0;
  attempts = new Attempts(() => now);
});

function fail(address: string, times: number): void {
  for (let time = 0; time < times; time += 1) attempts.failed(address);
}

test("nine failures cost nothing; ten cost six seconds, and each further one as much again", () => {
  fail("10.0.0.1:1", 9);
  expect(attempts.waitMs("10.0.0.1:2")).toBe(0);
  fail("10.0.0.1:3", 1);
  expect(attempts.waitMs("10.0.0.1:4")).toBe(6_000);
  fail("10.0.0.1:5", 1);
  expect(attempts.waitMs("10.0.0.1:6")).toBe(12_000);
  now += 12_000;
  expect(attempts.waitMs("10.0.0.1:7")).toBe(0);
});

test("all addresses of an IPv6 network are one, and other networks are others", () => {
  fail("2001:db8:1:2:aaaa::1:500", 10);
  expect(attempts.waitMs("2001:db8:1:2:bbbb::9:501")).toBeGreaterThan(0);
  expect(attempts.waitMs("2001:db8:1:2::7:502")).toBeGreaterThan(0);
  expect(attempts.waitMs("2001:db8:1:3::1:503")).toBe(0);
  fail("::1:40", 10);
  expect(attempts.waitMs("::1:41")).toBeGreaterThan(0);
});

test("an IPv4 address is itself, however it is written", () => {
  expect(hostOf("::ffff:10.0.0.7:41922")).toBe("10.0.0.7");
  expect(hostOf("10.0.0.7:41922")).toBe("10.0.0.7");
  expect(hostOf("2001:db8::1:41922")).toBe("2001:db8::1");
});

test("of many addresses those that were quiet longest are forgotten", () => {
  fail("10.0.0.1:1", 20);
  for (let host = 0; host < 10_000; host += 1) attempts.failed(`172.16.${Math.floor(host / 256)}.${host % 256}:1`);
  expect(attempts.waitMs("10.0.0.1:1")).toBe(0);
});
