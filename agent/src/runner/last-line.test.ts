import { describe, expect, it } from "vitest";
import type { LogReader } from "./ports.ts";
import { lastLineOf } from "./steps.ts";

function writing(...stderr: readonly string[]) {
  return {
    secrets: { redact: (_app: string, text: string) => text.replaceAll("pass-word", "[secret]") },
    logs: {
      async *read() {
        yield [{ stream: "stdout" as const, text: "Error on stdout is the app's own business" }];
        yield stderr.map((text) => ({ stream: "stderr", text }) as const);
      },
    },
  };
}

describe("what a workload said last", () => {
  it("is the last line that names a fault, not the runtime's farewell", async () => {
    const node = writing("node:internal/modules/cjs/loader:1478", "  throw err;", "Error: Cannot find module '/srv/nope.js'", "    at Module._load (node:internal)", "}", "", "Node.js v24.21.0");
    expect(await lastLineOf("app", node)).toBe("Error: Cannot find module '/srv/nope.js'");
  });

  it("is the last line that is not blank when none names a fault", async () => {
    expect(await lastLineOf("app", writing("starting", "port 80 is taken", "  "))).toBe("port 80 is taken");
  });

  it("is nothing when nothing was written or can be read", async () => {
    expect(await lastLineOf("app", writing())).toBe("");
    const unreadable: LogReader = { read: () => { throw new Error("no logs"); } };
    expect(await lastLineOf("app", { ...writing(), logs: unreadable })).toBe("");
  });

  it("is cut where a reason would become a page", async () => {
    expect((await lastLineOf("app", writing("x".repeat(5000)))).length).toBe(200);
  });

  it("is without the app's secrets, also where it is cut", async () => {
    expect(await lastLineOf("app", writing(`Error: pass-word ${"x".repeat(177)}pass-word`))).toBe(`Error: [secret] ${"x".repeat(177)}[secret`);
  });
});
