/**
 * Joins a fleet: from a token to an identity on disk. May be tried again after any failure; with the same token it takes up what it had begun.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { Metadata, type ServiceError, status } from "@grpc/grpc-js";
import { type Credentials as CredentialsMessage, type JoinRequest, type JoinResponse, JoinServiceClient } from "@muster/proto/gen/muster/v1/identity.ts";
import type { JoinToken } from "@muster/proto/join-token.ts";
import { channelTo } from "./channel.ts";
import { fetchAuthority } from "./fetch-authority.ts";
import type { Credentials, Identity, IdentityStore } from "./identity-store.ts";
import { makeKeys, type PrivateKeys, publicHalves } from "./keys.ts";

export interface JoinOptions {
  /** `host:port`. */
  readonly controller: string;
  readonly token: JoinToken;
  readonly machine: string;
  readonly about: Pick<JoinRequest, "labels" | "hostname" | "os" | "arch" | "agentVersion">;
  readonly store: Pick<IdentityStore, "joining" | "saveJoining" | "save">;
  /** Before this machine is a member; what it throws ends the joining. */
  readonly onAdmitted: (admission: Admission) => Promise<void>;
  /** Somebody must approve this machine first; told once. `fingerprint`: of its key, as operators see it. */
  readonly onWaiting: (machine: string) => void;
  readonly signal: AbortSignal;
}

/** What comes with the first credentials. */
export interface Admission {
  /** Names the controller for ever, whatever keys it has. */
  readonly controllerId: string;
  /** A trust file; empty: there is none. */
  readonly trustRoot: Uint8Array;
}

/** It did not work, for a reason that somebody can do something about. */
export class JoinError extends Error {
  readonly isFinal: boolean;

  constructor(message: string, isFinal: boolean, options?: ErrorOptions) {
    super(message, options);
    this.name = "JoinError";
    this.isFinal = isFinal;
  }
}

/** With the handshake, which a controller whose fleet comes back lets wait in its queue. */
const CALL_MS = 60_000;
const POLL_MS = { least: 500, most: 60_000 };

/** Throws JoinError. */
export async function join({ controller, token, machine, about, store, onAdmitted, onWaiting, signal }: JoinOptions): Promise<Identity> {
  const authority = await trustedAuthority(controller, token);
  const wanted = { controller, tokenId: token.id, machine };
  const joining = store.joining(wanted) ?? { ...wanted, keys: makeKeys() };
  store.saveJoining(joining);
  const request: JoinRequest = { tokenId: token.id, secret: token.secret, machine, keys: await publicHalves(joining.keys), ...about };
  const { credentials, options } = channelTo(authority);
  const client = new JoinServiceClient(controller, credentials, { ...options, "grpc.enable_channelz": 0, "grpc.enable_http_proxy": 0 });
  try {
    for (let isTold = false; ; isTold = true) {
      const { result, controllerId, trustRoot } = await ask(client, request, controller);
      if (result?.$case === "credentials") {
        const identity: Identity = { machine: result.value.machine, controller, current: credentialsOf(result.value, joining.keys) };
        await onAdmitted({ controllerId, trustRoot });
        store.save(identity);
        return identity;
      }
      if (!isTold) onWaiting(machine);
      const delayMs = Math.min(POLL_MS.most, Math.max(POLL_MS.least, result?.value.retryAfterMs ?? POLL_MS.most));
      await sleep(delayMs, undefined, { signal });
    }
  } finally {
    client.close();
  }
}

async function trustedAuthority(controller: string, { pin }: JoinToken): Promise<string> {
  const fetched = await fetchAuthority(controller, pin);
  switch (fetched.kind) {
    case "authority":
      return fetched.pem;
    case "stranger":
      throw new JoinError(
        `whoever answers at ${controller} is not the controller that made the token: the token is for the authority ${short(pin)}, and it shows ${fetched.pins.map(short).join(", ") || "none"}. The token was not sent`,
        true,
      );
    case "unreachable":
      throw new JoinError(`cannot reach a controller at ${controller}: ${fetched.why}`, false);
  }
}

export function credentialsOf(message: CredentialsMessage, keys: PrivateKeys): Credentials {
  return {
    keys,
    certificate: pemOf(message.certificate),
    authorities: message.authorities.map(pemOf),
    natsJwt: message.natsJwt,
    issuedAt: message.issuedAt,
    expiresAt: message.expiresAt,
  };
}

function ask(client: JoinServiceClient, request: JoinRequest, controller: string): Promise<JoinResponse> {
  const { promise, resolve, reject } = Promise.withResolvers<JoinResponse>();
  client.join(request, new Metadata(), { deadline: Date.now() + CALL_MS }, (error, response) => {
    if (error === null) resolve(response);
    else reject(explained(error, controller));
  });
  return promise;
}

/** What asking again would not change. */
const FINAL: readonly status[] = [status.UNAUTHENTICATED, status.ALREADY_EXISTS, status.INVALID_ARGUMENT, status.PERMISSION_DENIED];

function explained(error: ServiceError, controller: string): JoinError {
  if (FINAL.includes(error.code)) return new JoinError(error.details, true, { cause: error });
  return new JoinError(`the controller at ${controller} did not answer: ${error.details}`, false, { cause: error });
}

function short(pin: string): string {
  return `sha256:${pin.slice(0, 16)}…`;
}

function pemOf(der: Uint8Array): string {
  return `-----BEGIN CERTIFICATE-----\n${Buffer.from(der).toString("base64").replaceAll(/.{64}/g, "$&\n").trimEnd()}\n-----END CERTIFICATE-----\n`;
}
