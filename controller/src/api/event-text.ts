/**
 * Each journal entry as a sentence for people.
 */
import type { Entry, ReportAccepted, RolloutEntry } from "../journal/entry.ts";
import type { RolloutReason } from "../rollout/state.ts";

export function eventText(entry: Entry): string {
  switch (entry.kind) {
    case "machine_joined":
      return `${entry.machine} joined with ${labelsText(entry.labels)}`;
    case "machine_silent":
      return `nothing is heard from ${entry.machine} any more`;
    case "machine_heard":
      return `${entry.machine} is heard again`;
    case "artifact_stored":
      return `artifact ${entry.artifact.slice(0, 12)} stored: ${entry.fileCount} files, ${entry.sizeBytes} bytes`;
    case "release_created":
      return `release ${entry.id} created`;
    case "deployment_submitted":
      return `${entry.release} submitted for ${entry.strategy.targets}`;
    case "command_accepted":
      return `${entry.command} accepted${entry.reason === "" ? "" : `: ${entry.reason}`}`;
    case "report_accepted":
      return reportText(entry);
    case "rollout_started":
    case "wave_started":
    case "wave_finished":
    case "target_assigned":
    case "target_changed":
    case "failures_acknowledged":
    case "phase_changed":
      return rolloutText(entry);
  }
}

function rolloutText(entry: RolloutEntry): string {
  switch (entry.kind) {
    case "rollout_started": {
      const machines = entry.plan.waves.reduce((sum, wave) => sum + wave.length, 0);
      return `started: ${machines} machines in ${entry.plan.waves.length} waves, at most ${entry.plan.maxUnavailable} at once`;
    }
    case "wave_started":
      return `wave ${entry.wave + 1} started`;
    case "wave_finished":
      return `wave ${entry.wave + 1} passed`;
    case "target_assigned": {
      const what = entry.release === null ? "told to remove it" : `told to run ${entry.release}`;
      return `${entry.machine} ${what}${entry.purpose === "revert" ? " again" : ""}${because(entry.reason)}`;
    }
    case "target_changed":
      return `${entry.machine} is ${entry.state}${because(entry.reason)}`;
    case "failures_acknowledged":
      return `${entry.failures} failures of wave ${entry.wave + 1} acknowledged`;
    case "phase_changed":
      return `${entry.phase.replaceAll("_", " ")}${because(entry.reason)}`;
  }
}

function reportText({ machine, app, phase, runningVersion, reason }: ReportAccepted): string {
  const running = runningVersion === "" ? "" : ` (runs ${runningVersion})`;
  return `${machine} says ${app} is ${phase}${running}${because(reason)}`;
}

function because(reason: RolloutReason | null): string {
  return reason === null ? "" : `: ${reason.message}`;
}

function labelsText(labels: Readonly<Record<string, string>>): string {
  const pairs = Object.entries(labels).map(([key, value]) => `${key}=${value}`);
  return pairs.length === 0 ? "no labels" : pairs.join(", ");
}
