/**
 * The trust root that this machine has pinned: `<dir>/identity/trust-root.json`. Pinned at joining, or by hand; from then on it changes only by steps that its own keys have
 * signed. A machine without one asks for no signatures.
 *
 * Always holds: what is on disk is the newest version that was ever accepted. A file that can't be read is a fault, and never counts as none.
 */
import { mkdir, readFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { formatEnvelope } from "@muster/proto/trust/envelope.ts";
import { firstRoot, nextRoot, type OpenedRoot } from "@muster/proto/trust/root-chain.ts";
import { encodeRoot, type TrustRoot } from "@muster/proto/trust/root.ts";
import { readTrustFile } from "@muster/proto/trust/trust-file.ts";
import { writeDurably } from "../../disk/durable.ts";
import { errorCode } from "../../runner/fault.ts";
import { verifyEd25519 } from "./ed25519.ts";

/** The pinned trust root can't be read or written. */
export class TrustRootError extends Error {
  readonly code: "unreadable" | "unwritable";
  readonly retryable: boolean;

  constructor(code: TrustRootError["code"], message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = "TrustRootError";
    this.code = code;
    // A disk may come back; a damaged file stays damaged, and whoever mends it need not start the agent again.
    this.retryable = true;
  }
}

export type Pinned =
  /** `version` is the one that counts now. */
  | { readonly kind: "pinned"; readonly version: number }
  /** What was pinned before is as new, or newer, or of another root. */
  | { readonly kind: "kept"; readonly version: number }
  | { readonly kind: "refused"; readonly message: string };

/** For joining: pins what the controller gives when nothing is pinned yet, and else at most goes on from what is. `bytes`: a trust file. Throws TrustRootError. */
export async function pinRoot(dir: string, bytes: Uint8Array): Promise<Pinned> {
  const offered = readTrustFile(new TextDecoder().decode(bytes), verifyEd25519, true);
  if (!offered.ok) return { kind: "refused", message: `the trust root is refused: ${offered.message}` };
  const { roots } = offered;
  const before = await pinnedRoot(dir);
  if (before === undefined) return write(dir, roots.at(-1)!);
  const last = leadOn(before, roots);
  return last === undefined ? { kind: "kept", version: before.version } : write(dir, last);
}

/** By hand, on the machine itself. `replaces`: whatever is pinned; else only what leads on from it is taken. Throws TrustRootError. */
export async function pinByHand(dir: string, bytes: Uint8Array, replaces: boolean): Promise<Pinned> {
  const offered = readTrustFile(new TextDecoder().decode(bytes), verifyEd25519, true);
  if (!offered.ok) return { kind: "refused", message: offered.message };
  const last = offered.roots.at(-1)!;
  if (replaces) return write(dir, last);
  const before = await pinnedRoot(dir);
  if (before === undefined) return write(dir, last);
  if (last.root.version < before.version) return { kind: "refused", message: `it ends with version ${last.root.version}, and this machine has pinned version ${before.version}` };
  const isSame = offered.roots.some(({ envelope }) => Buffer.from(envelope.payload).equals(encodeRoot(before)));
  if (!isSame && leadOn(before, offered.roots) === undefined) return { kind: "refused", message: "it does not follow from the trust root that this machine has pinned" };
  return last.root.version === before.version ? { kind: "kept", version: before.version } : write(dir, last);
}

/** Goes on by as many of the versions as follow, and stops at the first that does not. Throws TrustRootError. */
export async function stepRoot(dir: string, envelopes: readonly string[]): Promise<{ readonly version: number; readonly refusal: string | undefined }> {
  let trusted = await pinnedRoot(dir);
  for (const text of envelopes) {
    if (trusted === undefined) break;
    const step = nextRoot(trusted, text, verifyEd25519);
    if (!step.ok) return { version: trusted.version, refusal: step.message };
    await write(dir, step);
    trusted = step.root;
  }
  return { version: trusted?.version ?? 0, refusal: undefined };
}

/** Undefined: none is pinned. Throws TrustRootError. */
export async function pinnedRoot(dir: string): Promise<TrustRoot | undefined> {
  const path = fileIn(dir);
  let text: string;
  try {
    text = await readFile(path, "utf8");
  } catch (error) {
    if (errorCode(error) === "ENOENT") return undefined;
    throw new TrustRootError("unreadable", `${path} can't be read: ${error instanceof Error ? error.message : String(error)}`, { cause: error });
  }
  const opened = firstRoot(text, verifyEd25519);
  if (opened.ok) return opened.root;
  throw new TrustRootError("unreadable", `${path} is damaged (${opened.message}); pin it again with: muster-agent trust pin FILE --replace`);
}

/** The last of the versions to which signed steps lead from `before`; undefined when there is none. */
function leadOn(before: TrustRoot, roots: readonly OpenedRoot[]): OpenedRoot | undefined {
  let at: { readonly trusted: TrustRoot; readonly last: OpenedRoot | undefined } = { trusted: before, last: undefined };
  for (const each of roots) {
    const step = nextRoot(at.trusted, formatEnvelope(each.envelope), verifyEd25519);
    if (step.ok) at = { trusted: step.root, last: step };
  }
  return at.last;
}

async function write(dir: string, { root, envelope }: OpenedRoot): Promise<Pinned> {
  const path = fileIn(dir);
  try {
    await mkdir(dirname(path), { recursive: true, mode: 0o700 });
    await writeDurably(path, Buffer.from(formatEnvelope(envelope)), 0o600);
  } catch (error) {
    throw new TrustRootError("unwritable", `${path} can't be written: ${error instanceof Error ? error.message : String(error)}`, { cause: error });
  }
  return { kind: "pinned", version: root.version };
}

function fileIn(dir: string): string {
  return join(dir, "identity", "trust-root.json");
}
