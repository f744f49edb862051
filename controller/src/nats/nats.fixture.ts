/** For tests alone: certificates, and somebody who speaks NATS by hand, as an attacker would. */
import "reflect-metadata";
import { webcrypto } from "node:crypto";
import { writeFileSync } from "node:fs";
import { type Socket, connect as connectPlain } from "node:net";
import { join } from "node:path";
import { connect as connectTls } from "node:tls";
import * as x509 from "@peculiar/x509";
import type { MachineId } from "@muster/proto/ids.ts";
import type { NatsAuthority } from "./nats-authority.ts";
import { type Nkey, newNkey } from "./nkey.ts";

export const SERVER_NAME = "nats.test";

export interface Certified {
  /** PEM. */
  readonly ca: string;
  readonly certFile: string;
  readonly keyFile: string;
}

/** A new authority, and a server's certificate of it; written to the same files each time. */
export async function certify(dir: string): Promise<Certified> {
  const algorithm = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" } as const;
  const authorityKeys = await webcrypto.subtle.generateKey(algorithm, true, ["sign", "verify"]);
  const serverKeys = await webcrypto.subtle.generateKey(algorithm, true, ["sign", "verify"]);
  const dates = { notBefore: new Date(Date.now() - 60_000), notAfter: new Date(Date.now() + 3_600_000), signingAlgorithm: algorithm };
  const authority = await x509.X509CertificateGenerator.createSelfSigned({ ...dates, name: "CN=test", keys: authorityKeys, extensions: [new x509.BasicConstraintsExtension(true, 0, true)] });
  const server = await x509.X509CertificateGenerator.create({
    ...dates,
    issuer: authority.subject,
    subject: "CN=server",
    publicKey: serverKeys.publicKey,
    signingKey: authorityKeys.privateKey,
    extensions: [new x509.SubjectAlternativeNameExtension([{ type: "dns", value: SERVER_NAME }])],
  });
  const certFile = join(dir, "server.pem");
  const keyFile = join(dir, "server.key");
  writeFileSync(certFile, server.toString("pem"));
  writeFileSync(keyFile, x509.PemConverter.encode(await webcrypto.subtle.exportKey("pkcs8", serverKeys.privateKey), "PRIVATE KEY"), { mode: 0o600 });
  return { ca: authority.toString("pem"), certFile, keyFile };
}

/** A JWT, and the key that it is for. */
export interface Identity {
  readonly jwt: string;
  readonly key: Nkey;
}

export function machine(authority: NatsAuthority, id: string, expiresAt = Date.now() + 3_600_000): Identity {
  const key = newNkey("user");
  return { key, jwt: authority.machineJwt({ machine: id as MachineId, publicKey: key.publicKey, expiresAt }) };
}

/** One connection, as text. */
export class Stranger {
  readonly #socket: Socket;
  #said = "";
  #isEnded = false;

  constructor(socket: Socket) {
    this.#socket = socket;
    socket.on("data", (data) => (this.#said += data.toString("latin1")));
    socket.on("close", () => (this.#isEnded = true));
    socket.on("error", () => undefined);
  }

  /** All that the server has said. */
  get said(): string {
    return this.#said;
  }

  get isEnded(): boolean {
    return this.#isEnded;
  }

  say(text: string): this {
    this.#socket.write(text);
    return this;
  }

  /** Takes nothing that the server sends any more. */
  pause(): void {
    this.#socket.pause();
  }

  resume(): void {
    this.#socket.resume();
  }

  close(): void {
    this.#socket.destroy();
  }
}

export async function strangerInPlain(port: number): Promise<Stranger> {
  const socket = connectPlain(port, "127.0.0.1");
  await once(socket, "connect");
  return new Stranger(socket);
}

/** Through the handshake, and has said who it is: with the identity's JWT, signed by its key or by another. Nobody has looked at it yet. */
export async function stranger(port: number, ca: string, identity?: Identity, signedBy = identity?.key): Promise<Stranger> {
  const plain = connectPlain(port, "127.0.0.1");
  const greeting = await once<Buffer>(plain, "data");
  const { nonce } = JSON.parse(greeting.toString("utf8").slice("INFO ".length)) as { readonly nonce: string };
  plain.removeAllListeners();
  const socket = connectTls({ socket: plain, ca, servername: SERVER_NAME });
  await once(socket, "secureConnect");
  const sig = signedBy === undefined ? undefined : Buffer.from(signedBy.sign(Buffer.from(nonce))).toString("base64url");
  const who = { verbose: false, pedantic: false, protocol: 1, lang: "test", version: "1", headers: true, no_responders: true, jwt: identity?.jwt, sig };
  return new Stranger(socket).say(`CONNECT ${JSON.stringify(who)}\r\nPING\r\n`);
}

function once<T>(socket: Socket, event: string): Promise<T> {
  return new Promise((resolve, reject) => {
    socket.once(event, resolve);
    socket.once("error", reject);
    socket.once("close", () => reject(new Error(`closed before ${event}`)));
  });
}
