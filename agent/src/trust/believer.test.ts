import { mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Assignment } from "@muster/proto/gen/muster/v1/assignment.ts";
import { generationOf } from "@muster/proto/generation.ts";
import pino from "pino";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { Believer, type BelieverOptions } from "./believer.ts";
import { assignmentOf, bytesOf, Signer, SigningKey } from "./signer.fixture.ts";
import { openTrustStore, type TrustStore } from "./trust-store.ts";

const HOUR_MS = 3_600_000;
let dir: string;
let now: number;
let log: { readonly msg: string; readonly code?: string; readonly detail?: string; readonly level: number }[];
let damaged: string[];
let signer: Signer;

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "muster-trust-"));
  now = 1_800_000_000_000;
  log = [];
  damaged = [];
  signer = new Signer();
  signer.now = () => now;
});
afterEach(() => rmSync(dir, { recursive: true }));

const open = (): TrustStore => openTrustStore({ dir, onDamage: (file) => void damaged.push(file.slice(dir.length)) });

/** As an agent that has just started. */
function start(more: Partial<BelieverOptions> = {}): Believer {
  const logger = pino({}, { write: (line: string) => void log.push(JSON.parse(line)) });
  return new Believer({ machineId: "m-1", store: open(), generation: 0, maxAgeMs: HOUR_MS, now: () => now, logger, ...more });
}

function joined(more: Partial<BelieverOptions> = {}): Believer {
  const believer = start(more);
  believer.hearKeys(signer.announced());
  return believer;
}

/** What the agent would act on. */
function take(believer: Believer, assignment: Assignment, more = {}): number | undefined {
  const believed = believer.read(bytesOf(signer.assignment(assignment, more)));
  return believed === undefined ? undefined : believer.take(believed)?.generation;
}

describe("what an agent believes by", () => {
  it("is there after a start without a network", () => {
    joined();
    expect(take(start(), assignmentOf("m-1", 1))).toBe(1);
  });

  it("is read by nobody but the agent", () => {
    take(joined(), assignmentOf("m-1", 1));
    for (const [name, mode] of [["", 0o700], ["keys.json", 0o600], ["highest.json", 0o600]] as const) expect(statSync(join(dir, "trust", name)).mode & 0o777).toBe(mode);
  });

  it("is another key when the controller says so, and the old one no longer when it says no more of it", () => {
    const believer = joined();
    const old = signer;
    const next = new Signer();
    next.now = old.now;
    believer.hearKeys(signer.announced(next.key));
    signer = next;
    expect(take(believer, assignmentOf("m-1", 1))).toBe(1);
    believer.hearKeys(next.announced());
    signer = old;
    expect(take(believer, assignmentOf("m-1", 2))).toBeUndefined();
    expect(believer.refusal).toMatchObject({ code: "unknown_key" });
    expect(take(start(), assignmentOf("m-1", 2))).toBeUndefined();
  });

  it("stays that of the controller that it belongs to, whatever another one says", () => {
    const believer = joined();
    const other = new Signer("controller-2");
    believer.hearKeys(other.announced());
    expect(log.at(-1)).toMatchObject({ level: 50, controllerId: "controller-2", joined: "controller-1" });
    expect(take(believer, assignmentOf("m-1", 1))).toBe(1);
  });

  it("is no key that is named for another, and none of a wrong size", () => {
    const believer = start();
    const stranger = new SigningKey();
    believer.hearKeys({ controllerId: "controller-1", keys: [{ keyid: signer.key.keyid, publicKey: stranger.publicKey }, { keyid: signer.key.keyid, publicKey: Buffer.alloc(3) }] });
    expect(take(believer, assignmentOf("m-1", 1))).toBeUndefined();
  });

  it("is asked for again when it was damaged", () => {
    joined();
    writeFileSync(join(dir, "trust", "keys.json"), "{}");
    const believer = start();
    expect(damaged).toEqual(["/trust/keys.json"]);
    expect(take(believer, assignmentOf("m-1", 1))).toBeUndefined();
    believer.hearKeys(signer.announced());
    expect(take(believer, assignmentOf("m-1", 1))).toBe(1);
  });
});

