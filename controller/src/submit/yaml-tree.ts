/**
 * The text of a deployment file → plain values, and where each of them stands. Knows YAML and nothing of deployments.
 *
 * Always holds: maps come as plain objects with text keys, lists as arrays; a tree is given only when its every value is what the file says. Work and memory are
 * bounded by the file's size: nesting and the values that aliases multiply have a maximum.
 */
import { isAlias, isMap, isScalar, isSeq, Lexer, LineCounter, parseDocument, Parser } from "yaml";
import type { Document, Node, Pair, Scalar } from "yaml";
import type { Fault } from "@muster/proto/gen/muster/v1/deployments.ts";
import { explainSyntax } from "./yaml-syntax.ts";

export type Path = readonly (string | number)[];

export interface Place {
  readonly line: number;
  readonly column: number;
}

export interface YamlTree {
  readonly value: unknown;
  readonly places: Places;
  /** Faults beside which the values can still be read: keys that stand twice, keys that are no text. */
  readonly faults: readonly Fault[];
}

export type ReadYaml = { readonly ok: true; readonly tree: YamlTree } | { readonly ok: false; readonly faults: readonly Fault[] };

/** A deployment file nests 5 deep. */
const DEPTH_MAX = 32;
/** A deployment file has some hundred values; the maximum stops aliases of aliases. */
const VALUES_MAX = 5_000;
/** Words, signs, blanks and line ends: some for each value. Stops large rubbish before most of the work is done. */
const LEXEMES_MAX = 10 * VALUES_MAX;
const SYNTAX_FAULTS_MAX = 5;

/** Says for which numbers and booleans the text that they are written as is wanted: `1.10`, not 1.1. */
export type KeepsSource = (path: Path, value: number | boolean) => boolean;

export function readYaml(text: string, keepsSource: KeepsSource): ReadYaml {
  const lines = linesOf(text);
  const excess = tooMuch(text);
  if (excess !== undefined) return refuse(place(lines, excess.offset), "", excess.message);
  const document = parseDocument(text, {
    version: "1.2",
    strict: true,
    // Duplicates are found below: with the place of the first one, and in linear time.
    uniqueKeys: false,
    resolveKnownTags: false,
    prettyErrors: false,
    logLevel: "error",
  });
  const broken = syntaxFaults(document, text, lines);
  if (broken.length > 0) return { ok: false, faults: broken };
  const reader = new TreeReader(document, text, lines, keepsSource);
  try {
    const value = reader.read(document.contents, [], undefined, new Set());
    return { ok: true, tree: { value, places: new Places(text, lines, reader.nodes), faults: reader.faults } };
  } catch (error) {
    if (error instanceof Unreadable) return refuse(place(lines, error.offset), pathText(error.path), error.message);
    throw error;
  }
}

/** `rollout.waves[1]`, `run.env["MY KEY"]`. */
export function pathText(path: Path): string {
  let text = "";
  for (const part of path) {
    if (typeof part === "number") text += `[${part}]`;
    else if (/^[A-Za-z_][A-Za-z0-9_-]*$/.test(part)) text += text === "" ? part : `.${part}`;
    else text += `[${JSON.stringify(part)}]`;
  }
  return text;
}

interface PlacedNode {
  readonly node: Node | null;
  readonly keyOffset: number | undefined;
}

/** Where values and keys stand. Lines and columns count from 1; columns in UTF-16 units, as editors do. */
class Places {
  readonly #text: string;
  readonly #lines: LineCounter;
  readonly #nodes: ReadonlyMap<string, PlacedNode>;

  constructor(text: string, lines: LineCounter, nodes: ReadonlyMap<string, PlacedNode>) {
    this.#text = text;
    this.#lines = lines;
    this.#nodes = nodes;
  }

  has(path: Path): boolean {
    return this.#nodes.has(JSON.stringify(path));
  }

