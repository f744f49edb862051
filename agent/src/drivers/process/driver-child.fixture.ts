/** For tests: an agent's process that starts one workload, says which, and waits to be killed. Arguments: directory, launch spec as JSON. */
import pino from "pino";
import type { LaunchSpec } from "../../runner/ports.ts";
import { createProcessDriver } from "./driver.ts";
import { minimalEnvironment } from "./environment.ts";

const [dir, spec] = process.argv.slice(2) as [string, string];
const driver = createProcessDriver({ dir, baseEnv: minimalEnvironment(process.env), logger: pino({ enabled: false }) });
const started = await driver.start(JSON.parse(spec) as LaunchSpec);
process.stdout.write(`${JSON.stringify(started)}\n`);
setInterval(() => undefined, 60_000);
