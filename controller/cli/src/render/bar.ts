/**
 * A bar of targets: one run of cells for each state. Each state has its own sign, so the bar can be read without colours.
 */
import type { TargetCounts } from "@muster/proto/gen/muster/v1/deployments.ts";
import type { Colors } from "../context.ts";
import type { TargetStateWord } from "../output/words.ts";

type CountedState = Exclude<TargetStateWord, "unspecified">;

interface Sign {
  readonly state: CountedState;
  readonly cell: string;
  readonly paint: (colors: Colors) => (text: string) => string;
}

/** In the order of the bar: what is done, what is under way, what is to come. */
const SIGNS: readonly Sign[] = [
  { state: "unchanged", cell: "█", paint: (colors) => colors.green },
  { state: "healthy", cell: "█", paint: (colors) => colors.green },
  { state: "updating", cell: "▒", paint: (colors) => colors.cyan },
  { state: "failed", cell: "×", paint: (colors) => colors.red },
  { state: "unreachable", cell: "?", paint: (colors) => colors.yellow },
  { state: "reverting", cell: "‹", paint: (colors) => colors.magenta },
  { state: "reverted", cell: "░", paint: (colors) => colors.magenta },
  { state: "skipped", cell: "»", paint: (colors) => colors.yellow },
  { state: "removed", cell: "-", paint: (colors) => colors.dim },
  { state: "pending", cell: "·", paint: (colors) => colors.dim },
];

/** Exactly `columns` cells. */
export function bar(counts: TargetCounts, columns: number, colors: Colors): string {
  const cells = apportion(
    SIGNS.map(({ state }) => counts[state]),
    columns,
  );
  const drawn = SIGNS.map(({ cell, paint }, index) => {
    const length = cells[index] ?? 0;
    return length === 0 ? "" : paint(colors)(cell.repeat(length));
  }).join("");
  const used = cells.reduce((sum, length) => sum + length, 0);
  return drawn + " ".repeat(columns - used);
}

/** `3/5 healthy, 2 updating`: whatever is there, most telling first. */
export function countsLine(counts: TargetCounts, colors: Colors): string {
  const parts = SIGNS.filter(({ state }) => counts[state] > 0 && state !== "healthy").map(({ state, paint }) =>
    paint(colors)(`${counts[state]} ${state}`),
  );
  const healthy = `${counts.healthy}/${counts.total} healthy`;
  return [counts.healthy > 0 ? colors.green(healthy) : healthy, ...parts].join(", ");
}

/**
 * Shares cells out in proportion (largest remainder), yet nothing that is there vanishes: every amount above 0 gets a cell while there
 * are enough of them.
 */
export function apportion(amounts: readonly number[], cells: number): readonly number[] {
  const total = amounts.reduce((sum, amount) => sum + amount, 0);
  if (total === 0 || cells <= 0) return amounts.map(() => 0);
  const exact = amounts.map((amount) => (amount * cells) / total);
  const shares = exact.map((share) => (share > 0 ? Math.max(1, Math.floor(share)) : 0));
  const spare = (): number => cells - shares.reduce((sum, share) => sum + share, 0);
  const lacking = (index: number): number => (exact[index] ?? 0) - (shares[index] ?? 0);
  for (let left = spare(); left !== 0; left = spare()) {
    const step = Math.sign(left);
    const candidates = shares.map((share, index) => ({ share, index })).filter(({ share }) => share > (step > 0 ? 0 : 1));
    const pool = candidates.length > 0 ? candidates : shares.map((share, index) => ({ share, index })).filter(({ share }) => share > 0);
    const chosen = pool.reduce((best, one) => (step * (lacking(one.index) - lacking(best.index)) > 0 ? one : best));
    shares[chosen.index] = chosen.share + step;
  }
  return shares;
}
