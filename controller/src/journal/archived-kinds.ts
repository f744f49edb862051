/**
 * Which rows of the journal leave the database when they are old: the steps of deployments and what agents said. What people did, and how each deployment began and ended,
 * is little and stays: lists, queues and the story of a machine's membership are told from it.
 */
import type { EntryKind } from "./entry.ts";

/** True: it stays. Every kind once, or it does not compile. */
const STAYS: Readonly<Record<EntryKind, boolean>> = {
  machine_joined: true,
  agent_changed: false,
  machine_labelled: true,
  machine_removed: true,
  machine_silent: false,
  machine_heard: false,
  machine_cordoned: true,
  machine_uncordoned: true,
  machine_revoked: true,
  assignment_renewed: false,
  report_accepted: false,
  artifact_stored: true,
  artifact_removed: true,
  release_created: true,
  release_signed: true,
  retention_set: true,
  budget_set: true,
  budget_removed: true,
  freeze_added: true,
  freeze_ended: true,
  deployment_submitted: true,
  command_accepted: true,
  start_approved: true,
  phase_changed: true,
  promoted: true,
  max_unavailable_changed: true,
  targets_archived: false,
  rollout_started: false,
  wave_started: false,
  wave_finished: false,
  target_assigned: false,
  target_changed: false,
  target_joined: false,
  targets_retried: false,
  targets_excused: false,
  targets_left: false,
  failures_acknowledged: false,
  held: false,
  target_let_go: false,
  gate_reached: false,
  gate_asked: false,
  gate_answered: false,
  gate_opened: false,
  gate_stopped: false,
  alarm_asked: false,
  alarm_answered: false,
};

export function isArchived(kind: EntryKind): boolean {
  return !STAYS[kind];
}

/** For SQL: `'machine_silent', 'machine_heard', …`. */
export const ARCHIVED_KINDS_SQL = (Object.keys(STAYS) as EntryKind[]).filter(isArchived).map((kind) => `'${kind}'`).join(", ");
