/**
 * The one file that knows every adapter: builds the controller from its configuration and takes it down again, in order.
 */
import { mkdirSync, rmSync } from "node:fs";
import type { X509Certificate } from "node:crypto";
import { hostname } from "node:os";
import { join } from "node:path";
import type { Instant, MachineId } from "@muster/proto/ids.ts";
import { CONTROLLER_NAME } from "@muster/proto/identity.ts";
import { AccessServiceService } from "@muster/proto/gen/muster/v1/access.ts";
import { AgentServiceService } from "@muster/proto/gen/muster/v1/agent.ts";
import { ArtifactsServiceService } from "@muster/proto/gen/muster/v1/artifacts.ts";
import { BackupServiceService } from "@muster/proto/gen/muster/v1/backup.ts";
import { DeploymentsServiceService } from "@muster/proto/gen/muster/v1/deployments.ts";
import { EventsServiceService } from "@muster/proto/gen/muster/v1/events.ts";
import { FleetServiceService } from "@muster/proto/gen/muster/v1/fleet.ts";
import { HistoryServiceService } from "@muster/proto/gen/muster/v1/history.ts";
import { ForecastServiceService } from "@muster/proto/gen/muster/v1/forecast.ts";
import { IdentityServiceService, JoinServiceService } from "@muster/proto/gen/muster/v1/identity.ts";
import { SecretsServiceService } from "@muster/proto/gen/muster/v1/secrets.ts";
import { TrustServiceService } from "@muster/proto/gen/muster/v1/trust.ts";
import type { Logger } from "pino";
import { hostOf } from "./access/attempts.ts";
import { type Access, createAccess } from "./access/access.ts";
import type { MachineVerdict } from "./access/admission.ts";
import { accessApi } from "./api/access-api.ts";
import { artifactsApi } from "./api/artifacts-api.ts";
import { deploymentsApi } from "./api/deployments-api.ts";
import { eventsApi } from "./api/events-api.ts";
import { fleetApi } from "./api/fleet-api.ts";
import { forecastApi } from "./api/forecast-api.ts";
import { historyApi } from "./api/history-api.ts";
import { identityApi } from "./api/identity-api.ts";
import { secretsApi } from "./api/secrets-api.ts";
import { trustApi } from "./api/trust-api.ts";
import { DeploymentViews } from "./api/views.ts";
import { type ArtifactStore, createArtifactStore } from "./artifacts/artifact-store.ts";
import { tellMissingArtifacts } from "./artifacts/missing.ts";
import { removeWhatWasLetGo } from "./artifacts/removal.ts";
import { backupApi } from "./backup/backup-api.ts";
import { refuseHalfRestored } from "./backup/half-restored.ts";
import type { Config } from "./config.ts";
import { longAgo } from "./engine/attended-age.ts";
import { systemClock } from "./engine/clock.ts";
import { Engine } from "./engine/engine.ts";
import { Gatekeeper } from "./gates/gatekeeper.ts";
import { Schedule } from "./gates/schedule.ts";
import { Fleet } from "./fleet/fleet.ts";
import { returnSpreadMs } from "./fleet/return-spread.ts";
import { type GrpcService, serveSocket, serveTls } from "./grpc/server.ts";
import { presentOf } from "./history/present.ts";
import { rememberedPorts, rememberPorts, socketPathOf, takeHome, writeJson } from "./home.ts";
import { openArtifactDoor } from "./http/artifact-door.ts";
import { AssignmentKeys } from "./identity/assignment-key.ts";
import { AssignmentSigner } from "./identity/assignment-signer.ts";
import { Authorities } from "./identity/authorities.ts";
import { type Epoch, readEpoch } from "./identity/epoch.ts";
import { joinApi } from "./identity/join-api.ts";
import type { Member } from "./identity/members.ts";
import { Membership, type Standing } from "./identity/membership.ts";
import { renewServerCertificates } from "./identity/server-certificates.ts";
import { ServerFiles } from "./identity/server-files.ts";
import { identityDir, refuseExposed } from "./identity/private-file.ts";
import { checkpointsBeside } from "./journal/checkpoints.ts";
import { Journal } from "./journal/journal.ts";
import { startNats } from "./nats/nats.ts";
import { externalConfig } from "./nats/server-config.ts";
import { type NatsAuthority, openNatsAuthority } from "./nats/nats-authority.ts";
import { Publisher } from "./publish/publisher.ts";
import { agentApi } from "./report/agent-api.ts";
import { LogRelay } from "./report/log-relay.ts";
import { keySourceOf } from "./secrets/master-key.ts";
import { Sealer, sealingKeyOf } from "./secrets/sealer.ts";
import { SecretStore } from "./secrets/secret-store.ts";
import { TrustRoots } from "./trust/trust-roots.ts";

