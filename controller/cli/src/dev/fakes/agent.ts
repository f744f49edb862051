/**
 * An agent program for the tests of `muster dev`: a real session, and one workload that lives as an agent's workloads do: in a
 * process group of its own, on after SIGTERM to the agent, gone when the agent's stdin ends.
 */
import { spawn } from "node:child_process";
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { credentials } from "@grpc/grpc-js";
import { AgentServiceClient, Hello } from "@muster/proto/gen/muster/v1/agent.ts";

const { values } = parseArgs({
  options: {
    controller: { type: "string" },
    "token-file": { type: "string" },
    dir: { type: "string" },
    id: { type: "string" },
    label: { type: "string", multiple: true },
    "stop-with-parent": { type: "boolean" },
  },
});
const pidFile = join(values.dir!, "workload.pid");

const workload = ((): number => {
  try {
    const pid = Number(readFileSync(pidFile, "utf8"));
    process.kill(pid, 0);
    return pid; // the one that an earlier agent left
  } catch {
    const cwd = join(values.dir!, "apps");
    mkdirSync(cwd, { recursive: true });
    const { pid } = spawn("sleep", ["600"], { cwd, detached: true, stdio: "ignore" });
    writeFileSync(pidFile, String(pid));
    return pid!;
  }
})();

const session = new AgentServiceClient(values.controller!, credentials.createInsecure()).session();
session.on("error", () => process.exit(1)).on("data", () => undefined);
session.write({ message: { $case: "hello", value: Hello.create({ machine: values.id! }) } });

process.on("SIGTERM", () => process.exit(0));
if (values["stop-with-parent"] === true) {
  process.stdin
    .on("end", () => {
      process.kill(-workload, "SIGKILL");
      rmSync(pidFile);
      process.exit(0);
    })
    .resume();
}
