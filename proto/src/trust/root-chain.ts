/**
 * From one version of the trust root to the next. A version is taken only when it is the very next one, and enough keys of the version before *and* of its
 * own have signed it: so whoever lost keys below the threshold has lost nothing, and nobody can be led past a version or back.
 * https://theupdateframework.github.io/specification/latest/#update-root
 */
import { counted } from "../text.ts";
import { type Envelope, readEnvelope, signersOf, type Verify } from "./envelope.ts";
import { decodeRoot, keysOf, ROOT_CHARS_MAX, TRUST_ROOT_TYPE, type Quorum, type TrustRoot } from "./root.ts";

export interface OpenedRoot {
  readonly root: TrustRoot;
  readonly envelope: Envelope;
}

export type RootStep = ({ readonly ok: true } & OpenedRoot) | { readonly ok: false; readonly message: string };

/** Reads it, and says nothing of its signatures. */
export function openRoot(text: string): RootStep {
  const read = readEnvelope(text, ROOT_CHARS_MAX);
  if (!read.ok) return refused(`the trust root can't be read: ${read.message}`);
  const { envelope } = read;
  if (envelope.payloadType !== TRUST_ROOT_TYPE) return refused(`it is no trust root but "${envelope.payloadType}"`);
  const decoded = decodeRoot(envelope.payload);
  return decoded.ok ? { ok: true, root: decoded.root, envelope } : refused(`the trust root is malformed: ${decoded.message}`);
}

/** A root that nothing came before, signed by enough of its own keys. Whoever takes it must know where it came from. */
export function firstRoot(text: string, verify: Verify): RootStep {
  const opened = openRoot(text);
  if (!opened.ok) return opened;
  const missing = missingSignatures(opened, opened.root, verify);
  return missing === undefined ? opened : refused(missing);
}

/** The step from a root that is trusted to the next. */
export function nextRoot(trusted: TrustRoot, text: string, verify: Verify): RootStep {
  const opened = openRoot(text);
  if (!opened.ok) return opened;
  const { version } = opened.root;
  if (version !== trusted.version + 1) return refused(`trust root ${version} does not follow ${trusted.version}: the next one is ${trusted.version + 1}`);
  const missing = missingSignatures(opened, trusted, verify) ?? missingSignatures(opened, opened.root, verify);
  return missing === undefined ? opened : refused(missing);
}

/** The names of those of a root's own quorum who have signed. */
export function rootSigners({ envelope }: OpenedRoot, by: TrustRoot, verify: Verify): readonly string[] {
  const signers = signersOf(envelope, keysOf(by, by.root), verify);
  return by.root.keys.filter((name) => signers.has(by.keys.get(name)!));
}

function missingSignatures(opened: OpenedRoot, by: TrustRoot, verify: Verify): string | undefined {
  const signers = rootSigners(opened, by, verify);
  if (signers.length >= by.root.threshold) return undefined;
  return `trust root ${opened.root.version} needs ${quorumText(by.root)} of version ${by.version}; ${signersText(signers)}`;
}

/** `2 signatures of anna, ben, cleo` */
export function quorumText({ keys, threshold }: Quorum): string {
  return `${counted(threshold, "signature")} of ${keys.join(", ")}`;
}

export function signersText(signers: readonly string[]): string {
  return signers.length === 0 ? "none of them has signed" : `signed by ${signers.join(", ")}`;
}

function refused(message: string): { readonly ok: false; readonly message: string } {
  return { ok: false, message };
}
