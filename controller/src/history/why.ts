/**
 * Why something is as it is: the chain of decisions from the journal, what it waits for now, and its state in a sentence.
 *
 * Reads the journal page by page, so that the engine has its turn in between, and changes nothing.
 */
import { isDeepStrictEqual } from "node:util";
import type { WhyResponse } from "@muster/proto/gen/muster/v1/history.ts";
import { type DeploymentId, deploymentNumber, type Instant, type MachineId } from "@muster/proto/ids.ts";
import { type Labels, parseSelector } from "@muster/proto/selector.ts";
import { Facts } from "../engine/facts.ts";
import { type Answer, granted, notFound } from "../engine/refusal.ts";
import type { JournalRow } from "../journal/entry.ts";
import { inSlices, Slice, turn } from "../journal/slices.ts";
import { isEnded, type RolloutPhase, type RolloutState, type Target, type TargetState } from "../rollout/state.ts";
import { Condenser, fit } from "./condense.ts";
import { machineNow } from "./machine-now.ts";
import { Narrator } from "./narrate.ts";
import { NOBODY_OUTSTANDING, NOBODY_OVERTAKEN, NOBODY_STILL_THERE } from "./outcome.ts";
import { isRunElsewhere, outstandingOf, overtakenIn, overtakenOf } from "./outstanding.ts";
import { differenceText, leftOutNow, nowText, type Present, saidOf } from "./present.ts";
import { Queue } from "./queue.ts";
import { Rows, type Source } from "./rows.ts";
import { absenceText, mismatch, UNKNOWN } from "./selection.ts";
import { stillThereOf } from "./still-there.ts";
import { type Before, Story } from "./story.ts";
import { type Afterwards, deploymentSummary, targetSummary } from "./summary.ts";
import { backText, deploymentNow, type Standpoint } from "./ways.ts";
import { colon, type Line, orderText, totals, whoText } from "./words.ts";

export interface WhySource extends Source {
  readonly now: () => Instant;
  /** What a deployment waits for, in words; empty when it has ended. */
  readonly waiting: (id: DeploymentId) => string;
  /** One that is in memory, with what the engine knows of its machines. */
  readonly rollout: (id: DeploymentId) => RolloutState | undefined;
  readonly present: Present;
}

export class Why {
  readonly #source: WhySource;
  readonly #rows: Rows;

  constructor(source: WhySource) {
    this.#source = source;
    this.#rows = new Rows(source);
  }

