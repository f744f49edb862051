/**
 * The fleet as a forecast needs it: who is selected, how long the app took before, what a deployment would wait for.
 */
import type { Database } from "better-sqlite3";
import type { AppName, DeploymentId, Instant, MachineId } from "@muster/proto/ids.ts";
import type { Release } from "@muster/proto/gen/muster/v1/release.ts";
import { checkedSelector, type Selector, selects } from "@muster/proto/selector.ts";
import type { BudgetNow, History, Picture, Wanted } from "../forecast/inputs.ts";
import type { Strategy } from "../plan/strategy.ts";
import { newRollout } from "../rollout/state.ts";
import { frozenBy } from "./calendar.ts";
import { SLICE_ROWS } from "../journal/slices.ts";
import { statement } from "../journal/statement.ts";
import { lastGoods, machinePages } from "./fleet-plan.ts";
import type { Loop } from "./loop.ts";
import type { Operators } from "./operators.ts";
import { type Answer, granted } from "./refusal.ts";
import { waitingToStart } from "./starts.ts";

/** Enough to know how long an app takes, and what it takes now rather than a year ago. */
const DEPLOYMENTS_MAX = 5;
const SAMPLES_MAX = 1000;
/** Of one deployment: each machine makes two or more of them. */
const CHANGES_MAX = SAMPLES_MAX * 4;

interface TargetRow {
  readonly seq: number;
  readonly machine: MachineId;
  readonly at: Instant;
  readonly kind: "target_assigned" | "target_changed";
  readonly state: string;
}

export class Outlook {
  readonly #loop: Loop;
  readonly #operators: Operators;

  constructor(loop: Loop, operators: Operators) {
    this.#loop = loop;
    this.#operators = operators;
  }

  /** Refused where a deployment would be. Made in steps, between which others may have their turn: each machine is as it is at one of them. The picture is a copy: it stays as it is while the fleet goes on. */
  *picture(wanted: Wanted & { readonly release: Release; readonly selector: Selector }): Generator<void, Answer<Picture>, undefined> {
    const { journal, clock, world } = this.#loop;
    const { app, releaseId, release, strategy, selector } = wanted;
    const checked = this.#operators.check({ app, release, strategy, selector });
    if (!checked.ok) return checked;
    const history = yield* this.#history(app);
    const machines: Picture["machines"][number][] = [];
    for (const page of machinePages(journal, world, app, selector, releaseId)) {
      const before = page.length === 0 ? undefined : lastGoods(journal, app, { by: null, given: releaseId }, page[0]!.id, page.at(-1)!.id);
      for (const machine of page) machines.push({ ...machine, lastGood: before?.get(machine.id) ?? null });
      yield;
    }
    const budgets = yield* this.#budgets(new Set(machines.map(({ id }) => id)));
    const now = clock.now();
    const freezes = world.calendar.freezes(now);
    return granted({
      now,
      machines,
      history,
      budgets,
      silentAfterMs: world.fleet.silentAfterMs,
      frozen: (at: Instant) => frozenBy(freezes, at),
      opening: (window: NonNullable<Strategy["window"]>, at: Instant) => world.calendar.opening(window, at),
      ...this.#waits(wanted),
    });
  }

  #waits({ app, releaseId, strategy }: Wanted): Pick<Picture, "waitsFor" | "beginsAt"> {
    const { rollouts, facts, attendance } = this.#loop;
    const now = attendance.now();
    // Its own time, and who starts it, are the forecast's business.
    const wouldBe = newRollout({ id: facts.nextDeploymentId(), app, release: releaseId, strategy: { ...strategy, start: "auto", startAt: null } }, now);
    const waiting = waitingToStart(wouldBe, [...rollouts.ofApp(app), wouldBe], this.#loop, now);
    return { waitsFor: waiting === undefined ? [] : [waiting.message], beginsAt: waiting?.until ?? null };
  }

  *#budgets(selected: ReadonlySet<MachineId>): Generator<void, readonly BudgetNow[], undefined> {
    const { world, facts } = this.#loop;
    const budgets = world.budgets.list();
    if (budgets.length === 0) return [];
    const resting = facts.labels().filter(({ machine }) => !selected.has(machine) && world.availabilities.ofMachine(machine) === "down");
    const now: BudgetNow[] = [];
    for (const { selector, maxUnavailable: max } of budgets) {
      yield;
      const group = checkedSelector(selector);
      now.push({ selector, max, restingElsewhere: resting.filter(({ labels }) => selects(group, labels)).length });
    }
    return now;
  }

  *#history(app: AppName): Generator<void, History, undefined> {
    const { db } = this.#loop.journal;
    const deployments = db
      .prepare("SELECT id, strategy ->> 'minHealthyTimeMs' AS minHealthyMs FROM deployments WHERE app = ? AND started_at IS NOT NULL AND json_valid(strategy) ORDER BY number DESC LIMIT ?")
      .all(app, DEPLOYMENTS_MAX) as { readonly id: DeploymentId; readonly minHealthyMs: number }[];
    const workMs: number[] = [];
    const from: DeploymentId[] = [];
    for (const { id, minHealthyMs } of deployments) {
      const before = workMs.length;
      const toldAt = new Map<MachineId, Instant>();
      for (const page of changePages(db, id)) {
        for (const { machine, at, kind, state } of page) {
          const told = toldAt.get(machine);
          if (kind === "target_assigned" && state === "updating") toldAt.set(machine, at);
          else toldAt.delete(machine);
          if (told !== undefined && state === "healthy" && workMs.length < SAMPLES_MAX) workMs.push(Math.max(0, at - told - minHealthyMs));
        }
        yield;
      }
      if (workMs.length > before) from.push(id);
    }
    const wasHealthy = statement(db, "SELECT 1 FROM releases WHERE app = ? AND healthy_at IS NOT NULL LIMIT 1").get(app) !== undefined;
    const stopTimeoutMs = statement(db, LONGEST_STOP).pluck().get(app) as number;
    return { workMs, wasHealthy, stopTimeoutMs, deployments: from };
  }
}

const LONGEST_STOP = `SELECT coalesce(max(CASE WHEN json_valid(release) THEN release ->> '$.driver.value.stopTimeoutMs' END), 0) FROM releases
  WHERE id IN (SELECT DISTINCT release FROM assignments WHERE app = ?)`;

/** What became of the targets of a deployment that were changed first, in the order of the journal. */
function* changePages(db: Database, id: DeploymentId): Generator<readonly TargetRow[], void, undefined> {
  const changes = statement(
    db,
    `SELECT seq, machine, at, kind, data ->> 'state' AS state FROM journal
     WHERE deployment = ? AND seq > ? AND kind IN ('target_assigned', 'target_changed') ORDER BY seq LIMIT ${SLICE_ROWS}`,
  );
  for (let after = 0, read = 0; read < CHANGES_MAX; ) {
    const page = changes.all(id, after) as TargetRow[];
    yield page;
    if (page.length < SLICE_ROWS) return;
    read += page.length;
    after = page.at(-1)!.seq;
  }
}
