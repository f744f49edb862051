/**
 * Calls as bytes: whatever somebody may send who does not keep to the contract.
 */
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { type ChannelCredentials, Client, type ClientOptions, Metadata, type StatusObject, status } from "@grpc/grpc-js";
import { loadFileDescriptorSetFromBuffer, type MethodDefinition } from "@grpc/proto-loader";

export interface Method {
  /** `/muster.v1.FleetService/ListMachines` */
  readonly path: string;
  readonly responseStream: boolean;
}

/** Of the contract, each of them. */
export function everyMethod(): readonly Method[] {
  const descriptors = readFileSync(fileURLToPath(import.meta.resolve("@muster/proto/descriptor")));
  const services = Object.entries(loadFileDescriptorSetFromBuffer(descriptors)).filter(([, definition]) => !("format" in definition));
  return services.flatMap(([, methods]) => Object.values(methods as Readonly<Record<string, MethodDefinition<object, object>>>).map(({ path, responseStream }) => ({ path, responseStream })));
}

export type Ended = Pick<StatusObject, "code" | "details">;

/** A stream that goes on is not waited for any longer. */
const STREAM_MS = 200;
const CALL_MS = 20_000;

export class Wire {
  readonly #client: Client;

  constructor(address: string, credentials: ChannelCredentials, options: Partial<ClientOptions> = {}) {
    this.#client = new Client(address, credentials, { ...options, "grpc.use_local_subchannel_pool": 1, "grpc.max_send_message_length": -1 });
  }

  /** Sends one message and says no more. Never rejects. An answer that began is OK, and its rest is not waited for; a stream in which nothing comes is CANCELLED. */
  call({ path, responseStream }: Method, message: Uint8Array): Promise<Ended> {
    const same = (bytes: Buffer): Buffer => bytes;
    return new Promise((resolve) => {
      const deadline = Date.now() + (responseStream ? STREAM_MS : CALL_MS);
      const call = this.#client.makeBidiStreamRequest(path, same, same, new Metadata(), { deadline });
      let isAnswered = false;
      call.on("data", () => {
        isAnswered = true;
        if (responseStream) call.cancel();
      });
      call.on("error", () => undefined);
      call.on("status", ({ code, details }: StatusObject) => {
        if (isAnswered && code === status.CANCELLED) resolve({ code: status.OK, details: "" });
        else if (responseStream && code === status.DEADLINE_EXCEEDED) resolve({ code: status.CANCELLED, details: "nothing was said yet" });
        else resolve({ code, details });
      });
      call.write(Buffer.from(message));
      call.end();
    });
  }

  close(): void {
    this.#client.close();
  }
}
