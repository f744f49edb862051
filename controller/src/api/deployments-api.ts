/**
 * DeploymentsService: files come in, deployments go out, operators steer.
 */
import {
  type AbortRequest,
  type ApproveRequest,
  type Deployment,
  DeploymentPhase,
  type DeploymentsServiceServer,
  type PromoteRequest,
  type SetMaxUnavailableRequest,
  TargetState,
} from "@muster/proto/gen/muster/v1/deployments.ts";
import { type DeploymentId, type Instant, parseDeploymentId, parseDigest } from "@muster/proto/ids.ts";
import { widestSelector } from "@muster/proto/selector.ts";
import type { Logger } from "pino";
import type { Clock } from "../engine/clock.ts";
import type { Engine } from "../engine/engine.ts";
import type { Command } from "../engine/operators.ts";
import { readDeploymentFile } from "../submit/read.ts";
import { demand } from "../access/binding.ts";
import { remark } from "../audit/subject.ts";
import { invalid, missing, unary, valueOf } from "../grpc/answer.ts";
import type { Caller } from "../grpc/caller.ts";
import { hasArchivedTargets } from "../journal/archived-targets.ts";
import type { Journal } from "../journal/journal.ts";
import { statement } from "../journal/statement.ts";
import { parseSize } from "../submit/size.ts";
import { archivedTargetsNow, deploymentAt } from "./deployment-at.ts";
import { DeploymentWatch } from "./deployment-watch.ts";
import { byOf, orderOf } from "./order.ts";
import { serve, until } from "../grpc/stream.ts";
import type { DeploymentViews } from "./views.ts";

const LIST_DEFAULT = 50;
const LIST_MAX = 1000;

export interface DeploymentsApiOptions {
  readonly journal: Journal;
  readonly engine: Engine;
  readonly views: DeploymentViews;
  readonly clock: Clock;
  readonly logger: Logger;
}

