/**
 * The forecast in `plan -o json`. Once released, a key keeps its name and its meaning.
 */
import type { BlastRadius, PlannedWave, PlanResponse } from "@muster/proto/gen/muster/v1/forecast.ts";
import { textOrNull, type Json } from "./json.ts";
import { phaseWord } from "./words.ts";

export function planJson({ waves, unchanged, expectedMs, expectedFrom, beginsWhen, maxUnavailable, warnings, notes, alarms, blastRadius }: PlanResponse): Json {
  return {
    waves: waves.map(waveJson),
    unchanged,
    expected_ms: expectedMs ?? null,
    expected_from: expectedFrom,
    begins_when: textOrNull(beginsWhen),
    max_unavailable: maxUnavailable,
    warnings,
    notes,
    alarms,
    blast_radius: blastRadius.map(blastJson),
  };
}

function waveJson({ index, members, machines, gates, expectedStartMs, expectedEndMs }: PlannedWave): Json {
  return {
    index,
    members,
    machines: machines.map(({ id }) => id),
    gates,
    expected_start_ms: expectedStartMs ?? null,
    expected_end_ms: expectedEndMs ?? null,
  };
}

function blastJson({ world, maxMachines, stoppedAfterMs, restoredAfterMs, phase }: BlastRadius): Json {
  return {
    world,
    max_machines: maxMachines,
    stopped_after_ms: stoppedAfterMs ?? null,
    restored_after_ms: restoredAfterMs ?? null,
    phase: phaseWord(phase),
  };
}
