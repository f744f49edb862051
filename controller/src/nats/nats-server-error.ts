/**
 * The one error of the embedded nats-server.
 */

export type NatsServerErrorCode =
  | "missing" // no nats-server on this machine
  | "port_in_use"
  | "start_failed" // it ended, or did not answer, right after its start
  | "io_error"; // its directory can't be used

export class NatsServerError extends Error {
  readonly code: NatsServerErrorCode;
  /** Whether the same call may succeed later with nobody changing a thing. */
  readonly retryable: boolean;

  constructor(code: NatsServerErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = "NatsServerError";
    this.code = code;
    this.retryable = code === "port_in_use";
  }
}
