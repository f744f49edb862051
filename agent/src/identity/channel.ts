/**
 * How the controller is spoken to with a set of credentials: over TLS, where its certificate must be of an authority that this machine trusts. What is asked for is
 * the authority's name, not the address: so the controller may be reached by any address, and answers with a certificate that we can check.
 */
import { createHash, X509Certificate } from "node:crypto";
import { type ChannelCredentials, type ClientOptions, credentials } from "@grpc/grpc-js";
import { authorityName, CONTROLLER_NAME } from "@muster/proto/identity.ts";
import type { Credentials } from "./identity-store.ts";

export interface Channel {
  readonly credentials: ChannelCredentials;
  readonly options: Partial<ClientOptions>;
}

/** sha256 of the certificate, hex. */
export function pinOf(authority: string | Uint8Array): string {
  const { raw } = new X509Certificate(typeof authority === "string" ? authority : Buffer.from(authority));
  return createHash("sha256").update(raw).digest("hex");
}

/** For as long as the credentials are in use: to read keys and certificates costs as much as a handshake. */
const CHANNELS = new WeakMap<Credentials, Channel>();

/** With a client certificate. */
export function channelOf(shown: Credentials): Channel {
  const known = CHANNELS.get(shown);
  if (known !== undefined) return known;
  const { keys, certificate, authorities } = shown;
  const channel = {
    credentials: credentials.createSsl(Buffer.from(authorities.join("")), Buffer.from(keys.tls), Buffer.from(certificate)),
    options: named(authorities.at(-1)!),
  };
  CHANNELS.set(shown, channel);
  return channel;
}

/** To a controller whose authority is known, by somebody who has no certificate yet. */
export function channelTo(authority: string): Channel {
  return { credentials: credentials.createSsl(Buffer.from(authority)), options: named(authority) };
}

function named(authority: string): Partial<ClientOptions> {
  return { "grpc.ssl_target_name_override": authorityName(pinOf(authority)) };
}

/** For TLS that is not gRPC's: artifacts and NATS. */
export interface TlsIdentity {
  readonly ca: string[];
  readonly cert: string;
  readonly key: string;
  readonly servername: string;
}

export function tlsIdentityOf({ keys, certificate, authorities }: Credentials): TlsIdentity {
  return { ca: [...authorities], cert: certificate, key: keys.tls, servername: CONTROLLER_NAME };
}
