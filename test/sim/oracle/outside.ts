/** What the world outside has really said to gates and alarms. */
import type { Question, Verdict } from "@muster/controller/src/gates/verdict.ts";

interface Said {
  readonly at: number;
  readonly asker: string;
  readonly kind: Verdict["kind"];
}

export class Outside {
  readonly #said = new Map<string, Said[]>();

  answered({ deployment, asker }: Question, { kind }: Verdict, at: number): void {
    const said = this.#said.get(deployment) ?? [];
    said.push({ at, asker: asker.kind === "gate" ? gateKey(asker.wave, asker.gate) : alarmKey(asker.alarm), kind });
    this.#said.set(deployment, said);
  }

  /** When it had no answer, each time since then up to now that follows the last answer. */
  silences(deployment: string, asker: string, since: number): readonly number[] {
    const said = (this.#said.get(deployment) ?? []).filter((each) => each.asker === asker && each.at >= since);
    return said.slice(said.findLastIndex(({ kind }) => kind !== "silent") + 1).map(({ at }) => at);
  }

  /** When it said stop since then, each time. */
  stops(deployment: string, asker: string, since: number): readonly number[] {
    return (this.#said.get(deployment) ?? []).flatMap((said) => (said.asker === asker && said.kind === "stop" && said.at >= since ? [said.at] : []));
  }

  count(deployment: string, asker: string | undefined, kind: Verdict["kind"], since = 0): number {
    return (this.#said.get(deployment) ?? []).filter((said) => (asker === undefined || said.asker === asker) && said.kind === kind && said.at >= since).length;
  }
}

export function gateKey(wave: number, gate: number): string {
  return `gate ${wave}.${gate}`;
}

export function alarmKey(alarm: number): string {
  return `alarm ${alarm}`;
}
