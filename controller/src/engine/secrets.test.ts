import type { ReleaseSecrets } from "@muster/proto/gen/muster/v1/release.ts";
import type { MachineId, ReleaseId } from "@muster/proto/ids.ts";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { Journal } from "../journal/journal.ts";
import { Facts } from "./facts.ts";
import { namedVersions, needingReleases, type SecretKeeper } from "./secrets.ts";
import { World } from "./world.fixture.ts";

/** Versions by name, as they are kept; the last is the newest. */
let kept: Map<string, number[]>;
let notText: Set<string>;
let world: World;

const keeper: SecretKeeper = {
  newest: (name) => kept.get(name)?.at(-1),
  has: (name, version) => kept.get(name)?.includes(version) === true,
  admits: (name, app) => kept.has(name) && !(name === "billing-only" && app !== "billing"),
  isText: (name) => !notText.has(name),
};

beforeEach(async () => {
  kept = new Map([["db", [1]], ["tls", [4]], ["billing-only", [1]]]);
  notText = new Set();
  world = new World(":memory:", keeper);
  await world.join("m-1", "m-2");
});
afterEach(() => world.engine.stop());

const DB: ReleaseSecrets = { env: { DB_PASSWORD: "db" }, files: [{ path: "key", secret: "tls", mode: 0o600 }] };
const versions = (machine = "m-1"): unknown => world.engine.assignmentFor(machine as MachineId)?.apps[0]?.secrets?.versions;
const refusal = (version: string, secrets: ReleaseSecrets): string => {
  const answer = world.submit(version, {}, { secrets });
  return answer.ok ? "granted" : answer.refusal.message;
};

describe("a release that names secrets", () => {
  it("takes their newest versions when it is made, and its assignments say which", async () => {
    world.deploy("1", {}, { secrets: DB });
    await world.settle("m-1", "m-2");
    expect(versions()).toEqual({ db: 1, tls: 4 });
    expect(JSON.stringify(world.told.at(-1)?.apps[0]?.secrets)).toBe('{"versions":{"db":1,"tls":4}}');
  });

  it("keeps its versions when it is deployed again, and says so when there are newer ones", async () => {
    world.deploy("1", {}, { secrets: DB });
    await world.settle("m-1", "m-2");
    kept.set("db", [1, 2]);
    const again = world.submit("1", { targets: "" }, { secrets: DB });
    expect(again).toMatchObject({ ok: true, value: { notes: ["app@1 keeps version 1 of the secret db, which it was made with; version 2 comes with a new version of the app"] } });
    await world.settle("m-1", "m-2");
    expect(versions()).toEqual({ db: 1, tls: 4 });
    world.deploy("2", {}, { secrets: DB });
    await world.settle("m-1", "m-2");
    expect(versions()).toEqual({ db: 2, tls: 4 });
  });

  it("that is gone back to brings back what it ran with", async () => {
    world.deploy("1", {}, { secrets: DB });
    await world.settle("m-1", "m-2");
    kept.set("db", [1, 2]);
    const id = world.deploy("2", {}, { secrets: DB });
    await world.settle("m-1", "m-2");
    world.command(id, "rollback");
    await world.settle("m-1", "m-2");
    expect([world.wanted("m-1"), versions()]).toEqual(["1", { db: 1, tls: 4 }]);
  });

  it("has the same versions after the tables were made anew from the journal", async () => {
    world.deploy("1", {}, { secrets: DB });
    await world.settle("m-1", "m-2");
    kept.set("db", [1, 2]);
    const before = world.tables();
    const again = Journal.open(":memory:");
    again.transaction(() => {
      for (const row of world.journal.read({ fromSeq: 1 })) again.append(row.entry, row);
    });
    expect(world.tables(again)).toEqual(before);
    expect(new Facts(again.db).secretsOf("app@1" as ReleaseId)).toEqual({ db: 1, tls: 4 });
    again.close();
    expect(world.journal.db.prepare("SELECT json_extract(data, '$.secrets') FROM journal WHERE kind = 'release_created'").pluck().all()).toEqual(['{"db":1,"tls":4}']);
  });

  it("is another release when it names others", () => {
    world.deploy("1", {}, { secrets: DB });
    expect(refusal("1", { env: { DB_PASSWORD: "tls" }, files: [] })).toContain("app@1 exists with other content (its secrets differ)");
    expect(refusal("1", { env: {}, files: [] })).toContain("its secrets differ");
  });
});

describe("a deployment is refused", () => {
  it.each<[string, ReleaseSecrets, string]>([
    ["when it names a secret that is not there", { env: { A: "nope" }, files: [] }, "there is no secret nope; make it with: muster secret set nope"],
    ["when it names one of another app", { env: { A: "billing-only" }, files: [] }, "the secret billing-only is not for app; an admin may say so with: muster secret set billing-only --apps …"],
  ])("%s", (_what, secrets, message) => {
    expect(refusal("1", secrets)).toBe(message);
    expect(world.journal.db.prepare("SELECT count(*) FROM releases").pluck().get()).toBe(0);
  });

  it("when a variable would hold what no variable can, though a file may", () => {
    notText.add("tls");
    expect(refusal("1", { env: { KEY: "tls" }, files: [] })).toBe("the secret tls can't be the value of KEY: it is no UTF-8 text, or holds a NUL; let a file hold it, in run.files");
    expect(refusal("1", DB)).toBe("granted");
  });

  it("when a version that the release was made with was removed", () => {
    world.deploy("1", {}, { secrets: DB });
    kept.set("db", [3]);
    expect(refusal("1", DB)).toBe("version 1 of the secret db, which app@1 was made with, was removed; give the app a new version");
    kept.delete("db");
    expect(refusal("1", DB)).toBe("version 1 of the secret db, which app@1 was made with, was removed; give the app a new version");
  });
});

it("who needs a secret: what runs, what it would go back to, and what is on its way; and its versions stay as long as files do", async () => {
  for (const [version, newest] of [["1", 1], ["2", 2], ["3", 3], ["4", 4]] as const) {
    kept.set("db", [1, 2, 3, 4].slice(0, newest));
    world.deploy(version, {}, { secrets: { env: { A: "db" }, files: [] } });
    await world.settle("m-1", "m-2");
  }
  const needing = (name: string | null): unknown => needingReleases(world.journal.db, name).map(({ name: secret, release, version }) => `${release} ${secret}@${version}`);
  expect(needing("db")).toEqual(["app@3 db@3", "app@4 db@4"]);
  expect(needing(null)).toEqual(needing("db"));
  expect(needing("tls")).toEqual([]);
  expect(namedVersions(world.journal.db, "db")).toEqual([1, 2, 3, 4]);
  world.journal.db.exec("DELETE FROM artifacts");
  expect(namedVersions(world.journal.db, "db")).toEqual([3, 4]);
});
