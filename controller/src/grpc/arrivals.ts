/**
 * Connections from their acceptance to their handshake. Each is read until the first message of TLS is whole, then waits for its place in the queue (admission-queue.ts), and is handed on with what it has said, as if nobody had read it.
 *
 * Always holds: a connection that goes leaves the queue at once; one that says nothing, or something else than TLS, is ended.
 */
import { createServer, type Server, type Socket } from "node:net";
import { type AdmissionBounds, AdmissionQueue } from "./admission-queue.ts";

export interface ArrivalsOptions {
  readonly bounds: AdmissionBounds;
  /** For the first message. */
  readonly helloMs: number;
  readonly begin: (socket: Socket) => void;
}

/** Of a TLS record, before its content. */
const RECORD_HEADER_BYTES = 5;
const RECORD_BYTES_MAX = 2 ** 14 + 256;
const HANDSHAKE_RECORD = 0x16;

interface Arrival {
  readonly socket: Socket;
  said: Buffer;
  /** Stops reading. */
  release: () => void;
}

export class Arrivals {
  readonly server: Server;
  readonly #options: ArrivalsOptions;
  readonly #queue: AdmissionQueue;
  /** Until they have shaken hands. */
  readonly #arrivals = new Map<string, Arrival>();

  constructor(options: ArrivalsOptions) {
    this.#options = options;
    this.#queue = new AdmissionQueue({
      bounds: options.bounds,
      begin: (address) => this.#begin(address),
      drop: (address) => this.#arrivals.get(address)?.socket.destroy(),
      elapsedMs: () => performance.now(),
      nextTurn: (call) => void setImmediate(call),
      after: (delayMs, call) => {
        const timer = setTimeout(call, delayMs);
        return () => clearTimeout(timer);
      },
    });
    this.server = createServer({ noDelay: true }, (socket) => this.#arrive(socket));
  }

  /** That have not shaken hands. */
  get size(): number {
    return this.#arrivals.size;
  }

  get waiting(): number {
    return this.#queue.counts().waiting;
  }

  shookHands(address: string): void {
    this.#arrivals.delete(address);
    this.#queue.shookHands(address);
  }

  /** Its place is for somebody else. */
  know(address: string): void {
    this.#queue.leave(address);
  }

  close(): void {
    this.#queue.close();
    for (const { socket } of this.#arrivals.values()) socket.destroy();
  }

  #arrive(socket: Socket): void {
    socket.on("error", () => socket.destroy());
    // It has gone already.
    if (socket.remotePort === undefined) return void socket.destroy();
    const address = addressOf(socket);
    const arrival: Arrival = { socket, said: Buffer.alloc(0), release: () => undefined };
    const hear = (data: Buffer): void => this.#hear(address, arrival, data);
    const end = (): void => void socket.destroy();
    arrival.release = () => {
      socket.off("data", hear).off("end", end).off("timeout", end).setTimeout(0);
      socket.pause();
      socket.unshift(arrival.said);
    };
    socket.on("data", hear).on("end", end).on("timeout", end).setTimeout(this.#options.helloMs);
    socket.once("close", () => {
      this.#queue.leave(address);
      this.#arrivals.delete(address);
    });
    this.#arrivals.set(address, arrival);
    this.#queue.arrive(address);
  }

  #hear(address: string, arrival: Arrival, data: Buffer): void {
    arrival.said = arrival.said.length === 0 ? data : Buffer.concat([arrival.said, data]);
    switch (firstMessage(arrival.said)) {
      case "whole":
        // From here on only the queue decides how long it takes; it is read on to see it go.
        arrival.socket.setTimeout(0);
        return this.#queue.wait(address);
      case "part":
        return;
      case "other":
        return void arrival.socket.destroy();
    }
  }

  #begin(address: string): void {
    const arrival = this.#arrivals.get(address);
    if (arrival === undefined) return this.#queue.leave(address);
    arrival.release();
    this.#options.begin(arrival.socket);
  }
}

/** Of whoever speaks TLS: a record with a handshake message. Nobody says more before it is answered. */
function firstMessage(said: Buffer): "whole" | "part" | "other" {
  if (said.length > 0 && said[0] !== HANDSHAKE_RECORD) return "other";
  if (said.length < RECORD_HEADER_BYTES) return "part";
  const bytes = said.readUInt16BE(3);
  if (bytes === 0 || bytes > RECORD_BYTES_MAX) return "other";
  if (said.length > RECORD_HEADER_BYTES + RECORD_BYTES_MAX) return "other";
  return said.length >= RECORD_HEADER_BYTES + bytes ? "whole" : "part";
}

/** As gRPC names the other end of a call. */
export function addressOf({ remoteAddress, remotePort }: Socket): string {
  return `${remoteAddress}:${remotePort}`;
}
