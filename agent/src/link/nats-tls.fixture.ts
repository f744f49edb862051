/** For tests alone: a nats-server that speaks TLS and lets in one key. */
import "reflect-metadata";
import { type ChildProcess, spawn } from "node:child_process";
import { webcrypto } from "node:crypto";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import * as x509 from "@peculiar/x509";

/** On PATH. */
const NATS_SERVER = "nats-server";
export const SERVER_NAME = "nats.test";

export interface ServerIdentity {
  /** The authority of the certificate, PEM. */
  readonly ca: string;
  readonly certificate: string;
  readonly key: string;
}

/** By a new authority. */
export async function certify(): Promise<ServerIdentity> {
  const algorithm = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" } as const;
  const authorityKeys = await webcrypto.subtle.generateKey(algorithm, true, ["sign", "verify"]);
  const keys = await webcrypto.subtle.generateKey(algorithm, true, ["sign", "verify"]);
  const common = { notBefore: new Date(Date.now() - 60_000), notAfter: new Date(Date.now() + 3_600_000), signingAlgorithm: algorithm };
  const authority = await x509.X509CertificateGenerator.createSelfSigned({ ...common, name: "CN=test", keys: authorityKeys, extensions: [new x509.BasicConstraintsExtension(true, 0, true)] });
  const certificate = await x509.X509CertificateGenerator.create({
    ...common,
    issuer: authority.subject,
    subject: "CN=server",
    publicKey: keys.publicKey,
    signingKey: authorityKeys.privateKey,
    extensions: [new x509.SubjectAlternativeNameExtension([{ type: "dns", value: SERVER_NAME }])],
  });
  const key = x509.PemConverter.encode(await webcrypto.subtle.exportKey("pkcs8", keys.privateKey), "PRIVATE KEY");
  return { ca: authority.toString("pem"), certificate: certificate.toString("pem"), key };
}

/** Resolves when it takes connections. `users`: public keys. */
export async function startTlsNats(dir: string, port: number, { certificate, key }: ServerIdentity, users: readonly string[]): Promise<ChildProcess> {
  const [certFile, keyFile, config] = [join(dir, "server.pem"), join(dir, "server.key"), join(dir, "nats.conf")];
  writeFileSync(certFile, certificate);
  writeFileSync(keyFile, key, { mode: 0o600 });
  writeFileSync(
    config,
    `listen: "127.0.0.1:${port}"
tls { cert_file: "${certFile}", key_file: "${keyFile}" }
authorization { users: [${users.map((user) => `{ nkey: ${user} }`).join(", ")}] }
`,
  );
  const server = spawn(NATS_SERVER, ["-c", config], { stdio: ["ignore", "ignore", "pipe"] });
  for await (const data of server.stderr.iterator({ destroyOnReturn: false })) {
    if (String(data).includes("Server is ready")) return server;
  }
  await once(server, "exit");
  throw new Error("nats-server has ended");
}
