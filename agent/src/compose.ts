/** Puts the agent together: the one file that knows every adapter. Decides nothing but the order of starting and ending. */
import { randomUUID } from "node:crypto";
import { constants, accessSync, existsSync, mkdirSync, realpathSync } from "node:fs";
import { arch, hostname, platform } from "node:os";
import { join } from "node:path";
import { rootCertificates } from "node:tls";
import type { ExternalNats } from "@muster/proto/gen/muster/v1/agent.ts";
import type { Logger } from "pino";
import { createReleaseStore } from "./apply/release-store.ts";
import { AGENT_VERSION, type Config } from "./config.ts";
import { createProcessDriver } from "./drivers/process/driver.ts";
import { minimalEnvironment } from "./drivers/process/environment.ts";
import { createLogReader } from "./drivers/process/log-reader.ts";
import { createPortPicker } from "./drivers/process/port-picker.ts";
import { birthOf, currentBootId } from "./drivers/process/proc.ts";
import { createProber } from "./health/prober.ts";
import { channelOf, type TlsIdentity, tlsIdentityOf } from "./identity/channel.ts";
import { sealingKeyPair } from "./identity/keys.ts";
import { RunningIdentity } from "./identity/identity.ts";
import type { Credentials, Identity, IdentityStore } from "./identity/identity-store.ts";
import type { NatsCredentials } from "./identity/user-nkey.ts";
import type { NatsTls } from "./link/connect-nats.ts";
import { type Connection, Link, reachable } from "./link/link.ts";
import { createPuller } from "./pull/puller.ts";
import { createSecretStore } from "./secrets/secret-store.ts";
import { openSpool } from "./report/spool.ts";
import { createClock } from "./runner/clock.ts";
import { diskTrouble } from "./runner/fault.ts";
import { takeLock } from "./runner/lock.ts";
import { MachineRunner } from "./runner/machine-runner.ts";
import { strayLaunches } from "./runner/strays.ts";
import { Believer } from "./trust/believer.ts";
import { openTrustStore } from "./trust/trust-store.ts";
import { pinnedRoot, stepRoot } from "./trust/release/pinned-root.ts";
import { createReleaseTrust } from "./trust/release/release-trust.ts";

/** The agent can't begin, for a reason that whoever started it can do something about. */
export class CannotStart extends Error {}

export interface AgentOptions {
  /** As `usableDirectory` has it. */
  readonly dir: string;
  readonly identity: Identity;
  readonly store: IdentityStore;
  readonly environment: Config["environment"];
  readonly maxAssignmentAgeMs: number;
}

export interface Agent {
  /** Ends, and leaves all workloads running. */
  close(): Promise<void>;
  /** Stops all workloads, and ends. */
  halt(): Promise<void>;
}

/** What is being started or stopped is waited for, but not for ever: the next agent takes it up where it stands. */
const CLOSE_TIMEOUT_MS = 3_000;

/** Throws what the disk says when it does not let the agent start, and has then undone what it did: it may be called again. */
export async function startAgent(options: AgentOptions, logger: Logger): Promise<Agent> {
  const { dir } = options;
  const lock = takeLock({ dir, pid: process.pid, birthOf });
  if (!lock.ok) throw new CannotStart(`another agent, with pid ${lock.holderPid}, uses ${dir}: end it, or give this one another --dir`);
  const opened: Closing[] = [lock.release];
  try {
    return await assemble(options, opened, logger);
  } catch (error) {
    closeAll(opened);
    throw error;
  }
}

type Closing = () => void;

/** The last that was opened is closed first. One that can't be does not keep the others open. */
function closeAll(opened: readonly Closing[]): void {
  for (const close of opened.toReversed()) {
    try {
      close();
    } catch {
      // A lock that stays names a process that ends, and is taken over; all else ends with the process too.
    }
  }
}

