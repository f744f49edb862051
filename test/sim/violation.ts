/**
 * The names of all that must hold, and what is thrown when one of them does not.
 */
export const INVARIANTS = [
  "window", // a new start never brings more targets under way than max_unavailable, those that are unwell counted
  "lanes", // nor more of one label's value than spread and max_unavailable_per allow
  "budgets", // nor more of a group, over all rollouts
  "in_order", // a plan puts machines in the order that its strategy asks for
  "wave_order", // no target of a wave is touched before the wave before it has settled
  "gates_hold", // and its gates have opened, each for a reason
  "begins_in_time", // nothing begins before its time, before what it is promoted from, or before somebody starts it where that is asked for
  "closed_is_still", // a freeze, or a window that is closed, starts nothing
  "removed_is_left", // a machine that was removed is told nothing and heard no more, and is in the way of no rollout; one that joins under its name is new
  "labels_are_given", // a machine's labels are those that it joined with, and then what operators say
  "cordoned_is_left", // a machine that is cordoned, or silent, is not started on
  "alarms_stop", // nobody is told before each alarm was quiet; one that goes off stops the rollout at once
  "failures_stop", // more failures, or silent machines, than allowed stop the rollout at once
  "ended_is_still", // after its end a rollout touches nobody; while it goes back it tells nobody of the release
  "paused_is_still", // while it is paused a rollout touches nobody
  "one_of_an_app", // at most one rollout of an app is under way
  "runs_what_was_named", // a machine runs nothing that no assignment named
  "generation_rises", // neither the journal nor a machine goes back in generation
  "generation_says_one_thing", // and whoever asks for the assignment of one generation, whenever, gets the same
  "acknowledged_is_stored", // no report is acknowledged that is not in the journal
  "counts_add_up", // each target is in one state, and the counts say so
  "memory_is_tables", // what the engine holds in memory is what the tables hold
  "replay_is_tables", // the journal alone gives the same tables
  "waits_for_something", // a rollout that has not ended says what it waits for
  "ends", // without faults every rollout ends
  "converges", // without faults every machine comes to what it was told last
  "catches_up", // and machines that were passed over have had their turn
  "engine_throws", // the engine throws nothing but faults of its surroundings
  "agent_throws", // nor does an agent
  "spins", // nothing asks for itself again and again without time passing
] as const;
export type Invariant = (typeof INVARIANTS)[number];

export class Violation extends Error {
  readonly invariant: Invariant;

  constructor(invariant: Invariant, what: string, cause?: unknown) {
    super(`${invariant}: ${what}`, { cause });
    this.name = "Violation";
    this.invariant = invariant;
  }
}
