import { createPublicKey, generateKeyPairSync, randomBytes } from "node:crypto";
import { Aes256Gcm, CipherSuite, DhkemX25519HkdfSha256, HkdfSha256, OpenError } from "@hpke/core";
import { expect, test } from "vitest";
import { privateKeyOf, seal, sealWith } from "./hpke.ts";

const hex = (text: string): Buffer => Buffer.from(text, "hex");

test("encrypts as the vector of RFC 9180, A.1.1.1, says", () => {
  const ephemeral = privateKeyOf(hex("52c4a758a802cd8b936eceea314432798d5baf2d7e9235dc084ab1b9cfa2f736"));
  const recipient = hex("3948cfe0ad1ddb695d780e59077195da6c56506b027329794ab02bca80815c4d");
  const message = {
    info: hex("4f6465206f6e2061204772656369616e2055726e"),
    aad: hex("436f756e742d30"),
    plaintext: hex("4265617574792069732074727574682c20747275746820626561757479"),
  };
  const { enc, ciphertext } = sealWith(ephemeral, recipient, message, { id: 0x0001, cipher: "aes-128-gcm", keyBytes: 16 });
  expect(enc.toString("hex")).toBe("37fda3567bdbd628e88668c3c8d7e97d1d1253b6d4ea6d44c150f741f1bf4431");
  expect(ciphertext.toString("hex")).toBe("f938558b5d72f1a23810b4be2ab4f84331acc02fc97babc53a52ae8218a355a96d8770ac83d07bea87e13c512a");
});

test("what it seals, another implementation opens: with the right key, info and aad alone", async () => {
  const suite = new CipherSuite({ kem: new DhkemX25519HkdfSha256(), kdf: new HkdfSha256(), aead: new Aes256Gcm() });
  const { privateKey } = generateKeyPairSync("x25519");
  const recipient = createPublicKey(privateKey).export({ format: "der", type: "spki" }).subarray(-32);
  const raw = (key: typeof privateKey): Buffer => key.export({ format: "der", type: "pkcs8" }).subarray(-32);
  const open = async (enc: Uint8Array, ciphertext: Uint8Array, info: string, aad: string, key = privateKey): Promise<string> => {
    const recipientKey = await suite.kem.importKey("raw", new Uint8Array(raw(key)).buffer, false);
    const context = await suite.createRecipientContext({ recipientKey, enc: new Uint8Array(enc).buffer, info: new TextEncoder().encode(info).buffer });
    return Buffer.from(await context.open(new Uint8Array(ciphertext).buffer, new TextEncoder().encode(aad).buffer)).toString();
  };
  for (const plaintext of [Buffer.alloc(0), Buffer.from("word"), randomBytes(70_000)]) {
    const { enc, ciphertext } = seal(recipient, { info: Buffer.from("use"), aad: Buffer.from("m-1/web"), plaintext });
    expect(await open(enc, ciphertext, "use", "m-1/web")).toBe(plaintext.toString());
  }
  const { enc, ciphertext } = seal(recipient, { info: Buffer.from("use"), aad: Buffer.from("m-1/web"), plaintext: Buffer.from("word") });
  await expect(open(enc, ciphertext, "use", "m-2/web")).rejects.toThrow(OpenError);
  await expect(open(enc, ciphertext, "other", "m-1/web")).rejects.toThrow(OpenError);
  await expect(open(enc, ciphertext, "use", "m-1/web", generateKeyPairSync("x25519").privateKey)).rejects.toThrow(OpenError);
  ciphertext[0]! ^= 1;
  await expect(open(enc, ciphertext, "use", "m-1/web")).rejects.toThrow(OpenError);
});

test("never seals the same twice, and not to a point that gives the key away", () => {
  const recipient = createPublicKey(generateKeyPairSync("x25519").privateKey).export({ format: "der", type: "spki" }).subarray(-32);
  const message = { info: Buffer.alloc(0), aad: Buffer.alloc(0), plaintext: Buffer.from("word") };
  expect(seal(recipient, message).ciphertext).not.toEqual(seal(recipient, message).ciphertext);
  for (const bad of [Buffer.alloc(32), hex("01".padEnd(64, "0")), Buffer.alloc(31, 9)]) expect(() => seal(bad, message)).toThrow(/derivation|ASN1|asn1|DER|decode|key/i);
});
