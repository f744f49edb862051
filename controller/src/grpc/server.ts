/**
 * The gRPC server: the services that it is given, with reflection and the standard health service, on one port.
 */
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { logVerbosity, Server, ServerCredentials, setLogVerbosity, type ServiceDefinition, type UntypedServiceImplementation } from "@grpc/grpc-js";
import { loadFileDescriptorSetFromBuffer } from "@grpc/proto-loader";
import { ReflectionService } from "@grpc/reflection";
import { HealthImplementation } from "grpc-health-check";

/** Messages that come in: artifact pieces of 1 MiB and batches of reports are the largest. */
const RECEIVE_BYTES_MAX = 4 * 1024 * 1024;
/** Streams in one connection: a client of the API needs a handful, an agent one and its answers to log requests. */
const STREAMS_MAX = 128;
const KEEPALIVE_MS = 20_000;

export interface GrpcService {
  readonly definition: ServiceDefinition;
  readonly implementation: object;
}

export interface GrpcServer {
  /** `host:port`. */
  readonly address: string;
  readonly port: number;
  /** Refuses new calls, ends the open ones, and closes. */
  close(): Promise<void>;
}

/** The address is taken or can't be used; the message says which and what to do. */
export class ListenError extends Error {
  readonly code: "port_in_use" | "listen_failed";
  readonly retryable: boolean;

  constructor(host: string, port: number, cause: Error) {
    // gRPC gathers the faults of all addresses of a name into one text.
    const isTaken = cause.message.includes("EADDRINUSE");
    super(isTaken ? `port ${port} on ${host} is in use by another program; free it, or choose another with --grpc-port` : `can't listen on port ${port} of ${host}: ${cause.message}`, { cause });
    this.name = "ListenError";
    this.code = isTaken ? "port_in_use" : "listen_failed";
    this.retryable = isTaken;
  }
}

/** `port` 0: a free one. Throws ListenError. */
export async function serveGrpc(services: readonly GrpcService[], host: string, port: number): Promise<GrpcServer> {
  // What it has to say comes as errors; its own lines on stderr would stand between the log's.
  setLogVerbosity(logVerbosity.NONE);
  const server = new Server({
    "grpc.max_receive_message_length": RECEIVE_BYTES_MAX,
    "grpc.max_concurrent_streams": STREAMS_MAX,
    "grpc.keepalive_time_ms": KEEPALIVE_MS,
    "grpc.keepalive_timeout_ms": KEEPALIVE_MS,
    "grpc.enable_channelz": 0,
  });
  const health = new HealthImplementation({ "": "SERVING" });
  for (const { definition, implementation } of services) {
    server.addService(definition, implementation as UntypedServiceImplementation);
    const path = Object.values(definition)[0]?.path ?? "";
    health.setStatus(path.split("/")[1] ?? "", "SERVING");
  }
  health.addToServer(server);
  new ReflectionService(loadFileDescriptorSetFromBuffer(descriptorSet())).addToServer(server);

  const bound = await new Promise<number>((resolve, reject) => {
    server.bindAsync(`${host}:${port}`, ServerCredentials.createInsecure(), (error, actual) => {
      if (error === null) resolve(actual);
      else reject(new ListenError(host, port, error));
    });
  });
  return {
    address: `${host}:${bound}`,
    port: bound,
    close: async () => {
      server.forceShutdown();
    },
  };
}

function descriptorSet(): Buffer {
  return readFileSync(fileURLToPath(import.meta.resolve("@muster/proto/descriptor")));
}
