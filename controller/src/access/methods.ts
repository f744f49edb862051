/**
 * Who may call which method. A method that is not here is nobody's.
 */
import { AccessServiceService } from "@muster/proto/gen/muster/v1/access.ts";
import { AgentServiceService } from "@muster/proto/gen/muster/v1/agent.ts";
import { ArtifactsServiceService } from "@muster/proto/gen/muster/v1/artifacts.ts";
import { BackupServiceService } from "@muster/proto/gen/muster/v1/backup.ts";
import { DeploymentsServiceService } from "@muster/proto/gen/muster/v1/deployments.ts";
import { EventsServiceService } from "@muster/proto/gen/muster/v1/events.ts";
import { FleetServiceService } from "@muster/proto/gen/muster/v1/fleet.ts";
import { ForecastServiceService } from "@muster/proto/gen/muster/v1/forecast.ts";
import { HistoryServiceService } from "@muster/proto/gen/muster/v1/history.ts";
import { IdentityServiceService, JoinServiceService } from "@muster/proto/gen/muster/v1/identity.ts";
import { SecretsServiceService } from "@muster/proto/gen/muster/v1/secrets.ts";
import { TrustServiceService } from "@muster/proto/gen/muster/v1/trust.ts";
import type { Role } from "../grpc/caller.ts";

export type Need =
  /** Nothing need be known of the caller. */
  | "anybody"
  | "machine"
  /** A machine whose certificate may have expired within the grace. */
  | "former_machine"
  | Role;

type Definition = Readonly<Record<string, { readonly path: string }>>;

/** Each method once, or it does not compile. */
function needs<D extends Definition>(definition: D, table: Readonly<Record<keyof D, Need>>): readonly (readonly [path: string, need: Need])[] {
  return Object.entries(definition).map(([name, { path }]) => [path, table[name]!] as const);
}

const NEEDS: ReadonlyMap<string, Need> = new Map([
  ...needs(AccessServiceService, {
    whoAmI: "viewer",
    getLoginMethods: "anybody",
    createUser: "admin",
    listUsers: "admin",
    setUser: "admin",
    removeUser: "admin",
    readAudit: "admin",
  }),
  ...needs(DeploymentsServiceService, {
    check: "viewer",
    submit: "deployer",
    getDeployment: "viewer",
    listDeployments: "viewer",
    watchDeployment: "viewer",
    pause: "deployer",
    resume: "deployer",
    abort: "deployer",
    rollback: "deployer",
    approve: "deployer",
    retry: "deployer",
    promote: "deployer",
    setMaxUnavailable: "deployer",
  }),
  ...needs(ArtifactsServiceService, { hasArtifact: "deployer", pushArtifact: "deployer", listArtifacts: "viewer" }),
  ...needs(ForecastServiceService, { plan: "viewer" }),
  ...needs(HistoryServiceService, { why: "viewer", replay: "viewer", listReleases: "viewer", diffReleases: "viewer", getRetention: "viewer", setRetention: "admin" }),
  ...needs(EventsServiceService, { readEvents: "viewer" }),
  ...needs(FleetServiceService, {
    listMachines: "viewer",
    getMachine: "viewer",
    readLogs: "viewer",
    cordon: "deployer",
    uncordon: "deployer",
    labelMachine: "admin",
    removeMachine: "admin",
    setBudget: "admin",
    removeBudget: "admin",
    listBudgets: "viewer",
    addFreeze: "admin",
    endFreeze: "admin",
    listFreezes: "viewer",
  }),
  ...needs(AgentServiceService, { session: "machine", sync: "former_machine", sendLogs: "machine", fetchTrustRoots: "former_machine" }),
  ...needs(BackupServiceService, { backup: "admin" }),
  ...needs(SecretsServiceService, { setSecret: "admin", listSecrets: "viewer", removeSecret: "admin" }),
  ...needs(JoinServiceService, { join: "anybody", renew: "former_machine" }),
  ...needs(TrustServiceService, { publishTrustRoot: "admin", listTrustRoots: "viewer" }),
  ...needs(IdentityServiceService, {
    createToken: "admin",
    listTokens: "admin",
    revokeToken: "admin",
    listMembers: "viewer",
    approveMachine: "admin",
    rejectMachine: "admin",
    revokeMachine: "admin",
    listAuthorities: "viewer",
    rotateAuthority: "admin",
    retireAuthority: "admin",
    exportNats: "admin",
  }),
]);

/** Of the protocol itself: whether it is alive, and which services there are. */
const STANDARD: ReadonlyMap<string, Need> = new Map([
  ["grpc.health.v1.Health", "anybody"],
  ["grpc.reflection.v1.ServerReflection", "viewer"],
  ["grpc.reflection.v1alpha.ServerReflection", "viewer"],
]);

/** What is not for viewers, and changes nothing all the same. */
const READS: ReadonlySet<string> = new Set([
  AccessServiceService.getLoginMethods.path,
  AccessServiceService.listUsers.path,
  AccessServiceService.readAudit.path,
  ArtifactsServiceService.hasArtifact.path,
  IdentityServiceService.listTokens.path,
]);

/** Whether the method changes who or what there is, and is therefore recorded. What agents say all day is not. */
export function changes(path: string): boolean {
  const need = NEEDS.get(path);
  switch (need) {
    case "anybody":
    case "former_machine":
    case "deployer":
    case "admin":
      return !READS.has(path);
    case "machine":
    case "viewer":
    case undefined:
      return false;
  }
}

/** Undefined: nobody may. */
export function needOf(path: string): Need | undefined {
  return NEEDS.get(path) ?? STANDARD.get(path.split("/")[1] ?? "");
}
