/**
 * What the YAML library says of a broken file, in words that tell the way out. Points where the slip is, which is not always where reading stopped.
 */
import { isScalar, visit } from "yaml";
import type { Document, YAMLError } from "yaml";

export interface ExplainedSyntax {
  readonly offset: number;
  readonly message: string;
}

export function explainSyntax(error: YAMLError, document: Document.Parsed, text: string): ExplainedSyntax {
  const [offset, end] = error.pos;
  const line = lineAround(text, offset);
  const character = text[offset] ?? "";
  const at = (message: string): ExplainedSyntax => ({ offset, message });
  switch (error.code) {
    case "TAB_AS_INDENT":
      return at("a tab in the indentation: YAML is indented with spaces");
    case "TAG_RESOLVE_FAILED":
      return at(`YAML reads "${text.slice(offset, end)}" as a tag: put text that begins with ! in quotes`);
    case "BAD_SCALAR_START":
      return at(`text can't begin with "${character}" in YAML: put it in quotes`);
    case "BAD_DQ_ESCAPE":
      return at(`"${text.slice(offset, end + 1)}" is no escape: write \\\\ for a backslash, or use single quotes`);
    case "MULTIPLE_DOCS":
      return at("a second document begins here (after ---): a file holds one deployment");
    case "BLOCK_AS_IMPLICIT_KEY":
      return at('a second ": " on one line: put the value in quotes, or its keys on lines of their own');
    case "MULTILINE_IMPLICIT_KEY":
      return at(`"${firstWord(line.text)}" is followed by no value: a key is written with a colon and a blank, as in "key: value"`);
    case "BAD_ALIAS":
    case "MISSING_CHAR":
    case "BAD_INDENT":
    case "UNEXPECTED_TOKEN":
      return explainStructure(error, document, text);
    case "ALIAS_PROPS":
    case "BAD_COLLECTION_TYPE":
    case "BAD_DIRECTIVE":
    case "BAD_PROP_ORDER":
    case "BLOCK_IN_FLOW":
    case "DUPLICATE_KEY":
    case "IMPOSSIBLE":
    case "KEY_OVER_1024_CHARS":
    case "MULTIPLE_ANCHORS":
    case "MULTIPLE_TAGS":
    case "NON_STRING_KEY":
    case "RESOURCE_EXHAUSTION":
      return at(`not YAML: ${error.message}`);
  }
}

/** Begins with a star, as every other cron line does. */
const CRON_LIKE = /(?<=^|[\s,:[{-])\*(?:\/[0-9]+)?(?:\s+[0-9A-Z*/#-]+(?:,[0-9A-Z*/#-]+)*){2,4}/i;

function explainStructure(error: YAMLError, document: Document.Parsed, text: string): ExplainedSyntax {
  const [offset] = error.pos;
  const line = lineAround(text, offset);
  const template = /\$\{[^}"'\n]*\}?/.exec(line.text);
  if (template !== null && /[[{]/.test(line.text.slice(0, template.index)) && !isQuoted(line.text, template.index)) {
    return { offset: line.begin + template.index, message: `within [ ] and { }, text with ${"${…}"} must be in quotes: "${template[0]}"` };
  }
  const starred = CRON_LIKE.exec(line.text);
  if (starred !== null && !isQuoted(line.text, starred.index)) {
    return { offset: line.begin + starred.index, message: `YAML reads text that begins with * as an alias: put it in quotes: "${starred[0]}"` };
  }
  if (/Missing closing/.test(error.message)) {
    const opened = unclosedQuoteAt(document, offset);
    return { offset: opened ?? offset, message: "the text that begins here has no closing quote" };
  }
  const flow = /Flow (map|sequence) in block collection/.exec(error.message)?.[1];
  if (flow !== undefined) {
    const [open, close] = flow === "map" ? ["{", "}"] : ["[", "]"];
    const opened = text.lastIndexOf(open, offset - 1);
    return { offset: opened < 0 ? offset : opened, message: `"${open}" has no "${close}", or the lines between them are indented too little` };
  }
  if (/map keys need to be followed by/.test(error.message)) {
    return { offset, message: `"${firstWord(line.text)}" is followed by no value: a key is written with a colon and a blank, as in "key: value"` };
  }
  if (/must start at the same column/.test(error.message)) return { offset, message: "indented otherwise than the lines that it belongs with" };
  const sign = /^[\]},]/.exec(text.slice(offset, offset + 1))?.[0];
  if (sign !== undefined) return { offset, message: `"${sign}" has nothing that it closes or parts` };
  if (/Missing , or :/.test(error.message)) return { offset, message: 'a "," is missing before this' };
  return { offset, message: `not YAML: ${error.message}` };
}

function lineAround(text: string, offset: number): { readonly begin: number; readonly text: string } {
  const begin = text.lastIndexOf("\n", offset - 1) + 1;
  const end = text.indexOf("\n", begin);
  return { begin, text: text.slice(begin, end < 0 ? undefined : end) };
}

function firstWord(line: string): string {
  return line.trim().split(/\s/, 1)[0] ?? "";
}

function isQuoted(line: string, index: number): boolean {
  const before = line.slice(0, index);
  return before.split('"').length % 2 === 0 || before.split("'").length % 2 === 0;
}

function unclosedQuoteAt(document: Document.Parsed, offset: number): number | undefined {
  let opened: number | undefined;
  visit(document, {
    Scalar(_key, node) {
      const isQuote = isScalar(node) && (node.type === "QUOTE_DOUBLE" || node.type === "QUOTE_SINGLE");
      if (isQuote && node.range != null && node.range[1] >= offset) opened = node.range[0];
    },
  });
  return opened;
}
