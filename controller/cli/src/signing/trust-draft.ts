/**
 * Changes to a trust root, before anybody has signed them. Pure: a chain of versions in, a chain with one draft at its end out.
 *
 * Always holds: an edit begins the next version when the last one is signed by enough, and else changes that draft, whose signatures then no longer count and are dropped.
 */
import type { Envelope } from "@muster/proto/trust/envelope.ts";
import type { PublicKey } from "@muster/proto/trust/public-key.ts";
import { type OpenedRoot, rootSigners } from "@muster/proto/trust/root-chain.ts";
import { type AppRule, decodeRoot, encodeRoot, TRUST_ROOT_TYPE, type TrustRoot } from "@muster/proto/trust/root.ts";
import { badInput } from "../errors.ts";
import { verifyEd25519 } from "./ed25519.ts";

export interface NamedKey {
  readonly name: string;
  readonly publicKey: PublicKey;
}

/** Who must sign the last version: those of the version before, and its own. */
export interface Signing {
  readonly version: number;
  readonly threshold: number;
  readonly signed: readonly string[];
  readonly missing: readonly string[];
}

export function newChain(owners: readonly NamedKey[], threshold: number, expiresAt: number): readonly OpenedRoot[] {
  const root: TrustRoot = { version: 1, expiresAt, keys: new Map(), root: { keys: owners.map(({ name }) => name), threshold }, apps: new Map() };
  return [draft(withKeys(root, owners))];
}

/** `change` gets the last version, and returns what it is to be. */
export function edited(chain: readonly OpenedRoot[], change: (root: TrustRoot) => TrustRoot): readonly OpenedRoot[] {
  const { root } = chain.at(-1)!;
  const isNext = isWhole(chain);
  const next = draft(change({ ...root, version: isNext ? root.version + 1 : root.version }));
  return [...(isNext ? chain : chain.slice(0, -1)), next];
}

export function isWhole(chain: readonly OpenedRoot[]): boolean {
  return signingOf(chain).every(({ threshold, signed }) => signed.length >= threshold);
}

export function signingOf(chain: readonly OpenedRoot[]): readonly Signing[] {
  const last = chain.at(-1)!;
  const judges = [chain.at(-2)?.root, last.root].filter((root) => root !== undefined);
  return judges.map((by) => {
    const signed = rootSigners(last, by, verifyEd25519);
    return { version: by.version, threshold: by.root.threshold, signed, missing: by.root.keys.filter((name) => !signed.includes(name)) };
  });
}

export function withEnvelope(chain: readonly OpenedRoot[], envelope: Envelope): readonly OpenedRoot[] {
  return [...chain.slice(0, -1), { ...chain.at(-1)!, envelope }];
}

/** A name stands for one key. */
export function withKeys(root: TrustRoot, keys: readonly NamedKey[]): TrustRoot {
  const all = new Map(root.keys);
  for (const { name, publicKey } of keys) {
    const known = all.get(name);
    if (known !== undefined && known !== publicKey) throw badInput(`${name} is the name of another key in this trust root; make the new key with a name of its own`);
    all.set(name, publicKey);
  }
  return { ...root, keys: all };
}

/** Out of every quorum. */
export function withoutKey(root: TrustRoot, name: string): TrustRoot {
  if (!root.keys.has(name)) throw badInput(`the trust root has no key ${name}`);
  const without = <Q extends AppRule | TrustRoot["root"]>(quorum: Q): Q => ({ ...quorum, keys: quorum.keys.filter((each) => each !== name) });
  const keys = new Map([...root.keys].filter(([each]) => each !== name));
  return { ...root, keys, root: without(root.root), apps: new Map([...root.apps].map(([pattern, rule]) => [pattern, without(rule)])) };
}

/** Keys that nobody is asked for any more are left out. */
function draft(changed: TrustRoot): OpenedRoot {
  const used = new Set([changed.root, ...changed.apps.values()].flatMap(({ keys }) => keys));
  const payload = encodeRoot({ ...changed, keys: new Map([...changed.keys].filter(([name]) => used.has(name))) });
  const decoded = decodeRoot(payload);
  if (!decoded.ok) throw badInput(`that makes no trust root: ${decoded.message}`);
  return { root: decoded.root, envelope: { payloadType: TRUST_ROOT_TYPE, payload, signatures: [] } };
}
