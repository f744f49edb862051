/**
 * The bytes of a release that its publishers sign: all that decides what runs, in one form that the signing side, the controller and the agent each make
 * of the release that they have. Signed bytes are compared with these, and never read instead of them.
 *
 * The form is protobuf's JSON of `Release` without `signed`, in canonical JSON. Fields at their default are left out, so a field that is added to Release
 * later changes no signature that is there; a release that uses it is refused by an agent that does not know it.
 */
import { Release } from "../gen/muster/v1/release.ts";
import { type Envelope, formatEnvelope, type ReadEnvelope, readEnvelope, withSignatures } from "./envelope.ts";
import { canonicalJson } from "./canonical-json.ts";

export const RELEASE_TYPE = "application/vnd.muster.release.v1+json";
/** Of an envelope: a release of nearly 400 KB, where a large one has ten. An assignment has room for it. */
export const SIGNED_CHARS_MAX = 512 * 1024;

export function releaseBytes(release: Release): Uint8Array {
  return new TextEncoder().encode(canonicalJson(Release.toJSON({ ...release, signed: undefined })));
}

/** The envelope that a release carries, if it is one of this release; whose signatures are in it is not looked at. */
export function readSigned(release: Release, signed: string): ReadEnvelope {
  const read = readEnvelope(signed, SIGNED_CHARS_MAX);
  if (!read.ok) return { ok: false, message: `the signature of ${nameOf(release)} can't be read: ${read.message}` };
  const { envelope } = read;
  if (envelope.payloadType !== RELEASE_TYPE) return { ok: false, message: `what is signed is no release but "${envelope.payloadType}"` };
  if (equal(envelope.payload, releaseBytes(release))) return read;
  return { ok: false, message: `the signature is not of this ${nameOf(release)}, but of ${subjectOf(envelope, release)}` };
}

/** The same release with the signatures of both; `signed` is one of this release, or undefined. */
export function signedAlsoBy(release: Release, signed: string | undefined): Release {
  if (signed === undefined) return release;
  if (release.signed === undefined) return { ...release, signed };
  const [before, more] = [readSigned(release, release.signed), readSigned(release, signed)];
  if (!before.ok || !more.ok) return { ...release, signed };
  return { ...release, signed: formatEnvelope(withSignatures(before.envelope, more.envelope.signatures)) };
}

function equal(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, index) => byte === b[index]);
}

function nameOf({ app, version }: Release): string {
  return `${app}@${version}`;
}

/** For the message alone. */
function subjectOf({ payload }: Envelope, release: Release): string {
  try {
    const signed = Release.fromJSON(JSON.parse(new TextDecoder().decode(payload)));
    return nameOf(signed) === nameOf(release) ? "other content with that name" : nameOf(signed).slice(0, 200);
  } catch {
    return "something else";
  }
}
