/**
 * A fleet whose controller is killed and starts again, under agents that speak the real protocols: all come back by themselves, each over one connection at a time, and nobody counts as silent. The same with ten thousand is a benchmark, `herd`.
 */
import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { EntryKind } from "@muster/controller/src/journal/entry.ts";
import pino from "pino";
import { afterEach, beforeEach, expect, it } from "vitest";
import { BenchAgent } from "../bench/bench-agent.ts";
import { enlist } from "../bench/herd-members.ts";
import { BenchOperator, until } from "../bench/operator.ts";
import { ControllerProcess } from "./controller-process.ts";

const MACHINES = 60;
const SILENT: EntryKind = "machine_silent";

let controller: ControllerProcess;
let agents: readonly BenchAgent[];
let welcomes: Map<string, number>;
let told: Set<string>;

beforeEach(async () => {
  const dir = mkdtempSync(join(tmpdir(), "muster-return-"));
  const machines = await enlist(dir, MACHINES, { role: "bench" });
  controller = await ControllerProcess.start({ dir });
  [welcomes, told] = [new Map(), new Set()];
  agents = machines.map(
    ({ machine, credentials }) =>
      new BenchAgent({
        id: machine,
        controller: controller.grpc,
        credentials,
        logger: pino({ level: "silent" }),
        onWelcome: () => welcomes.set(machine, (welcomes.get(machine) ?? 0) + 1),
        onTold: () => told.add(machine),
        onAcknowledged: () => {},
      }),
  );
});
afterEach(async () => {
  await Promise.all(agents.map((agent) => agent.close()));
  await controller.stop();
});

it("all machines are back after the controller was killed, are told what to run, and none was counted as silent", async () => {
  for (const agent of agents) agent.open();
  await until("all agents connected", () => welcomes.size === MACHINES);
  expect([...welcomes.values()]).toEqual(Array.from({ length: MACHINES }, () => 1));

  await controller.kill();
  welcomes.clear();
  controller = await ControllerProcess.start({ dir: controller.dir });
  await until("all agents back", () => welcomes.size === MACHINES);
  expect([...welcomes.values()]).toEqual(Array.from({ length: MACHINES }, () => 1));

  const operator = new BenchOperator(controller);
  expect(await operator.connected()).toBe(MACHINES);
  const { id } = await operator.submit(await operator.push());
  await until("the deployment succeeded", () => operator.hasSucceeded(id));
  expect(told.size).toBe(MACHINES);
  const events = await operator.events();
  expect(events.get("machine_joined")).toBe(MACHINES);
  expect(events.get(SILENT) ?? 0).toBe(0);
  operator.close();
});
