/**
 * How far each gate and each alarm has come with asking: the last question and the last answer, whether they were news or not.
 *
 * This is no projection: that a question is asked again, and an answer that says nothing new, are no rows of the journal. It is written in the transaction in which the rollout takes them, so that memory
 * is what a reload would read, and no two questions of one asker have the same number. Tables that are rebuilt know as much as the rows say, and this besides.
 */
import type { Database, Statement } from "better-sqlite3";
import type { DeploymentId, Instant } from "@muster/proto/ids.ts";
import type { Asker } from "../gates/verdict.ts";
import type { Cursor } from "../rollout/asking.ts";
import type { RolloutChange } from "../rollout/change.ts";
import type { Attended } from "../rollout/moment.ts";
import type { RolloutState } from "../rollout/state.ts";
import { migrate } from "./own-tables.ts";

export const STEPS = [
  `CREATE TABLE question_cursors (
     deployment     TEXT NOT NULL,
     asker          TEXT NOT NULL,
     attempts       INTEGER NOT NULL,
     is_asked       INTEGER NOT NULL,
     asked_at       INTEGER,
     asked_attended INTEGER,
     unanswered     INTEGER NOT NULL,
     said           TEXT NOT NULL,
     PRIMARY KEY (deployment, asker)
   ) STRICT, WITHOUT ROWID`,
];

interface Row {
  readonly asker: string;
  readonly attempts: number;
  readonly is_asked: 0 | 1;
  readonly asked_at: Instant | null;
  readonly asked_attended: Attended | null;
  readonly unanswered: number;
  readonly said: string;
}

/** Of one deployment: what a gate or an alarm that was read from the tables is, with its cursor. */
export type WithCursor = <T extends Cursor>(asking: T, asker: Asker) => T;

export class QuestionCursors {
  readonly #keep: Statement;
  readonly #of: Statement;

  constructor(db: Database) {
    migrate(db, "questions", STEPS);
    this.#keep = db.prepare(
      `INSERT OR REPLACE INTO question_cursors (deployment, asker, attempts, is_asked, asked_at, asked_attended, unanswered, said)
       VALUES (@deployment, @asker, @attempts, @isAsked, @at, @attended, @unanswered, @said)`,
    );
    this.#of = db.prepare("SELECT asker, attempts, is_asked, asked_at, asked_attended, unanswered, said FROM question_cursors WHERE deployment = ?");
  }

  /** In the transaction of the change, which has been applied. */
  note({ id, waves, alarms }: RolloutState, change: RolloutChange): void {
    const { kind } = change;
    if (kind === "phase_changed") alarms.forEach((state, alarm) => this.#write(id, { kind: "alarm", alarm }, state));
    else if (kind === "alarm_asked" || kind === "alarm_answered") this.#write(id, { kind: "alarm", alarm: change.alarm }, alarms[change.alarm]!);
    else if ("gate" in change) this.#write(id, { kind: "gate", wave: change.wave, gate: change.gate }, waves[change.wave]!.gates[change.gate]!);
  }

  of(deployment: DeploymentId): WithCursor {
    const cursors = new Map((this.#of.all(deployment) as Row[]).map((row) => [row.asker, cursorOf(row)]));
    return (asking, asker) => ({ ...asking, ...cursors.get(nameOf(asker)) });
  }

  #write(deployment: DeploymentId, asker: Asker, { attempts, isAsked, askedAt, unanswered, said }: Cursor): void {
    // It asks nobody, or has not asked yet.
    if (attempts === 0) return;
    this.#keep.run({ deployment, asker: nameOf(asker), attempts, isAsked: isAsked ? 1 : 0, at: askedAt?.at ?? null, attended: askedAt?.attended ?? null, unanswered, said });
  }
}

function cursorOf({ attempts, is_asked: isAsked, asked_at: at, asked_attended: attended, unanswered, said }: Row): Cursor {
  return { attempts, isAsked: isAsked === 1, askedAt: at === null || attended === null ? null : { at, attended }, unanswered, said };
}

function nameOf(asker: Asker): string {
  return asker.kind === "gate" ? `gate ${asker.wave} ${asker.gate}` : `alarm ${asker.alarm}`;
}
