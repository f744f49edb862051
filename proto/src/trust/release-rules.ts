/**
 * Whether a machine whose trust root is this may run a release. The last word on what code runs anywhere: the controller has none in it.
 */
import type { Release } from "../gen/muster/v1/release.ts";
import type { ReasonCode } from "../reason.ts";
import { type Envelope, signersOf, type Verify } from "./envelope.ts";
import { readSigned } from "./release-bytes.ts";
import { quorumText, signersText } from "./root-chain.ts";
import { type AppRule, keysOf, ruleFor, type TrustRoot } from "./root.ts";
import { compareVersions } from "./version-order.ts";

type RefusalCode = Extract<ReasonCode, "unsigned_release" | "bad_signature" | "trust_expired" | "below_floor">;

export type ReleaseVerdict = { readonly ok: true } | { readonly ok: false; readonly code: RefusalCode; readonly message: string };

const ALLOWED: ReleaseVerdict = { ok: true };

/** For a release that is to be run anew. `now` in milliseconds since 1970. */
export function judgeRelease(root: TrustRoot, release: Release, now: number, verify: Verify): ReleaseVerdict {
  const rule = ruleFor(root, release.app);
  if (rule === undefined) return ALLOWED;
  const overFloor = judgeFloor(rule, root, release);
  if (!overFloor.ok || rule.threshold === 0) return overFloor;
  const needs = `trust root ${root.version} asks ${release.app} for ${quorumText(rule)}`;
  if (now >= root.expiresAt) {
    return refused("trust_expired", `trust root ${root.version} has expired: until the next one is published, no new release of ${release.app} is run`);
  }
  if (release.signed === undefined) return refused("unsigned_release", `${needs}; ${release.app}@${release.version} is not signed`);
  const read = readSigned(release, release.signed);
  if (!read.ok) return refused("bad_signature", read.message);
  const keys = keysOf(root, rule);
  const signers = signersOf(read.envelope, keys, verify);
  if (signers.size >= rule.threshold) return ALLOWED;
  const names = rule.keys.filter((name) => signers.has(root.keys.get(name)!));
  return isForged(read.envelope, keys, signers)
    ? refused("bad_signature", `${needs}; a signature under the name of one of them is not theirs`)
    : refused("unsigned_release", `${needs}; ${signersText(names)}`);
}

/**
 * For going back to a release that ran here and was good. It was judged when it came, by the trust root of that time, so only a floor forbids it: a trust root that begins to
 * ask for signatures, or that has expired, must not take away what a machine falls back on.
 */
export function judgeReturn(root: TrustRoot, release: Release): ReleaseVerdict {
  const rule = ruleFor(root, release.app);
  return rule === undefined ? ALLOWED : judgeFloor(rule, root, release);
}

function judgeFloor({ floor }: AppRule, { version }: TrustRoot, release: Release): ReleaseVerdict {
  if (floor === null) return ALLOWED;
  const order = compareVersions(release.version, floor);
  if (order === undefined) return refused("below_floor", `trust root ${version} allows no ${release.app} below ${floor}, and ${release.version} has no numbers to compare`);
  return order >= 0 ? ALLOWED : refused("below_floor", `trust root ${version} allows no ${release.app} below ${floor}; this is ${release.version}`);
}

function isForged({ signatures }: Envelope, keys: ReadonlySet<string>, signers: ReadonlySet<string>): boolean {
  return signatures.some(({ keyId }) => keys.has(keyId) && !signers.has(keyId));
}

function refused(code: RefusalCode, message: string): ReleaseVerdict {
  return { ok: false, code, message };
}
