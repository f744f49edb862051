/**
 * The trust root: which keys may sign which apps, which keys may change that, and until when it is good.
 *
 *     { version, expires_at, keys: { NAME: KEY }, root: { keys: [NAME], threshold }, apps: { PATTERN: { keys: [NAME], threshold, floor } } }
 *
 * Always holds after `decodeRoot`: every name is one of `keys`, no key has two names, each threshold can be met, and the bytes were the only
 * ones that say this, so nothing stands in them that is not read here.
 */
import { isVersion, NAME_RULE, parseAppName } from "../ids.ts";
import { canonicalJson } from "./canonical-json.ts";
import { record } from "./envelope.ts";
import { parsePublicKey, type PublicKey } from "./public-key.ts";
import { isNumberedVersion } from "./version-order.ts";

export const TRUST_ROOT_TYPE = "application/vnd.muster.trust-root.v1+json";
/** Of an envelope. About 200 keys with as many rules; a fetch of 16 stays below what gRPC takes. */
export const ROOT_CHARS_MAX = 64 * 1024;

export interface TrustRoot {
  /** From 1, rising by one. */
  readonly version: number;
  /** Milliseconds since 1970. From then on nothing new is believed. */
  readonly expiresAt: number;
  readonly keys: ReadonlyMap<string, PublicKey>;
  /** Who may change the trust root. */
  readonly root: Quorum;
  /** By pattern: an app's name, or the beginning of one and `*`. */
  readonly apps: ReadonlyMap<string, AppRule>;
}

/** Names of keys, sorted, and how many of them must sign. */
export interface Quorum {
  readonly keys: readonly string[];
  readonly threshold: number;
}

/** With a threshold of 0 the app needs no signature. */
export interface AppRule extends Quorum {
  /** The oldest version that may be run; null: any. */
  readonly floor: string | null;
}

export type DecodedRoot = { readonly ok: true; readonly root: TrustRoot } | { readonly ok: false; readonly message: string };

/** The rule for an app: that of its name, else that of the longest pattern that fits. Undefined: anything may be run. */
export function ruleFor({ apps }: TrustRoot, app: string): AppRule | undefined {
  const exact = apps.get(app);
  if (exact !== undefined) return exact;
  const fitting = [...apps.keys()].filter((pattern) => pattern.endsWith("*") && app.startsWith(pattern.slice(0, -1)));
  const longest = fitting.toSorted((a, b) => b.length - a.length)[0];
  return longest === undefined ? undefined : apps.get(longest);
}

export function keysOf({ keys }: TrustRoot, quorum: Quorum): ReadonlySet<PublicKey> {
  return new Set(quorum.keys.map((name) => keys.get(name)!));
}

export function encodeRoot({ version, expiresAt, keys, root, apps }: TrustRoot): Uint8Array {
  const rules = [...apps].map(([pattern, rule]) => [pattern, { ...quorumFields(rule), floor: rule.floor }] as const);
  const fields = { version, expires_at: expiresAt, keys: Object.fromEntries(keys), root: quorumFields(root), apps: Object.fromEntries(rules) };
  return new TextEncoder().encode(canonicalJson(fields));
}

function quorumFields({ keys, threshold }: Quorum): { readonly keys: readonly string[]; readonly threshold: number } {
  return { keys: keys.toSorted(), threshold };
}

export function decodeRoot(payload: Uint8Array): DecodedRoot {
  try {
    const text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(payload);
    const root = rootOf(JSON.parse(text));
    // Names given twice, other spacing, names out of order: whatever two readers might read differently.
    const isOnlyForm = new TextDecoder().decode(encodeRoot(root)) === text;
    return isOnlyForm ? { ok: true, root } : refused("it is not written in the one form that is signed");
  } catch (error) {
    return refused(error instanceof Malformed ? error.message : "it can't be read");
  }
}

class Malformed extends Error {}

function rootOf(value: unknown): TrustRoot {
  const { version, expires_at, keys, root, apps } = fields(value, "the trust root", ["version", "expires_at", "keys", "root", "apps"]);
  if (!isCount(version) || version < 1) throw new Malformed("its version is no whole number from 1");
  if (!isCount(expires_at)) throw new Malformed("its expiry is no time in milliseconds");
  const known = keysIn(keys);
  const rootQuorum = quorumOf(fields(root, "root", ["keys", "threshold"]), "root", known);
  if (rootQuorum.threshold < 1) throw new Malformed("root: its threshold is below 1, so anybody could change it");
  const rules = entries(apps, "apps").map(([pattern, rule]) => [pattern, ruleOf(rule, pattern, known)] as const);
  return { version, expiresAt: expires_at, keys: known, root: rootQuorum, apps: new Map(rules) };
}

function keysIn(value: unknown): ReadonlyMap<string, PublicKey> {
  const keys = new Map<string, PublicKey>();
  const names = new Map<PublicKey, string>();
  for (const [name, text] of entries(value, "keys")) {
    if (parseAppName(name) === undefined) throw new Malformed(`keys: "${name}" is not the name of a key (${NAME_RULE})`);
    const key = typeof text === "string" ? parsePublicKey(text) : undefined;
    if (key === undefined) throw new Malformed(`keys: ${name} has no public key that can be read`);
    const other = names.get(key);
    // One person with two names would count twice.
    if (other !== undefined) throw new Malformed(`keys: ${name} and ${other} are the same key`);
    keys.set(name, key);
    names.set(key, name);
  }
  return keys;
}

function ruleOf(value: unknown, pattern: string, known: ReadonlyMap<string, PublicKey>): AppRule {
  const place = `apps "${pattern}"`;
  if (!isPattern(pattern)) throw new Malformed(`${place}: it is neither an app's name nor the beginning of one and *`);
  const found = fields(value, place, ["keys", "threshold", "floor"]);
  const { floor } = found;
  if (floor !== null && !(typeof floor === "string" && isVersion(floor) && isNumberedVersion(floor))) {
    throw new Malformed(`${place}: its floor is no numbered version (for example 1.4.0)`);
  }
  return { ...quorumOf(found, place, known), floor };
}

function quorumOf({ keys, threshold }: Readonly<Record<string, unknown>>, place: string, known: ReadonlyMap<string, PublicKey>): Quorum {
  if (!Array.isArray(keys)) throw new Malformed(`${place}: its keys are no list of names`);
  const names = keys.map((name: unknown) => {
    if (typeof name === "string" && known.has(name)) return name;
    throw new Malformed(`${place}: ${String(name)} is not one of the keys`);
  });
  if (new Set(names).size !== names.length) throw new Malformed(`${place}: a key is named twice`);
  if (!isCount(threshold)) throw new Malformed(`${place}: its threshold is no whole number`);
  if (threshold > names.length) throw new Malformed(`${place}: ${threshold} must sign, and it names ${names.length}`);
  if (threshold === 0 && names.length > 0) throw new Malformed(`${place}: it names keys, and none of them must sign`);
  return { keys: names, threshold };
}

export function isPattern(text: string): boolean {
  return parseAppName(text) !== undefined || /^(?:[a-z0-9][a-z0-9-]{0,62})?\*$/.test(text);
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

function fields(value: unknown, place: string, names: readonly string[]): Readonly<Record<string, unknown>> {
  const found = record(value, names);
  if (found === undefined) throw new Malformed(`${place} has not just ${names.join(", ")}`);
  return found;
}

function entries(value: unknown, place: string): readonly (readonly [string, unknown])[] {
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw new Malformed(`${place} is no map`);
  return Object.entries(value);
}

function refused(message: string): DecodedRoot {
  return { ok: false, message };
}
