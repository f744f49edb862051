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
  "unresolved_name", // a ${…} has no value on this machine
  "revert_failed", // going back failed too
  "agent_restarted", // a step was taken up again after the agent's own restart
  // What the controller says of a target, a rollout or a machine.
  "silent", // nothing heard from the machine for longer than the controller waits
  "unchanged", // it ran the release already
  "failures_exceeded", // more failed targets in a wave than max_failures
  "progress_deadline", // no target newly healthy for progress_deadline
  "operator", // somebody asked for it
  "superseded", // a newer deployment of the same app took its place
  "no_targets", // the selector selects no machine
  "queued", // waits for another deployment of the same app
] as const;

export type ReasonCode = (typeof REASON_CODES)[number];
