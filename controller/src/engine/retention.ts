/**
 * How long the files of releases are kept. What was deployed, and why, is kept for ever; files of a release may go when it is neither among the newest of its app nor
 * young, and nothing runs it, ran it last, is told to run it, or is about to be. Among the newest count only those that were healthy on some machine: a row of releases
 * that never worked must not push out those that somebody may want to go back to.
 * Ages are in attended time: what a clock that was wrong for some seconds let go would not come back when it is set.
 *
 * Always holds: what goes is journalled in the transaction that decides it, and the files are removed after its commit, by whoever listens to that; so a
 * controller that dies in between leaves files that the journal does not know, and never a release that the journal believes to have files.
 */
import type { Statement } from "better-sqlite3";
import type { AppName, Digest, ReleaseId } from "@muster/proto/ids.ts";
import { isEnded } from "../rollout/state.ts";
import { newestOfAge } from "./attended-age.ts";
import type { Loop } from "./loop.ts";
import { neededReleases, runningArtifacts } from "./needed-releases.ts";

/** Both limits must be passed. */
export interface RetentionRule {
  /** Newest releases of each app whose files are kept, of those that were healthy somewhere. */
  readonly keep: number;
  /** Younger than this, in attended time, they are kept too. */
  readonly keepForMs: number;
  /** After it, in attended time, the steps of deployments, and what agents said, go from the database to the archive. */
  readonly stepsForMs: number;
}

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;

export const RETENTION_DEFAULT: RetentionRule = { keep: 20, keepForMs: 90 * DAY_MS, stepsForMs: 30 * DAY_MS };

const SWEEP_INTERVAL_MS = HOUR_MS;
/** Files that were pushed and not deployed since: whoever pushed them may still be on the way to the deployment. */
const UNDEPLOYED_MS = DAY_MS;

/** When the disk took nothing. */
const RETRY_MS = 30_000;
/** Let go in one commit: a few milliseconds of the loop. */
const REMOVED_PER_COMMIT = 100;
/** Of which it is read in one turn what they run. */
const MACHINES_PER_TURN = 2500;

/** Files that are made of releases of one app, or of several. */
interface Candidate {
  readonly digest: Digest;
  /** All that are made of them. */
  readonly releases: readonly MadeOfThem[];
}

interface MadeOfThem {
  readonly id: ReleaseId;
  readonly app: AppName;
}

/** Whoever asked for a rule waits until all that was due then is done. */
interface Round {
  /** Not looked at yet. */
  readonly apps: Set<AppName>;
  readonly removed: ReleaseId[];
  readonly done: (removed: readonly ReleaseId[]) => void;
}

export class Retention {
  readonly #loop: Loop;
  readonly #sql: ReturnType<typeof prepare>;
  /** To be looked at, one a turn. */
  readonly #due = new Set<AppName>();
  readonly #rounds = new Set<Round>();
  /** Of the app that is looked at, what agents say that they run. */
  #running: { readonly app: AppName; readonly artifacts: Set<Digest>; readonly left: { readonly app: AppName; after: string }[] } | undefined;
  #cancelStep: (() => void) | undefined;
  #cancelHour: (() => void) | undefined;
  #unsubscribe: (() => void) | undefined;

  constructor(loop: Loop) {
    this.#loop = loop;
    this.#sql = prepare((sql) => loop.journal.db.prepare(sql));
  }

