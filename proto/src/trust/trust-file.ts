/**
 * `trust.json`: all versions of a trust root in one file, as people pass it round to sign it. A JSON list of envelopes, the oldest first; the last may still
 * want signatures.
 */
import { formatEnvelope, type Verify } from "./envelope.ts";
import { firstRoot, nextRoot, openRoot, type OpenedRoot, type RootStep } from "./root-chain.ts";
import { ROOT_CHARS_MAX } from "./root.ts";

/** Two changes a week for ten years. */
const VERSIONS_MAX = 1_000;
export const TRUST_FILE_CHARS_MAX = 8 * 1024 * 1024;

export type ReadTrustFile = { readonly ok: true; readonly roots: readonly OpenedRoot[] } | { readonly ok: false; readonly message: string };

/** Every version but the last is signed as it must be; `isWhole` asks it of the last too. At least one. */
export function readTrustFile(text: string, verify: Verify, isWhole: boolean): ReadTrustFile {
  const envelopes = envelopesIn(text);
  if (envelopes === undefined) return { ok: false, message: "it is no list of trust roots" };
  const roots: OpenedRoot[] = [];
  for (const [index, envelope] of envelopes.entries()) {
    const isChecked = isWhole || index < envelopes.length - 1;
    const step = isChecked ? follow(roots.at(-1), envelope, verify) : openRoot(envelope);
    if (!step.ok) return step;
    const before = roots.at(-1)?.root.version;
    if (before !== undefined && step.root.version !== before + 1) return { ok: false, message: `version ${step.root.version} follows version ${before}` };
    roots.push({ root: step.root, envelope: step.envelope });
  }
  return { ok: true, roots };
}

export function formatTrustFile(roots: readonly OpenedRoot[]): string {
  return `[\n${roots.map(({ envelope }) => formatEnvelope(envelope)).join(",\n")}\n]\n`;
}

function follow(before: OpenedRoot | undefined, envelope: string, verify: Verify): RootStep {
  return before === undefined ? firstRoot(envelope, verify) : nextRoot(before.root, envelope, verify);
}

/** Each as a text of its own. Undefined: it is nothing of the kind. */
function envelopesIn(text: string): readonly string[] | undefined {
  if (text.length > TRUST_FILE_CHARS_MAX) return undefined;
  let list: unknown;
  try {
    list = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (!Array.isArray(list) || list.length === 0 || list.length > VERSIONS_MAX) return undefined;
  const envelopes = list.map((envelope: unknown) => JSON.stringify(envelope));
  return envelopes.some((envelope) => envelope.length > ROOT_CHARS_MAX) ? undefined : envelopes;
}
