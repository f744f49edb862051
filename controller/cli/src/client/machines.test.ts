import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Server, ServerCredentials } from "@grpc/grpc-js";
import { FleetServiceService, type FleetServiceServer, Machine } from "@muster/proto/gen/muster/v1/fleet.ts";
import { afterEach, beforeEach, expect, test } from "vitest";
import { Controller } from "./controller.ts";
import { listMachines } from "./machines.ts";

const ALL = { selector: "", withoutApps: true };

let dir: string;
let server: Server;
let controller: Controller;
let answer: FleetServiceServer["listMachines"];
beforeEach(async () => {
  dir = mkdtempSync(join(tmpdir(), "muster-machines-"));
  const target = `unix:${join(dir, "socket")}`;
  server = new Server();
  server.addService({ listMachines: FleetServiceService.listMachines }, { listMachines: (call: Parameters<typeof answer>[0]) => answer(call) });
  await new Promise<void>((resolve, reject) => server.bindAsync(target, ServerCredentials.createInsecure(), (error) => (error === null ? resolve() : reject(error))));
  controller = new Controller({ target, source: "--address" });
});
afterEach(() => {
  controller.close();
  server.forceShutdown();
  rmSync(dir, { recursive: true });
});

test("machines that come in many messages are one list", async () => {
  answer = (call) => {
    for (const id of ["a", "b", "c"]) call.write({ machines: [Machine.create({ id })] });
    call.end();
  };
  expect((await listMachines(controller, ALL)).map(({ id }) => id)).toEqual(["a", "b", "c"]);
});

test("a controller that begins and then says nothing is away, and no part of a list is taken for all of it", async () => {
  answer = (call) => {
    call.write({ machines: [Machine.create({ id: "a" })] });
  };
  await expect(listMachines(controller, ALL, { deadlineMs: 100 })).rejects.toThrow(/^cannot reach the controller at .*: no answer within 100ms/);
});