  /** Looks at all apps now and every hour, and at an app when a deployment of it ends. */
  start(): void {
    this.#unsubscribe = this.#loop.onCommit((rows) => {
      for (const { entry } of rows) if (entry.kind === "phase_changed" && isEnded(entry.phase)) this.#lookAt([entry.app]);
    });
    this.#lookAtAll();
  }

  stop(): void {
    this.#unsubscribe?.();
    this.#cancelStep?.();
    this.#cancelHour?.();
    for (const round of this.#rounds) round.done(round.removed.sort());
    this.#rounds.clear();
  }

  rule(): RetentionRule {
    return (this.#sql.rule.get() as RetentionRule | undefined) ?? RETENTION_DEFAULT;
  }

  /** Resolves with the releases whose files went, when all apps have been looked at. */
  set({ keep, keepForMs, stepsForMs }: RetentionRule, by: string): Promise<readonly ReleaseId[]> {
    this.#loop.commit((append) => append({ kind: "retention_set", keep, keepForMs, stepsForMs, by }));
    const apps = this.#apps();
    return new Promise((done) => {
      this.#rounds.add({ apps: new Set(apps), removed: [], done });
      this.#lookAt(apps);
      this.#endRounds();
    });
  }

  #lookAtAll(): void {
    this.#loop.byItself("retention", () => this.#removeStray());
    this.#lookAt(this.#apps());
    this.#cancelHour = this.#loop.clock.wakeAfter(SWEEP_INTERVAL_MS, () => {
      if (!this.#loop.isStopped) this.#lookAtAll();
    });
  }

  #apps(): readonly AppName[] {
    return this.#sql.apps.all() as AppName[];
  }

  #lookAt(apps: Iterable<AppName>): void {
    for (const app of apps) this.#due.add(app);
    if (this.#due.size > 0) this.#cancelStep ??= this.#loop.clock.wakeAfter(0, () => this.#step());
  }

  #step(): void {
    this.#cancelStep = undefined;
    const [app] = this.#due;
    if (this.#loop.isStopped || app === undefined) return;
    let goesOn = false;
    const isDone = this.#loop.byItself("retention", () => {
      goesOn = this.#look(app);
    });
    if (!isDone) {
      this.#cancelStep = this.#loop.clock.wakeAfter(RETRY_MS, () => this.#step());
      return;
    }
    if (!goesOn) {
      this.#due.delete(app);
      for (const { apps } of this.#rounds) apps.delete(app);
      this.#endRounds();
    }
    this.#lookAt([]);
  }

  #endRounds(): void {
    for (const round of this.#rounds) {
      if (round.apps.size > 0) continue;
      this.#rounds.delete(round);
      round.done(round.removed.sort());
    }
  }

  /** Whether there is more of this app. */
  #look(app: AppName): boolean {
    const aged = this.#agedOf(app);
    // Who needs which release is asked of many rows, and so only when there is something to remove.
    if (aged.length === 0) return false;
    const apps = [...new Set(aged.flatMap(({ releases }) => releases.map((release) => release.app)))];
    const { db } = this.#loop.journal;
    const running = this.#runningOf(app, apps);
    if (running === undefined) return true;
    const needed = new Set(apps.flatMap((each) => [...neededReleases(db, each)]));
    const removable = aged.filter(({ digest, releases }) => !running.has(digest) && !releases.some(({ id }) => needed.has(id)));
    const now = removable.slice(0, REMOVED_PER_COMMIT);
    this.#remove(now.map(({ digest }) => digest));
    const releases = now.flatMap((candidate) => candidate.releases.map(({ id }) => id));
    for (const { removed } of this.#rounds) removed.push(...releases);
    if (removable.length > now.length) return true;
    this.#running = undefined;
    return false;
  }

  #removeStray(): void {
    const young = this.#storedSince(Math.max(UNDEPLOYED_MS, this.rule().keepForMs));
    this.#remove((this.#sql.stray.all() as Digest[]).filter((digest) => !young.has(digest)));
  }

  #remove(digests: readonly Digest[]): void {
    if (digests.length === 0) return;
    this.#loop.commit((append) => {
      for (const artifact of digests) append({ kind: "artifact_removed", artifact });
    });
  }

  /** Read some machines a turn; undefined: there are more. Whoever comes to run one meanwhile is assigned it, and needs it. */
  #runningOf(app: AppName, apps: readonly AppName[]): ReadonlySet<Digest> | undefined {
    if (this.#running?.app !== app) this.#running = { app, artifacts: new Set(), left: apps.map((each) => ({ app: each, after: "" })) };
    const { artifacts, left } = this.#running;
    const [next] = left;
    if (next === undefined) return artifacts;
    const read = runningArtifacts(this.#loop.journal.db, next.app, next.after, MACHINES_PER_TURN);
    for (const artifact of read.artifacts) artifacts.add(artifact);
    if (read.last === undefined) left.shift();
    else next.after = read.last;
    return undefined;
  }

  #agedOf(app: AppName): readonly Candidate[] {
    const { keep, keepForMs } = this.rule();
    const rows = this.#sql.candidates.all({ app }) as { readonly digest: Digest; readonly releases: string }[];
    const candidates = rows.map(({ digest, releases }): Candidate => ({ digest, releases: JSON.parse(releases) as MadeOfThem[] }));
    const young = new Set(this.#sql.createdAfter.all(this.#newestOfAge(keepForMs)));
    const pushed = this.#storedSince(UNDEPLOYED_MS);
    const newest = this.#newest(keep);
    return candidates.filter(({ digest, releases }) => {
      const pushedAt = pushed.get(digest);
      if (pushedAt !== undefined && this.#sql.submittedAfter.get({ digest, seq: pushedAt }) === undefined) return false;
      return releases.every((release) => !young.has(release.id) && !newest(release.app).has(release.id));
    });
  }

  /** Files that came, or came again, within so long, and where the journal says so last. */
  #storedSince(ageMs: number): ReadonlyMap<Digest, number> {
    const rows = this.#sql.storedAfter.all(this.#newestOfAge(ageMs)) as { readonly digest: Digest; readonly seq: number }[];
    return new Map(rows.map(({ digest, seq }) => [digest, seq]));
  }

  #newestOfAge(ageMs: number): number {
    return newestOfAge(this.#loop.journal, ageMs, this.#loop.attendance.now().attended);
  }

  /** The newest releases of an app that were healthy somewhere, in the order in which they were made, whatever the clock said. */
  #newest(keep: number): (app: AppName) => ReadonlySet<ReleaseId> {
    const known = new Map<AppName, ReadonlySet<ReleaseId>>();
    return (app) => {
      const newest = known.get(app) ?? new Set(this.#sql.newest.all({ app, keep }) as ReleaseId[]);
      known.set(app, newest);
      return newest;
    };
  }
}

