/**
 * Server streams that honour back-pressure and notice when the reader has gone.
 */
import type { ServerWritableStream } from "@grpc/grpc-js";
import type { Logger } from "pino";
import { toServiceError } from "./answer.ts";

/** Runs `produce` and ends the stream after it; what it throws becomes the call's status. The signal aborts when the reader has gone. */
export function serve<Request, Response>(
  call: ServerWritableStream<Request, Response>,
  logger: Logger,
  produce: (write: (response: Response) => Promise<void>, signal: AbortSignal) => Promise<void>,
): void {
  const gone = new AbortController();
  for (const event of ["cancelled", "close", "error"]) call.on(event, () => gone.abort());
  const write = async (response: Response): Promise<void> => {
    if (gone.signal.aborted || call.write(response)) return;
    await until(gone.signal, (done) => {
      call.once("drain", done);
      return () => call.off("drain", done);
    });
  };
  produce(write, gone.signal).then(
    () => call.end(),
    (error: unknown) => {
      if (!gone.signal.aborted) call.emit("error", toServiceError(error, logger));
    },
  );
}

/** Resolves when `subscribe` calls back or the signal aborts, whichever is first; then what `subscribe` returned is called. */
export function until(signal: AbortSignal, subscribe: (done: () => void) => () => void): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => {
    const finish = (): void => {
      signal.removeEventListener("abort", finish);
      unsubscribe();
      resolve();
    };
    const unsubscribe = subscribe(finish);
    signal.addEventListener("abort", finish);
  });
}
