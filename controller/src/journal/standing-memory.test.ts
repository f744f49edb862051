/** What stands for an app, and what stood, with years of deployments behind it: as much is read as with few. */
import type { AppName, MachineId, ReleaseId } from "@muster/proto/ids.ts";
import fc from "fast-check";
import { expect, test } from "vitest";
import { onOne, WIDE, work } from "../engine/on-one.fixture.ts";
import { Facts } from "../engine/facts.ts";
import type { World } from "../engine/world.fixture.ts";
import { Journal } from "./journal.ts";
import { newestStanding, stands } from "./standing.ts";
import { Work } from "./work.fixture.ts";

const APP = "app" as AppName;
const LATE = ["x", "y", "z"];

/** Each deployment gives one of three releases in turn, and every third is rolled back. The late machines have nothing of their own, and are given the last one. */
async function past(deployments: number) {
  const world: World = await onOne(["a"]);
  for (let n = 0; n < deployments; n += 1) {
    const id = world.deploy(String(2 + (n % 3)), WIDE);
    await work(world, ["a"], 2);
    if (n % 3 === 1) world.command(id, "rollback");
    await work(world, ["a"], 2);
  }
  const last = world.deploy("9", WIDE);
  await work(world, ["a"], 2);
  await world.joinAs({ role: "db" }, ...LATE);
  for (const name of LATE) world.journal.db.prepare("UPDATE machines SET labels = '{\"role\":\"web\"}' WHERE id = ?").run(name);
  return { world, last };
}

/** Of the tables, in one turn. */
async function asks({ world, last }: Awaited<ReturnType<typeof past>>, isNow: boolean) {
  const counted = new Work(world.journal.db);
  const facts = new Facts(counted.db);
  const before = await counted.of(() => LATE.map((name) => facts.wayBack(name as MachineId, APP, { id: last, release: "app@9" as ReleaseId }, isNow).release));
  return { before, rows: counted.rowsInTurn, statements: counted.statementsInTurn };
}

test.each([false, true])("what late machines go back to costs as much after sixty deployments as after six; as it is by now: %s", async (isNow) => {
  const [few, many] = [await asks(await past(6), isNow), await asks(await past(60), isNow)];
  expect(many).toEqual(few);
  expect(many.before).toEqual(LATE.map(() => "app@4"));
});

test("what stands, and what was taken back since, costs as much after sixty deployments as after six", async () => {
  const read = async (deployments: number) => {
    const { world } = await past(deployments);
    const counted = new Work(world.journal.db);
    const facts = new Facts(counted.db);
    await counted.of(() => facts.standing(APP).flatMap(({ release, startSeq }) => facts.takenBack(APP, release, startSeq)));
    return [counted.rowsInTurn, counted.statementsInTurn];
  };
  expect(await read(60)).toEqual(await read(6));
});

interface Row {
  readonly app: string;
  readonly release: string;
  readonly selector: string;
  readonly phase: string;
  readonly backAfter: number | null;
  readonly changed: number | null;
}

/** Of few selectors and releases, so that much is given twice, and taken back in between. */
const rows: fc.Arbitrary<readonly Row[]> = fc.array(
  fc.record({
    app: fc.constantFrom("app", "app", "other"),
    release: fc.constantFrom("1", "2"),
    selector: fc.constantFrom("", "a=1", "b=1"),
    phase: fc.constantFrom("succeeded", "succeeded", "succeeded", "aborted"),
    backAfter: fc.option(fc.integer({ min: 1, max: 99 }), { freq: 2 }),
    changed: fc.option(fc.constant(1), { freq: 4 }),
  }),
  { maxLength: 30 },
);

function keep(given: readonly Row[]): Journal {
  const journal = Journal.open(":memory:");
  const insert = journal.db.prepare(`INSERT INTO deployments (number, id, app, release, strategy, selector, phase, submitted_at, progress_attended, submitted_by, alarms, start_seq, back_seq, changed_attended)
    VALUES (@number, 'd-' || @number, @app, @release, '{}', @selector, @phase, 0, 0, '', '[]', @startSeq, @backSeq, @changed)`);
  for (const [index, { app, release, selector, phase, backAfter, changed }] of given.entries()) {
    const startSeq = (index + 1) * 10;
    insert.run({ number: index + 1, app, release, selector, phase: backAfter === null ? phase : "rolled_back", startSeq, backSeq: backAfter === null ? null : startSeq + backAfter, changed });
  }
  return journal;
}

test("the newest of each selector that stands is found as by asking each deployment whether it does", () => {
  fc.assert(
    fc.property(rows, (given) => {
      const journal = keep(given);
      const plain = journal.db.prepare(`SELECT d.id, max(d.start_seq) AS seq FROM deployments d WHERE d.app = @app AND ${stands("d")} GROUP BY d.selector ORDER BY seq DESC`).pluck();
      const found = journal.db.prepare(newestStanding("d.id")).pluck();
      for (const app of ["app", "other"]) expect(found.all({ app })).toEqual(plain.all({ app }));
      journal.close();
    }),
  );
});
