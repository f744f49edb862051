/**
 * The agent as a process: arguments in, exit code out, and what signals mean.
 *
 * SIGTERM and SIGINT end the agent alone; its workloads go on. With --stop-with-parent it is the end of stdin that ends it, workloads included, and SIGINT is left to
 * the parent: a terminal sends it to both, and the parent decides.
 */
import pino from "pino";
import { type Agent, CannotStart, startAgent } from "./compose.ts";
import { type Config, readConfig } from "./config.ts";
import { runTrustCommand } from "./trust/release/trust-command.ts";

const parsed = readConfig(process.argv.slice(2));
switch (parsed.kind) {
  case "said":
    process.stdout.write(parsed.text);
    break;
  case "trust": {
    const { ok, text } = await runTrustCommand(parsed.args, parsed.dir);
    if (!ok) refuse(text);
    process.stdout.write(text);
    break;
  }
  case "fault":
    refuse(parsed.message);
  case "config":
    await run(parsed.config);
    break;
}

async function run(config: Config): Promise<void> {
  const logger = pino({ level: config.logLevel, base: { machineId: config.machineId } }, pino.destination({ fd: 2, sync: true }));
  const crash = (err: unknown): never => {
    logger.fatal({ err }, "agent crashed; its workloads go on");
    process.exit(1);
  };
  process.on("uncaughtException", crash);
  process.on("unhandledRejection", crash);

  let agent: Agent;
  try {
    agent = await startAgent(config, logger);
  } catch (error) {
    return refuse(error instanceof CannotStart ? error.message : `cannot start in ${config.dir}: ${error instanceof Error ? error.message : String(error)}`);
  }
  logger.info({ controller: config.controller, dir: config.dir, pid: process.pid }, "agent started");

  let isEnding = false;
  const end = (how: "close" | "halt", cause: string): void => {
    if (isEnding) return;
    isEnding = true;
    logger.info({ cause, how }, "agent ends");
    void agent[how]().then(() => process.exit(0));
  };
  process.on("SIGTERM", () => end("close", "SIGTERM"));
  process.on("SIGINT", () => {
    if (!config.stopWithParent) end("close", "SIGINT");
  });
  if (!config.stopWithParent) return;
  process.stdin.on("end", () => end("halt", "parent ended"));
  process.stdin.on("error", () => end("halt", "parent ended"));
  process.stdin.resume();
}

function refuse(message: string): never {
  process.stderr.write(`muster-agent: ${message}\n`);
  process.exit(2);
}