function prepare(statement: (sql: string) => Statement) {
  return {
    rule: statement("SELECT keep, keep_for_ms AS keepForMs, steps_for_ms AS stepsForMs FROM retention"),
    apps: statement("SELECT DISTINCT app FROM releases ORDER BY app").pluck(),
    candidates: statement(
      `SELECT a.digest, (
         SELECT json_group_array(json_object('id', r.id, 'app', r.app)) FROM releases r WHERE r.artifact = a.digest) AS releases
       FROM artifacts a WHERE a.digest IN (SELECT artifact FROM releases WHERE app = @app) ORDER BY a.digest`,
    ),
    createdAfter: statement("SELECT data ->> '$.id' FROM journal WHERE kind = 'release_created' AND seq > ?").pluck(),
    storedAfter: statement("SELECT data ->> '$.artifact' AS digest, seq FROM journal WHERE kind = 'artifact_stored' AND seq > ? ORDER BY seq"),
    // The first row of a deployment says that it was submitted, and stays.
    submittedAfter: statement(
      `SELECT 1 FROM releases r JOIN deployments d ON d.app = r.app AND d.release = r.id
       WHERE r.artifact = @digest AND (SELECT min(j.seq) FROM journal j WHERE j.deployment = d.id) > @seq LIMIT 1`,
    ),
    newest: statement(
      `SELECT r.id FROM journal j JOIN releases r ON r.id = j.data ->> '$.id'
       WHERE j.kind = 'release_created' AND j.app = @app AND r.healthy_at IS NOT NULL ORDER BY j.seq DESC LIMIT @keep`,
    ).pluck(),
    stray: statement("SELECT digest FROM artifacts a WHERE NOT EXISTS (SELECT 1 FROM releases r WHERE r.artifact = a.digest) ORDER BY digest").pluck(),
  };
}
