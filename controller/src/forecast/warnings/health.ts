/**
 * Where a bad release would pass, or would stay.
 */
import { durationText, rounded } from "@muster/proto/duration.ts";
import { counted } from "@muster/proto/text.ts";
import { canBeNoticed, slowestFailureMs } from "../inputs.ts";
import { BREAKS_AFTER_MS } from "../world.ts";
import { type Facts, namesText, wavesText } from "./facts.ts";

/** A stop_timeout that somebody has asked for: by default it is 10 s, which few need. */
const STOP_MS_NOTED = 10_001;

export function healthWarnings(facts: Facts): readonly string[] {
  return [...probes(facts), ...tooShort(facts), ...breaksLater(facts), ...takesMachine(facts), ...deadlines(facts), ...failures(facts), ...stays(facts), ...noWayBack(facts)];
}

function probes({ inputs: { release } }: Facts): readonly string[] {
  if (release.health.length > 0) return [];
  return [
    canBeNoticed(release)
      ? "the release has no probe: only a process that ends is found out, one that hangs or answers with errors is not"
      : "the release has no probe and no process: nothing can find out that it is bad, so no rollout of it is ever stopped",
  ];
}

/** A probe needs failures in a row; what goes on before they have come goes on blindly. */
function tooShort({ inputs: { release, strategy }, plan }: Facts): readonly string[] {
  const failsMs = slowestFailureMs(release.health);
  const soaks = plan.waves.slice(0, -1).map(({ gates }) => Math.max(0, ...gates.map((gate) => (gate.kind === "soak" ? gate.forMs : 0))));
  const needs = `a probe needs ${durationText(failsMs)} to find out that the release is bad (unhealthy_after × interval)`;
  const soakTooShort = soaks.flatMap((soakMs, index) => (soakMs > 0 && soakMs < failsMs ? [index] : []));
  const blind = soaks.flatMap((soakMs, index) => (soakMs === 0 && strategy.minHealthyTimeMs < failsMs ? [index] : []));
  return [
    ...(soakTooShort.length === 0 ? [] : [`the soak of ${wavesText(soakTooShort)} is over before a bad release is found out: ${needs}`]),
    ...(blind.length === 0 ? [] : [`${wavesText(blind)} may be passed before a bad release is found out: ${needs}, min_healthy_time is ${durationText(strategy.minHealthyTimeMs)} and there is no soak`]),
  ];
}

function breaksLater({ inputs: { release }, plan, targets, breaksLater: { maxOnBadRelease } }: Facts): readonly string[] {
  const changeable = targets.filter(({ silent, cordoned }) => !silent && !cordoned).length;
  if (!canBeNoticed(release) || changeable < 2 || maxOnBadRelease < changeable) return [];
  const wayOut = lostWaves(plan).length > 0 ? "allow fewer failures" : "soak longer or use smaller waves";
  return [`a release that breaks after ${durationText(BREAKS_AFTER_MS)} would reach all ${counted(changeable, "machine")}: ${wayOut}`];
}

/** A machine that is lost is noticed when it was not heard for so long; what passes before then has learned nothing of it. */
function takesMachine({ inputs: { silentAfterMs }, plan: { waves } }: Facts): readonly string[] {
  const blind = waves.slice(0, -1).flatMap(({ gates }, index) => {
    const soakMs = Math.max(waves[index + 1]!.afterMs, ...gates.map((gate) => (gate.kind === "soak" ? gate.forMs : 0)));
    return soakMs > silentAfterMs ? [] : [index];
  });
  if (blind.length === 0) return [];
  const [they, have] = blind.length === 1 ? ["it", "has"] : ["they", "have"];
  return [`${wavesText(blind)} ${have} no soak longer than ${durationText(silentAfterMs)} (silent-after): a release that takes its machine with it after the soak is not noticed before ${they} ${blind.length === 1 ? "has" : "have"} passed`];
}

function deadlines({ inputs: { app, history, strategy }, pace }: Facts): readonly string[] {
  const { healthyDeadlineMs, progressDeadlineMs, minHealthyTimeMs } = strategy;
  const slowest = pace.slowWorkMs + minHealthyTimeMs;
  const isKnown = history.workMs.length > 0;
  // Where nothing is known it is the file's own times alone that exceed it, and no guess.
  const from = isKnown
    ? `one in ten updates of ${app} takes ${durationText(rounded(slowest))} until it is healthy`
    : `until it is healthy a machine needs about ${durationText(pace.probingMs)} for its probes and ${durationText(minHealthyTimeMs)} of min_healthy_time`;
  return [
    ...(slowest > healthyDeadlineMs ? [`${from}, and healthy_deadline is ${durationText(healthyDeadlineMs)}: good releases ${isKnown ? "would" : "may"} fail`] : []),
    ...(history.stopTimeoutMs >= Math.max(healthyDeadlineMs, STOP_MS_NOTED)
      ? [`healthy_deadline (${durationText(healthyDeadlineMs)}) counts the end of what runs now, which may take its stop_timeout of ${durationText(history.stopTimeoutMs)}: where it does, a good release fails`]
      : []),
    ...(progressDeadlineMs < healthyDeadlineMs
      ? [`progress_deadline (${durationText(progressDeadlineMs)}) is shorter than healthy_deadline (${durationText(healthyDeadlineMs)}): the rollout gives up before a machine does`]
      : []),
  ];
}

function failures({ plan }: Facts): readonly string[] {
  const lost = lostWaves(plan);
  if (lost.length === 0) return [];
  return [`max_failures lets every machine of ${wavesText(lost)} fail, and the rollout goes on`];
}

function lostWaves({ waves }: Facts["plan"]): readonly number[] {
  return waves.flatMap(({ maxFailures, targets }, index) => (maxFailures >= targets.length ? [index] : []));
}

function stays({ inputs: { strategy } }: Facts): readonly string[] {
  switch (strategy.onFailure) {
    case "rollback":
      return [];
    case "pause":
      return ["on_failure: pause leaves the machines that were changed with the release until somebody takes it back"];
    case "abort":
      return ["on_failure: abort leaves the machines that were changed with the release, and ends the rollout"];
  }
}

function noWayBack({ inputs: { app }, targets }: Facts): readonly string[] {
  const first = targets.filter(({ lastGood }) => lastGood === null);
  if (first.length === 0) return [];
  const who = first.length === targets.length ? "no machine has" : `${counted(first.length, "machine")} (${namesText(first.map(({ id }) => id))}) never`;
  return [`${who} had a good release of ${app}: taking this one back there removes ${app}`];
}
