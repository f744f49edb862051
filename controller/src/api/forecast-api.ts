/**
 * ForecastService: a file comes in, and what it would do goes out. Keeps nothing and touches nobody.
 *
 * A forecast of a large fleet takes seconds of computing, in the process that runs the rollouts: it is made in short slices between which all else
 * has its turn, one forecast at a time.
 */
import { status } from "@grpc/grpc-js";
import { DeploymentPhase } from "@muster/proto/gen/muster/v1/deployments.ts";
import type { BlastRadius, ForecastServiceServer, PlannedWave, PlanResponse } from "@muster/proto/gen/muster/v1/forecast.ts";
import type { Release } from "@muster/proto/gen/muster/v1/release.ts";
import { releaseId } from "@muster/proto/ids.ts";
import type { Selector } from "@muster/proto/selector.ts";
import type { Logger } from "pino";
import type { Answer } from "../engine/refusal.ts";
import { type Forecast, forecast } from "../forecast/forecast.ts";
import type { Picture, Wanted } from "../forecast/inputs.ts";
import { CallError, unary, valueOf } from "../grpc/answer.ts";
import type { RolloutPhase } from "../rollout/state.ts";
import { turn } from "../journal/slices.ts";
import { readDeploymentFile } from "../submit/read.ts";

/** Reads the fleet as it is. */
export interface ForecastSource {
  /** Step by step. `wanted.release` has no artifact: it is known when it is pushed. Refused where a deployment would be. */
  picture(wanted: Wanted & { readonly release: Release; readonly selector: Selector }): Generator<void, Answer<Picture>, undefined>;
}

export interface ForecastApiOptions {
  readonly source: ForecastSource;
  readonly logger: Logger;
}

/** Heartbeats and reports wait no longer than this. */
const SLICE_MS = 8;
/** Each waits for those before it; a fleet of 100,000 takes some ten seconds. */
const WAITING_MAX = 8;

export function forecastApi({ source, logger }: ForecastApiOptions): ForecastServiceServer {
  const inTurn = oneAtATime(WAITING_MAX);
  return {
    plan: unary(logger, async (request): Promise<PlanResponse> => {
      const read = readDeploymentFile(request.content);
      if (!read.ok) return { ...NOTHING, faults: [...read.faults] };
      const { app, version, release, strategy, selector } = read.file;
      const wanted: Wanted = { app, releaseId: releaseId(app, version), release, strategy };
      return inTurn(async () => {
        const picture = valueOf(await inSlices(source.picture({ ...wanted, release, selector })));
        const made = await inSlices(forecast({ ...picture, ...wanted }));
        return { ...NOTHING, app, version, ...messageOf(made, app) };
      });
    }),
  };
}

async function inSlices<T>(work: Generator<void, T>): Promise<T> {
  for (;;) {
    const startedAt = performance.now();
    do {
      const step = work.next();
      if (step.done === true) return step.value;
    } while (performance.now() - startedAt < SLICE_MS);
    await turn();
  }
}

function oneAtATime(waitingMax: number): <T>(work: () => Promise<T>) => Promise<T> {
  let last: Promise<unknown> = Promise.resolve();
  let waiting = 0;
  return (work) => {
    if (waiting >= waitingMax) throw new CallError(status.RESOURCE_EXHAUSTED, `${waiting} plans are being made already; try again in a moment`);
    waiting += 1;
    const made = last.then(work).finally(() => {
      waiting -= 1;
    });
    last = made.catch(() => undefined);
    return made;
  };
}

const NOTHING: PlanResponse = {
  faults: [],
  app: "",
  version: "",
  waves: [],
  unchanged: [],
  expectedMs: undefined,
  expectedFrom: "",
  warnings: [],
  blastRadius: [],
  maxUnavailable: 0,
  beginsWhen: "",
  alarms: [],
  notes: [],
};

function messageOf({ waves, unchanged, expectedMs, expectedFrom, warnings, blastRadius, ...made }: Forecast, app: string): Partial<PlanResponse> {
  return {
    waves: waves.map((wave, index) => waveOf(wave, index, app)),
    unchanged: [...unchanged],
    expectedMs,
    expectedFrom,
    warnings: [...warnings],
    blastRadius: blastRadius.map(blastOf),
    maxUnavailable: made.maxUnavailable,
    beginsWhen: made.beginsWhen,
    alarms: [...made.alarms],
    notes: [...made.notes],
  };
}

/** A wave that would never begin or end has no times, and a warning says why. */
function waveOf({ members, machines, gates, maxFailures, startMs, endMs }: Forecast["waves"][number], index: number, app: string): PlannedWave {
  return {
    index: index + 1,
    members,
    machines: machines.map(({ id, previous, note }) => ({ id, previousVersion: previous === null ? "" : previous.slice(app.length + 1), note })),
    gates: [...gates],
    expectedStartMs: startMs,
    expectedEndMs: endMs,
    maxFailures,
  };
}

function blastOf({ world, maxMachines, stoppedAfterMs, restoredAfterMs, phase }: Forecast["blastRadius"][number]): BlastRadius {
  return { world, maxMachines, stoppedAfterMs, restoredAfterMs, phase: phaseOf(phase) };
}

/** The generated enums spell `rolling_back` as `DEPLOYMENT_PHASE_ROLLING_BACK`. */
function phaseOf(phase: RolloutPhase): DeploymentPhase {
  return DeploymentPhase[phase.toUpperCase() as Uppercase<RolloutPhase>];
}
