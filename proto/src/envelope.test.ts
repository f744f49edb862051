import { describe, expect, it } from "vitest";
import { preAuthEncoding } from "./envelope.ts";

const text = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);
const bytes = (of: string): Uint8Array => new TextEncoder().encode(of);

describe("what is signed", () => {
  it("is what the protocol's own test vector says", () => {
    expect(text(preAuthEncoding("http://example.com/HelloWorld", bytes("hello world")))).toBe("DSSEv1 29 http://example.com/HelloWorld 11 hello world");
  });

  it("counts bytes, not characters", () => {
    expect(text(preAuthEncoding("ä", bytes("€")))).toBe("DSSEv1 2 ä 3 €");
  });

  it("of nothing is still told apart by its type", () => {
    expect(text(preAuthEncoding("", bytes("")))).toBe("DSSEv1 0  0 ");
    expect(preAuthEncoding("a", bytes(""))).not.toEqual(preAuthEncoding("b", bytes("")));
  });

  it("never reads the same for another split into type and payload", () => {
    expect(preAuthEncoding("a 1 b", bytes("c"))).not.toEqual(preAuthEncoding("a", bytes("b 1 c")));
  });
});