describe("the highest generation", () => {
  it("is on disk before the assignment is handed out", () => {
    const believer = joined();
    const believed = believer.read(bytesOf(signer.assignment(assignmentOf("m-1", 5))))!;
    expect(open().highest).toBeUndefined();
    believer.take(believed);
    expect(open().highest?.generation).toBe(5);
  });

  it("is kept over restarts: a replay and another of the same number are refused, the same once more is not", () => {
    take(joined(), assignmentOf("m-1", 5));
    expect(take(start(), assignmentOf("m-1", 4))).toBeUndefined();
    expect(take(start(), assignmentOf("m-1", 5, "2"))).toBeUndefined();
    expect(take(start(), assignmentOf("m-1", 5))).toBe(5);
    expect(log.filter(({ code }) => code !== undefined).map(({ code }) => code)).toEqual(["older_generation", "other_content"]);
  });

  it("is over all epochs", () => {
    const believer = joined();
    expect(take(believer, assignmentOf("m-1", generationOf(1, 3)))).toBe(generationOf(1, 3));
    expect(take(believer, assignmentOf("m-1", 500))).toBeUndefined();
    expect(take(believer, assignmentOf("m-1", generationOf(1, 4)))).toBe(generationOf(1, 4));
  });

  it("is that of the stored assignment when its own record is gone, or behind it", () => {
    expect(take(joined({ generation: 7 }), assignmentOf("m-1", 6))).toBeUndefined();
    expect(take(joined({ generation: 7 }), assignmentOf("m-1", 7))).toBe(7);
    expect(open().highest?.generation).toBe(7);
    expect(take(start({ generation: 9 }), assignmentOf("m-1", 8))).toBeUndefined();
  });

  it("that cannot be written means that the assignment is not taken, and may come again", () => {
    let isFull = true;
    const store = open();
    const believer = joined({
      store: {
        ...store,
        writeHighest: (highest) => {
          if (isFull) throw new Error("no space left on device");
          store.writeHighest(highest);
        },
      },
    });
    expect(() => take(believer, assignmentOf("m-1", 1))).toThrow("no space");
    isFull = false;
    expect(take(believer, assignmentOf("m-1", 1))).toBe(1);
  });

  it("is not lowered by one that was believed before a newer one was taken", () => {
    const believer = joined();
    const slow = believer.read(bytesOf(signer.assignment(assignmentOf("m-1", 1))))!;
    take(believer, assignmentOf("m-1", 2));
    expect(believer.take(slow)).toBeUndefined();
    expect(open().highest?.generation).toBe(2);
  });
});

describe("a refusal", () => {
  it("is logged once a kind, with what was wrong", () => {
    const believer = joined();
    for (let count = 0; count < 3; count += 1) {
      believer.read(new Uint8Array([1, 2, 3]));
      take(believer, assignmentOf("m-2", 1));
    }
    expect(log.filter(({ msg }) => msg.startsWith("not believed")).map(({ code, detail }) => [code, detail])).toEqual([
      ["unreadable", "is no envelope"],
      ["wrong_audience", "is for the machine m-2"],
    ]);
  });

  it("is said to the controller until something is believed again", () => {
    const believer = joined();
    expect(believer.refusal).toBeUndefined();
    take(believer, assignmentOf("m-2", 1));
    expect(believer.refusal).toEqual({ code: "wrong_audience", message: "the assignment that came over NATS is for the machine m-2" });
    take(believer, assignmentOf("m-1", 1));
    expect(believer.refusal).toBeUndefined();
  });

  it("of something older is said when it is the controller's own answer, and is nothing when NATS is late", () => {
    const believer = joined();
    take(believer, assignmentOf("m-1", 5));
    take(believer, assignmentOf("m-1", 4));
    expect(believer.refusal).toBeUndefined();
    expect(believer.check(signer.assignment(assignmentOf("m-1", 4)), "sync")).toBeUndefined();
    expect(believer.refusal).toEqual({ code: "older_generation", message: "the assignment that came from the controller is of generation 4, and 5 was taken before" });
  });

  it("for its age names the clock of the machine", () => {
    const believer = joined();
    const envelope = bytesOf(signer.assignment(assignmentOf("m-1", 1)));
    now += HOUR_MS + 1;
    expect(believer.read(envelope)).toBeUndefined();
    expect(believer.refusal?.message).toContain("by this machine's clock");
    expect(take(believer, assignmentOf("m-1", 2))).toBe(2);
  });
});

describe("a clock that is behind the controller's", () => {
  it("does not keep an assignment from being taken, and is told once", () => {
    signer.now = () => now + 2 * HOUR_MS;
    const believer = joined();
    expect([1, 2].map((generation) => take(believer, assignmentOf("m-1", generation)))).toEqual([1, 2]);
    expect(log.filter(({ msg }) => msg.includes("clock is behind"))).toHaveLength(1);
  });
});

describe("a request", () => {
  const ask = (believer: Believer, requestId: string) => believer.readRequest(bytesOf(signer.request("m-1", { requestId })))?.requestId;

  it("is answered once", () => {
    const believer = joined();
    expect([ask(believer, "r-1"), ask(believer, "r-1"), ask(believer, "r-2")]).toEqual(["r-1", undefined, "r-2"]);
    expect(believer.refusal).toBeUndefined();
  });

  it("is not answered when it was made by somebody else", () => {
    const believer = joined();
    signer = new Signer();
    expect(ask(believer, "r-1")).toBeUndefined();
    expect(believer.readRequest(new Uint8Array([255]))).toBeUndefined();
    expect(log.filter(({ code }) => code !== undefined).map(({ code }) => code)).toEqual(["unknown_key", "unreadable"]);
  });

  it("is not answered again for as long as it is good, however many come after it, nor later", () => {
    const believer = joined();
    const first = bytesOf(signer.request("m-1", { requestId: "first" }));
    believer.readRequest(first);
    for (let index = 0; index < 500; index += 1) ask(believer, `r-${index}`);
    expect(believer.readRequest(first)).toBeUndefined();
    now += HOUR_MS;
    expect(believer.readRequest(first)).toBeUndefined();
  });
});
