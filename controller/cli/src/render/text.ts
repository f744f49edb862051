/**
 * Text that fits: measured in terminal cells, never cut inside a character or a colour, never obeying what a machine wrote.
 */
import { stripVTControlCharacters } from "node:util";
import stringWidth from "string-width";

const ESCAPE = String.fromCharCode(27);
const SGR = new RegExp(`${ESCAPE}\\[[0-9;:]*m`, "g");
/** C0 but tab, DEL, C1, and the marks that turn the direction of writing around. */
const CONTROL = /[\u0000-\u0008\u000A-\u001F\u007F-\u009F\u200E\u200F\u202A-\u202E\u2066-\u2069]/g;

/** In cells; colours count nothing. */
export function width(text: string): number {
  return stringWidth(text);
}

export function padEnd(text: string, columns: number): string {
  return text + " ".repeat(Math.max(0, columns - width(text)));
}

export function padStart(text: string, columns: number): string {
  return " ".repeat(Math.max(0, columns - width(text))) + text;
}

/** At most `columns` wide, with `…` where something is missing. Only for text without colours. */
export function truncate(text: string, columns: number): string {
  if (columns <= 0) return "";
  if (width(text) <= columns) return text;
  let kept = "";
  let used = 0;
  for (const { segment } of new Intl.Segmenter().segment(text)) {
    used += width(segment);
    if (used > columns - 1) break;
    kept += segment;
  }
  return `${kept.trimEnd()}…`;
}

/** Words in lines of at most `columns`; a word that is longer alone is cut hard. Only for text without colours. */
export function wrap(text: string, columns: number): readonly string[] {
  const room = Math.max(1, columns);
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(/\s+/).filter((part) => part !== "")) {
    const longer = line === "" ? word : `${line} ${word}`;
    if (width(longer) <= room) {
      line = longer;
      continue;
    }
    if (line !== "") lines.push(line);
    const pieces = cutHard(word, room);
    lines.push(...pieces.slice(0, -1));
    line = pieces.at(-1) ?? "";
  }
  if (line !== "") lines.push(line);
  return lines;
}

/** Lines of sentences for a terminal, broken between words; as they are where it is none. `indent` stands before what goes on. Only for text without colours. */
export function wrapLines(lines: readonly string[], columns: number | undefined, indent: string = ""): readonly string[] {
  if (columns === undefined) return lines;
  return lines.flatMap((line) => {
    if (width(line) <= columns) return [line];
    const [lead = ""] = /^ */.exec(line) ?? [];
    return wrap(line, columns - lead.length - indent.length).map((part, index) => lead + (index === 0 ? "" : indent) + part);
  });
}

function cutHard(word: string, columns: number): readonly string[] {
  const pieces: string[] = [];
  let piece = "";
  for (const { segment } of new Intl.Segmenter().segment(word)) {
    if (piece !== "" && width(piece + segment) > columns) {
      pieces.push(piece);
      piece = "";
    }
    piece += segment;
  }
  return [...pieces, piece];
}

/**
 * One line of somebody else's words, for a terminal: no escape sequences, no control characters, no line breaks.
 * Names and reasons come from machines, and a machine may be hostile.
 */
export function plain(text: string): string {
  return stripVTControlCharacters(text).replaceAll(/[\t\r\n]+/g, " ").replaceAll(CONTROL, "");
}

/** As `plain`, but keeps tabs and colours, which log lines may have, and ends them where the line ends. */
export function plainWithColors(text: string): string {
  const colors = text.match(SGR) ?? [];
  const kept = text
    .split(SGR)
    .map((part, index) => stripVTControlCharacters(part).replaceAll(CONTROL, "") + (colors[index] ?? ""))
    .join("");
  return colors.length > 0 ? `${kept}${ESCAPE}[0m` : kept;
}
