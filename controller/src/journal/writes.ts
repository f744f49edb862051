/**
 * Every statement that writes a projection, prepared once.
 */
import type { Database, Statement } from "better-sqlite3";
import { FINAL_ANSWERS, HOLDS_BEHIND_WAVES } from "../rollout/state.ts";
import { backDeadlineMs, stopTimeoutMs } from "./back-deadline.ts";
import { leavesOut } from "./standing.ts";

const FINAL_PHASES = FINAL_ANSWERS.map((phase) => `'${phase}'`).join(", ");

/** As `endHoldByMove` in change.ts has it. */
const PROGRESS_AFTER_MOVE = "CASE hold_kind WHEN 'offline' THEN progress_attended + @attended - max(progress_attended, hold_attended) ELSE @attended END";
/** Of an assignment by a deployment: the release is one that was proven before. */
const GOES_BACK = "(@purpose = 'revert' OR coalesce(strategy ->> 'isWayBack', 0))";

export function prepareWrites(db: Database) {
  const statement = (sql: string): Statement => db.prepare(sql);
  return {
    joinMachine: statement(`INSERT INTO machines (id, instance, labels, agent_version, hostname, os, arch, first_seen_at, joined_seq)
      VALUES (@machine, @instance, @labels, @agentVersion, @hostname, @os, @arch, @at, @seq)
      ON CONFLICT (id) DO UPDATE SET instance = @instance, labels = @labels, agent_version = @agentVersion, hostname = @hostname, os = @os, arch = @arch`),
    // What an agent answered that another one has taken the place of, on a disk of its own, is not so any more.
    forgetAnswers: statement("DELETE FROM machine_apps WHERE machine = @machine AND (SELECT instance FROM machines WHERE id = @machine) <> @instance"),
    awaitAnswersAnew: statement("UPDATE assignments SET awaited_attended = @attended WHERE machine = @machine AND (SELECT instance FROM machines WHERE id = @machine) <> @instance"),
    changeAgent: statement("UPDATE machines SET instance = @instance, agent_version = @agentVersion, hostname = @hostname, os = @os, arch = @arch WHERE id = @machine"),
    label: statement("UPDATE machines SET labels = ? WHERE id = ?"),
    // Its targets are part of the deployments' record: they stay, as removed.
    forgetMachine: [
      statement("DELETE FROM machines WHERE id = ?"),
      statement("DELETE FROM machine_apps WHERE machine = ?"),
      statement("DELETE FROM assignments WHERE machine = ?"),
    ],
    awaitAnswersAgain: statement("UPDATE assignments SET awaited_attended = @attended WHERE machine = @machine AND awaited_attended IS NOT NULL"),
    silence: statement("UPDATE machines SET silent_since = @at, silent_attended = @attended WHERE id = @machine"),
    endSilence: statement("UPDATE machines SET silent_since = NULL, heard_attended = @attended WHERE id = @machine"),
    // Since when the machine's final answer is awaited; null: it was given. As `World` has it, which a test holds together with this. Before `reportApp`, since it asks for what was said before.
    awaitAnswer: statement(`UPDATE assignments SET awaited_attended = CASE
        WHEN generation = @generation AND (@phase IN (${FINAL_PHASES}) OR (@phase = 'removed' AND release IS NULL)) THEN NULL
        WHEN generation = @generation AND @phase = 'activating' AND stop_timeout_ms IS NOT NULL
          AND EXISTS (SELECT 1 FROM machine_apps s WHERE s.machine = @machine AND s.app = @app AND s.generation = @generation AND s.phase = 'staged') THEN @attended
        WHEN (generation = @generation AND @phase = 'reverting')
          <> EXISTS (SELECT 1 FROM machine_apps s WHERE s.machine = @machine AND s.app = @app AND s.generation = assignments.generation AND s.phase = 'reverting') THEN @attended
        ELSE coalesce(awaited_attended, @attended) END
      WHERE machine = @machine AND app = @app`),
    reportApp: statement(`INSERT OR REPLACE INTO machine_apps
        (machine, app, generation, phase, reason_code, reason_message, running_version, running_artifact, starts, pid, ports, since, said_attended, unwell_attended)
      VALUES (@machine, @app, @generation, @phase, @reasonCode, @reasonMessage, @runningVersion, @runningArtifact, @starts, @pid, @ports, @at, @attended,
        CASE WHEN @phase <> 'healthy' THEN coalesce((SELECT unwell_attended FROM machine_apps WHERE machine = @machine AND app = @app AND generation = @generation), @attended) END)`),
    // A drain asks for removal too, and keeps it.
    forgetLastGood: statement("UPDATE assignments SET last_good = NULL WHERE machine = @machine AND app = @app AND generation = @generation AND release IS NULL"),
    storeArtifact: statement("INSERT INTO artifacts (digest, file_count, size_bytes, pack_bytes, stored_at) VALUES (?, ?, ?, ?, ?)"),
    createRelease: statement("INSERT INTO releases (id, app, artifact, release, secrets, created_at) VALUES (?, ?, ?, ?, ?, ?)"),
    noteHealthy: statement("UPDATE releases SET healthy_at = @at WHERE id = (SELECT release FROM deployments WHERE id = @id) AND healthy_at IS NULL"),
    signRelease: statement("UPDATE releases SET release = json_set(release, '$.signed', ?) WHERE id = ?"),
    submit: statement(`INSERT INTO deployments (number, id, app, release, strategy, selector, submitted_at, submitted_by, takes_back, progress_attended, alarms)
      VALUES (@number, @id, @app, @release, @strategy, @selector, @at, @by, @takesBack, @attended, @alarms)`),
    approveStart: statement("UPDATE deployments SET start_approved = 1 WHERE id = ?"),
    startDeployment: statement(`UPDATE deployments SET phase = 'rolling', reason_code = NULL, reason_message = NULL, started_at = @at, start_seq = @seq, progress_attended = @attended,
      max_unavailable = @maxUnavailable, unchanged = @unchanged, notes = @notes, lanes = @lanes, changed_attended = CASE WHEN @hasTargets THEN @attended END WHERE id = @id`),
    // Somebody wants the release there after all. The first question is about no machine, and mostly answered with no.
    keepRelease: statement(`UPDATE assignments SET kept_seq = @seq FROM deployments me
      WHERE me.id = @id AND EXISTS (SELECT 1 FROM deployments d WHERE d.app = me.app AND d.takes_back = me.release)
        AND assignments.app = me.app AND assignments.release = me.release AND assignments.machine IN (SELECT value FROM json_each(@unchanged))
        AND EXISTS (SELECT 1 FROM deployments d WHERE d.app = me.app AND d.takes_back = me.release AND d.start_seq > assignments.decided_seq)`),
    noteChanged: statement("UPDATE deployments SET changed_attended = coalesce(changed_attended, @attended) WHERE id = @id"),
    addWave: statement(`INSERT INTO waves (deployment, wave, members, gates, begins_at, after_ms, max_failures, max_unreachable, success_threshold, changed_at, changed_attended)
      VALUES (@id, @wave, @members, @gates, @beginsAt, @afterMs, @maxFailures, @maxUnreachable, @successThreshold, @at, @attended)`),
    // For a machine that joins a rollout that had nobody to change.
    emptyWave: statement(`INSERT INTO waves (deployment, wave, members, gates, after_ms, max_failures, started_at, finished_at, finished_attended, finished_seq, changed_at, changed_attended)
      SELECT @id, 0, '100%', '[]', 0, 0, @at, @at, @attended, @seq, @at, @attended
      WHERE NOT EXISTS (SELECT 1 FROM waves WHERE deployment = @id)`),
    // All of a wave in one statement, in the order of the key: half the time of one by one.
    addTargets: statement(`INSERT INTO targets (deployment, machine, wave, position, lane, since, since_attended, on_trial)
      SELECT @id, value ->> 'machine', @wave, key, value ->> 'lane', @at, @attended, coalesce(value ->> 'onTrial', 0) FROM json_each(@targets) ORDER BY value ->> 'machine'`),
    // What a machine of the name left behind does not go with the name.
    keepGone: statement(`UPDATE waves SET gone_failed = gone_failed + (t.left_as = 'failed'), gone_lost = gone_lost + (t.left_as = 'lost'), gone_known = gone_known + (t.left_as = 'failed' AND t.is_known) FROM targets t
      WHERE t.deployment = @id AND t.machine = @machine AND t.left_as IS NOT NULL AND waves.deployment = t.deployment AND waves.wave = t.wave`),
    // One of its name was left out, and removed since.
    leaveOutNoMore: statement(`UPDATE deployments SET unchanged = (SELECT json_group_array(value) FROM json_each(unchanged) WHERE value <> @machine) WHERE id = @id AND ${leavesOut("deployments", "@machine")}`),
    // Of a machine that was a target before, the wave and the position stay, and all else begins anew. Those that are in the archive have left gaps between the others.
    joinTarget: statement(`INSERT OR REPLACE INTO targets (deployment, machine, wave, position, lane, since, since_attended)
      SELECT @id, @machine, coalesce(o.wave, w.wave), coalesce(o.position, (SELECT coalesce(max(position) + 1, 0) FROM targets t WHERE t.deployment = @id AND t.wave = w.wave)), @lane, @at, @attended
      FROM waves w LEFT JOIN targets o ON o.deployment = @id AND o.machine = @machine
      WHERE w.deployment = @id ORDER BY w.wave DESC LIMIT 1`),
    enterWave: statement("UPDATE deployments SET wave = @wave, progress_attended = @attended WHERE id = @id"),
    startWave: statement("UPDATE waves SET started_at = @at WHERE deployment = @id AND wave = @wave"),
    finishWave: statement("UPDATE waves SET finished_at = @at, finished_attended = @attended, finished_seq = @seq WHERE deployment = @id AND wave = @wave"),
    touchWave: statement(`UPDATE waves SET changed_at = @at, changed_attended = @attended WHERE deployment = @id AND wave = (SELECT wave FROM targets WHERE deployment = @id AND machine = @machine)
      AND @state NOT IN ('removed', 'skipped', 'reverting') AND (success_threshold IS NULL OR @state NOT IN ('pending', 'updating', 'healthy'))`),
    letGo: statement(`UPDATE targets SET let_go = CASE WHEN state = 'unreachable' THEN @why END, left_as = CASE WHEN left_as = 'lost' AND @why = 'excused' THEN 'excused' ELSE left_as END,
      is_known = is_known AND (@why <> 'excused' OR state = 'failed' OR left_as IS 'failed')
      WHERE deployment = @id AND machine = @machine`),
    // The same as one change after another, for as many as there are.
    touchWavesOfFailed: statement(`UPDATE waves SET changed_at = @at, changed_attended = @attended WHERE deployment = @id AND success_threshold IS NULL
      AND EXISTS (SELECT 1 FROM targets t WHERE t.deployment = waves.deployment AND t.wave = waves.wave AND t.state = 'failed')`),
    retryFailed: statement(`UPDATE targets SET state = 'pending', purpose = NULL, since = @at, since_attended = @attended, let_go = NULL, left_as = NULL, is_known = 0, reason_code = NULL, reason_message = NULL,
      first_told = 0, was_healthy = 0 WHERE deployment = @id AND state = 'failed'`),
    excuseLost: statement(`UPDATE targets SET let_go = CASE WHEN state = 'unreachable' THEN 'excused' END, left_as = CASE WHEN left_as = 'lost' THEN 'excused' ELSE left_as END,
      is_known = is_known AND left_as IS 'failed'
      WHERE deployment = ? AND (left_as = 'lost' OR (state = 'unreachable' AND (let_go IS NULL OR (let_go <> 'excused' AND (purpose = 'update' OR (purpose IS NULL AND reason_code = 'silent' AND (first_told > 0 OR (on_trial AND attempts = 0))))))))`),
    leaveTargets: statement(`UPDATE targets SET state = 'skipped', purpose = NULL, since = @at, since_attended = @attended, let_go = NULL, left_as = NULL, is_known = 0,
      confirmed_seq = coalesce(confirmed_seq, CASE WHEN state = 'healthy' THEN (SELECT finished_seq FROM waves w WHERE w.deployment = @id AND w.wave = targets.wave) END),
      reason_code = @reasonCode, reason_message = @reasonMessage
      WHERE deployment = @id AND machine IN (SELECT value FROM json_each(@machines))`),
    gates: statement("SELECT gates FROM waves WHERE deployment = ? AND wave = ?").pluck(),
    setGates: statement("UPDATE waves SET gates = ? WHERE deployment = ? AND wave = ?"),
    alarms: statement("SELECT alarms FROM deployments WHERE id = ?").pluck(),
    setAlarms: statement("UPDATE deployments SET alarms = ? WHERE id = ?"),
    hold: statement(`UPDATE deployments SET hold_since = CASE WHEN hold_kind IS @kind THEN hold_since ELSE @at END,
      hold_attended = CASE WHEN hold_kind IS @kind THEN hold_attended ELSE @attended END, hold_kind = @kind, hold_message = @message, hold_until = @until,
      progress_attended = CASE WHEN @kind = 'offline' AND hold_kind IS NOT NULL AND hold_kind <> 'offline' THEN @attended ELSE progress_attended END WHERE id = @id`),
    endHold: statement(`UPDATE deployments SET hold_kind = NULL, hold_message = NULL, hold_since = NULL, hold_attended = NULL, hold_until = NULL, progress_attended = @attended WHERE id = @id AND hold_kind IS NOT NULL`),
    // What stands behind a wave with a success threshold is waited for beside those on the move.
    endHoldByMove: statement(`UPDATE deployments SET hold_kind = NULL, hold_message = NULL, hold_since = NULL, hold_attended = NULL, hold_until = NULL, progress_attended = ${PROGRESS_AFTER_MOVE} WHERE id = @id AND hold_kind IS NOT NULL
      AND NOT (hold_kind IN (${HOLDS_BEHIND_WAVES.map((kind) => `'${kind}'`).join(", ")})
        AND EXISTS (SELECT 1 FROM waves w WHERE w.deployment = @id AND w.wave = deployments.wave AND w.success_threshold IS NOT NULL))`),
    promote: statement("UPDATE deployments SET promoted = 1 WHERE id = ?"),
    setMaxUnavailable: statement("UPDATE deployments SET max_unavailable = ? WHERE id = ?"),
    // Decided when the deployment, or its rollback, began. What a drain gives back decides nothing new: the machine is still its deployment's.
    assign: statement(`INSERT OR REPLACE INTO assignments
        (machine, app, generation, deployment, release, min_healthy_time_ms, healthy_deadline_ms, progress_deadline_ms, stop_timeout_ms, labels, last_good, as_late, brought_by, decided_seq, good_seq, awaited_attended)
      SELECT @machine, @app, @seq, @id, @release, strategy ->> 'minHealthyTimeMs',
             CASE WHEN ${GOES_BACK} THEN ${backDeadlineMs("strategy ->> 'healthyDeadlineMs'", "@app", "@release")} ELSE strategy ->> 'healthyDeadlineMs' END, strategy ->> 'progressDeadlineMs',
             CASE WHEN ${GOES_BACK} THEN ${stopTimeoutMs("d.release", "d.takes_back", "(SELECT a.release FROM assignments a WHERE a.machine = @machine AND a.app = @app)")} END,
             coalesce((SELECT labels FROM machines m WHERE m.id = @machine), '{}'), @lastGood, @asLate, @broughtBy, coalesce(CASE WHEN @purpose = 'revert' AND phase NOT IN ('rolling', 'paused', 'succeeded') THEN back_seq ELSE start_seq END, @seq),
             (SELECT CASE WHEN @lastGood IS NULL THEN NULL WHEN @purpose = 'revert' THEN (SELECT t.previous_seq FROM targets t WHERE t.deployment = @id AND t.machine = @machine) WHEN a.release IS @lastGood AND a.release IS (SELECT g.release FROM deployments g WHERE g.id = a.deployment) THEN a.decided_seq ELSE a.good_seq END
              FROM assignments a WHERE a.machine = @machine AND a.app = @app), @attended
      FROM deployments d WHERE id = @id`),
    giveBack: statement("UPDATE assignments SET as_late = CASE WHEN release IS @release THEN as_late ELSE @asLate END, kept_seq = CASE WHEN release IS @release THEN kept_seq END, brought_by = @broughtBy, release = @release WHERE machine = @machine AND app = @app"),
    // What a drain leaves was confirmed there, or is gone back to.
    renewAssignment: statement(`UPDATE assignments SET generation = @seq, awaited_attended = @attended, labels = (SELECT labels FROM machines m WHERE m.id = @machine),
      healthy_deadline_ms = ${backDeadlineMs("healthy_deadline_ms", "@app", "assignments.release")},
      stop_timeout_ms = ${stopTimeoutMs("assignments.release", "(SELECT d.release FROM deployments d WHERE d.id = assignments.deployment)")}
      WHERE machine = @machine AND app = @app`),
    assignTarget: statement(`UPDATE targets SET purpose = @purpose, previous = @previous, previous_as_late = @isAsLate, previous_seq = CASE WHEN attempts = 0 THEN (SELECT a.good_seq FROM assignments a JOIN deployments d ON d.id = a.deployment WHERE a.machine = @machine AND a.app = d.app AND d.id = @id) ELSE previous_seq END, taken_down = CASE WHEN @purpose = 'update' THEN NULL WHEN @isTakenDown THEN 'going' ELSE taken_down END, generation = @seq, attempts = attempts + 1, first_told = CASE WHEN first_told = 0 AND @purpose = 'update' THEN @seq ELSE first_told END, state = @state, since = @at,
      since_attended = @attended, let_go = NULL, left_as = NULL, is_known = 0, confirmed_seq = NULL,
      reason_code = @reasonCode, reason_message = @reasonMessage WHERE deployment = @id AND machine = @machine`),
    changeTarget: statement(`UPDATE targets SET state = @state, first_told = CASE WHEN @state = 'pending' AND state IN ('failed', 'updating', 'healthy') THEN 0 ELSE first_told END,
      was_healthy = CASE WHEN @state = 'healthy' THEN 1 WHEN @state = 'pending' AND state IN ('failed', 'updating', 'healthy') THEN 0 ELSE was_healthy END, since = @at, since_attended = @attended, let_go = @letGo, left_as = @leftAs,
      is_known = is_known AND CASE WHEN state = 'failed' OR left_as = 'failed' THEN @state = 'failed' OR @leftAs IS 'failed' ELSE @leftAs IS 'lost' END,
      confirmed_seq = coalesce(confirmed_seq, CASE
        WHEN state = 'healthy' THEN (SELECT finished_seq FROM waves w WHERE w.deployment = @id AND w.wave = targets.wave)
        WHEN @state = 'healthy' AND purpose = 'update' AND (SELECT finished_seq FROM waves w WHERE w.deployment = @id AND w.wave = targets.wave) IS NOT NULL THEN @seq END),
      reason_code = @reasonCode, reason_message = @reasonMessage,
      taken_down = CASE WHEN taken_down IS NULL THEN NULL WHEN @state = 'failed' AND purpose = 'revert' THEN 'stuck' WHEN @state = 'reverted' AND @reasonCode IS NOT 'cordoned' THEN 'back' ELSE taken_down END,
      runs = coalesce(@runs, runs), purpose = CASE WHEN @state IN ('pending', 'skipped', 'removed') THEN NULL ELSE purpose END
      WHERE deployment = @id AND machine = @machine`),
    progress: statement("UPDATE deployments SET progress_attended = ? WHERE id = ?"),
    acknowledge: statement("UPDATE waves SET gone_known = gone_failed, gone_lost = CASE WHEN @isGoneExcused THEN 0 ELSE gone_lost END WHERE deployment = @id AND wave = @wave"),
    // As `isCounted` has it.
    knowTargets: statement(`UPDATE targets SET is_known = 1 WHERE deployment = @id AND wave = @wave AND (state = 'failed' OR left_as = 'failed'
      OR (NOT @areSilentLeft AND (left_as = 'lost' OR (state = 'unreachable' AND let_go IS NOT 'excused' AND (let_go IS NOT NULL OR (SELECT strategy ->> '$.offline.kind' FROM deployments WHERE id = @id) = 'skip')))))`),
    changePhase: statement(`UPDATE deployments SET phase = @phase, back_seq = coalesce(@backSeq, back_seq), progress_attended = @attended, ended_at = @endedAt, ended_attended = @endedAttended, reason_code = @reasonCode, reason_message = @reasonMessage,
      hold_kind = NULL, hold_message = NULL, hold_since = NULL, hold_attended = NULL, hold_until = NULL WHERE id = @id`),
    tryBackAgain: statement("UPDATE targets SET purpose = CASE WHEN state = 'failed' AND purpose = 'revert' THEN NULL ELSE purpose END, taken_down = NULL WHERE deployment = ? AND (taken_down IS NOT NULL OR (state = 'failed' AND purpose = 'revert'))"),
    cordon: statement("UPDATE machines SET cordoned_at = @at, cordoned_by = @by, cordon_reason = @reason, drained = @drained WHERE id = @machine"),
    uncordon: statement("UPDATE machines SET cordoned_at = NULL, cordoned_by = NULL, cordon_reason = NULL, drained = 0 WHERE id = ?"),
    setBudget: statement("INSERT INTO budgets (selector, max_unavailable, set_by) VALUES (?, ?, ?) ON CONFLICT (selector) DO UPDATE SET max_unavailable = excluded.max_unavailable, set_by = excluded.set_by"),
    removeBudget: statement("DELETE FROM budgets WHERE selector = ?"),
    addFreeze: statement("INSERT INTO freezes (number, from_at, until_at, reason, set_by) VALUES (@number, @from, @until, @reason, @by)"),
    endFreeze: statement("UPDATE freezes SET until_at = max(from_at, @at) WHERE number = @number"),
    setRetention: statement(`INSERT OR REPLACE INTO retention (only, keep, keep_for_ms, steps_for_ms) VALUES (1, @keep, @keepForMs, @stepsForMs)`),
    removeArtifact: statement("DELETE FROM artifacts WHERE digest = ?"),
  };
}
