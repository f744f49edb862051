/**
 * Each journal entry as a sentence for people.
 */
import { durationText } from "@muster/proto/duration.ts";
import { whereText } from "@muster/proto/selector.ts";
import { counted } from "@muster/proto/text.ts";
import { type Entry, isRolloutEntry, type ReportAccepted, type RolloutEntry } from "../journal/entry.ts";
import type { RolloutReason } from "../rollout/state.ts";
import { timeText } from "../rollout/words.ts";

export function eventText(entry: Entry): string {
  if (isRolloutEntry(entry)) return rolloutText(entry);
  switch (entry.kind) {
    case "machine_joined":
      return `${entry.machine} joined with ${labelsText(entry.labels)}`;
    case "agent_changed":
      return `${entry.machine} is back with agent ${entry.agentVersion} on ${entry.hostname}`;
    case "machine_labelled":
      return `${entry.machine} has ${labelsText(entry.labels)} now${byText(entry.by)}`;
    case "machine_removed":
      return `${entry.machine} removed from the fleet${byText(entry.by)}${becauseText(entry.reason)}`;
    case "machine_silent":
      return `nothing is heard from ${entry.machine} any more`;
    case "machine_heard":
      return `${entry.machine} is heard again`;
    case "artifact_stored":
      return `artifact ${entry.artifact.slice(0, 12)} stored: ${counted(entry.fileCount, "file")}, ${counted(entry.sizeBytes, "byte")}`;
    case "release_created":
      return `release ${entry.id} created`;
    case "release_signed":
      return `release ${entry.id} signed`;
    case "deployment_submitted":
      return `${entry.release} submitted for ${whereText(entry.strategy.targets)}${byText(entry.by)}${becauseText(entry.note)}`;
    case "command_accepted":
      return `${entry.command.replaceAll("_", " ")}${entry.detail === "" ? "" : ` ${entry.detail}`}${byText(entry.by)}${becauseText(entry.reason)}`;
    case "machine_cordoned":
      return `${entry.machine} ${entry.drained ? "drained" : "cordoned"}${byText(entry.by)}${becauseText(entry.reason)}`;
    case "machine_uncordoned":
      return `${entry.machine} uncordoned${byText(entry.by)}${becauseText(entry.reason)}`;
    case "machine_revoked":
      return `${entry.machine} revoked${byText(entry.by)}${becauseText(entry.reason)}`;
    case "assignment_renewed":
      return `${entry.machine} told anew about ${entry.app}${entry.release === undefined ? "" : entry.release === null ? ": to be without it" : `: to run ${entry.release}`}`;
    case "budget_set":
      return `budget of ${whereText(entry.selector)} set to ${entry.maxUnavailable}${byText(entry.by)}`;
    case "budget_removed":
      return `budget of ${whereText(entry.selector)} removed${byText(entry.by)}`;
    case "freeze_added":
      return `freeze ${entry.freeze} from ${timeText(entry.from)}${entry.until === null ? "" : ` until ${timeText(entry.until)}`}${byText(entry.by)}${becauseText(entry.reason)}`;
    case "freeze_ended":
      return `freeze ${entry.freeze} ended${byText(entry.by)}`;
    case "retention_set":
      return `retention set: the files of the newest ${entry.keep === 1 ? "release" : `${entry.keep} releases`} of each app and of those younger than ${durationText(entry.keepForMs)} are kept, steps of deployments stay in the database for ${durationText(entry.stepsForMs)}${byText(entry.by)}`;
    case "artifact_removed":
      return `artifact ${entry.artifact.slice(0, 12)} removed by retention`;
    case "targets_archived":
      return `${entry.upTo === "" ? `the names of whom ${entry.deployment} left out` : `the targets of ${entry.deployment} up to ${entry.upTo}`} went to the archive`;
    case "report_accepted":
      return reportText(entry);
  }
}

function rolloutText(entry: RolloutEntry): string {
  switch (entry.kind) {
    case "start_approved":
      return `may begin${becauseText(entry.said)}`;
    case "rollout_started": {
      const machines = entry.plan.waves.reduce((sum, wave) => sum + wave.targets.length, 0);
      return `started: ${counted(machines, "machine")} in ${counted(entry.plan.waves.length, "wave")}, at most ${entry.plan.maxUnavailable} at once`;
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
    case "targets_retried":
      return "all that failed have their turn again";
    case "targets_excused":
      return "all that are unreachable or lost are waited for no longer";
    case "targets_left":
      return `${counted(entry.machines.length, "machine is", "machines are")} skipped${because(entry.reason)}`;
    case "target_joined":
      return `${entry.target.machine} joined later, and has its turn`;
    case "failures_acknowledged":
      return `${acknowledgedText(entry)} of wave ${entry.wave + 1} acknowledged`;
    case "held":
      return entry.hold === null ? "goes on" : `waits for ${entry.hold.message}`;
    case "target_let_go":
      return `${entry.machine} is unreachable, and is waited for no longer`;
    case "promoted":
      return "all gates that are left are skipped";
    case "max_unavailable_changed":
      return `at most ${entry.maxUnavailable} at once from now on`;
    case "gate_reached":
      return `gate ${entry.gate + 1} of wave ${entry.wave + 1} ${entry.isAnew === true ? "is measured anew: the controller has not looked for a while" : "reached"}`;
    case "gate_asked":
      return `gate ${entry.gate + 1} of wave ${entry.wave + 1}: question ${entry.attempt} asked`;
    case "gate_answered":
      return `gate ${entry.gate + 1} of wave ${entry.wave + 1}: ${entry.verdict}${becauseText(entry.said)}`;
    case "gate_opened":
      return `gate ${entry.gate + 1} of wave ${entry.wave + 1} open${becauseText(entry.said)}`;
    case "gate_stopped":
      return `gate ${entry.gate + 1} of wave ${entry.wave + 1} stopped it${becauseText(entry.said)}`;
    case "alarm_asked":
      return `alarm ${entry.alarm + 1}: question ${entry.attempt} asked${entry.isAnew === true ? " anew: the controller has not looked for a while" : ""}`;
    case "alarm_answered":
      return `alarm ${entry.alarm + 1}: ${ALARM_SAYS[entry.verdict]}${becauseText(entry.said)}`;
    case "phase_changed":
      return `${entry.phase.replaceAll("_", " ")}${because(entry.reason)}`;
  }
}

const ALARM_SAYS = { go: "quiet", stop: "active", wait: "undecided", silent: "no answer" } as const;

function reportText({ machine, app, phase, runningVersion, reason }: ReportAccepted): string {
  const running = runningVersion === "" ? "" : ` (runs ${runningVersion})`;
  return `${machine} says ${app} is ${phase}${running}${because(reason)}`;
}

function acknowledgedText({ failures, unreachable }: { readonly failures: number; readonly unreachable: number }): string {
  if (unreachable === 0) return counted(failures, "failure");
  return `${failures === 0 ? "" : `${counted(failures, "failure")} and `}${counted(unreachable, "silent machine")}`;
}

function byText(by: string): string {
  return by === "" ? "" : ` by ${by}`;
}

function becauseText(reason: string): string {
  return reason === "" ? "" : `: ${reason}`;
}

function because(reason: RolloutReason | null): string {
  return reason === null ? "" : `: ${reason.message}`;
}

function labelsText(labels: Readonly<Record<string, string>>): string {
  const pairs = Object.entries(labels).map(([key, value]) => `${key}=${value}`);
  return pairs.length === 0 ? "no labels" : pairs.join(", ");
}
