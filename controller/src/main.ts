/**
 * The controller's entry: configuration in, signals out. Exit codes: 0 stopped as asked, 1 a fault at run time, 2 it can't start as configured.
 */
import pino from "pino";
import { startController } from "./compose.ts";
import { readConfig } from "./config.ts";
import { isAdapterFault } from "./grpc/answer.ts";

// Whatever the controller writes is for its own user.
process.umask(0o077);

const config = readConfig(process.argv.slice(2));
const logger = pino({ level: config.logLevel, base: undefined, timestamp: pino.stdTimeFunctions.isoTime }, pino.destination({ dest: 2, sync: true }));

process.on("uncaughtException", (error) => {
  logger.fatal({ err: error }, "controller stops for an unexpected fault");
  process.exit(1);
});

try {
  const controller = await startController(config, logger);
  logger.info({ ...controller.addresses, dir: config.dir }, "controller ready");

  let stopping = false;
  const stop = (cause: string): void => {
    if (stopping) return;
    stopping = true;
    logger.info({ cause }, "controller stops");
    controller.stop().then(
      () => process.exit(0),
      (error: unknown) => {
        logger.error({ err: error }, "controller could not stop cleanly");
        process.exit(1);
      },
    );
  };
  process.on("SIGTERM", () => stop("SIGTERM"));
  process.on("SIGINT", () => stop("SIGINT"));
  if (config.stopWithParent) {
    process.stdin.on("end", () => stop("the end of standard input"));
    process.stdin.on("error", () => stop("the end of standard input"));
    process.stdin.resume();
  }
} catch (error) {
  // A fault of the surroundings is said in one line; a bug also leaves its stack.
  if (!isAdapterFault(error)) logger.fatal({ err: error }, "controller could not start");
  process.stderr.write(`muster controller: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exit(2);
}
