/**
 * HistoryService: what was, and why; how long it is kept.
 */
import { durationText } from "@muster/proto/duration.ts";
import type { DiffReleasesRequest, DiffReleasesResponse, HistoryServiceServer } from "@muster/proto/gen/muster/v1/history.ts";
import type { Release } from "@muster/proto/gen/muster/v1/release.ts";
import { type DeploymentId, type Digest, type Instant, type MachineId, parseDeploymentId, parseMachineId, releaseId } from "@muster/proto/ids.ts";
import type { Manifest } from "@muster/proto/manifest.ts";
import { counted } from "@muster/proto/text.ts";
import type { Logger } from "pino";
import type { Engine } from "../engine/engine.ts";
import { invalid, missing, unary, valueOf } from "../grpc/answer.ts";
import { serve } from "../grpc/stream.ts";
import type { Fleet } from "../fleet/fleet.ts";
import { differingFiles } from "../history/file-diff.ts";
import { Past } from "../history/past.ts";
import { presentOf } from "../history/present.ts";
import { differingFields } from "../history/release-diff.ts";
import { findRelease, listReleases } from "../history/releases.ts";
import { pictures } from "../history/replay.ts";
import { Why } from "../history/why.ts";
import type { JournalRow } from "../journal/entry.ts";
import type { Journal } from "../journal/journal.ts";
import { turn } from "../journal/slices.ts";
import { eventText } from "./event-text.ts";
import { byOf } from "./order.ts";
import { DeploymentViews } from "./views.ts";

const LIST_DEFAULT = 50;
const LIST_MAX = 1000;
/** Sentences in one picture: many machines may have changed in one instant. */
const HAPPENED_MAX = 100;
const KEEP_MAX = 1_000_000;
/** Below it, more would be moved about than kept. */
const STEPS_FOR_MS_MIN = 60_000;
/** A century. */
const KEEP_FOR_MS_MAX = 100 * 365 * 86_400_000;

export interface HistoryApiOptions {
  readonly journal: Journal;
  readonly engine: Engine;
  readonly fleet: Pick<Fleet, "refusal">;
  /** Its credentials count no more: nobody will ever hear it under them. */
  readonly isRevoked: (machine: MachineId) => boolean;
  readonly views: DeploymentViews;
  readonly store: { manifest(digest: Digest): Promise<Manifest | undefined> };
  readonly now: () => Instant;
  readonly logger: Logger;
}

