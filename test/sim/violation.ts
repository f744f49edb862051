/**
 * The names of all that must hold, and what is thrown when one of them does not.
 */
export const INVARIANTS = [
  // Held against the hosts, and against what people ordered.
  "window_holds", // a change never takes an app down where max_unavailable, over all rollouts, has no room: not serving is not serving, whoever caused it
  "lanes_hold", // nor where max_unavailable_per or spread have none
  "budgets_hold", // nor where the budget of a group has none, over all apps
  "cause_confirmed", // a rollout stops, pauses or goes back for what a person ordered, the outside world said, or the hosts show
  "on_failure_as_asked", // and then it does what on_failure says
  "failures_stop", // what failed on more hosts than allowed stops the rollout soon after the hosts know of it, and so do more hosts that are not heard than allowed
  "soak_watched", // a soak passes only while the controller watches, and every host of its wave serves or is let go, and not when all that took it were drained
  "gates_hold", // approvals, webhooks and metrics open their gate when they were really given
  "wave_order", // nobody of a wave is changed before the gates of those before it are open
  "killer_contained", // a release that takes its hosts with it comes no further than its wave
  "going_back_restores", // going back gives a host what really ran well there before
  "broken_first", // going back begins with what is down
  "dead_goes_back", // a release that was never confirmed is not left dead where another one ran well
  "taken_back_stays", // a release comes not again to a host from which it was taken back, but by a new decision of a person
  "newest_decides", // nor anything in the tail of a deployment when a newer one is for it
  "taken_back_is_gone", // and at rest runs nowhere, whatever took the place of the rollback, unless something newer was decided there or a person aborted it
  "catch_up_waits", // nor to late hosts while it fails where it already runs
  "outcome_confirmed", // an outcome says no more than the hosts confirm
  "healthy_time_kept", // no wave is passed, and no rollout succeeds, with a host whose app has not answered well without a break for min_healthy_time
  "healthy_deadline_kept", // a host gives up what is not healthy when healthy_deadline has passed: no earlier where nothing has gone wrong, and not much later
  "answers_awaited", // nor does the controller give up a host that is heard and says nothing before healthy_deadline has passed, or much later
  "lost_awaited", // a host that is lost is waited for as long as offline says, and not much longer
  "started_again", // a program that should run is started again, whatever ended it
  "silence_found", // silence is found within its bound, and nobody is called silent who is heard, whatever the clocks do
  "rest_stays", // a fleet at rest stays at rest
  "good_succeeds", // a good release on hosts that can be reached succeeds, and runs there
  "bad_contained", // a bad one comes no further than its canary, and is taken back
  "begins_in_time", // nothing begins before its time, before what it is promoted from, or before somebody starts it where that is asked for
  "begins_when_due", // what waits for nothing but a release to stand begins when that has stood for as long as it asks for
  "priority_first", // of those that could begin the one with the highest priority does
  "late_as_asked", // a machine that comes late gets nothing where late_joiners says so
  "closed_is_still", // a freeze, or a window that is closed, changes nothing
  "cordoned_is_left", // a machine that is cordoned is not changed
  "unmatched_is_left", // nor one whose labels its deployment does not select any more
  "paused_is_still", // nor anybody by a rollout that is paused or has ended
  "alarms_stop", // nobody is changed before each alarm was quiet; one that goes off stops the rollout
  "one_of_an_app", // at most one rollout of an app is under way
  "waves_as_asked", // a plan has the waves of the file: so many machines, those that are named, and nobody but in the first wave who runs the release already
  "in_order", // a plan puts machines in the order that its strategy asks for
  "removed_is_left", // a machine that was removed is told nothing, and is in the way of no rollout
  "labels_are_given", // a machine's labels are those that it joined with, and then what operators say
  "orders_were_given", // what the journal holds as an order, somebody gave
  "runs_what_was_named", // a host runs nothing that was not decided for it
  "converges", // without faults every host comes to what it was assigned last
  "catches_up", // and those that were passed over get what they missed
  // Held against the journal itself.
  "generation_rises", // neither the journal nor a host goes back in generation
  "generation_says_one_thing", // whoever asks for the assignment of one generation, whenever, gets the same
  "taken_in_whole", // nothing follows from a part of what came to the controller together
  "acknowledged_is_stored", // no report is acknowledged that is not in the journal
  "counts_add_up", // each target is in one state, and the counts say so
  "memory_is_tables", // what the engine holds in memory is what the tables hold
  "replay_is_tables", // the journal alone gives the same tables
  "waits_for_something", // a rollout that has not ended says what it waits for
  "ends", // without faults every rollout ends
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