/** What others need to find this controller; also written to `<dir>/controller.json`. */
export interface Addresses {
  readonly pid: number;
  /** `host:port`. */
  readonly grpc: string;
  /** Base URL of the artifact server. */
  readonly https: string;
  /** Path of the unix socket for operators of this machine. */
  readonly socket: string;
  /** sha256 of the newest certificate authority, hex. */
  readonly ca: string;
  /** `pid` is null when the server is somebody else's. */
  readonly nats: { readonly pid: number | null; readonly url: string };
}

export interface Controller {
  readonly addresses: Addresses;
  stop(): Promise<void>;
}

/** Heartbeats in the time after which a machine counts as silent, so that losing two of them changes nothing. */
const HEARTBEATS_PER_SILENCE = 4;
const HEARTBEAT_MS_MAX = 10_000;

export async function startController(config: Config, logger: Logger): Promise<Controller> {
  const { dir, host } = config;
  const undo: (() => unknown)[] = [];
  const stop = async (): Promise<void> => {
    for (const step of undo.splice(0).reverse()) await step();
  };
  try {
    const home = takeHome(dir);
    undo.push(() => home.release());
    refuseHalfRestored(dir);
    mkdirSync(identityDir(dir), { recursive: true, mode: 0o700 });
    refuseExposed(identityDir(dir));
    const journalFile = join(dir, "muster.db");
    const journal = Journal.open(journalFile, ({ stage, snapshotSeq, done, total }) => logger.info({ stage, snapshotSeq, done, of: total }, "tables are being rebuilt"));
    undo.push(() => journal.close());
    undo.push(checkpointsBeside(journal, journalFile, logger));
    const keys = await openKeys(config, journal, logger);
    const { authorities, natsAuthority, membership, signer, epoch, secrets, trustRoots } = keys;
    const store = await createArtifactStore({ dir: join(dir, "artifacts") });
    await tellMissingArtifacts({ db: journal.db, store, logger });
    const before = rememberedPorts(dir);

    const serverFiles = new ServerFiles(join(dir, "nats"), authorities);
    serverFiles.write();
    const nats = await startNats({
      server:
        config.nats.kind === "external"
          ? config.nats
          : { kind: "embedded", dir: join(dir, "nats"), host, port: config.nats.port, certFile: serverFiles.certFile, keyFile: serverFiles.keyFile },
      authority: natsAuthority,
      trusted: () => (config.nats.kind === "external" ? { ca: config.nats.authorities } : { ca: authorities.pem, servername: CONTROLLER_NAME }),
      logger,
    });
    undo.push(() => nats.stop());
    const showCertificates = (): void => {
      serverFiles.write();
      nats.reload();
    };
    // From here on, since a clock that is set only now may be what the connection waits for.
    undo.push(renewServerCertificates({ authorities, clock: systemClock, onRenewed: showCertificates, logger }));
    if (config.nats.kind === "embedded") await nats.client.firstConnected;
    const publisher = new Publisher({ nats: nats.client, signer, assignmentFor: (machine) => engine.assignmentFor(machine), logger });
    undo.push(() => publisher.stop());

    const fleet = new Fleet(config.silentAfterMs);
    const gatekeeper = new Gatekeeper(now);
    undo.push(() => gatekeeper.close());
    const engine: Engine = new Engine({
      journal,
      fleet,
      clock: systemClock,
      logger,
      schedule: new Schedule(),
      tell: (machine) => publisher.tell(machine),
      secrets,
      distrusts: (release) => trustRoots.refusal(release),
      ask: (question) => gatekeeper.ask(question),
      onMachineRemoved: (machine) => {
        const member = membership.members.find(machine);
        if (member === undefined) return;
        natsAuthority.revoke(membership.natsUsers(member));
        membership.members.remove(machine);
      },
    });
    undo.push(() => engine.archiving.underWay?.catch(() => {}));
    undo.push(() => engine.stop());
    undo.push(removeWhatWasLetGo({ store, isKnown: (digest) => engine.operators.hasArtifact(digest), onCommit: (listener) => engine.onCommit(listener), clock: systemClock, logger }));
    nats.client.onConnect(() => engine.tellAgain());
    const logs = new LogRelay((machine, wanted) => publisher.wantLogs(machine, wanted));

    const access = createAccess({ db: journal.db, oidc: config.oidc, machines: { judge: (certified) => verdictOf(membership.judge(certified)) }, now, longAgo: (ageMs) => longAgo(journal, ageMs), logger });
    undo.push(() => access.close());
    const tls = { host, contextFor: (name: string | undefined) => authorities.contextFor(name), certify: (certificate: X509Certificate) => authorities.certify(certificate) };

    const http = await openArtifactDoor({
      dir: store.dir,
      tls: { ...tls, port: config.httpPort === 0 ? before.http : config.httpPort },
      isMember: (certified) => membership.judge(certified).kind === "member",
      isAssigned: (machine, digest) => engine.isAssigned(machine, digest),
      logger,
    });
    undo.push(() => http.close());
    const cut = (machine: MachineId): void => {
      grpc.cut(machine);
      http.cut(machine);
    };
    engine.onCommit((rows) => {
      for (const { entry } of rows) if (entry.kind === "machine_removed") cut(entry.machine);
    });
    const agents = agentApi({
      engine,
      logs,
      signer,
      epoch,
      logger,
      ...(config.nats.kind === "external" ? { externalNats: { authorities: config.nats.authorities ?? [] } } : {}),
      natsUrl: config.nats.kind === "external" ? config.nats.url : `tls://${host.includes(":") ? `[${host}]` : host}:${new URL(nats.url).port}`,
      artifactUrl: `${http.url}/v1/artifacts`,
      heartbeatIntervalMs: Math.min(HEARTBEAT_MS_MAX, Math.floor(config.silentAfterMs / HEARTBEATS_PER_SILENCE)),
      returnSpreadMs: () => returnSpreadMs(fleet.size),
      trustRoots,
      labelsOf: (machine) => membership.members.find(machine)?.labels ?? {},
      shouldRenew: (caller) => membership.shouldRenew(caller),
      onForeign: ({ machine, address }, named) => {
        logger.warn({ machineId: machine, named, address }, "machine spoke for another");
        access.audit.record({ who: machine, kind: "machine", from: hostOf(address), method: "AgentService", subject: named, result: "refused", message: "a machine spoke for another" });
      },
    });
    const services = [
      { definition: AgentServiceService, implementation: agents },
      ...operatorServices({
        ...keys,
        dir,
        oidc: config.oidc,
        journal,
        engine,
        fleet,
        store,
        logs,
        access,
        logger,
        address: () => reachableAt(grpc.address),
        onAuthoritiesChanged: showCertificates,
        cutOff: (member) => {
          natsAuthority.revoke(membership.natsUsers(member));
          cut(member.machine);
        },
      }),
    ];
    const served = { services, admit: access.admit, now: () => systemClock.now(), witness: access.witness };
    const socketPath = socketPathOf(dir);
    const local = await serveSocket(served, socketPath);
    undo.push(() => local.close());
    const grpc = await serveTls(served, { ...tls, port: config.grpcPort === 0 ? before.grpc : config.grpcPort });
    undo.push(() => grpc.close());
    rememberPorts(dir, { grpc: grpc.port, http: http.port });

    const addresses = (): Addresses => ({ pid: process.pid, grpc: grpc.address, https: http.url, socket: socketPath, ca: authorities.newest.pin, nats: { pid: nats.pid() ?? null, url: nats.url } });
    const addressFile = join(dir, "controller.json");
    nats.onPid(() => writeJson(addressFile, addresses()));
    writeJson(addressFile, addresses());
    undo.push(() => rmSync(addressFile, { force: true }));
    engine.start();
    return { addresses: addresses(), stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** What the controller knows others by, and they it. Nothing of it runs. */
interface Keys {
  readonly authorities: Authorities;
  readonly natsAuthority: NatsAuthority;
  readonly membership: Membership;
  readonly epoch: Epoch;
  readonly signer: AssignmentSigner;
  readonly secrets: SecretStore;
  readonly trustRoots: TrustRoots;
}

/** Made at the first start. */
async function openKeys({ dir, credentialTtlMs, renewalGraceMs, secretsKeyFile, credentialsDir }: Config, { db }: Journal, logger: Logger): Promise<Keys> {
  const own = identityDir(dir);
  const authorities = await Authorities.open(join(own, "authorities"), now);
  const natsAuthority = openNatsAuthority({ dir: join(own, "nats"), now });
  const membership = new Membership({
    db,
    authorities,
    natsJwt: (machine, publicKey, expiresAt) => natsAuthority.machineJwt({ machine, publicKey, expiresAt }),
    credentialTtlMs,
    renewalGraceMs,
    now,
  });
  // What was revoked just before an end may not have reached the file yet.
  for (const member of membership.members.revoked()) natsAuthority.revoke(membership.natsUsers(member));
  const secrets = SecretStore.open(db, keySourceOf({ dir, keyFile: secretsKeyFile, credentialsDir }));
  const sealer = new Sealer({ secrets, sealingKeyOf: (machine) => sealingKeyOf(membership.members.sealingKey(machine as MachineId)), logger });
  const epoch = readEpoch(dir);
  const signer = new AssignmentSigner(AssignmentKeys.open(dir, now), epoch, now, (assignment) => sealer.seal(assignment));
  return { authorities, natsAuthority, membership, epoch, signer, secrets, trustRoots: new TrustRoots(db, now) };
}

interface OperatorParts extends Keys {
  readonly dir: string;
  readonly oidc: Config["oidc"];
  readonly journal: Journal;
  readonly engine: Engine;
  readonly fleet: Fleet;
  readonly store: ArtifactStore;
  readonly logs: LogRelay;
  readonly access: Access;
  readonly logger: Logger;
  readonly address: () => string;
  readonly onAuthoritiesChanged: () => void;
  readonly cutOff: (member: Member) => void;
}

/** All but the agents' own. */
function operatorServices({ dir, oidc, journal, engine, fleet, store, logs, access, logger, address, onAuthoritiesChanged, cutOff, ...keys }: OperatorParts): readonly GrpcService[] {
  const { authorities, natsAuthority, membership, signer, secrets, trustRoots } = keys;
  const { users, audit } = access;
  const isRevoked = (machine: MachineId): boolean => membership.members.isRevoked(machine);
  const views = new DeploymentViews(journal.db, (id) => engine.waitingOn(id), (id) => engine.rollout(id), presentOf(engine, isRevoked), () => engine.catchingUp !== undefined);
  const usersCertifiedBefore = (at: number): readonly string[] => users.certifiedBefore(at);
  return [
    { definition: AccessServiceService, implementation: accessApi({ users, audit, authority: authorities, oidc, address, endCalls: (name) => access.endCalls(name), now, logger }) },
    { definition: ArtifactsServiceService, implementation: artifactsApi({ journal, engine, store, logger }) },
    { definition: BackupServiceService, implementation: backupApi({ dir, now, logger }) },
    { definition: DeploymentsServiceService, implementation: deploymentsApi({ journal, engine, views, clock: systemClock, logger }) },
    { definition: EventsServiceService, implementation: eventsApi({ journal, engine, logger }) },
    { definition: ForecastServiceService, implementation: forecastApi({ source: engine.outlook, logger }) },
    { definition: FleetServiceService, implementation: fleetApi({ journal, engine, fleet, logs, isRevoked, logger }) },
    { definition: HistoryServiceService, implementation: historyApi({ journal, engine, fleet, isRevoked, views, store, now, logger }) },
    {
      definition: IdentityServiceService,
      implementation: identityApi({ membership, authorities, cutOff, onRevoked: (machine, order) => engine.orders.noteRevoked(machine, order), onAuthoritiesChanged, usersCertifiedBefore, address, natsConfig: () => externalConfig(natsAuthority), now, logger }),
    },
    { definition: JoinServiceService, implementation: joinApi({ membership, authorities, controllerId: signer.announced().controllerId, trustRoot: () => trustRoots.newestFile(), logger }) },
    { definition: SecretsServiceService, implementation: secretsApi({ journal, store: secrets, now, logger }) },
    { definition: TrustServiceService, implementation: trustApi({ trustRoots, logger }) },
  ];
}

function now(): Instant {
  return systemClock.now();
}

/** By the machine's name where it listens on all its addresses. */
function reachableAt(address: string): string {
  return address.replace(/^(?:0\.0\.0\.0|\[::\]):/, `${hostname()}:`);
}

function verdictOf(standing: Standing): MachineVerdict {
  return standing.kind === "refused" ? { ok: false, reason: standing.why } : { ok: true, expired: standing.kind === "expired" };
}
