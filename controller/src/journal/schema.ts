/**
 * The journal and its projections. `journal` is the truth; the other tables of this file can be dropped and replayed. What is no projection is kept by the part that needs it (own-tables.ts).
 *
 * A column whose first value is always the same has it as its default; an INSERT names the columns it writes, and leaves out those.
 *
 * A change of shape: for a projection, alter it here, and it is rebuilt from the journal at the next start, since its text is another one; where the same tables are filled
 * otherwise, raise PROJECTION_VERSION. The journal's own shape changes only by a migration that leaves its rows as they are.
 */
import { createHash } from "node:crypto";
import type { Database } from "better-sqlite3";

export const JOURNAL_VERSION = 4;
/** Of what is written into the tables. Two branches may raise it to the same number: `PROJECTION_SHAPE` tells their tables apart. */
const PROJECTION_VERSION = 21;

const JOURNAL = `
  CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS journal (
    seq        INTEGER PRIMARY KEY,
    at         INTEGER NOT NULL,
    attended   INTEGER NOT NULL,
    kind       TEXT NOT NULL,
    deployment TEXT,
    machine    TEXT,
    app        TEXT,
    data       TEXT NOT NULL
  ) STRICT;
  CREATE INDEX IF NOT EXISTS journal_by_deployment ON journal (deployment, seq) WHERE deployment IS NOT NULL;
  CREATE INDEX IF NOT EXISTS journal_by_machine ON journal (machine, seq) WHERE machine IS NOT NULL;
  CREATE INDEX IF NOT EXISTS journal_presence ON journal (machine, seq) WHERE kind IN ('machine_silent', 'machine_heard');
  CREATE INDEX IF NOT EXISTS journal_cordons ON journal (machine, seq) WHERE kind IN ('machine_cordoned', 'machine_uncordoned');
  CREATE INDEX IF NOT EXISTS journal_removals ON journal (seq) WHERE kind = 'machine_removed';
  CREATE INDEX IF NOT EXISTS journal_releases ON journal (seq) WHERE kind = 'release_created';
  CREATE INDEX IF NOT EXISTS journal_artifacts ON journal (seq) WHERE kind = 'artifact_stored';
`;