  async deployment(id: DeploymentId): Promise<Answer<WhyResponse>> {
    if (!this.#exists(id)) return notFound(`there is no deployment ${id}`);
    const narrator = this.#narrator(id);
    const condenser = new Condenser();
    for await (const rows of this.#rows.ofDeployment(id)) for (const row of rows) for (const line of narrator.take(row)) condenser.push(line);
    for (const line of narrator.open()) condenser.push(line);
    const standpoint = this.#standpoint(id, narrator.state!);
    const { state, waiting } = standpoint;
    return granted({ ...answer(id, condenser.lines()), now: [...deploymentNow(standpoint), ...(await this.#lateWait(standpoint))], summary: deploymentSummary(state, waiting, await this.#afterwards(state)) });
  }

  /** Without a deployment: the newest that has to do with the machine. */
  async machine(machine: MachineId, wanted: DeploymentId | undefined): Promise<Answer<WhyResponse>> {
    const stored = this.#source.db.prepare("SELECT labels FROM machines WHERE id = ?").pluck().get(machine) as string | undefined;
    const removed = stored === undefined ? this.#rows.newestOf(machine, ["machine_removed"]) : undefined;
    if (stored === undefined && removed === undefined) return notFound(`there is no machine ${machine}; muster machines lists them`);
    if (wanted !== undefined && !this.#exists(wanted)) return notFound(`there is no deployment ${wanted}`);
    const labels = stored === undefined ? undefined : (JSON.parse(stored) as Labels);
    const id = wanted ?? (await this.#newestFor(machine, labels));
    const told = id === undefined ? this.#inNone(machine) : await this.#story(machine, labels ?? {}, id);
    return granted(removed === undefined ? told : { ...told, now: [], summary: removedSummary(removed) });
  }

  async #afterwards(state: RolloutState): Promise<Afterwards> {
    const { db, present } = this.#source;
    const { id, app, release, phase, beganBack, unchanged } = state;
    if (!isEnded(phase)) return { outstanding: NOBODY_OUTSTANDING, overtaken: NOBODY_OVERTAKEN, stillThere: NOBODY_STILL_THERE, isRunElsewhere: false, nowText: "" };
    const slice = new Slice();
    const leftOut = phase === "succeeded" ? await leftOutNow(db, { id, app, release, unchanged: [...unchanged] }, present, slice) : undefined;
    const left = phase === "succeeded" ? await inSlices(overtakenOf(db, id), slice) : NOBODY_OVERTAKEN;
    const overtaken = left.archived > 0 ? await inSlices(overtakenIn(db, state), slice) : left;
    const outstanding = await inSlices(outstandingOf(db, id, { phase, beganBack }, present), slice);
    const stillThere = await inSlices(stillThereOf(db, id, { phase, beganBack }, totals(state)), slice);
    return { outstanding, overtaken, stillThere, isRunElsewhere: await inSlices(isRunElsewhere(db, id), slice), nowText: await differenceText(db, id, phase, present.nowOf(id), slice, leftOut) };
  }

  /** Why machines that come late do not get the release of one that stands. */
  async #lateWait({ state: { id, phase }, isStanding }: Standpoint): Promise<readonly string[]> {
    const waits = phase === "succeeded" && isStanding ? this.#source.present.unsound(id) : undefined;
    return waits === undefined ? [] : [`machines that come late wait for ${waits}${backText(id, await this.#source.present.remedies(id))}`];
  }

  async #story(machine: MachineId, labels: Labels, id: DeploymentId): Promise<WhyResponse> {
    const { first, last } = this.#rows.bounds(id)!;
    const app = this.#source.db.prepare("SELECT app FROM deployments WHERE id = ?").pluck().get(id) as string;
    const narrator = this.#narrator(id);
    const story = new Story(machine, narrator, this.#before(machine, app, first));
    const decider = this.#decider(machine, app);
    // From there on nothing takes up the machine's story again.
    const endSeq = Math.max(last, this.#rows.newestOf(machine, ["machine_removed"])?.seq ?? 0);
    for await (const row of merged(this.#rows.ofDeployment(id), this.#rows.ofMachine(machine, first, decider !== undefined && decider.deployment !== id ? { app } : { deployment: id }))) {
      story.take(row);
      if (story.isOver && row.seq >= endSeq) break;
    }
    const lines = [...story.lines, ...narrator.open()];
    const standpoint = this.#standpoint(id, narrator.state!);
    const { state } = standpoint;
    const target = state.targets.get(machine);
    if (target !== undefined && target.state !== "removed") {
      const other = decidedElsewhere(state, target, decider);
      const now = other !== undefined ? [] : machineNow(standpoint, target, story.lastReport, this.#source.present.isRevoked?.(machine) === true);
      const drained = this.#presence(machine).drained === 1 && target.state !== "skipped" ? [`what runs on ${machine} is not to run, since it is drained: muster uncordon ${machine} starts it again`] : [];
      return { ...answer(id, fit(lines)), now: [...now, ...drained], summary: `${targetSummary(state, target, other !== undefined ? undefined : { now: this.#nowOf(id, machine), said: story.lastReport })}${other === undefined ? "" : ` ${decidesText(other, app)}.`}` };
    }
    return { ...answer(id, fit(lines)), ...this.#outside(standpoint, machine, labels, first) };
  }

  #nowOf(id: DeploymentId, machine: MachineId): string | undefined {
    const said = saidOf(this.#source.db, id, machine);
    return said === undefined ? undefined : nowText(said);
  }

  /** What there is to say of a machine that is no target. */
  #outside({ state, waiting, isStanding }: Standpoint, machine: MachineId, labels: Labels, firstSeq: number): Pick<WhyResponse, "now" | "summary"> {
    const { id, release, phase, strategy } = state;
    if (state.unchanged.has(machine)) return { now: [], summary: `${machine} ran ${release} already: ${id} left it out.${this.#sinceText(machine, state)}` };
    const missed = mismatch(strategy.targets, labels);
    if (phase === "pending") {
      if (missed === undefined) return { now: [...deploymentNow({ state, waiting, isStanding, later: undefined, isCordoned: (each) => this.#presence(each).cordoned_at !== null })], summary: `${machine} is among the machines that ${id} (${release}) selects; it has not begun.` };
      return { now: [], summary: `${machine} is not selected by ${id}: ${missed}.` };
    }
    const started = this.#source.db.prepare("SELECT start_seq FROM deployments WHERE id = ?").pluck().get(id) as number | null;
    const plannedSeq = started ?? firstSeq;
    // Of this machine: another of its name may have been there then.
    const wasThere = (this.#rows.joinOf(machine)?.seq ?? Infinity) < plannedSeq;
    const atPlan = wasThere ? this.#labelsBefore(machine, plannedSeq) : undefined;
    const isLate = missed === undefined && strategy.lateJoiners === "deploy";
    const waits = isLate && (phase === "rolling" || phase === "paused");
    if (isLate && phase === "succeeded" && isStanding) return { now: this.#lateNow(machine), summary: `${machine} has not had its turn in ${id} (${release}) yet: it came after the plan was made.` };
    return {
      now: waits ? [`${machine} has its turn when ${id} has succeeded (late_joiners: deploy)`, ...(waiting === "" ? [] : [`${id} waits for ${waiting}`])] : [],
      summary: started === null ? `${machine} was not in ${id}: it ended before it began (${phase}).` : `${absenceText(machine, strategy, atPlan, labels, phase).replace("its machines", `the machines of ${id}`)}.`,
    };
  }

  /** Of one that was left out, since it ran the release: what decides there now, if that is another. */
  #sinceText(machine: MachineId, { id, app, release }: RolloutState): string {
    const now = this.#decider(machine, app);
    if (now === undefined || now.release === release) return "";
    return ` ${decidesText(now, app)}${deploymentNumber(now.deployment) < deploymentNumber(id) ? `, since ${now.deployment} was taken back` : ""}.`;
  }

  /** What keeps a machine that came late from its turn. */
  #lateNow(machine: MachineId): string[] {
    const { cordoned_at, silent_since } = this.#presence(machine);
    return [
      ...(silent_since === null ? [] : [`${machine} has its turn when it is heard from again`]),
      ...(cordoned_at === null ? [] : [`${machine} is cordoned and has its turn after: muster uncordon ${machine}`]),
    ];
  }

  /** Which deployment has told the machine about the app last, and to run what; undefined: none has. */
  #decider(machine: MachineId, app: string): Decider | undefined {
    return this.#source.db.prepare("SELECT deployment, release FROM assignments WHERE machine = ? AND app = ?").get(machine, app) as Decider | undefined;
  }

  #presence(machine: MachineId): typeof ABSENT {
    return (this.#source.db.prepare("SELECT cordoned_at, silent_since, drained FROM machines WHERE id = ?").get(machine) ?? ABSENT) as typeof ABSENT;
  }

  #inNone(machine: MachineId): WhyResponse {
    const joined = this.#rows.joinOf(machine);
    const total = this.#source.db.prepare("SELECT count(*) FROM deployments").pluck().get() as number;
    const story = new Story(machine, this.#narrator("d-0" as DeploymentId), { joined, relabelled: undefined, known: UNKNOWN });
    const summary = total === 0 ? `${machine} is in no deployment: nothing has been deployed yet.` : `${machine} is in no deployment: ${total === 1 ? "the only one does not select" : `none of the ${total} selects`} it by its labels.`;
    return { ...answer("" as DeploymentId, story.lines), now: [], summary };
  }

  /** Undefined: it was not there. */
  #labelsBefore(machine: MachineId, seq: number): Labels | undefined {
    const newest = this.#rows.newestOf(machine, [...LABELLING, "machine_removed"], seq);
    return newest === undefined ? undefined : labelsOf(newest);
  }

  #narrator(id: DeploymentId): Narrator {
    return new Narrator(new Queue(this.#source, id).until(this.#source.now()));
  }

  #exists(id: DeploymentId): boolean {
    return this.#source.db.prepare("SELECT 1 FROM deployments WHERE id = ?").get(id) !== undefined;
  }

  #standpoint(id: DeploymentId, replayed: RolloutState): Standpoint {
    const { db, waiting, rollout } = this.#source;
    const facts = new Facts(db);
    return { state: rollout(id) ?? replayed, waiting: waiting(id), isStanding: facts.isStanding(id), later: facts.decisions.laterDeployment(id), isCordoned: (machine) => this.#presence(machine).cordoned_at !== null };
  }

  /**
   * The newest that decided about it or is still to: in which it is a target that was reached or will be, or that left it out and nothing else has decided since, or which selects it by its labels; undefined: it has been
   * removed. One that ended before it came to the machine decided nothing there, and counts where no other does; so does one that ended, and to whose machine an older one has come since.
   */
  async #newestFor(machine: MachineId, labels: Labels | undefined): Promise<DeploymentId | undefined> {
    const { db } = this.#source;
    const facts = new Facts(db);
    const assigned = new Map((db.prepare("SELECT app, deployment, release FROM assignments WHERE machine = ?").all(machine) as (Decider & { readonly app: string })[]).map((each) => [each.app, each]));
    const concerns = ({ id, app, release, selector, unchanged, phase }: Candidate): boolean => {
      if (isNamedIn(unchanged, machine)) return !assigned.has(app) || assigned.get(app)!.release === release;
      // One that ended without success and without the machine never had to do with it, and one that found nothing to do gives nothing to those that come late.
      if (labels === undefined || (isEnded(phase) && phase !== "succeeded") || !parseSelector(selector).ok || mismatch(selector, labels) !== undefined) return false;
      return !isEnded(phase) || facts.isStanding(id);
    };
    let passedBy: DeploymentId | undefined;
    let concerned: DeploymentId | undefined;
    for (let before = Number.MAX_SAFE_INTEGER; ; ) {
      const candidates = db.prepare(CANDIDATES).all({ machine, before }) as Candidate[];
      for (const candidate of candidates) {
        const { id, app, number, state, attempts, phase } = candidate;
        const isTarget = state !== null && (labels === undefined || state !== "removed");
        const decider = assigned.get(app)?.deployment;
        const isLeft = isEnded(phase) && decider !== undefined && deploymentNumber(decider) < number;
        if (isTarget && !isLeft && (attempts! > 0 || phase === "succeeded" || !isEnded(phase))) return concerned ?? id;
        if (concerned === undefined && concerns(candidate)) {
          if (passedBy === undefined && !isTarget) return id;
          concerned = id;
        }
        if (isTarget) passedBy ??= id;
      }
      if (candidates.length < CANDIDATES_AT_ONCE) return passedBy;
      before = candidates.at(-1)!.number;
      await turn();
    }
  }

  #before(machine: MachineId, app: string, seq: number): Before {
    const joined = this.#rows.joinOf(machine, seq);
    if (joined === undefined) return { joined, relabelled: undefined, known: UNKNOWN };
    const newest = this.#rows.newestOf(machine, LABELLING, seq);
    const labels = this.#labelsBefore(machine, seq);
    const last = (...kinds: Parameters<Rows["newestOf"]>[1]) => this.#rows.newestOf(machine, [...kinds, "machine_removed"], seq)?.entry.kind;
    const said = this.#rows.newestReport(machine, app, seq);
    const report = said !== undefined && said.seq > joined.seq ? said.entry : undefined;
    return {
      joined,
      relabelled: isDeepStrictEqual(labelsOf(joined), labels) ? undefined : newest,
      known: {
        labels,
        isSilent: last("machine_silent", "machine_heard") === "machine_silent",
        isCordoned: last("machine_cordoned", "machine_uncordoned") === "machine_cordoned",
        isUnhealthy: report?.kind === "report_accepted" && (report.phase === "unhealthy" || report.phase === "failed"),
      },
    };
  }
}

/** Each with the list of those that it left out: some milliseconds. */
const CANDIDATES_AT_ONCE = 100;
/** The next older deployments, and the machine's target in each, by its key. */
const CANDIDATES = `
  SELECT d.number, d.id, d.app, d.release, d.selector, d.unchanged, d.phase, t.state, t.attempts
  FROM (SELECT * FROM deployments WHERE number < @before ORDER BY number DESC LIMIT ${CANDIDATES_AT_ONCE}) d LEFT JOIN targets t ON t.deployment = d.id AND t.machine = @machine
  ORDER BY d.number DESC`;

interface Candidate {
  readonly number: number;
  readonly id: DeploymentId;
  readonly app: string;
  readonly release: string;
  readonly selector: string;
  readonly unchanged: string;
  readonly phase: RolloutPhase;
  /** Of its target; null: it has none. */
  readonly state: TargetState | null;
  readonly attempts: number | null;
}

/** Rows that say which labels a machine has. */
const LABELLING = ["machine_joined", "machine_labelled"] as const;

/** What is assigned to a machine of an app, and by which deployment. */
interface Decider {
  readonly deployment: DeploymentId;
  /** Null: it is to be without the app. */
  readonly release: string | null;
}

function decidesText({ deployment, release }: Decider, app: string): string {
  return `Now ${deployment} decides there: it is to ${orderText(app, release)}`;
}

/** Another deployment, where that has told the machine last, and this one has no turn for it any more. An older one says nothing of it before this one has told the machine something. */
function decidedElsewhere({ id, phase }: RolloutState, { state, attempts }: Target, decider: Decider | undefined): Decider | undefined {
  if (decider === undefined || decider.deployment === id) return undefined;
  if (state === "pending" && (!isEnded(phase) || phase === "succeeded")) return undefined;
  return attempts > 0 || deploymentNumber(decider.deployment) > deploymentNumber(id) ? decider : undefined;
}

/** Of a machine that is not there. */
const ABSENT = { cordoned_at: null as number | null, silent_since: null as number | null, drained: 0 };

function labelsOf({ entry }: JournalRow): Labels | undefined {
  return entry.kind === "machine_joined" || entry.kind === "machine_labelled" ? entry.labels : undefined;
}

function removedSummary({ entry }: JournalRow): string {
  return entry.kind === "machine_removed" ? `${whoText(entry.by)} removed ${entry.machine} from the fleet${colon(entry.reason)}.` : "";
}

function answer(deploymentId: DeploymentId, lines: readonly Line[]): Pick<WhyResponse, "deploymentId" | "decisions"> {
  return { deploymentId, decisions: lines.map(({ seq, at, kind, machine, text }) => ({ seq, at, kind, machine, text })) };
}

/** Two series of rows as one, in the order of the journal; a row of both comes once. */
async function* merged(a: AsyncIterable<readonly JournalRow[]>, b: AsyncIterable<readonly JournalRow[]>): AsyncGenerator<JournalRow, void, undefined> {
  const [left, right] = [each(a), each(b)];
  let [next, other] = [await left.next(), await right.next()];
  while (next.done !== true || other.done !== true) {
    const [seq, otherSeq] = [next.done === true ? Infinity : next.value.seq, other.done === true ? Infinity : other.value.seq];
    yield seq <= otherSeq ? (next.value as JournalRow) : (other.value as JournalRow);
    if (seq <= otherSeq) next = await left.next();
    if (otherSeq <= seq) other = await right.next();
  }
}

async function* each(pages: AsyncIterable<readonly JournalRow[]>): AsyncGenerator<JournalRow, void, undefined> {
  for await (const rows of pages) yield* rows;
}

/** In a list that is kept as JSON; in one that can't be read nobody is. */
function isNamedIn(list: string, machine: MachineId): boolean {
  try {
    return (JSON.parse(list) as string[]).includes(machine);
  } catch {
    return false;
  }
}
