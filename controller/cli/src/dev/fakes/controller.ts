/**
 * A controller program for the tests of `muster dev`: real gRPC, controller.json and endings, and nothing behind them.
 * `--refuse MESSAGE` makes it end as one does that was given bad input.
 */
import { mkdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { Server, ServerCredentials } from "@grpc/grpc-js";
import { type AgentServiceServer, AgentServiceService } from "@muster/proto/gen/muster/v1/agent.ts";
import { type IdentityServiceServer, IdentityServiceService } from "@muster/proto/gen/muster/v1/identity.ts";
import { type FleetServiceServer, FleetServiceService, Machine, MachineState } from "@muster/proto/gen/muster/v1/fleet.ts";

const { values } = parseArgs({
  options: {
    dir: { type: "string" },
    refuse: { type: "string" },
    "stop-with-parent": { type: "boolean" },
    "silent-after": { type: "string" },
  },
});
if (values.refuse !== undefined) {
  console.error(JSON.stringify({ level: "info", msg: "starting" }));
  console.error(values.refuse);
  process.exit(2);
}
const file = join(values.dir!, "controller.json");
const lastSeenAt = new Map<string, number>();

const agentService: Pick<AgentServiceServer, "session"> = {
  session(call) {
    let machine: string | undefined;
    call.on("data", (request: { message?: { $case: string; value: { machine?: string } } }) => {
      if (request.message?.$case !== "hello") return;
      machine = request.message.value.machine!;
      lastSeenAt.set(machine, Date.now());
    });
    const onEnd = (): void => {
      if (machine !== undefined) lastSeenAt.delete(machine);
      call.end();
    };
    call.on("end", onEnd).on("cancelled", onEnd).on("error", onEnd);
  },
};
const fleetService: Pick<FleetServiceServer, "listMachines"> = {
  listMachines(call) {
    const machines = [...lastSeenAt].map(([id, at]) => Machine.create({ id, state: MachineState.CONNECTED, lastSeenAt: at }));
    call.write({ machines });
    call.end();
  },
};

const identityService: Pick<IdentityServiceServer, "createToken"> = {
  createToken: (_, respond) => respond(null, { token: "a token", description: undefined, address: "" }),
};

const server = new Server();
server.addService({ session: AgentServiceService.session }, agentService);
server.addService({ createToken: IdentityServiceService.createToken }, identityService);
server.addService({ listMachines: FleetServiceService.listMachines }, fleetService);
mkdirSync(values.dir!, { recursive: true });
const socket = join(values.dir!, "operators.sock");
rmSync(socket, { force: true });
const bind = (address: string): Promise<number> =>
  new Promise((resolve, reject) => server.bindAsync(address, ServerCredentials.createInsecure(), (error, port) => (error === null ? resolve(port) : reject(error))));
void Promise.all([bind("127.0.0.1:0"), bind(`unix:${socket}`)]).then(([port]) => {
  const nats = { pid: process.pid, url: "nats://127.0.0.1:1" };
  writeFileSync(`${file}.next`, JSON.stringify({ pid: process.pid, grpc: `127.0.0.1:${port}`, https: "https://127.0.0.1:1", socket, nats }));
  renameSync(`${file}.next`, file);
});

function stop(): void {
  rmSync(file, { force: true });
  process.exit(0);
}
process.on("SIGTERM", stop);
if (values["stop-with-parent"] === true) process.stdin.on("end", stop).resume();