const PROJECTIONS = {
  machines: `CREATE TABLE machines (
    id            TEXT PRIMARY KEY,
    instance      TEXT NOT NULL,
    labels        TEXT NOT NULL,
    agent_version TEXT NOT NULL,
    hostname      TEXT NOT NULL,
    os            TEXT NOT NULL,
    arch          TEXT NOT NULL,
    first_seen_at INTEGER NOT NULL,
    joined_seq    INTEGER NOT NULL DEFAULT 0, -- its first row; one of its name may have been there before, and was removed
    silent_since  INTEGER,
    silent_attended INTEGER, -- when it fell silent last, also when it was heard again since; null: never
    heard_attended  INTEGER, -- when it was heard again after a silence last; null: never
    cordoned_at   INTEGER,
    cordoned_by   TEXT,
    cordon_reason TEXT,
    drained       INTEGER NOT NULL DEFAULT 0
  ) STRICT, WITHOUT ROWID`,
  machine_apps: `CREATE TABLE machine_apps (
    machine          TEXT NOT NULL,
    app              TEXT NOT NULL,
    generation       INTEGER NOT NULL,
    phase            TEXT NOT NULL,
    reason_code      TEXT,
    reason_message   TEXT,
    running_version  TEXT NOT NULL,
    running_artifact TEXT NOT NULL,
    starts           INTEGER NOT NULL,
    pid              INTEGER NOT NULL,
    ports            TEXT NOT NULL,
    since            INTEGER NOT NULL,
    said_attended    INTEGER NOT NULL,
    unwell_attended  INTEGER, -- when it said first that it is not healthy, since it was so last with this generation; null: it is
    PRIMARY KEY (machine, app)
  ) STRICT, WITHOUT ROWID`,
  assignments: `CREATE TABLE assignments (
    machine                TEXT NOT NULL,
    app                    TEXT NOT NULL,
    generation             INTEGER NOT NULL,
    deployment             TEXT NOT NULL,
    release                TEXT,
    min_healthy_time_ms    INTEGER NOT NULL,
    healthy_deadline_ms    INTEGER NOT NULL,
    progress_deadline_ms   INTEGER NOT NULL,
    stop_timeout_ms        INTEGER, -- to stop what may run, beside the healthy_deadline; null: the release is new, and its healthy_deadline counts that too
    labels                 TEXT NOT NULL,
    last_good              TEXT,
    as_late                INTEGER NOT NULL DEFAULT 0, -- a rollback gave it what stood for machines like it, or a drain nothing: nothing was good there
    brought_by             TEXT, -- the deployment that had given the machine what it went back to, or was given back; null: its own
    decided_seq            INTEGER NOT NULL,
    kept_seq               INTEGER, -- when a deployment left the machine out, since it ran the release already, that a rollback to an older release was to replace there; null: none did
    good_seq               INTEGER, -- of the decision that gave it last_good; null: none did
    awaited_attended       INTEGER,
    PRIMARY KEY (machine, app)
  ) STRICT, WITHOUT ROWID`,
  artifacts: `CREATE TABLE artifacts (
    digest     TEXT PRIMARY KEY,
    file_count INTEGER NOT NULL,
    size_bytes INTEGER NOT NULL,
    pack_bytes INTEGER NOT NULL,
    stored_at  INTEGER NOT NULL
  ) STRICT, WITHOUT ROWID`,
  releases: `CREATE TABLE releases (
    id         TEXT PRIMARY KEY,
    app        TEXT NOT NULL,
    artifact   TEXT NOT NULL,
    release    TEXT NOT NULL,
    secrets    TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    healthy_at INTEGER -- the first time on any machine
  ) STRICT, WITHOUT ROWID`,
  deployments: `CREATE TABLE deployments (
    number          INTEGER PRIMARY KEY,
    id              TEXT NOT NULL UNIQUE,
    app             TEXT NOT NULL,
    release         TEXT NOT NULL,
    strategy        TEXT NOT NULL,
    selector        TEXT NOT NULL,
    phase           TEXT NOT NULL DEFAULT 'pending',
    reason_code     TEXT,
    reason_message  TEXT,
    submitted_at    INTEGER NOT NULL,
    started_at      INTEGER,
    start_seq       INTEGER,
    back_seq        INTEGER,
    takes_back      TEXT,
    ended_at        INTEGER,
    ended_attended  INTEGER,
    progress_attended INTEGER NOT NULL,
    wave            INTEGER NOT NULL DEFAULT 0,
    max_unavailable INTEGER NOT NULL DEFAULT 1,
    unchanged       TEXT NOT NULL DEFAULT '[]',
    notes           TEXT NOT NULL DEFAULT '[]',
    submitted_by    TEXT NOT NULL,
    lanes           TEXT NOT NULL DEFAULT '[]',
    alarms          TEXT NOT NULL,
    start_approved  INTEGER NOT NULL DEFAULT 0,
    promoted        INTEGER NOT NULL DEFAULT 0,
    hold_kind       TEXT,
    hold_message    TEXT,
    hold_since      INTEGER,
    hold_attended   INTEGER,
    hold_until      INTEGER,
    unchanged_archived INTEGER NOT NULL DEFAULT 0, -- so many it left out, whose names are not in "unchanged" any more
    changed_attended INTEGER -- when it first had somebody to change; null: it has had nobody
  ) STRICT`,
  waves: `CREATE TABLE waves (
    deployment               TEXT NOT NULL,
    wave                     INTEGER NOT NULL,
    members                  TEXT NOT NULL,
    gates                    TEXT NOT NULL,
    begins_at                INTEGER,
    after_ms                 INTEGER NOT NULL,
    max_failures             INTEGER NOT NULL,
    max_unreachable          INTEGER,
    success_threshold        INTEGER,
    started_at               INTEGER,
    finished_at              INTEGER,
    finished_attended        INTEGER,
    finished_seq             INTEGER,
    changed_at               INTEGER NOT NULL,
    changed_attended         INTEGER NOT NULL,
    gone_failed              INTEGER NOT NULL DEFAULT 0, -- failures whose targets are not in the tables any more, or belong to a new machine of the name
    gone_lost                INTEGER NOT NULL DEFAULT 0, -- the same of machines that were lost with the release
    gone_known               INTEGER NOT NULL DEFAULT 0, -- of gone_failed, those that a person knows of
    folded_new               INTEGER NOT NULL DEFAULT 0, -- targets that are but counts by now, and to which the release was new
    PRIMARY KEY (deployment, wave)
  ) STRICT, WITHOUT ROWID`,
  targets: `CREATE TABLE targets (
    deployment     TEXT NOT NULL,
    machine        TEXT NOT NULL,
    wave           INTEGER NOT NULL,
    position       INTEGER NOT NULL,
    previous       TEXT,
    previous_seq   INTEGER, -- of the decision that had given it "previous"; null: none did
    taken_down     TEXT, -- as "takenDown" of a target
    previous_as_late INTEGER NOT NULL DEFAULT 0, -- as "as_late" of assignments, when it goes back
    lane           TEXT NOT NULL,
    state          TEXT NOT NULL DEFAULT 'pending',
    purpose        TEXT,
    generation     INTEGER NOT NULL DEFAULT 0,
    since          INTEGER NOT NULL,
    since_attended INTEGER NOT NULL,
    attempts       INTEGER NOT NULL DEFAULT 0,
    first_told     INTEGER NOT NULL DEFAULT 0,
    was_healthy    INTEGER NOT NULL DEFAULT 0,
    reason_code    TEXT,
    reason_message TEXT,
    runs           TEXT,
    let_go         TEXT,
    left_as        TEXT,
    is_known       INTEGER NOT NULL DEFAULT 0,
    confirmed_seq  INTEGER,
    on_trial       INTEGER NOT NULL DEFAULT 0, -- it ran the release unconfirmed, beside others to which it is new
    PRIMARY KEY (deployment, machine)
  ) STRICT, WITHOUT ROWID`,
  archived_targets: `CREATE TABLE archived_targets (
    deployment TEXT NOT NULL,
    wave       INTEGER NOT NULL,
    state      TEXT NOT NULL, -- of a target, or 'unmatched'
    count      INTEGER NOT NULL,
    PRIMARY KEY (deployment, wave, state)
  ) STRICT, WITHOUT ROWID`,
  owed_removals: `CREATE TABLE owed_removals (
    machine  TEXT PRIMARY KEY,
    before   INTEGER NOT NULL, -- deployments with a smaller number have still to lose the machine
    seq      INTEGER NOT NULL,
    at       INTEGER NOT NULL,
    attended INTEGER NOT NULL,
    entry    TEXT NOT NULL
  ) STRICT, WITHOUT ROWID`,
  budgets: `CREATE TABLE budgets (
    selector        TEXT PRIMARY KEY,
    max_unavailable INTEGER NOT NULL,
    set_by          TEXT NOT NULL
  ) STRICT, WITHOUT ROWID`,
  freezes: `CREATE TABLE freezes (
    number   INTEGER PRIMARY KEY,
    from_at  INTEGER NOT NULL,
    until_at INTEGER,
    reason   TEXT NOT NULL,
    set_by   TEXT NOT NULL
  ) STRICT`,
  retention: `CREATE TABLE retention (
    only        INTEGER PRIMARY KEY CHECK (only = 1),
    keep         INTEGER NOT NULL,
    keep_for_ms  INTEGER NOT NULL,
    steps_for_ms INTEGER NOT NULL
  ) STRICT`,
} as const;

