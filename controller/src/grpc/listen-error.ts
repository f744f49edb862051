/** The address is taken or can't be used; the message says which and what to do. */
export class ListenError extends Error {
  readonly code: "port_in_use" | "listen_failed";
  readonly retryable: boolean;

  constructor(option: string, host: string, port: number, cause: Error) {
    // gRPC gathers the faults of all addresses of a name into one text.
    const isTaken = cause.message.includes("EADDRINUSE");
    super(isTaken ? `port ${port} on ${host} is in use by another program; free it, or choose another with ${option}` : `can't listen on port ${port} of ${host}: ${cause.message}`, { cause });
    this.name = "ListenError";
    this.code = isTaken ? "port_in_use" : "listen_failed";
    this.retryable = isTaken;
  }
}
