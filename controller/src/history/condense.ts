/**
 * A long story made short: what many machines did in the same way is told as one sentence, and of a very long story the middle is left out, but for what went wrong and
 * what people did.
 *
 * Always holds: the first failures are told one by one, each with its reason; nothing that an operator did or that ended the rollout is left out before that which went
 * as planned.
 */
import { counted } from "@muster/proto/text.ts";
import { type Line, listText, spanText, type Sum } from "./words.ts";

/** Routine lines in a row that are still told one by one. */
const ONE_BY_ONE_MAX = 6;
/** Told one by one in any case. */
const FAILURES_TOLD = 20;
const AWAY_TOLD = 10;
/** Of a whole story. */
const LINES_MAX = 200;
const ENDS_SHOWN = 60;
const MIDDLE_SHOWN = 36;

export class Condenser {
  readonly #lines: Line[] = [];
  #stretch: Line[] = [];
  readonly #told = new Map<Sum, number>();

  push(line: Line): void {
    if (line.sum !== undefined && !this.#standsAlone(line.sum)) {
      this.#stretch.push(line);
      return;
    }
    this.#flush();
    this.#lines.push(line);
  }

  lines(): readonly Line[] {
    this.#flush();
    return fit(withoutRepeats(this.#lines));
  }

  #standsAlone(sum: Sum): boolean {
    const most = sum === "failed" ? FAILURES_TOLD : sum === "silent" || sum === "passed" ? AWAY_TOLD : 0;
    const told = (this.#told.get(sum) ?? 0) + 1;
    this.#told.set(sum, told);
    return told <= most;
  }

  #flush(): void {
    const stretch = this.#stretch;
    if (stretch.length === 0) return;
    this.#stretch = [];
    if (stretch.length <= ONE_BY_ONE_MAX) this.#lines.push(...stretch);
    else this.#lines.push(together(stretch));
  }
}

/** `12 machines were assigned the release and 11 became healthy, within 40s`. */
function together(stretch: readonly Line[]): Line {
  const last = stretch.at(-1)!;
  const sums = new Map<Sum, string[]>();
  for (const { sum, machine } of stretch) {
    const machines = sums.get(sum!);
    if (machines === undefined) sums.set(sum!, [machine]);
    else machines.push(machine);
  }
  const clauses = [...sums].map(([sum, machines]) => clause(sum, machines));
  const span = last.at - stretch[0]!.at;
  return { ...last, machine: "", kind: sums.has("failed") ? "targets_failed" : "targets_changed", text: `${joined(clauses)}${span === 0 ? "" : `, within ${spanText(span)}`}`, sum: undefined };
}

function clause(sum: Sum, machines: readonly string[]): string {
  const n = machines.length;
  const one = n === 1;
  const who = n <= 3 ? listText([...machines]) : counted(n, "machine");
  switch (sum) {
    case "told":
      return `${who} ${one ? "was" : "were"} assigned the release`;
    case "healthy":
      return `${who} became healthy`;
    case "told_back":
      return `${who} ${one ? "was" : "were"} told to go back`;
    case "back":
      return `${who} ${one ? "is" : "are"} back on what ${one ? "it" : "they"} ran before`;
    case "again":
      return `${who} ${one ? "has its" : "have their"} turn again`;
    case "silent":
      return `${who} fell silent`;
    case "passed":
      return `${who} ${one ? "was" : "were"} passed over`;
    case "failed":
      return `${who} failed, too`;
    case "unanswered":
      return `the gate was asked ${n} times without a go`;
    case "alarmed":
      return `alarms were active, or did not answer, ${n} times`;
  }
}

function joined(clauses: readonly string[]): string {
  return clauses.length < 2 ? (clauses[0] ?? "") : `${clauses.slice(0, -1).join(", ")} and ${clauses.at(-1)}`;
}

/** What it waited for is told when that is over, with how long; that it began to wait, then, need not be told before. */
export function withoutRepeats(lines: readonly Line[]): readonly Line[] {
  return lines.filter(({ kind }, index) => kind !== "held" || !tellsWaiting(lines[index + 1]));
}

function tellsWaiting(line: Line | undefined): boolean {
  return line !== undefined && (line.kind === "gate_stopped" || /^(?:stopped waiting|waited) /.test(line.text) || line.text.startsWith("went on without "));
}

/** The beginning, the end, and of the middle what matters most. */
export function fit(lines: readonly Line[], most = LINES_MAX): readonly Line[] {
  if (lines.length <= most) return lines;
  const middle = lines.slice(ENDS_SHOWN, -ENDS_SHOWN);
  const important = [...middle.filter(isFailure), ...middle.filter((line) => line.isKey && !isFailure(line))];
  const kept = new Set(important.slice(0, MIDDLE_SHOWN));
  const shown: Line[] = [];
  let left: Line[] = [];
  const close = (): void => {
    if (left.length > 0) shown.push(...(left.length === 1 ? left : [leftOut(left)]));
    left = [];
  };
  for (const line of middle) {
    if (!kept.has(line)) {
      left.push(line);
      continue;
    }
    close();
    shown.push(line);
  }
  close();
  return [...lines.slice(0, ENDS_SHOWN), ...shown, ...lines.slice(-ENDS_SHOWN)];
}

function isFailure({ sum, isKey }: Line): boolean {
  return sum === "failed" && isKey;
}

function leftOut(lines: readonly Line[]): Line {
  const last = lines.at(-1)!;
  return { ...last, kind: "left_out", machine: "", text: `${lines.length} more such steps until here; muster replay shows each`, sum: undefined, isKey: false };
}
