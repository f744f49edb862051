/**
 * What a deployment would do, found by carrying it out: the plan, then the rollout core itself on a clock of its own, once for each world.
 *
 * Pure: the same inputs give the same forecast. A generator, since a large fleet takes seconds: whoever runs it (`api/`) lets others have their turn
 * whenever it yields.
 */
import type { MachineId } from "@muster/proto/ids.ts";
import { type Plan, type PlanMachine, planRollout, trialNotes } from "../plan/plan.ts";
import type { RolloutPhase } from "../rollout/state.ts";
import { beginsWhen, startOf } from "./begins.ts";
import { membershipOf } from "./budgets.ts";
import { alarmText, gateTexts } from "./gates-text.ts";
import { canBeNoticed, type ForecastInputs, slowestFailureMs } from "./inputs.ts";
import { paceOf } from "./pace.ts";
import { type Outcome, type Setting, simulate } from "./simulate.ts";
import { courseWarnings } from "./warnings/course.ts";
import { healthWarnings } from "./warnings/health.ts";
import { shapeWarnings } from "./warnings/shape.ts";
import { GOOD_WORLD, type World, worldsOf } from "./world.ts";

export interface Forecast {
  readonly waves: readonly ForecastWave[];
  readonly unchanged: readonly MachineId[];
  readonly maxUnavailable: number;
  /** Undefined: it would not end, or not well; a warning says why. */
  readonly expectedMs: number | undefined;
  readonly expectedFrom: string;
  /** Empty: at once. */
  readonly beginsWhen: string;
  /** What must hold all the while. */
  readonly alarms: readonly string[];
  readonly warnings: readonly string[];
  /** What may surprise in its waves. */
  readonly notes: readonly string[];
  readonly blastRadius: readonly Blast[];
}

export interface ForecastWave {
  readonly members: string;
  readonly machines: readonly { readonly id: MachineId; readonly previous: string | null; readonly note: "" | "cordoned" | "silent" | "unhealthy" | "unconfirmed" }[];
  readonly gates: readonly string[];
  readonly maxFailures: number;
  /** From the start of the rollout, if nothing fails; undefined: never. */
  readonly startMs: number | undefined;
  readonly endMs: number | undefined;
}

export interface Blast {
  readonly world: string;
  /** Most machines at once that ran a release that is bad there; where machines are cut off: most targets that were unavailable at once. */
  readonly maxMachines: number;
  readonly stoppedAfterMs: number | undefined;
  /** Until all run what they ran before; where machines are cut off: until all others have the release, or are back at what they ran. */
  readonly restoredAfterMs: number | undefined;
  readonly phase: RolloutPhase;
}

export function* forecast(given: ForecastInputs): Generator<void, Forecast> {
  const inputs = { ...given, machines: given.machines.toSorted((a, b) => (a.id < b.id ? -1 : 1)) };
  const plan = planRollout(inputs.strategy, inputs.machines, inputs.releaseId);
  yield;
  const pace = paceOf(inputs);
  const nothing: Forecast = {
    waves: [],
    unchanged: plan.unchanged,
    maxUnavailable: plan.maxUnavailable,
    expectedMs: 0,
    expectedFrom: "",
    beginsWhen: "",
    alarms: inputs.strategy.alarms.map(alarmText),
    warnings: plan.unchanged.length > 0 ? [] : [`no machine has the labels ${inputs.strategy.targets}`],
    notes: [],
    blastRadius: [],
  };
  const targets = inputs.machines.filter(({ runsRelease }) => !runsRelease);
  if (targets.length === 0) return nothing;

  const setting: Setting = {
    inputs,
    plan,
    targets,
    startAt: startOf(inputs),
    model: { strategy: inputs.strategy, pace, noticeMs: canBeNoticed(inputs.release) ? slowestFailureMs(inputs.release.health) : null },
    membership: membershipOf(inputs.budgets, targets),
  };
  yield;
  const worlds = worldsOf(inputs.strategy, targets);
  const expected = yield* simulate(setting, GOOD_WORLD);
  const blasts: Blast[] = [];
  for (const world of [worlds.broken, worlds.brokenOnTenth]) blasts.push(blastOf(world, yield* simulate(setting, world)));
  const breaksLater = yield* simulate(setting, worlds.breaksLater);
  blasts.push(blastOf(worlds.breaksLater, breaksLater));
  blasts.push(blastOf(worlds.takesMachine, yield* simulate(setting, worlds.takesMachine)));
  for (const world of worlds.cutOffs) blasts.push(blastOf(world, yield* simulate(setting, world)));

  const facts = { inputs, plan, targets, pace, worlds, expected, breaksLater };
  return {
    ...nothing,
    waves: wavesOf(inputs, plan, expected),
    expectedMs: expected.phase === "succeeded" ? expected.endedAfterMs : undefined,
    expectedFrom: `${pace.from}${answersTaken(plan)}`,
    beginsWhen: beginsWhen(inputs, plan),
    notes: trialNotes(targets.filter(({ runsUnconfirmed }) => runsUnconfirmed).length, targets.length),
    warnings: [...shapeWarnings(facts), ...healthWarnings(facts), ...courseWarnings(facts)],
    blastRadius: blasts,
  };
}

function blastOf({ name, cutOff }: World, outcome: Outcome): Blast {
  const { phase, stoppedAfterMs, restoredAfterMs, endedAfterMs, maxOnBadRelease, maxUnavailable } = outcome;
  if (cutOff.size === 0) return { world: name, maxMachines: maxOnBadRelease, stoppedAfterMs, restoredAfterMs, phase };
  const isSettled = phase === "succeeded" || phase === "rolled_back";
  return { world: name, maxMachines: maxUnavailable, stoppedAfterMs, restoredAfterMs: isSettled ? endedAfterMs : undefined, phase };
}

function wavesOf({ machines, strategy }: ForecastInputs, plan: Plan, expected: Outcome): readonly ForecastWave[] {
  const byId = new Map(machines.map((machine) => [machine.id, machine]));
  return plan.waves.map(({ members, targets, maxFailures, maxUnreachable }, index) => {
    const own = targets.map(({ machine }) => byId.get(machine)!);
    const silent = own.filter((each) => each.silent && !each.cordoned).length;
    const isSilencePassed = strategy.offline.kind === "skip" && silent <= (maxUnreachable ?? Infinity);
    return {
      members,
      machines: own.map((machine) => ({ id: machine.id, previous: machine.lastGood, note: noteOf(machine) })),
      gates: gateTexts(plan, index, strategy, own.filter(({ cordoned }) => cordoned).length + (isSilencePassed ? silent : 0)),
      maxFailures,
      ...(expected.waves[index] ?? { startMs: undefined, endMs: undefined }),
    };
  });
}

/** The first that keeps it from its turn, or else how it stands. */
function noteOf({ cordoned, silent, unhealthy, runsUnconfirmed }: PlanMachine): ForecastWave["machines"][number]["note"] {
  return cordoned ? "cordoned" : silent ? "silent" : unhealthy ? "unhealthy" : runsUnconfirmed ? "unconfirmed" : "";
}

function answersTaken({ waves }: Plan): string {
  const kinds = new Set(waves.flatMap(({ gates }) => gates.map(({ kind }) => kind)));
  const asked = [...(kinds.has("approval") ? ["approvals"] : []), ...(kinds.has("webhook") ? ["webhooks"] : [])].join(" and ");
  const taken = [...(asked === "" ? [] : [`${asked} are taken to say go at once`]), ...(kinds.has("prometheus") ? ["metrics are taken to be within their limits"] : [])];
  return taken.map((what) => `; ${what}`).join("");
}
