/** Signatures of releases, on their way through the journal to the machines. */
import { describe, expect, test } from "vitest";
import type { MachineId } from "@muster/proto/ids.ts";
import { Release } from "@muster/proto/gen/muster/v1/release.ts";
import { publisher, signRelease } from "@muster/proto/trust/publishers.fixture.ts";
import { Journal } from "../journal/journal.ts";
import { World } from "./world.fixture.ts";

const [anna, ben] = [publisher("anna"), publisher("ben")];
const plain = (version = "1"): Release => Release.fromPartial({ app: "app", version, artifact: "a".repeat(64) });

function signersOn(world: World, machine = "a"): readonly string[] {
  const goal = world.engine.assignmentFor(machine as MachineId)?.apps[0]?.goal;
  const signed = goal?.$case === "run" ? goal.value.signed : undefined;
  const { signatures } = JSON.parse(signed ?? '{"signatures":[]}') as { readonly signatures: readonly { readonly keyid: string }[] };
  return [anna, ben].filter(({ key }) => signatures.some(({ keyid }) => keyid === key)).map(({ name }) => name);
}

describe("a signature", () => {
  test("goes with the release to its machines, to those that join later, and with a rollback", async () => {
    const world = new World();
    await world.join("a");
    world.deploy("1", {}, signRelease(plain(), anna));
    await world.settle("a");
    const id = world.deploy("2");
    await world.say("a", "reverted");
    await world.settle("a");
    expect([world.phase(id), world.wanted("a"), signersOn(world)]).toEqual(["rolled_back", "1", ["anna"]]);
    await world.join("late");
    world.deploy("1");
    await world.settle("a", "late");
    expect(signersOn(world, "late")).toEqual(["anna"]);
  });

  test("may be added to a release that exists, which stays the same release", async () => {
    const world = new World();
    await world.join("a");
    world.deploy("1");
    await world.settle("a");
    expect(signersOn(world)).toEqual([]);
    for (const by of [anna, ben, anna]) {
      world.deploy("1", {}, signRelease(plain(), by));
      await world.settle("a");
    }
    expect(signersOn(world)).toEqual(["anna", "ben"]);
    const kinds = [...world.journal.read({ fromSeq: 1 })].map(({ entry }) => entry.kind);
    expect(kinds.filter((kind) => kind === "release_signed")).toHaveLength(2);
    const replayed = Journal.open(":memory:");
    replayed.transaction(() => {
      for (const row of world.journal.read({ fromSeq: 1 })) replayed.append(row.entry, row);
    });
    expect(world.tables(replayed)).toEqual(world.tables());
  });

  test("that machines ask for is missed before the files are sent, unless it will come or was given before", async () => {
    const world = new World();
    await world.join("a");
    world.distrusts = ({ signed }) => (signed === undefined ? "not signed" : undefined);
    const submission = world.submission("1", {}, { artifact: "" });
    expect(world.engine.operators.check(submission, true)).toMatchObject({ ok: false, refusal: { message: "not signed" } });
    expect(world.engine.operators.check(submission).ok).toBe(true);
    world.deploy("1", {}, signRelease(plain(), anna));
    expect(world.engine.operators.check(submission, true).ok).toBe(true);
  });

  test("of another release is refused, and nothing is created", async () => {
    const world = new World();
    await world.join("a");
    const answer = world.submit("2", {}, { signed: signRelease(plain("1"), anna).signed });
    expect(answer).toMatchObject({ ok: false, refusal: { kind: "conflict", message: "the signature is not of this app@2, but of app@1" } });
    expect(world.engine.assignmentFor("a" as MachineId)).toBeUndefined();
  });
});

test("what machines would not run is refused before anybody is told, a rollback to it as well", async () => {
  const world = new World();
  await world.join("a");
  world.deploy("1");
  await world.settle("a");
  const id = world.deploy("2");
  await world.settle("a");
  world.distrusts = ({ version, signed }) => (version === "1" || signed === undefined ? `${version} is not trusted` : undefined);
  expect(world.submit("3")).toMatchObject({ ok: false, refusal: { kind: "conflict", message: "3 is not trusted" } });
  expect(world.engine.operators.rollbackTo(id, "1", { by: "anna", reason: "" })).toMatchObject({ ok: false, refusal: { message: "1 is not trusted" } });
  expect(world.submit("3", {}, signRelease(plain("3"), anna))).toMatchObject({ ok: true });
});
