import fc from "fast-check";
import { expect, test } from "vitest";
import { type NkeyKind, base32, formatNkeySeed, formatPublicNkey, parseNkeySeed, parsePublicNkey } from "./nkey.ts";

const key = fc.uint8Array({ minLength: 32, maxLength: 32 });
const kind = fc.constantFrom<NkeyKind>("operator", "account", "user");

/** Those of base32, and some that are none. */
const LETTERS = Array.from("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567=a1 ");

/** Of the bytes 1 to 32, by the library of NATS (nkeys.js). */
const KNOWN = [
  { kind: "operator", seed: "SOAACAQDAQCQMBYIBEFAWDANBYHRAEISCMKBKFQXDAMRUGY4DUPB6IHCVI", publicKey: "OB43KVROR7TFJ6KAPCYRF2FJROTZAH4FHLTJLPWX4DRZCC5NASLGIT25" },
  { kind: "account", seed: "SAAACAQDAQCQMBYIBEFAWDANBYHRAEISCMKBKFQXDAMRUGY4DUPB6IFO3A", publicKey: "AB43KVROR7TFJ6KAPCYRF2FJROTZAH4FHLTJLPWX4DRZCC5NASLGIFW3" },
  { kind: "user", seed: "SUAACAQDAQCQMBYIBEFAWDANBYHRAEISCMKBKFQXDAMRUGY4DUPB6IC5CQ", publicKey: "UB43KVROR7TFJ6KAPCYRF2FJROTZAH4FHLTJLPWX4DRZCC5NASLGJBFE" },
] as const;

test("is written as the library of NATS writes it, seed and public key", () => {
  const bytes = Uint8Array.from({ length: 32 }, (_, index) => index + 1);
  for (const { kind: one, seed, publicKey } of KNOWN) {
    expect(formatNkeySeed(one, bytes)).toBe(seed);
    expect(parseNkeySeed(`${seed}\n`)).toEqual({ kind: one, seed: bytes });
    expect(formatPublicNkey(one, parsePublicNkey(one, publicKey)!)).toBe(publicKey);
  }
});

test("begins with letters that tell what it is", () => {
  const bytes = new Uint8Array(32);
  expect((["operator", "account", "user"] as const).map((one) => formatPublicNkey(one, bytes)[0])).toEqual(["O", "A", "U"]);
  expect((["operator", "account", "user"] as const).map((one) => formatNkeySeed(one, bytes).slice(0, 2))).toEqual(["SO", "SA", "SU"]);
});

test("is read again as it was written, and as nothing else", () => {
  fc.assert(
    fc.property(kind, kind, key, (one, other, bytes) => {
      const text = formatPublicNkey(one, bytes);
      expect(parsePublicNkey(one, text)).toEqual(bytes);
      if (one !== other) expect(parsePublicNkey(other, text)).toBeUndefined();
      expect(parseNkeySeed(text)).toBeUndefined();
      const seed = formatNkeySeed(one, bytes);
      expect(parseNkeySeed(seed)).toEqual({ kind: one, seed: bytes });
      expect(parsePublicNkey(one, seed)).toBeUndefined();
    }),
  );
});

test("with one letter changed, or cut, or longer, it is none", () => {
  fc.assert(
    fc.property(key, fc.nat(), fc.constantFrom(...LETTERS), (bytes, at, letter) => {
      const text = formatPublicNkey("user", bytes);
      const place = at % text.length;
      const changed = text.slice(0, place) + letter + text.slice(place + 1);
      if (changed !== text) expect(parsePublicNkey("user", changed)).toBeUndefined();
      expect(parsePublicNkey("user", text.slice(0, place))).toBeUndefined();
      expect(parsePublicNkey("user", text + letter)).toBeUndefined();
    }),
  );
});

test("any text whatever is read or refused, without failing", () => {
  fc.assert(
    fc.property(fc.string(), (text) => {
      expect(parseNkeySeed(text)).toBeUndefined();
      expect(parsePublicNkey("user", text)).toBeUndefined();
    }),
  );
});

test("base32 is that of RFC 4648, without padding", () => {
  const vectors = { "": "", f: "MY", fo: "MZXQ", foo: "MZXW6", foob: "MZXW6YQ", fooba: "MZXW6YTB", foobar: "MZXW6YTBOI" };
  for (const [text, encoded] of Object.entries(vectors)) expect(base32(new TextEncoder().encode(text))).toBe(encoded);
});
