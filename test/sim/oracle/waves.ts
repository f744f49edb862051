/**
 * The waves of a plan as the file asks for them: which gates stand behind each, when it begins, how much may go wrong in it. Worked out from the file and from where the machines are, as
 * docs/strategies.md says it. Of the plan it takes who is in which wave, and nothing else; where that is not what the file asks for, it says so.
 *
 * Always holds: a wave of the file to which nobody belongs is none of the plan. Its gates are asked for with the wave before it, or with the first when there is none, and what follows it
 * begins no earlier than it would have.
 */
import type { MachineId } from "@muster/proto/ids.ts";
import { checkedSelector, type Labels, selects } from "@muster/proto/selector.ts";
import type { Gate, Members, Strategy, WaveSpec } from "@muster/controller/src/plan/strategy.ts";
import { roundedDown, roundedUp } from "./rounding.ts";

export interface Planned {
  readonly machine: MachineId;
  readonly labels: Labels;
}

export interface AskedWave {
  /** In the order in which they are asked for. */
  readonly gates: readonly Gate[];
  readonly at: number | null;
  readonly afterMs: number;
  readonly maxFailures: number;
  /** Null: any number. */
  readonly maxUnreachable: number | null;
  /** Null: all settle. */
  readonly successThreshold: number | null;
}

/** What waves that have nobody leave to another one. */
interface Left {
  readonly gates: readonly Gate[];
  readonly at: number;
  readonly afterMs: number;
}

const NOTHING_LEFT: Left = { gates: [], at: -Infinity, afterMs: 0 };

/** A wave of the file that has somebody, with what is left to it. */
interface Drafted extends Left {
  readonly spec: WaveSpec;
  /** Machines to which the release is new. */
  readonly size: number;
}

/** `planned`: of each wave those to which the release is new; of such are all sizes, limits and thresholds. `fault`: what the waves have otherwise than the file asks for. */
export function askedWaves(strategy: Strategy, planned: readonly (readonly Planned[])[]): { readonly waves: readonly AskedWave[]; readonly fault: string | undefined } {
  const drafted: Drafted[] = [];
  let free = planned.flat();
  const all = free.length;
  let fault: string | undefined;
  let left = NOTHING_LEFT;
  for (const [index, spec] of strategy.waves.entries()) {
    const at = Math.max(left.at, spec.at ?? -Infinity);
    const afterMs = Math.max(left.afterMs, spec.afterMs);
    const wanted = belonging(spec.members, free, all);
    if (wanted === 0) {
      const before = drafted.pop();
      left = { gates: before === undefined ? [...left.gates, ...spec.gates] : [], at, afterMs };
      if (before !== undefined) drafted.push({ ...before, gates: [...before.gates, ...spec.gates] });
      continue;
    }
    const members = planned[drafted.length] ?? [];
    fault ??= faultOf(members, free, wanted, strategy.waves.slice(index).map((each) => each.members));
    free = free.filter((each) => !members.includes(each));
    drafted.push({ spec, size: members.length, gates: [...left.gates, ...spec.gates], at, afterMs });
    left = NOTHING_LEFT;
  }
  if (drafted.length !== planned.length) fault ??= `${planned.length} waves have somebody, and the file asks for ${drafted.length}`;
  const unasked: Drafted = { ...NOTHING_LEFT, spec: strategy.waves.at(-1)!, size: 0 };
  const waves = planned.map((_, index) => waveOf(strategy, drafted[index] ?? unasked, index === planned.length - 1));
  return { waves, fault };
}

/** How many belong to the wave, of those that are in none before it. Sizes count from the first wave on. */
function belonging(members: Members, free: readonly Planned[], all: number): number {
  if (members.kind === "selector") return free.filter(isNamed(members)).length;
  return Math.max(0, Math.min(all, roundedUp(members.size, all)) - (all - free.length));
}

function isNamed(members: Members): (planned: Planned) => boolean {
  if (members.kind === "size") return () => false;
  const selector = checkedSelector(members.selector);
  return ({ labels }) => selects(selector, labels);
}

function faultOf(members: readonly Planned[], free: readonly Planned[], wanted: number, [own, ...later]: readonly Members[]): string | undefined {
  const asked = JSON.stringify(own);
  if (members.length !== wanted) return `${members.length} machines are in the wave of ${asked}, which asks for ${wanted}`;
  const names = (of: readonly Planned[]) => of.map(({ machine }) => machine).join(", ");
  if (own!.kind === "selector") {
    const others = members.filter((each) => !isNamed(own!)(each));
    return others.length === 0 ? undefined : `${names(others)} are in the wave of ${asked}, which does not name them`;
  }
  // Who is named by a wave that follows is left to it, as long as there are others.
  const isLeft = (each: Planned) => later.some((of) => isNamed(of)(each));
  const taken = members.filter(isLeft);
  const others = free.filter((each) => !isLeft(each) && !members.includes(each));
  return taken.length === 0 || others.length === 0 ? undefined : `${names(taken)} are in the wave of ${asked}, and a later one names them, though there is ${names(others)}`;
}

function waveOf(strategy: Strategy, { spec, size, gates, at, afterMs }: Drafted, isLast: boolean): AskedWave {
  const maxUnreachable = spec.maxUnreachable ?? strategy.maxUnreachable;
  // The last wave takes no threshold.
  const threshold = isLast ? null : spec.successThreshold;
  return {
    gates: inOrder(gates),
    at: at === -Infinity ? null : at,
    afterMs,
    maxFailures: roundedDown(spec.maxFailures ?? strategy.maxFailures, size),
    maxUnreachable: maxUnreachable === null ? null : roundedDown(maxUnreachable, size),
    successThreshold: threshold === null ? null : Math.min(size, roundedUp(threshold, size)),
  };
}

/** One soak as long as the longest, then the questions, each once, metrics before webhooks, and at last a person. */
function inOrder(gates: readonly Gate[]): readonly Gate[] {
  const soakMs = Math.max(0, ...gates.map((gate) => (gate.kind === "soak" ? gate.forMs : 0)));
  const questions = ["prometheus", "webhook"].flatMap((of) => [...new Map(gates.filter(({ kind }) => kind === of).map((gate) => [JSON.stringify(gate), gate])).values()]);
  return [...(soakMs === 0 ? [] : [{ kind: "soak" as const, forMs: soakMs }]), ...questions, ...gates.filter(({ kind }) => kind === "approval").slice(0, 1)];
}
