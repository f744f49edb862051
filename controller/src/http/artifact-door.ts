/**
 * Artifacts over HTTPS, to machines: each may fetch what an assignment of its own names, and nothing else.
 */
import { createServer, type Server } from "node:https";
import type { Digest, MachineId } from "@muster/proto/ids.ts";
import type { Logger } from "pino";
import type { CertifiedMachine } from "../grpc/caller.ts";
import { openTlsDoor, type TlsDoor, type TlsDoorOptions, tlsOptions } from "../grpc/tls-door.ts";
import { createHttpServer } from "./http-server.ts";

export interface ArtifactDoorOptions {
  /** Of the artifact store. */
  readonly dir: string;
  readonly tls: Omit<TlsDoorOptions, "protocol" | "portOption">;
  /** Whether the machine's certificate counts. */
  readonly isMember: (certified: CertifiedMachine) => boolean;
  /** Whether an assignment of the machine names the artifact. */
  readonly isAssigned: (machine: MachineId, digest: Digest) => boolean;
  readonly logger: Logger;
}

export interface ArtifactDoor {
  /** Without a slash at the end. */
  readonly url: string;
  readonly port: number;
  /** Cuts a machine's connections at once. */
  cut(machine: string): void;
  close(): Promise<void>;
}

/** Throws ListenError. */
export async function openArtifactDoor({ dir, tls, isMember, isAssigned, logger }: ArtifactDoorOptions): Promise<ArtifactDoor> {
  const options = { ...tls, protocol: "http/1.1", portOption: "--http-port" } as const;
  let server!: Server;
  // Nobody is answered before it is open.
  const opened: { door?: TlsDoor } = {};
  const mayFetch = (address: string, digest: Digest): boolean => {
    const peer = opened.door?.peerAt(address);
    if (peer?.via !== "tls" || peer.certified.kind !== "machine" || !isMember(peer.certified)) return false;
    opened.door?.know(address);
    return isAssigned(peer.certified.machine, digest);
  };
  const http = await createHttpServer({ dir, mayFetch, createServer: (answer) => (server = createServer(tlsOptions(options), answer)), logger });
  const door = await openTlsDoor(server, options);
  opened.door = door;
  const host = tls.host.includes(":") ? `[${tls.host}]` : tls.host;
  return {
    url: `https://${host}:${door.port}`,
    port: door.port,
    cut: (machine) => void door.cut(machine),
    close: async () => {
      await http.close();
      await door.close();
    },
  };
}
