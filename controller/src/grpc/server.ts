/**
 * The gRPC server: the services that it is given, with reflection and the standard health service, on a unix socket and over TLS. No method is reached but
 * through the gate.
 */
import { chmodSync, readFileSync, rmSync } from "node:fs";
import { createServer as createTlsServer } from "node:tls";
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
import { openTlsDoor, type TlsDoorOptions, tlsOptions } from "./tls-door.ts";

/** Messages that come in: artifact pieces of 1 MiB and batches of reports are the largest. */
const RECEIVE_BYTES_MAX = 4 * 1024 * 1024;
/** Streams in one connection: a client of the API needs a handful, an agent one and its answers to log requests. */
const STREAMS_MAX = 128;
/** Sessions have heartbeats; this is for the rest, and ten thousand connections are asked no more often than that. */
const KEEPALIVE_MS = 60_000;
const KEEPALIVE_TIMEOUT_MS = 20_000;
/** A connection without any call: sessions and watches are calls. */
const IDLE_MS = 5 * 60_000;

export interface GrpcService {
  readonly definition: ServiceDefinition;
  readonly implementation: object;
}

export interface Served {
  readonly services: readonly GrpcService[];
  readonly admit: Admit;
  /** Wall clock, milliseconds since 1970: each answer says it. */
  readonly now: () => number;
  /** Sees how calls end. */
  readonly witness?: Witness;
}

/** For operators of the controller's own machine: only the controller's user may open the socket. Replaces one that a killed controller left. */
export async function serveSocket({ services, admit, now, witness }: Served, socketPath: string): Promise<{ close(): void }> {
  const server = createServer(services, gate({ admit, peerAt: () => ({ via: "socket" }), now, witness }));
  rmSync(socketPath, { force: true });
  await new Promise<void>((resolve, reject) => {
    server.bindAsync(`unix:${socketPath}`, ServerCredentials.createInsecure(), (error) => {
      if (error === null) resolve();
      else reject(new Error(`can't listen on the socket ${socketPath}: ${error.message}`, { cause: error }));
    });
  });
  chmodSync(socketPath, 0o600);
  return {
    close: () => {
      server.forceShutdown();
      rmSync(socketPath, { force: true });
    },
  };
}

export interface TlsServer {
  /** `host:port` */
  readonly address: string;
  readonly port: number;
  /** Cuts a machine's connections at once; returns how many there were. */
  cut(machine: string): number;
  /** Refuses new calls, ends the open ones, and closes. */
  close(): Promise<void>;
}

/** For machines, and for operators elsewhere. Throws ListenError. */
export async function serveTls({ services, admit, now, witness }: Served, tls: Omit<TlsDoorOptions, "protocol" | "portOption">): Promise<TlsServer> {
  const server = createServer(services, gate({ admit: admitKnown, peerAt: (address) => door.peerAt(address), now, witness }));
  const injector = server.createConnectionInjector(ServerCredentials.createInsecure());
  const doorOptions = { ...tls, protocol: "h2", portOption: "--grpc-port" } as const;
  const door = await openTlsDoor(createTlsServer(tlsOptions(doorOptions), (socket) => injector.injectConnection(socket)), doorOptions);

  function admitKnown(knock: Knock): Admission | Promise<Admission> {
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
      server.forceShutdown();
      await door.close();
    },
  };
}

function createServer(services: readonly GrpcService[], interceptor: ServerInterceptor): Server {
  // What it has to say comes as errors; its own lines on stderr would stand between the log's.
  setLogVerbosity(logVerbosity.NONE);
  const server = new Server({
    "grpc.max_receive_message_length": RECEIVE_BYTES_MAX,
    "grpc.max_concurrent_streams": STREAMS_MAX,
    "grpc.keepalive_time_ms": KEEPALIVE_MS,
    "grpc.keepalive_timeout_ms": KEEPALIVE_TIMEOUT_MS,
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
  (reflection ??= readReflection()).addToServer(server);
  return server;
}

/** The same for every server of this process: it says what was generated, and reading it takes as long as starting all the rest. */
let reflection: ReflectionService | undefined;

function readReflection(): ReflectionService {
  return new ReflectionService(loadFileDescriptorSetFromBuffer(readFileSync(fileURLToPath(import.meta.resolve("@muster/proto/descriptor")))));
}