async function assemble({ dir, identity: known, store, environment, maxAssignmentAgeMs }: AgentOptions, opened: Closing[], logger: Logger): Promise<Agent> {
  const baseEnv = minimalEnvironment(environment);
  const identity = new RunningIdentity({ identity: known, store, fraction: Math.random, now: Date.now, logger });
  const tls = tlsOf(identity);
  const spool = openSpool({ dir, newInstanceId: randomUUID, now: Date.now, onDamage: (what) => logger.error({ dir }, what) });
  opened.push(() => spool.close());
  const driver = createProcessDriver({ dir, baseEnv, logger });
  opened.push(() => driver.close());
  const logs = createLogReader({ dir });
  const runner = new MachineRunner({
    dir,
    machineId: identity.machine,
    logger,
    spool: (report) => void spool.append(report),
    world: {
      puller: createPuller({ dir, logger, tls }),
      trust: createReleaseTrust({ dir, now: Date.now, update: () => link.updateTrustRoot() }),
      store: createReleaseStore({ dir }),
      secrets: createSecretStore({ dir, machineId: identity.machine, sealingKeys: () => identity.sealingKeys.map(sealingKeyPair), onUnopened: () => link.ask() }),
      driver,
      prober: createProber({ baseEnv }),
      ports: createPortPicker(),
      logs,
      clock: createClock(),
      random: { fraction: Math.random, uuid: randomUUID },
      bootId: currentBootId,
      strays: (app) => strayLaunches(app, join(dir, "apps", app)),
    },
  });

  const trust = new Believer({
    machineId: identity.machine,
    store: openTrustStore({ dir, onDamage: (file) => logger.error({ file }, "what the agent believes by cannot be read and was set aside: the controller says it again") }),
    generation: runner.generation,
    maxAgeMs: maxAssignmentAgeMs,
    now: Date.now,
    logger,
  });
  let external: NatsTls | undefined;
  const link = new Link({
    controller: identity.controller,
    connect: () => connectionOf(identity),
    nats: {
      credentials: natsCredentialsOf(identity),
      tls: () => external ?? { ca: tls().ca, servername: tls().servername },
    },
    hello: {
      machine: identity.machine,
      instanceId: spool.instanceId,
      agentVersion: AGENT_VERSION,
      hostname: hostname(),
      os: platform(),
      arch: arch(),
    },
    reports: spool,
    trust,
    assignments: runner,
    onWelcome: ({ artifactUrl, natsUrl, externalNats }) => {
      external = externalNats === undefined ? undefined : { ca: trustedBy(externalNats), servername: new URL(natsUrl).hostname };
      runner.setArtifactUrl(reachable(artifactUrl, identity.controller));
    },
    trustRoots: {
      version: async () => (await pinnedRoot(dir))?.version ?? 0,
      take: (envelopes) => stepRoot(dir, envelopes),
    },
    logs,
    fraction: Math.random,
    logger,
  });
  try {
    await runner.start();
  } catch (error) {
    await runner.close();
    throw error;
  }
  link.open();
  identity.open(() => link.reconnect());

  const end = async (): Promise<void> => {
    await identity.close();
    await link.close();
    closeAll(opened);
  };
  return {
    async close() {
      const { promise, resolve } = Promise.withResolvers<void>();
      const timer = setTimeout(resolve, CLOSE_TIMEOUT_MS);
      await Promise.race([runner.close(), promise]);
      clearTimeout(timer);
      await end();
    },
    async halt() {
      await runner.halt();
      await end();
    },
  };
}

/** With the credentials of this moment, which learn from it how they did. */
function connectionOf(identity: RunningIdentity): Connection {
  const { credentials } = identity;
  return {
    ...channelOf(credentials),
    onWelcome: () => identity.worked(credentials),
    onReturnSpread: (spreadMs) => identity.spreadOver(spreadMs),
    onRenew: () => identity.renewSoon(credentials),
    onEnd: ({ kind }) => {
      if (kind === "not_accepted") identity.renewSoon(credentials);
      if (kind === "not_accepted" || kind === "never_welcomed") identity.failed(credentials);
    },
  };
}

/** Authorities (PEM) of a nats-server that is not the controller's. */
function trustedBy({ authorities }: ExternalNats): readonly string[] {
  return authorities.length === 0 ? rootCertificates : authorities;
}

function tlsOf(identity: RunningIdentity): () => TlsIdentity {
  return untilRenewed(identity, tlsIdentityOf);
}

function natsCredentialsOf(identity: RunningIdentity): () => NatsCredentials {
  return untilRenewed(identity, ({ natsJwt, keys }) => ({ jwt: natsJwt, seed: Buffer.from(keys.nats) }));
}

/** The same object until the credentials are renewed: what was read from it is kept with it. */
function untilRenewed<T>(identity: RunningIdentity, of: (credentials: Credentials) => T): () => T {
  let { credentials } = identity;
  let made = of(credentials);
  return () => {
    if (credentials !== identity.credentials) {
      credentials = identity.credentials;
      made = of(credentials);
    }
    return made;
  };
}

/** Whether a machine has joined a fleet from this directory, or has tried to. */
export function hasJoined(dir: string): boolean {
  return existsSync(join(dir, "identity"));
}

/** Throws CannotStart, and what the disk says of a directory that a machine has joined from. Resolved, so that what the kernel says of a process's directory can be compared with it. */
export function usableDirectory(dir: string): string {
  try {
    mkdirSync(dir, { recursive: true });
    accessSync(dir, constants.W_OK | constants.X_OK);
    return realpathSync(dir);
  } catch (error) {
    // A machine of the fleet uses it, and can again once the disk is well.
    if (hasJoined(dir) && diskTrouble(error) !== undefined) throw error;
    throw new CannotStart(`the directory ${dir} cannot be used: ${error instanceof Error ? error.message : String(error)}; give another with --dir`);
  }
}