const INDEXES = [
  "CREATE INDEX deployments_by_app ON deployments (app, number)",
  "CREATE INDEX deployments_active ON deployments (number) WHERE ended_at IS NULL",
  "CREATE INDEX deployments_by_start ON deployments (app, start_seq)",
  "CREATE INDEX deployments_by_release ON deployments (app, release)",
  "CREATE INDEX deployments_given ON deployments (app, release, selector, start_seq, changed_attended, id)",
  "CREATE INDEX targets_left ON targets (deployment) WHERE left_as IS NOT NULL",
  "CREATE INDEX owed_removals_before ON owed_removals (before)",
  "CREATE INDEX owed_removals_seq ON owed_removals (seq)",
  "CREATE INDEX targets_failed ON targets (machine) WHERE state = 'failed'",
  "CREATE INDEX targets_by_state ON targets (deployment, wave, state)",
  "CREATE INDEX deployments_standing ON deployments (app, selector, start_seq) WHERE phase = 'succeeded' AND changed_attended IS NOT NULL",
  "CREATE INDEX targets_outstanding ON targets (machine) WHERE state IN ('unreachable', 'skipped')",
  "CREATE INDEX deployments_back ON deployments (app, release, back_seq, selector, start_seq) WHERE back_seq IS NOT NULL",
  "CREATE INDEX releases_by_artifact ON releases (artifact)",
  "CREATE INDEX releases_by_app ON releases (app, created_at, id)",
  "CREATE INDEX machine_apps_said ON machine_apps (app, said_attended)",
  "CREATE INDEX assignments_by_app ON assignments (app, release, last_good)",
  // Few, and asked for whatever is assigned.
  "CREATE INDEX deployments_taking_back ON deployments (app, takes_back, start_seq) WHERE takes_back IS NOT NULL",
  "CREATE INDEX machine_apps_by_app ON machine_apps (app, running_version)",
  "CREATE INDEX assignments_by_deployment ON assignments (deployment)",
];

/** Version and tables of the projections. A database that was kept with another one has them rebuilt. */
export const PROJECTION_SHAPE = `${PROJECTION_VERSION}.${digestOf([...Object.values(PROJECTIONS), ...INDEXES])}`;

/** Comments and line breaks are no shape. */
function digestOf(statements: readonly string[]): string {
  const text = statements.map((sql) => sql.replaceAll(/--.*$/gm, "").replaceAll(/\s+/g, " ").trim()).join(";\n");
  return createHash("sha256").update(text).digest("hex").slice(0, 16);
}

export const PROJECTION_TABLES = Object.keys(PROJECTIONS) as (keyof typeof PROJECTIONS)[];

export function createJournalTables(db: Database): void {
  db.exec(JOURNAL);
}

/** Drops every projection and makes it anew, empty. */
export function recreateProjections(db: Database): void {
  for (const table of PROJECTION_TABLES) db.exec(`DROP TABLE IF EXISTS ${table}`);
  for (const sql of Object.values(PROJECTIONS)) db.exec(sql);
  for (const sql of INDEXES) db.exec(sql);
}