  /** Of the value; of its key when it is empty; of what it is missing from when it is missing. */
  ofValue(path: Path): Place {
    const placed = this.#nodes.get(JSON.stringify(path));
    if (placed === undefined) return path.length === 0 ? { line: 1, column: 1 } : this.ofKey(path.slice(0, -1));
    const isEmpty = placed.node === null || (isScalar(placed.node) && placed.node.value === null && placed.node.source === "");
    return isEmpty ? this.ofKey(path) : place(this.#lines, placed.node!.range![0]);
  }

  /** Of the key, or of the value where there is no key: in a list and at the root. */
  ofKey(path: Path): Place {
    const placed = this.#nodes.get(JSON.stringify(path));
    const offset = placed?.keyOffset ?? placed?.node?.range?.[0];
    if (offset !== undefined) return place(this.#lines, offset);
    return path.length === 0 ? { line: 1, column: 1 } : this.ofKey(path.slice(0, -1));
  }

  /** Of a character in a text; of the text when escapes or several lines keep it from being told. */
  inText(path: Path, offset: number): Place {
    const node = this.#nodes.get(JSON.stringify(path))?.node;
    if (!isScalar(node) || typeof node.value !== "string" || node.range == null) return this.ofValue(path);
    const quote = node.type === "QUOTE_DOUBLE" || node.type === "QUOTE_SINGLE" ? 1 : 0;
    const begin = node.range[0] + quote;
    const isAsWritten = this.#text.startsWith(node.value, begin) && begin + node.value.length + quote === node.range[1];
    return isAsWritten && !node.value.includes("\n") ? place(this.#lines, begin + offset) : this.ofValue(path);
  }
}

/** The values can't be known. */
class Unreadable extends Error {
  readonly offset: number;
  readonly path: Path;
  constructor(offset: number, path: Path, message: string) {
    super(message);
    this.offset = offset;
    this.path = path;
  }
}

class TreeReader {
  readonly nodes = new Map<string, PlacedNode>();
  readonly faults: Fault[] = [];
  readonly #document: Document.Parsed;
  readonly #text: string;
  readonly #lines: LineCounter;
  readonly #keepsSource: KeepsSource;

  constructor(document: Document.Parsed, text: string, lines: LineCounter, keepsSource: KeepsSource) {
    this.#document = document;
    this.#text = text;
    this.#lines = lines;
    this.#keepsSource = keepsSource;
  }

  /** `above` are the nodes that this one is part of: an alias to one of them would never end. */
  read(node: Node | null, path: Path, keyOffset: number | undefined, above: ReadonlySet<Node>): unknown {
    if (isAlias(node)) {
      const target = node.resolve(this.#document);
      const name = `"*${node.source}"`;
      if (target === undefined) {
        const message = `YAML reads ${name} as an alias, and no &${node.source} stands before it: put text that begins with * in quotes`;
        throw new Unreadable(start(node), path, message);
      }
      if (above.has(target)) throw new Unreadable(start(node), path, `the alias ${name} stands inside of what it stands for`);
      return this.read(target, path, keyOffset, above);
    }
    this.nodes.set(JSON.stringify(path), { node, keyOffset });
    if (this.nodes.size > VALUES_MAX) throw new Unreadable(keyOffset ?? start(node), path, `more than ${VALUES_MAX} values, aliases counted each time`);
    if (isScalar(node)) return this.#readScalar(node, path);
    if (isSeq<Node | null>(node)) {
      const inside = new Set(above).add(node);
      return node.items.map((item, index) => this.read(item, [...path, index], undefined, inside));
    }
    if (isMap<Node, Node | null>(node)) return this.#readMap(node.items, path, new Set(above).add(node));
    return null;
  }

  #readScalar(node: Scalar, path: Path): unknown {
    const { value } = node;
    return (typeof value === "number" || typeof value === "boolean") && this.#keepsSource(path, value) ? node.source : value;
  }

  #readMap(pairs: readonly Pair<Node, Node | null>[], path: Path, inside: ReadonlySet<Node>): unknown {
    const map: Record<string, unknown> = {};
    const offsets = new Map<string, number>();
    for (const { key, value } of pairs) {
      const offset = start(key);
      const name = isScalar(key) ? (key.source ?? String(key.value)) : undefined;
      const first = name === undefined ? undefined : offsets.get(name);
      if (name === undefined || name === "__proto__") {
        const found = name ?? this.#text.slice(offset, key.range![1]);
        this.#fault(offset, path, `${JSON.stringify(shorten(found))} can't be a key: write a name, or put text that begins with { or [ in quotes`);
      } else if (first !== undefined) {
        this.#fault(offset, [...path, name], `${JSON.stringify(name)} stands twice; the first is at line ${place(this.#lines, first).line}`);
      } else {
        offsets.set(name, offset);
        map[name] = this.read(value, [...path, name], offset, inside);
      }
    }
    return map;
  }

  #fault(offset: number, path: Path, message: string): void {
    this.faults.push({ ...place(this.#lines, offset), path: pathText(path), message });
  }
}

/** What passes a maximum. Looked for first, as the composer calls itself for each level and is slow on large input. */
function tooMuch(text: string): { readonly offset: number; readonly message: string } | undefined {
  const parser = new Parser();
  let lexemes = 0;
  for (const lexeme of new Lexer().lex(text)) {
    Iterator.from(parser.next(lexeme)).forEach(() => undefined);
    lexemes += 1;
    if (parser.stack.length > DEPTH_MAX) return { offset: parser.offset, message: `nested more than ${DEPTH_MAX} deep: a deployment file is never so deep` };
    if (lexemes > LEXEMES_MAX) return { offset: parser.offset, message: "too much to read: a deployment file has some hundred values" };
  }
  return undefined;
}

/** The first fault of each line: those after it mostly follow from it. */
function syntaxFaults(document: Document.Parsed, text: string, lines: LineCounter): readonly Fault[] {
  const byLine = new Map<number, Fault>();
  for (const error of [...document.errors, ...document.warnings].sort((a, b) => a.pos[0] - b.pos[0])) {
    const { offset, message } = explainSyntax(error, document, text);
    const at = place(lines, offset);
    if (!byLine.has(at.line)) byLine.set(at.line, { ...at, path: "", message });
  }
  return [...byLine.values()].slice(0, SYNTAX_FAULTS_MAX);
}

function refuse(at: Place, path: string, message: string): ReadYaml {
  return { ok: false, faults: [{ ...at, path, message }] };
}

function start(node: Node | null): number {
  return node?.range?.[0] ?? 0;
}

/** Counted here: the parser tells the lines of broken files out of order. */
function linesOf(text: string): LineCounter {
  const lines = new LineCounter();
  lines.addNewLine(0);
  for (let end = text.indexOf("\n"); end >= 0; end = text.indexOf("\n", end + 1)) lines.addNewLine(end + 1);
  return lines;
}

function place(lines: LineCounter, offset: number): Place {
  const { line, col } = lines.linePos(offset);
  return { line, column: col };
}

function shorten(text: string): string {
  return text.length > 40 ? `${text.slice(0, 40)}…` : text;
}
