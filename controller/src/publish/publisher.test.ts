import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Assignment, SignedAssignment } from "@muster/proto/gen/muster/v1/assignment.ts";
import { Envelope } from "@muster/proto/gen/muster/v1/envelope.ts";
import type { MachineId } from "@muster/proto/ids.ts";
import pino from "pino";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { AssignmentKeys } from "../identity/assignment-key.ts";
import { AssignmentSigner } from "../identity/assignment-signer.ts";
import { Epoch } from "../identity/epoch.ts";
import { Publisher } from "./publisher.ts";

let dir: string;
let told: { readonly subject: string; readonly assignment: Assignment }[];
let generation: number;
let publisher: Publisher;

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "muster-publisher-"));
  told = [];
  generation = 1;
  const assignmentFor = (machine: MachineId): Assignment => {
    if (machine === "broken") throw new Error("disk I/O error");
    return Assignment.fromPartial({ machine, generation, apps: [{ app: "web", generation, goal: { $case: "run", value: { app: "web", version: "1", artifact: "a".repeat(64) } } }] });
  };
  publisher = new Publisher({
    nats: { publish: (subject, payload) => void told.push({ subject, assignment: SignedAssignment.decode(Envelope.decode(payload).payload).assignment! }) },
    signer: new AssignmentSigner(AssignmentKeys.open(dir, Date.now), new Epoch(0), Date.now, (assignment) => assignment),
    assignmentFor,
    logger: pino({ level: "silent" }),
    // Each machine takes half a millisecond.
    elapsedMs: () => told.length / 2,
  });
});
afterEach(() => rmSync(dir, { recursive: true }));

async function allTold(count: number): Promise<void> {
  while (told.length < count) await new Promise((resolve) => setImmediate(resolve));
}

describe("telling", () => {
  it("ten thousand machines at once leaves everything else its turn every twenty milliseconds", async () => {
    for (let index = 0; index < 10_000; index += 1) publisher.tell(`m-${index}` as MachineId);
    expect(told).toEqual([]);
    for (let before = 0; before < 10_000; before = told.length) {
      await new Promise((resolve) => setImmediate(resolve));
      expect(told.length - before).toBeLessThanOrEqual(40);
    }
    expect(new Set(told.map(({ subject }) => subject)).size).toBe(10_000);
  });

  it("a machine twice before its turn tells it the newest once", async () => {
    publisher.tell("m-1" as MachineId);
    generation = 2;
    publisher.tell("m-1" as MachineId);
    publisher.tell("m-2" as MachineId);
    await allTold(2);
    expect(told.map(({ assignment }) => [assignment.machine, assignment.generation])).toEqual([["m-1", 2], ["m-2", 2]]);
  });

  it("one machine that cannot be told does not keep the others from it", async () => {
    publisher.tell("broken" as MachineId);
    publisher.tell("m-1" as MachineId);
    await allTold(1);
    expect(told[0]?.assignment.machine).toBe("m-1");
  });

  it("ends when the controller does", async () => {
    publisher.tell("m-1" as MachineId);
    publisher.stop();
    await new Promise((resolve) => setImmediate(resolve));
    publisher.tell("m-2" as MachineId);
    await allTold(1);
    expect(told.map(({ assignment }) => assignment.machine)).toEqual(["m-2"]);
  });
});
