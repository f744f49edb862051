/**
 * A publisher's public key as text: `ed25519:` and the 32 bytes in base64url. The text is the key's id too: an id that names another key can't be made.
 */
import { fromBase64, toBase64 } from "./base64.ts";

declare const brand: unique symbol;
export type PublicKey = string & { readonly [brand]: "PublicKey" };

const PREFIX = "ed25519:";
const KEY_BYTES = 32;

export function parsePublicKey(text: string): PublicKey | undefined {
  return bytesOf(text)?.length === KEY_BYTES ? (text as PublicKey) : undefined;
}

/** `bytes` are the 32 of RFC 8032. */
export function publicKeyOf(bytes: Uint8Array): PublicKey {
  const key = parsePublicKey(`${PREFIX}${toUrl(toBase64(bytes))}`);
  if (key === undefined) throw new Error(`bug: a public key of ${bytes.length} bytes`);
  return key;
}

export function publicKeyBytes(key: PublicKey): Uint8Array {
  return bytesOf(key)!;
}

function bytesOf(text: string): Uint8Array | undefined {
  if (!/^ed25519:[A-Za-z0-9_-]{43}$/.test(text)) return undefined;
  return fromBase64(`${text.slice(PREFIX.length).replaceAll("-", "+").replaceAll("_", "/")}=`);
}

function toUrl(base64: string): string {
  return base64.replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}
