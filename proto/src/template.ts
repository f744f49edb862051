/**
 * `${…}` in commands, environments and probes: which names exist, and how they are filled in.
 * The controller checks names at submission; the agent fills them in. `$${` stands for a literal `${`.
 */

export interface TemplateNames {
  /** Names under `run.ports`. */
  readonly ports: readonly string[];
}

export type TemplateFault =
  | { readonly kind: "unknown"; readonly name: string; readonly offset: number; readonly allowed: readonly string[] }
  | { readonly kind: "unclosed"; readonly offset: number };

/** Values by full name, for example `ports.http`, `machine.id`, `labels.zone`. */
export type TemplateValues = ReadonlyMap<string, string>;

const FIXED_NAMES = ["machine.id", "app", "version", "release_dir", "secrets_dir"] as const;
const LABEL = /^labels\.[A-Za-z0-9]([A-Za-z0-9._/-]{0,252}[A-Za-z0-9])?$/;

type Piece = { readonly literal: string } | { readonly name: string; readonly offset: number };

function split(text: string): { readonly pieces: readonly Piece[]; readonly unclosedAt?: number } {
  const pieces: Piece[] = [];
  let literal = "";
  let at = 0;
  while (at < text.length) {
    if (text.startsWith("$${", at)) {
      literal += "${";
      at += 3;
    } else if (text.startsWith("${", at)) {
      const end = text.indexOf("}", at + 2);
      if (end < 0) return { pieces, unclosedAt: at };
      if (literal !== "") pieces.push({ literal });
      literal = "";
      pieces.push({ name: text.slice(at + 2, end), offset: at });
      at = end + 1;
    } else {
      literal += text[at];
      at += 1;
    }
  }
  if (literal !== "") pieces.push({ literal });
  return { pieces };
}

/** The faults of a text, in order; none means that only a missing label can keep it from being filled in. */
export function checkTemplate(text: string, names: TemplateNames): readonly TemplateFault[] {
  const { pieces, unclosedAt } = split(text);
  const allowed = [...FIXED_NAMES, ...names.ports.map((port) => `ports.${port}`)];
  const faults: TemplateFault[] = [];
  for (const piece of pieces) {
    if ("literal" in piece || allowed.includes(piece.name) || LABEL.test(piece.name)) continue;
    faults.push({ kind: "unknown", name: piece.name, offset: piece.offset, allowed: [...allowed, "labels.NAME"] });
  }
  if (unclosedAt !== undefined) faults.push({ kind: "unclosed", offset: unclosedAt });
  return faults;
}

export type Filled = { readonly ok: true; readonly text: string } | { readonly ok: false; readonly missing: string };

/** Fills a text in; `missing` is the first name without a value. */
export function fillTemplate(text: string, values: TemplateValues): Filled {
  const { pieces, unclosedAt } = split(text);
  if (unclosedAt !== undefined) return { ok: false, missing: text.slice(unclosedAt) };
  let filled = "";
  for (const piece of pieces) {
    if ("literal" in piece) {
      filled += piece.literal;
      continue;
    }
    const value = values.get(piece.name);
    if (value === undefined) return { ok: false, missing: piece.name };
    filled += value;
  }
  return { ok: true, text: filled };
}
