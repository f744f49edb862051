/**
 * The one error of the keys of NATS.
 */

export type NatsAuthorityErrorCode =
  | "exposed" // others on this machine can read the keys
  | "damaged" // a file is missing or is not what it should be
  | "io_error"; // the directory can't be used

export class NatsAuthorityError extends Error {
  readonly code: NatsAuthorityErrorCode;
  readonly retryable = false;

  constructor(code: NatsAuthorityErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = "NatsAuthorityError";
    this.code = code;
  }
}
