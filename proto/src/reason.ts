/**
 * The codes of `Reason`: each says one thing, in the journal, in `status -o json` and in messages. Codes are stable; messages are not.
 */
export const REASON_CODES = [
  // What an agent says of a release that failed.
  "exited", // the process ended, and ended again after each restart
  "never_healthy", // a probe was never answered well before healthy_deadline
  "turned_unhealthy", // it was healthy, then it was not
  "artifact_corrupt", // what came is not what the digest names
  "artifact_unavailable", // it could not be fetched before healthy_deadline
  "start_failed", // the command could not be started
  "port_in_use", // a port of the release is taken by somebody else
  "disk_full",
  "io_error", // the agent could not write or read its own directory
  "secret_unavailable", // a secret of the release could not be opened on this machine
  "unresolved_name", // a ${…} has no value on this machine
  "revert_failed", // going back failed too
  "agent_restarted", // a step was taken up again after the agent's own restart
  "unsigned_release", // the machine's trust root asks for signatures that it does not carry
  "bad_signature", // what it carries is no signature of this release
  "trust_expired", // the machine's trust root has expired, so nothing new is believed
  "below_floor", // older than the trust root lets it be
  // What the controller says of a target, a rollout or a machine.
  "unmatched", // its labels do not match the selector of the deployment any more
  "no_answer", // the agent is heard, and gave no final answer to its assignment in time
  "internal", // a fault of the controller itself
  "silent", // nothing heard from the machine for longer than the controller waits
  "not_taken", // the same, and before that it had not said that it has the assignment: so it is not silent because of it
  "cordoned", // an operator keeps rollouts away from the machine
  "removed", // an operator removed the machine from the fleet
  "unchanged", // it ran the release already
  "failures_exceeded", // more failed targets in a wave than max_failures
  "unreachable_exceeded", // more silent targets in a wave than max_unreachable
  "gate_stopped", // a webhook or a metric said stop
  "alarm_active", // an alarm went off, or could not be asked
  "progress_deadline", // no target newly healthy for progress_deadline
  "operator", // somebody asked for it
  "superseded", // a newer deployment of the same app took its place
  "no_targets", // the selector selects no machine
  "queued", // waits for another deployment of the same app
] as const;

export type ReasonCode = (typeof REASON_CODES)[number];

/** Faults of the surroundings and not of the release: the agent tries again, with back-off, until healthy_deadline, and only then has the target failed. Where nothing would run, it tries on. */
const INFRASTRUCTURE_CODES: readonly ReasonCode[] = ["artifact_unavailable", "disk_full", "io_error", "secret_unavailable"];

export function isInfrastructure(code: ReasonCode): boolean {
  return INFRASTRUCTURE_CODES.includes(code);
}
