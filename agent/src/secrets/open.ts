/** Opens what was sealed to this machine: HPKE (RFC 9180), base mode, X25519. Keeps nothing. */
import { Aes256Gcm, CipherSuite, DhkemX25519HkdfSha256, HkdfSha256 } from "@hpke/core";
import type { SealedSecrets } from "@muster/proto/gen/muster/v1/secrets.ts";
import { type SealedFor, SEALING_INFO, sealingContext } from "@muster/proto/sealing.ts";

export interface SealingKeyPair {
  readonly keyId: string;
  /** X25519, 32 bytes. */
  readonly privateKey: Uint8Array;
}

const SUITE = new CipherSuite({ kem: new DhkemX25519HkdfSha256(), kdf: new HkdfSha256(), aead: new Aes256Gcm() });

/** Undefined when it was not sealed with this key, or not for this. */
export async function openSealed({ enc, ciphertext }: SealedSecrets, key: SealingKeyPair, sealedFor: SealedFor): Promise<Uint8Array | undefined> {
  try {
    const recipientKey = await SUITE.kem.importKey("raw", bufferOf(key.privateKey), false);
    const context = await SUITE.createRecipientContext({ recipientKey, enc: bufferOf(enc), info: bufferOf(Buffer.from(SEALING_INFO)) });
    return new Uint8Array(await context.open(bufferOf(ciphertext), bufferOf(Buffer.from(sealingContext(sealedFor)))));
  } catch {
    // Whatever is wrong with it, there is one thing to do: to ask for another. What the library says of it may hold parts of it.
    return undefined;
  }
}

function bufferOf(bytes: Uint8Array): ArrayBuffer {
  return new Uint8Array(bytes).buffer;
}
