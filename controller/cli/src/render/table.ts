/**
 * Tables that fit the terminal: columns as wide as they need; when that is too much the widest give way first, and when titles would have to be
 * cut those go that can be spared.
 */
import { truncate, width } from "./text.ts";

interface Cell {
  /** Without colours: they are added once the text has its final width. */
  readonly text: string;
  readonly paint?: (text: string) => string;
}

interface Column {
  readonly title: string;
  readonly align?: "left" | "right";
  /** Never cut, because it is what the user copies. */
  readonly isFixed?: boolean;
  /** Left out where the others would not fit; the last of these first. */
  readonly isSpare?: boolean;
  /** Says something in sentences, and needs more room than a word for it. */
  readonly isWide?: boolean;
}

const GAP = "  ";
/** Below this a cut column says nothing any more. */
const COLUMNS_MIN = 6;
const WIDE_COLUMNS_MIN = 24;

/** With a line of titles; no lines at all when there are no rows. */
export function table(
  columns: readonly Column[],
  rows: readonly (readonly Cell[])[],
  terminalColumns: number,
  paintTitle: (text: string) => string,
): readonly string[] {
  if (rows.length === 0) return [];
  const titles = columns.map(({ title }): Cell => ({ text: title, paint: paintTitle }));
  const all = [titles, ...rows];
  const natural = columns.map((_, index) => Math.max(...all.map((row) => width(row[index]?.text ?? ""))));
  const room = terminalColumns - GAP.length * (columns.length - 1);
  const least = natural.map((size, index) => {
    const { title = "", isFixed = false, isWide = false } = columns[index] ?? {};
    return isFixed ? size : Math.min(size, Math.max(isWide ? WIDE_COLUMNS_MIN : COLUMNS_MIN, width(title)));
  });
  const spare = columns.findLastIndex(({ isSpare }) => isSpare === true);
  if (sum(least) > room && spare >= 0) {
    return table(columns.toSpliced(spare, 1), rows.map((row) => row.toSpliced(spare, 1)), terminalColumns, paintTitle);
  }
  // Where nothing is left to be spared even a title is cut.
  const widths = fit(natural, sum(least) <= room ? least : natural.map((size, index) => (columns[index]?.isFixed === true ? size : COLUMNS_MIN)), room);
  return all.map((row) => line(row, columns, widths));
}

/** `least`: what each must keep. */
function fit(natural: readonly number[], least: readonly number[], room: number): readonly number[] {
  const widths = [...natural];
  for (let over = sum(widths) - room; over > 0; over -= 1) {
    const widest = widths.reduce((best, size, index) => {
      if (size <= (least[index] ?? 0)) return best;
      return best === -1 || size > (widths[best] ?? 0) ? index : best;
    }, -1);
    if (widest === -1) break;
    widths[widest] = (widths[widest] ?? 0) - 1;
  }
  return widths;
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

/** Without blanks at its end, which would wrap on a terminal that is just wide enough. */
function line(row: readonly Cell[], columns: readonly Column[], widths: readonly number[]): string {
  const last = row.findLastIndex(({ text }) => text !== "");
  return row
    .slice(0, last + 1)
    .map(({ text, paint = String }, index) => {
      const room = widths[index] ?? 0;
      const shown = truncate(text, room);
      const blanks = " ".repeat(Math.max(0, room - width(shown)));
      if (columns[index]?.align === "right") return blanks + paint(shown);
      return index === last ? paint(shown) : paint(shown) + blanks;
    })
    .join(GAP);
}
