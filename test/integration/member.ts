/**
 * A machine that joins a real controller by the real protocol, and what it is then spoken to with; nothing is kept on disk.
 */
import { get } from "node:https";
import { credentials } from "@grpc/grpc-js";
import { channelOf, tlsIdentityOf } from "@muster/agent/identity/channel.ts";
import type { Credentials, Identity } from "@muster/agent/identity/identity-store.ts";
import { join } from "@muster/agent/identity/join.ts";
import { AgentServiceClient } from "@muster/proto/gen/muster/v1/agent.ts";
import { type CreateTokenRequest, type CreateTokenResponse, IdentityServiceClient } from "@muster/proto/gen/muster/v1/identity.ts";
import { type JoinToken, parseJoinToken } from "@muster/proto/join-token.ts";
import type { ControllerProcess } from "./controller-process.ts";

const HOUR_MS = 60 * 60_000;

/** A token, as an operator on the controller's machine makes it. */
export async function makeToken({ operators }: ControllerProcess, wanted: Partial<CreateTokenRequest> = {}): Promise<JoinToken> {
  const client = new IdentityServiceClient(operators, credentials.createInsecure());
  try {
    const { token } = await new Promise<CreateTokenResponse>((resolve, reject) => {
      client.createToken({ uses: 1, ttlMs: HOUR_MS, labels: {}, approve: false, ...wanted }, (error, response) => (error === null ? resolve(response) : reject(error)));
    });
    return parseJoinToken(token)!;
  } finally {
    client.close();
  }
}

export async function joinAs({ grpc }: Pick<ControllerProcess, "grpc">, token: JoinToken, machine: string, labels: Readonly<Record<string, string>> = {}): Promise<Identity> {
  return join({
    controller: grpc,
    token,
    machine,
    about: { labels: { ...labels }, hostname: "test", os: "linux", arch: "x64", agentVersion: "0" },
    store: { joining: () => undefined, saveJoining: () => undefined, save: () => undefined },
    onAdmitted: () => Promise.resolve(),
    onWaiting: () => undefined,
    signal: new AbortController().signal,
  });
}

/** The agent's service, to somebody with these credentials. */
export function agentClient({ grpc }: Pick<ControllerProcess, "grpc">, shown: Credentials): AgentServiceClient {
  const channel = channelOf(shown);
  // A connection of its own: connections are somebody's.
  return new AgentServiceClient(grpc, channel.credentials, { ...channel.options, "grpc.use_local_subchannel_pool": 1 });
}

/** The HTTP status with which the machine is answered. */
export function fetchAs({ current }: Identity, url: string): Promise<number | undefined> {
  const { ca, cert, key, servername } = tlsIdentityOf(current);
  return new Promise((resolve, reject) => {
    get(url, { ca, cert, key, servername, agent: false }, (response) => {
      response.resume();
      resolve(response.statusCode);
    }).on("error", reject);
  });
}