export function historyApi({ journal, engine, fleet, isRevoked, views, store, now, logger }: HistoryApiOptions): HistoryServiceServer {
  const { db } = journal;
  const why = new Why({ db, archive: journal.archive, corrections: journal.corrections, now, waiting: (id) => views.waitingOn(id), rollout: (id) => engine.rollout(id), present: presentOf(engine, isRevoked) });
  const retention = () => ({ retention: { ...engine.retention.rule() } });
  const archived = () => {
    const { rows, sizeBytes, firstAt } = journal.archive.extent();
    return { archivedSteps: rows, archivedBytes: sizeBytes, archivedSince: firstAt ?? 0, archiveFaults: journal.archive.faults().map(({ message }) => message) };
  };
  return {
    why: unary(logger, async ({ machine, deploymentId }) => {
      if (machine === "" && deploymentId === "") throw invalid("name a machine, a deployment or both");
      const id = deploymentId === "" ? undefined : deploymentIdOf(deploymentId);
      if (machine === "") return valueOf(await why.deployment(id!));
      const parsed = parseMachineId(machine);
      if (parsed === undefined) throw missing(`there is no machine ${machine}`);
      const answer = valueOf(await why.machine(parsed, id));
      const refusal = fleet.refusal(parsed);
      const held = engine.heldReports(parsed);
      const now = [
        ...(isRevoked(parsed) ? [`${parsed} was revoked, and is never heard again; muster machine remove ${parsed} takes it out of the fleet, and a machine of its name may join. A rollout that lost it with its release is gone on with by muster promote, or taken back`] : []),
        ...(refusal === undefined ? [] : [`${parsed} does not believe what it is sent: ${refusal.message}`]),
        ...(held === 0 ? [] : [`${parsed} reports more than its budget allows: the newest report of ${counted(held, "app")} waits, and what is shown of that is older`]),
      ];
      return { ...answer, now: [...now, ...answer.now] };
    }),

    replay: (call) =>
      serve(call, logger, async (write, signal) => {
        const id = deploymentIdOf(call.request.deploymentId);
        if (views.find(id) === undefined) throw missing(`there is no deployment ${id}`);
        const past = new Past(journal);
        try {
          const pastViews = new DeploymentViews(past.db, () => past.waiting());
          for await (const { at, happened } of pictures(journal, id, past)) {
            if (signal.aborted) return;
            await write({ at, deployment: call.request.includeTargets ? await pastViews.withTargets(id) : await pastViews.one(id), happened: sentences(happened) });
            await turn();
          }
        } finally {
          past.close();
        }
      }),

    listReleases: unary(logger, async ({ app, limit }) => ({ releases: await listReleases(db, app, limit === 0 ? LIST_DEFAULT : Math.min(limit, LIST_MAX)) })),

    diffReleases: unary(logger, async (request) => {
      const release = (version: string): Release => {
        const found = findRelease(db, releaseId(request.app, version));
        if (found === undefined) throw missing(`there is no release ${request.app}@${version}; muster releases ${request.app} lists them`);
        return found;
      };
      const before = release(request.fromVersion);
      const after = release(request.toVersion);
      return { fields: differingFields(before, after), ...(await differingFilesOf(before, after, request)) };
    }),

    getRetention: unary(logger, () => ({ ...retention(), ...archived() })),

    setRetention: unary(logger, async (request, caller) => {
      const { keep, keepForMs, stepsForMs } = request.retention ?? { keep: 0, keepForMs: 0, stepsForMs: 0 };
      if (keep < 1 || keep > KEEP_MAX) throw invalid(`keep is ${keep}; from 1 to ${KEEP_MAX} of the newest releases of each app can be kept`);
      if (keepForMs < 0 || keepForMs > KEEP_FOR_MS_MAX) throw invalid(`--for: ${durationText(Math.max(0, keepForMs))} is too long; up to ${durationText(KEEP_FOR_MS_MAX)}`);
      if (stepsForMs < STEPS_FOR_MS_MIN) throw invalid(`--steps: ${durationText(Math.max(0, stepsForMs))} is too short; from ${durationText(STEPS_FOR_MS_MIN)}`);
      if (stepsForMs > KEEP_FOR_MS_MAX) throw invalid(`--steps: ${durationText(stepsForMs)} is too long; up to ${durationText(KEEP_FOR_MS_MAX)}`);
      const going = engine.retention.set({ keep, keepForMs, stepsForMs }, byOf(request, caller));
      engine.archiving.hurry();
      const removed = await going;
      return { ...retention(), removed: [...removed] };
    }),
  };

  async function differingFilesOf(before: Release, after: Release, { app, fromVersion, toVersion }: DiffReleasesRequest): Promise<Omit<DiffReleasesResponse, "fields">> {
    const [from, to] = [await store.manifest(before.artifact as Digest), await store.manifest(after.artifact as Digest)];
    if (from === undefined || to === undefined) {
      const gone = [...(from === undefined ? [fromVersion] : []), ...(to === undefined ? [toVersion] : [])];
      return { files: [], unchangedFiles: 0, filesUnknown: `the files of ${gone.map((version) => `${app}@${version}`).join(" and ")} were removed by retention` };
    }
    const { files, unchanged, left } = differingFiles(from, to);
    return { files, unchangedFiles: unchanged, filesUnknown: left === 0 ? "" : `${left} more files differ than can be listed` };
  }
}

function sentences(rows: readonly JournalRow[]): string[] {
  const shown = rows.slice(0, HAPPENED_MAX).map(({ entry }) => eventText(entry));
  return rows.length > HAPPENED_MAX ? [...shown, `and ${rows.length - HAPPENED_MAX} more changes`] : shown;
}

function deploymentIdOf(text: string): DeploymentId {
  const id = parseDeploymentId(text);
  if (id === undefined) throw missing(`there is no deployment ${text}`);
  return id;
}
