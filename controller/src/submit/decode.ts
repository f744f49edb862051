/**
 * The bytes of a deployment file → its text. Refuses what no editor would write as YAML: other encodings, control characters, whole disks.
 * A byte order mark is taken off.
 */
import type { Fault } from "@muster/proto/gen/muster/v1/deployments.ts";

/** As much as one gRPC message may carry; a real file has a few KiB. */
export const FILE_BYTES_MAX = 1024 * 1024;

export type Decoded = { readonly ok: true; readonly text: string } | { readonly ok: false; readonly fault: Fault };

export function decode(content: Uint8Array): Decoded {
  if (content.length > FILE_BYTES_MAX) {
    return refuse({ line: 0, column: 0 }, `the file has ${content.length} bytes; at most ${FILE_BYTES_MAX} (1 MiB) are allowed`);
  }
  const text = new TextDecoder().decode(content);
  const badAt = firstInvalid(text, content);
  if (badAt !== undefined) return refuse(placeOf(text, badAt.index), whatByte(content, badAt.byte));
  const control = CONTROL.exec(text);
  if (control !== null) return refuse(placeOf(text, control.index), whatCharacter(control[0]));
  return { ok: true, text };
}

/** What YAML 1.2 does not let stand unescaped, and a carriage return that ends no line with a line feed. */
const CONTROL = /[\0-\x08\x0B\x0C\x0E-\x1F\x7F]|\r(?!\n)/;
const REPLACEMENT = "\uFFFD";
const REPLACEMENT_BYTES = [0xef, 0xbf, 0xbd];
const BOM_BYTES = 3;

/** Where decoding had to put a replacement character for a byte that is not UTF-8: those that stand in the file themselves are fine. */
function firstInvalid(text: string, content: Uint8Array): { readonly index: number; readonly byte: number } | undefined {
  let byte = content[0] === 0xef && content[1] === 0xbb && content[2] === 0xbf ? BOM_BYTES : 0;
  let from = 0;
  for (let index = text.indexOf(REPLACEMENT); index >= 0; index = text.indexOf(REPLACEMENT, from)) {
    byte += Buffer.byteLength(text.slice(from, index));
    if (!REPLACEMENT_BYTES.every((expected, offset) => content[byte + offset] === expected)) return { index, byte };
    byte += REPLACEMENT_BYTES.length;
    from = index + 1;
  }
  return undefined;
}

function whatByte(content: Uint8Array, byte: number): string {
  const wide = (content[0] === 0xff && content[1] === 0xfe) || (content[0] === 0xfe && content[1] === 0xff);
  const hex = content[byte]!.toString(16).toUpperCase().padStart(2, "0");
  return `byte ${byte + 1} of the file (0x${hex}) is not UTF-8${wide ? "; it looks like UTF-16" : ""}: save the file as UTF-8`;
}

function whatCharacter(character: string): string {
  if (character === "\r") return "a carriage return without a line feed: end lines with LF or CRLF";
  const code = character.charCodeAt(0).toString(16).toUpperCase().padStart(4, "0");
  return `${character === "\0" ? "a NUL" : "a control"} character (U+${code}): take it out, or save the file as plain UTF-8 text`;
}

function placeOf(text: string, index: number): { readonly line: number; readonly column: number } {
  const before = text.slice(0, index);
  return { line: before.split("\n").length, column: index - before.lastIndexOf("\n") };
}

function refuse(place: { readonly line: number; readonly column: number }, message: string): Decoded {
  return { ok: false, fault: { ...place, path: "", message } };
}
