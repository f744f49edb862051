/**
 * The gRPC server: the services that it is given, with reflection and the standard health service, on a unix socket and over TLS. No method is reached but
 * through the gate.
 */
import { chmodSync, readFileSync, rmSync } from "node:fs";
import { fileURLToPath } from "node:url";
import {
  logVerbosity,
  Server,
  ServerCredentials,
  type ServerInterceptor,
  setLogVerbosity,
  type ServiceDefinition,
  type UntypedServiceImplementation,
} from "@grpc/grpc-js";
import { loadFileDescriptorSetFromBuffer } from "@grpc/proto-loader";
import { ReflectionService } from "@grpc/reflection";
import { HealthImplementation } from "grpc-health-check";
import { type Admission, type Admit, gate, type Knock, type Witness } from "./gate.ts";
import { openTlsDoor, type TlsDoorOptions } from "./tls-door.ts";

/** Messages that come in: artifact pieces of 1 MiB and batches of reports are the largest. */
const RECEIVE_BYTES_MAX = 4 * 1024 * 1024;
/** Streams in one connection: a client of the API needs a handful, an agent one and its answers to log requests. */
const STREAMS_MAX = 128;
const KEEPALIVE_MS = 20_000;
/** A connection without any call: sessions and watches are calls. */
const IDLE_MS = 5 * 60_000;

export interface GrpcService {
  readonly definition: ServiceDefinition;
  readonly implementation: object;
}

export interface GrpcServer {
  /** `host:port`, for machines and for operators elsewhere. */
  readonly address: string;
  readonly port: number;
  /** Cuts a machine's connections at once; returns how many there were. */
  cut(machine: string): number;
  /** Refuses new calls, ends the open ones, and closes. */
  close(): Promise<void>;
}

export interface GrpcOptions {
  readonly services: readonly GrpcService[];
  readonly admit: Admit;
  readonly witness?: Witness;
  /** Where operators of this machine are answered: a unix socket, which only the controller's own user may open. */
  readonly socketPath: string;
  /** Where everybody else is. */
  readonly tls: Omit<TlsDoorOptions, "onConnection">;
}

/** Throws ListenError. */
export async function serveGrpc({ services, admit, socketPath, tls, witness }: GrpcOptions): Promise<GrpcServer> {
  // What it has to say comes as errors; its own lines on stderr would stand between the log's.
  setLogVerbosity(logVerbosity.NONE);
  // Two servers, so that how a call came in never rests on what a socket says of itself.
  const remote = createServer(services, gate(admitRemote, (address) => door.peerAt(address), witness));
  const injector = remote.createConnectionInjector(ServerCredentials.createInsecure());
  const door = await openTlsDoor({ ...tls, onConnection: (socket) => injector.injectConnection(socket) });
  const local = createServer(services, gate(admit, () => ({ via: "socket" }), witness));
  try {
    rmSync(socketPath, { force: true }); // of a controller that was killed: the directory is ours alone
    await bind(local, socketPath);
    chmodSync(socketPath, 0o600);
  } catch (error) {
    await door.close();
    throw error;
  }

  function admitRemote(knock: Knock): Admission | Promise<Admission> {
    const admission = admit(knock);
    return admission instanceof Promise ? admission.then((settled) => known(knock, settled)) : known(knock, admission);
  }

  /** Whoever was admitted as somebody is bounded no more; a call that anybody may make proves nothing. */
  function known({ peer }: Knock, admission: Admission): Admission {
    if (admission.ok && admission.caller.kind !== "anonymous" && peer.via === "tls") door.know(peer.address);
    return admission;
  }

  return {
    address: `${tls.host.includes(":") ? `[${tls.host}]` : tls.host}:${door.port}`,
    port: door.port,
    cut: (machine) => door.cut(machine),
    close: async () => {
      local.forceShutdown();
      remote.forceShutdown();
      await door.close();
      rmSync(socketPath, { force: true });
    },
  };
}

function createServer(services: readonly GrpcService[], interceptor: ServerInterceptor): Server {
  const server = new Server({
    "grpc.max_receive_message_length": RECEIVE_BYTES_MAX,
    "grpc.max_concurrent_streams": STREAMS_MAX,
    "grpc.keepalive_time_ms": KEEPALIVE_MS,
    "grpc.keepalive_timeout_ms": KEEPALIVE_MS,
    "grpc.max_connection_idle_ms": IDLE_MS,
    "grpc.enable_channelz": 0,
    interceptors: [interceptor],
  });
  const health = new HealthImplementation({ "": "SERVING" });
  for (const { definition, implementation } of services) {
    server.addService(definition, implementation as UntypedServiceImplementation);
    const path = Object.values(definition)[0]?.path ?? "";
    health.setStatus(path.split("/")[1] ?? "", "SERVING");
  }
  health.addToServer(server);
  new ReflectionService(loadFileDescriptorSetFromBuffer(descriptorSet())).addToServer(server);
  return server;
}

function bind(server: Server, socketPath: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.bindAsync(`unix:${socketPath}`, ServerCredentials.createInsecure(), (error) => {
      if (error === null) resolve();
      else reject(new Error(`can't listen on the socket ${socketPath}: ${error.message}`, { cause: error }));
    });
  });
}

function descriptorSet(): Buffer {
  return readFileSync(fileURLToPath(import.meta.resolve("@muster/proto/descriptor")));
}
