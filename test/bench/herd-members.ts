/**
 * Makes the machines of a herd members of a fleet, in the directory of a controller that does not run: with the controller's own membership, but without its wire. How fast machines join over the wire is measured with the fleets.
 */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import type { Credentials } from "@muster/agent/identity/identity-store.ts";
import { makeKeys, publicHalves } from "@muster/agent/identity/keys.ts";
import { Authorities } from "@muster/controller/src/identity/authorities.ts";
import { Membership } from "@muster/controller/src/identity/membership.ts";
import { identityDir } from "@muster/controller/src/identity/private-file.ts";
import { Journal } from "@muster/controller/src/journal/journal.ts";
import { openNatsAuthority } from "@muster/controller/src/nats/nats-authority.ts";
import type { MachineId } from "@muster/proto/ids.ts";
import { parseJoinToken } from "@muster/proto/join-token.ts";

const DAY_MS = 24 * 60 * 60_000;

/** What an agent connects with. */
export interface HerdMachine {
  readonly machine: string;
  readonly credentials: Credentials;
}

export async function enlist(dir: string, size: number, labels: Readonly<Record<string, string>>): Promise<readonly HerdMachine[]> {
  const own = identityDir(dir);
  mkdirSync(own, { recursive: true, mode: 0o700 });
  const journal = Journal.open(join(dir, "muster.db"));
  try {
    const authorities = await Authorities.open(join(own, "authorities"), Date.now);
    const nats = openNatsAuthority({ dir: join(own, "nats"), now: Date.now });
    const natsJwt = (machine: MachineId, publicKey: string, expiresAt: number): string => nats.machineJwt({ machine, publicKey, expiresAt });
    const membership = new Membership({ db: journal.db, authorities, natsJwt, credentialTtlMs: DAY_MS, renewalGraceMs: DAY_MS, now: Date.now });
    const { text } = membership.tokens.create({ uses: size, ttlMs: DAY_MS, labels, approve: false, by: "bench" }, authorities.newest.pin, Date.now());
    const token = parseJoinToken(text)!;
    const machines: HerdMachine[] = [];
    for (let index = 0; index < size; index += 1) {
      const machine = `herd-${index}` as MachineId;
      const keys = makeKeys();
      const outcome = await membership.join({ tokenId: token.id, secret: token.secret, machine, keys: await publicHalves(keys), labels: {}, hostname: "herd", os: "linux", arch: "x64", address: "" });
      if (outcome.kind !== "joined") throw new Error(`${machine} did not join: ${outcome.kind}`);
      const { certificate, issuedAt, expiresAt } = outcome.issued;
      machines.push({ machine, credentials: { keys, certificate: pemOf(certificate), authorities: authorities.pem, natsJwt: outcome.issued.natsJwt, issuedAt, expiresAt } });
    }
    return machines;
  } finally {
    journal.close();
  }
}

function pemOf(der: Uint8Array): string {
  return `-----BEGIN CERTIFICATE-----\n${Buffer.from(der).toString("base64").replaceAll(/.{64}/g, "$&\n").trimEnd()}\n-----END CERTIFICATE-----\n`;
}
