import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { assignmentFile } from "../runner/on-disk.ts";
import { forgetOtherFleet } from "./other-fleet.ts";
import { openTrustStore, trustDir } from "./trust-store.ts";

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "muster-fleets-"));
  openTrustStore({ dir, onDamage: () => undefined }).writeKeys({ controllerId: "one", publicKeys: [] });
  writeFileSync(assignmentFile(dir), "said by one");
});
afterEach(() => rmSync(dir, { recursive: true }));

test("the same controller again changes nothing", () => {
  mkdirSync(join(dir, "apps/web"), { recursive: true });
  expect(forgetOtherFleet(dir, "one")).toEqual({ ok: true });
  expect([existsSync(assignmentFile(dir)), existsSync(trustDir(dir))]).toEqual([true, true]);
});

test("of another controller, what was believed goes", () => {
  expect(forgetOtherFleet(dir, "two")).toEqual({ ok: true });
  expect([existsSync(assignmentFile(dir)), existsSync(trustDir(dir))]).toEqual([false, false]);
});

test("with apps of the former fleet it is refused, and nothing goes", () => {
  mkdirSync(join(dir, "apps/web"), { recursive: true });
  expect(forgetOtherFleet(dir, "two")).toEqual({ ok: false, apps: ["web"] });
  expect([existsSync(assignmentFile(dir)), existsSync(trustDir(dir))]).toEqual([true, true]);
});
