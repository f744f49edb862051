/**
 * Label selectors, as Kubernetes writes them: `role=web,env in (prod,staging),!canary`.
 * Requirements are joined with and; an empty selector selects everything. `key!=v` and `key notin (…)` also select machines without the label.
 */

export type Labels = Readonly<Record<string, string>>;

export interface Requirement {
  readonly key: string;
  readonly operator: "in" | "notin" | "exists" | "absent";
  /** Sorted; empty for `exists` and `absent`. */
  readonly values: readonly string[];
}

export interface Selector {
  readonly text: string;
  readonly requirements: readonly Requirement[];
}

export type ParsedSelector =
  | { readonly ok: true; readonly selector: Selector }
  | { readonly ok: false; readonly offset: number; readonly message: string };

/** Of one machine. */
export const LABELS_MAX = 64;

const KEY = /^(?:[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?\/)?[A-Za-z0-9](?:[A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$/;
const VALUE = /^(?:[A-Za-z0-9](?:[A-Za-z0-9._-]{0,61}[A-Za-z0-9])?)?$/;

export function isLabelKey(text: string): boolean {
  return KEY.test(text);
}

export function isLabelValue(text: string): boolean {
  return VALUE.test(text);
}

/** The selector as people read it: an empty one is `all machines`. */
export function whereText(selector: string): string {
  return selector === "" ? "all machines" : selector;
}

/** `offset` counts UTF-16 units from the beginning of `text`. */
export function parseSelector(text: string): ParsedSelector {
  const reader = new Reader(text);
  const requirements: Requirement[] = [];
  try {
    if (reader.peek().kind === "end") return { ok: true, selector: { text, requirements } };
    for (;;) {
      requirements.push(readRequirement(reader));
      const next = reader.take();
      if (next.kind === "end") return { ok: true, selector: { text, requirements } };
      if (next.text !== ",") throw new Fault(next.offset, `"${next.text}" where "," or the end was expected`);
    }
  } catch (fault) {
    if (fault instanceof Fault) return { ok: false, offset: fault.offset, message: fault.message };
    throw fault;
  }
}

/** Of a text that was read without fault before it was kept; anything else is a bug, and throws. */
export function checkedSelector(text: string): Selector {
  const parsed = parseSelector(text);
  if (!parsed.ok) throw new Error(`"${text}" was kept as a selector and can't be read: ${parsed.message}`);
  return parsed.selector;
}

/** Of a text that was kept: whom it may be for. What can't be read may be for anybody. */
export function widestSelector(text: string): Selector {
  const parsed = parseSelector(text);
  return parsed.ok ? parsed.selector : { text: "", requirements: [] };
}

export function selects(selector: Selector, labels: Labels): boolean {
  return selector.requirements.every((requirement) => holds(requirement, labels));
}

function holds({ key, operator, values }: Requirement, labels: Labels): boolean {
  const value = Object.hasOwn(labels, key) ? labels[key] : undefined;
  switch (operator) {
    case "in":
      return value !== undefined && values.includes(value);
    case "notin":
      return value === undefined || !values.includes(value);
    case "exists":
      return value !== undefined;
    case "absent":
      return value === undefined;
  }
}

class Fault extends Error {
  readonly offset: number;
  constructor(offset: number, message: string) {
    super(message);
    this.offset = offset;
  }
}

interface Token {
  readonly kind: "word" | "sign" | "end";
  readonly text: string;
  readonly offset: number;
}

/** Words are runs of anything but signs and blanks; signs are `, ( ) = == != !`. */
class Reader {
  readonly #text: string;
  #at = 0;

  constructor(text: string) {
    this.#text = text;
  }

  peek(): Token {
    const at = this.#at;
    const token = this.take();
    this.#at = at;
    return token;
  }

  take(): Token {
    while (/\s/.test(this.#text[this.#at] ?? "")) this.#at += 1;
    const offset = this.#at;
    const rest = this.#text.slice(offset);
    if (rest === "") return { kind: "end", text: "the end", offset };
    const sign = /^(?:==|!=|[,()=!])/.exec(rest)?.[0];
    const text = sign ?? /^[^\s,()=!]+/.exec(rest)![0];
    this.#at += text.length;
    return { kind: sign === undefined ? "word" : "sign", text, offset };
  }
}

function readRequirement(reader: Reader): Requirement {
  const first = reader.take();
  if (first.text === "!" && first.kind === "sign") {
    return { key: readKey(reader.take()), operator: "absent", values: [] };
  }
  const key = readKey(first);
  const sign = reader.peek();
  if (sign.kind === "end" || sign.text === ",") return { key, operator: "exists", values: [] };
  reader.take();
  switch (sign.text) {
    case "=":
    case "==":
      return { key, operator: "in", values: [readValue(reader)] };
    case "!=":
      return { key, operator: "notin", values: [readValue(reader)] };
    case "in":
    case "notin":
      return { key, operator: sign.text, values: readValues(reader) };
    default:
      throw new Fault(sign.offset, `"${sign.text}" where one of = == != in notin was expected`);
  }
}

function readKey(token: Token): string {
  if (token.kind !== "word") throw new Fault(token.offset, `${shown(token)} where a label's name was expected`);
  if (!isLabelKey(token.text)) throw new Fault(token.offset, `"${token.text}" is not a label's name`);
  return token.text;
}

/** A value may be empty: `key=` and `key=,…`. */
function readValue(reader: Reader): string {
  const next = reader.peek();
  if (next.kind === "end" || next.text === ",") return "";
  return checkedValue(reader.take());
}

function readValues(reader: Reader): readonly string[] {
  const open = reader.take();
  if (open.text !== "(") throw new Fault(open.offset, `${shown(open)} where "(" was expected`);
  const values: string[] = [];
  for (;;) {
    values.push(checkedValue(reader.take()));
    const next = reader.take();
    if (next.text === ")") return [...new Set(values)].sort();
    if (next.text !== ",") throw new Fault(next.offset, `${shown(next)} where "," or ")" was expected`);
  }
}

function checkedValue(token: Token): string {
  if (token.kind !== "word") throw new Fault(token.offset, `${shown(token)} where a label's value was expected`);
  if (!isLabelValue(token.text)) throw new Fault(token.offset, `"${token.text}" is not a label's value`);
  return token.text;
}

function shown(token: Token): string {
  return token.kind === "end" ? "the end" : `"${token.text}"`;
}