export function deploymentsApi({ journal, engine, views, clock, logger }: DeploymentsApiOptions): DeploymentsServiceServer {
  const watched = new DeploymentWatch({ engine, views, clock });
  const one = async (id: string): Promise<Deployment> => {
    const deployment = await views.one(id);
    if (deployment === undefined) throw noSuch(id);
    return deployment;
  };
  /** Throws unless the caller may touch the deployment's app and machines; what is not there is told by whoever looks for it. */
  const demandDeployment = (caller: Caller, id: string): void => {
    const row = statement(journal.db, "SELECT app, selector AS targets FROM deployments WHERE id = ?").get(id) as Touched | undefined;
    if (row === undefined) return;
    demand(caller, { app: row.app, selector: widestSelector(row.targets) });
  };
  /** A deployment that takes the place of others touches those too, and pending ones may still come to that. */
  const demandRivals = (caller: Caller, app: string): void => {
    const rivals = statement(journal.db, "SELECT id FROM deployments WHERE app = ? AND ended_at IS NULL").pluck().all(app) as string[];
    for (const id of rivals) demandDeployment(caller, id);
  };
  const steer = <Request extends Steering>(commandOf: (request: Request) => Command) => async (request: Request, caller: Caller) => {
    const id = deploymentIdOf(request);
    demandDeployment(caller, id);
    valueOf(engine.operators.command(id, commandOf(request), orderOf(request, caller)));
    return { deployment: await one(id) };
  };

  return {
    check: unary(logger, (request) => {
      const read = readDeploymentFile(request.content);
      if (!read.ok) return { faults: [...read.faults], app: "", version: "", artifactPath: "" };
      valueOf(engine.operators.check({ ...read.file, release: { ...read.file.release, artifact: request.artifact } }, !request.signed));
      return { faults: [], app: read.file.app, version: read.file.version, artifactPath: read.file.artifactPath };
    }),

    submit: unary(logger, async (request, caller, call) => {
      const read = readDeploymentFile(request.content);
      if (!read.ok) return { faults: [...read.faults], deployment: undefined, notes: [] };
      const artifact = parseDigest(request.artifact);
      if (artifact === undefined) throw invalid(`"${request.artifact}" is not the digest of an artifact`);
      const { app, release, strategy, selector } = read.file;
      remark(call, { app, version: release.version, selector: selector.text });
      demand(caller, { app, selector });
      if (strategy.onConflict === "supersede") demandRivals(caller, app);
      const signed = request.signed === "" ? undefined : request.signed;
      const { deployment, notes } = valueOf(engine.operators.submit({ app, release: { ...release, artifact, signed }, strategy, selector }, byOf(request, caller)));
      const view = await one(deployment);
      return { faults: [], deployment: view, notes: [...notes, ...view.notes] };
    }),

    getDeployment: unary(logger, async ({ id, includeTargets, at }) => {
      if (at !== 0) return { deployment: await deploymentAt(journal, id, at as Instant, includeTargets) };
      if (!includeTargets) return { deployment: await one(id) };
      const deployment = await views.withTargets(id);
      if (deployment === undefined) throw noSuch(id);
      if (!hasArchivedTargets(journal.db, deployment.id as DeploymentId)) return { deployment };
      const unchanged = deployment.targets.filter(({ state }) => state === TargetState.UNCHANGED);
      return { deployment: { ...deployment, targets: [...(await archivedTargetsNow(journal, deployment.id as DeploymentId)), ...unchanged] } };
    }),

    listDeployments: unary(logger, async ({ app, activeOnly, limit }) => ({
      deployments: await views.list({ app, activeOnly, limit: limit === 0 ? LIST_DEFAULT : Math.min(limit, LIST_MAX) }),
    })),

    watchDeployment: (call) =>
      serve(call, logger, async (write, signal) => {
        const id = views.find(call.request.id);
        if (id === undefined) throw noSuch(call.request.id);
        const following = watched.follow(id);
        try {
          for (let seen = 0; !signal.aborted; ) {
            const { deployment, version } = await following.picture();
            if (version !== seen) await write({ deployment });
            seen = version;
            if (hasEnded(deployment) && !(call.request.untilSettled && deployment.underWay)) return;
            if (!following.hasNews(seen)) await until(signal, (done) => following.onNews(done));
          }
        } finally {
          following.stop();
        }
      }),

    pause: unary(logger, steer(() => ({ kind: "pause" }))),
    resume: unary(logger, steer(() => ({ kind: "resume" }))),
    abort: unary(logger, steer(({ revert }: AbortRequest) => (revert ? { kind: "rollback", isAbort: true } : { kind: "abort" }))),
    approve: unary(
      logger,
      steer(({ wave, by }: ApproveRequest) => {
        if (by === "") throw invalid("an approval needs the name of who gives it");
        return { kind: "approve", wave };
      }),
    ),
    retry: unary(logger, steer(() => ({ kind: "retry" }))),
    promote: unary(
      logger,
      steer((request: PromoteRequest) => {
        if (request.all && request.by === "") throw invalid("promote --all needs the name of who asks for it");
        if (request.all && request.reason === "") throw invalid("promote --all skips every gate that is left: say why with --reason");
        return { kind: "promote", all: request.all };
      }),
    ),
    setMaxUnavailable: unary(
      logger,
      steer(({ maxUnavailable }: SetMaxUnavailableRequest) => {
        const parsed = parseSize(maxUnavailable);
        if (!parsed.ok) throw invalid(`max_unavailable: ${parsed.message}`);
        return { kind: "set_max_unavailable", size: parsed.size };
      }),
    ),
    rollback: unary(logger, async (request, caller) => {
      if (request.toVersion === "") return steer(() => ({ kind: "rollback" }))(request, caller);
      const id = deploymentIdOf(request);
      demandDeployment(caller, id);
      const app = statement(journal.db, "SELECT app FROM deployments WHERE id = ?").pluck().get(id) as string | undefined;
      if (app !== undefined) demandRivals(caller, app);
      const { deployment } = valueOf(engine.operators.rollbackTo(id, request.toVersion, orderOf(request, caller)));
      return { deployment: await one(deployment) };
    }),
  };
}

interface Touched {
  readonly app: string;
  readonly targets: string;
}

interface Steering {
  readonly id: string;
  readonly reason: string;
  readonly by: string;
}

/** An empty id asks for the newest. */
function noSuch(id: string): Error {
  return missing(id === "" ? "there is no deployment yet" : `there is no deployment ${id}`);
}

function deploymentIdOf({ id }: Steering): DeploymentId {
  const parsed = parseDeploymentId(id);
  if (parsed === undefined) throw missing(`there is no deployment ${id}`);
  return parsed;
}

function hasEnded({ phase }: Deployment): boolean {
  switch (phase) {
    case DeploymentPhase.SUCCEEDED:
    case DeploymentPhase.ROLLED_BACK:
    case DeploymentPhase.FAILED:
    case DeploymentPhase.ABORTED:
    case DeploymentPhase.SUPERSEDED:
      return true;
    case DeploymentPhase.UNSPECIFIED:
    case DeploymentPhase.PENDING:
    case DeploymentPhase.ROLLING:
    case DeploymentPhase.SOAKING:
    case DeploymentPhase.AWAITING_APPROVAL:
    case DeploymentPhase.PAUSED:
    case DeploymentPhase.ROLLING_BACK:
      return false;
  }
}
