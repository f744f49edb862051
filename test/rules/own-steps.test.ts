/**
 * Steps of tables that are no projections (controller/src/journal/own-tables.ts) are frozen here: a database out there has run them, so a change of shape is a further step.
 * A new step is written down with the digest that the failing test shows; two branches that each add one meet in this file.
 */
import { createHash } from "node:crypto";
import { globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { STEPS as USERS } from "@muster/controller/src/access/users.ts";
import { STEPS as AUDIT } from "@muster/controller/src/audit/audit.ts";
import { IDENTITY_TABLES as IDENTITY } from "@muster/controller/src/identity/tables.ts";
import { TABLES as ARCHIVE } from "@muster/controller/src/journal/archive.ts";
import { STEPS as CLOCK } from "@muster/controller/src/journal/clock-corrections.ts";
import { STEPS as QUESTIONS } from "@muster/controller/src/journal/question-cursors.ts";
import { STEPS as REPORTS } from "@muster/controller/src/journal/report-cursors.ts";
import { TABLES as SNAPSHOTS } from "@muster/controller/src/journal/snapshot.ts";
import { STEPS as SECRETS } from "@muster/controller/src/secrets/secret-store.ts";
import { TABLES as TRUST } from "@muster/controller/src/trust/trust-roots.ts";
import { ROOT } from "./tree.ts";

const AREAS: Readonly<Record<string, readonly string[]>> = {
  archive: ARCHIVE,
  audit: AUDIT,
  clock: CLOCK,
  identity: IDENTITY,
  questions: QUESTIONS,
  reports: REPORTS,
  secrets: SECRETS,
  snapshots: SNAPSHOTS,
  trust: TRUST,
  users: USERS,
};

const FROZEN: Readonly<Record<string, readonly string[]>> = {
  archive: ["6cc6e9d35f1a"],
  audit: ["15169eeb3b81"],
  clock: ["e9ad69f27fd1"],
  identity: ["c5dc918e4e1d"],
  questions: ["d7c719558a8e"],
  reports: ["23c5e407db1a"],
  secrets: ["1cd9d710448b"],
  snapshots: ["88ec90868b12"],
  trust: ["81dcfb77ba27"],
  users: ["4a12c9dc06e8"],
};

function digestOf(step: string): string {
  return createHash("sha256").update(step.replaceAll(/--.*$/gm, "").replaceAll(/\s+/g, " ").trim()).digest("hex").slice(0, 12);
}

const digests = (): Record<string, string[]> => Object.fromEntries(Object.entries(AREAS).map(([area, steps]) => [area, steps.map(digestOf)]));

test("no step that was released is changed", () => {
  expect(digests()).toEqual(FROZEN);
});

test("a column more, or another default, is another step; a comment or a line break is not", () => {
  const step = "CREATE TABLE keys (id TEXT PRIMARY KEY, uses INTEGER DEFAULT 0) STRICT";
  expect(digestOf(step.replace("DEFAULT 0", "DEFAULT 1"))).not.toBe(digestOf(step));
  expect(digestOf("CREATE TABLE keys (id TEXT PRIMARY KEY, -- of the issuer\n  uses INTEGER DEFAULT 0) STRICT")).toBe(digestOf(step));
});

test("every area that keeps tables of its own is frozen here", () => {
  const sources = globSync("controller/src/**/*.ts", { cwd: ROOT }).filter((path) => !path.endsWith(".test.ts"));
  const areas = sources.flatMap((path) => [...readFileSync(join(ROOT, path), "utf8").matchAll(/\bmigrate\([\w.]+, "(\w+)"/g)].map(([, area]) => area!));
  expect(new Set(areas)).toEqual(new Set(Object.keys(AREAS)));
});
