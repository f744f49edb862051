import { describe, expect, test } from "vitest";
import { decrypt, encrypt } from "./age.ts";
import { gather, inPieces } from "./backup.fixture.ts";
import { Pieces } from "./pieces.ts";

const CHUNK_BYTES = 65_536;
const QUICK = 4;

const pieces = (bytes: Buffer, size = 1000): Pieces => new Pieces("b.age", inPieces(bytes, size));
const sealed = (plain: Buffer, passphrase = "open sesame"): Promise<Buffer> => gather(encrypt(pieces(plain), passphrase, QUICK));
const opened = (bytes: Buffer, passphrase = "open sesame"): Promise<Buffer> => gather(decrypt(pieces(bytes), passphrase));

/** Written by the age program, 1.1.1: `age --passphrase`, with the passphrase "correct horse battery staple". */
const WRITTEN_BY_AGE = "YWdlLWVuY3J5cHRpb24ub3JnL3YxCi0+IHNjcnlwdCBHcG9lY1JTbllRK0R6RDNCL2VJSEtnIDE4CnZubWFIeVB0Ni9hTXVaZUJPRjBOME9OVXc2SDJIV1Q5ay82SmF3UFpRQmsKLS0tIGxVN3FIRU9uU0ZLU2FaR3BqZmE1b1kveCtYd0htbzhkYktISVRsT3lvNnMKlAtzGhB281r1VwKlWCtdA5Xxyfm2Ri47r+iRz50qE5kfQUCuJh+C41Rs5GiDw6k=";

describe("encryption with a passphrase", () => {
  test.each([0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 3 * CHUNK_BYTES])("gives %i bytes back as they were", async (size) => {
    const plain = Buffer.alloc(size, "muster");
    expect((await opened(await sealed(plain))).equals(plain)).toBe(true);
  });

  test("opens what the age program wrote", async () => {
    expect((await opened(Buffer.from(WRITTEN_BY_AGE, "base64"), "correct horse battery staple")).toString()).toBe("written by age\n");
  });

  test("the same bytes are never encrypted the same", async () => {
    expect((await sealed(Buffer.from("x"))).equals(await sealed(Buffer.from("x")))).toBe(false);
  });

  test("another passphrase opens nothing", async () => {
    await expect(opened(await sealed(Buffer.from("x")), "open")).rejects.toMatchObject({ code: "wrong_passphrase" });
  });

  test("a flipped bit is seen wherever it is", async () => {
    const bytes = await sealed(Buffer.alloc(100, 7));
    for (let at = 22; at < bytes.length; at += 1) {
      const changed = Buffer.from(bytes);
      changed[at]! ^= 1;
      await expect(opened(changed), `byte ${at}`).rejects.toMatchObject({ code: expect.stringMatching(/damaged|wrong_passphrase/) as string });
    }
  });

  test("a missing end is seen wherever it is, between two chunks too", async () => {
    const bytes = await sealed(Buffer.alloc(2 * CHUNK_BYTES + 10, 7));
    const header = bytes.length - (2 * CHUNK_BYTES + 10 + 3 * 16);
    for (const size of [header - 1, header, header + 1, header + CHUNK_BYTES, header + CHUNK_BYTES + 16, bytes.length - 1, bytes.length - 26]) {
      await expect(opened(bytes.subarray(0, size)), `${size} bytes`).rejects.toMatchObject({ code: expect.stringMatching(/truncated|damaged/) as string });
    }
  });

  test("chunks that changed places are seen", async () => {
    const bytes = await sealed(Buffer.alloc(3 * CHUNK_BYTES, 7));
    const chunk = CHUNK_BYTES + 16;
    const header = bytes.length - 3 * chunk;
    const swapped = Buffer.concat([bytes.subarray(0, header), bytes.subarray(header + chunk, header + 2 * chunk), bytes.subarray(header, header + chunk), bytes.subarray(header + 2 * chunk)]);
    await expect(opened(swapped)).rejects.toMatchObject({ code: "damaged" });
  });

  test("a file that wants more memory than anybody has is not opened", async () => {
    const text = (await sealed(Buffer.from("x"))).toString("latin1").replace(/^(-> scrypt \S+) 4$/m, "$1 30");
    await expect(opened(Buffer.from(text, "latin1"))).rejects.toMatchObject({ code: "damaged" });
  });
});
