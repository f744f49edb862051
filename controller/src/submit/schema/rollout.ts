/**
 * What a deployment file may say of the rollout: which machines, in which steps, when, how many at once, and what to do when it goes wrong.
 */
import { z } from "zod";
import { explainMap, explainText, explainWhole } from "../explain.ts";
import { COUNT_MAX } from "../size.ts";
import { alarms } from "./alarm.ts";
import { gates } from "./gate.ts";
import { choice, DEADLINE_MAX, duration, instant, LABEL_KEY, says, selector, size, text, tolerance, whole } from "./leaf.ts";
import { Order } from "./order.ts";
import { Offline, Promotion, Window } from "./schedule.ts";
import { Waves } from "./wave.ts";

/** Each is counted by itself with every step. */
const LABELS_MAX = 16;
const PRIORITY_MAX = 100;

const labelRule = {
  pattern: LABEL_KEY,
  what: "a label's name",
  example: "zone",
  rule: "letters, digits, ., _ and -, beginning and ending with a letter or digit, for example zone",
  nearest: (found: string) => /^([^=!\s]+)\s*!?=/.exec(found)?.[1],
};

const saysPerLabel = says(explainWhole("a number of machines", { min: 1, max: COUNT_MAX }));
const MaxUnavailablePer = z
  .record(
    z.string().regex(LABEL_KEY, says(explainText(labelRule))),
    z.int(saysPerLabel).min(1, saysPerLabel).max(COUNT_MAX, saysPerLabel),
    says(explainMap("labels, and how many targets that share a value of each", "{ zone: 2 }")),
  )
  .refine((labels) => Object.keys(labels).length <= LABELS_MAX, `more than ${LABELS_MAX} labels`)
  .prefault({})
  .meta({
    description: "By label: how many targets that share a value of it may be unavailable at once.",
    examples: [{ zone: 2 }],
    maxProperties: LABELS_MAX,
  });

export const Rollout = z.strictObject(
  {
    targets: selector().meta({
      description: 'Label selector of the machines: role=web,env in (prod,staging),!canary. "" selects every machine.',
      examples: ["role=web", "role=web,env in (prod,staging)"],
    }),
    waves: Waves.prefault([1, "25%", "100%"]).meta({
      description: "Who may be changed before the next gate: sizes, cumulative and rising, or maps of size or targets and more; the last is 100%.",
      examples: [[1, "25%", "100%"], [{ targets: "canary=true" }, { size: "10%", soak: "5m", approve: true }, "100%"]],
    }),
    gates: gates().meta({ description: "Asked after every wave; all must open.", examples: [[{ webhook: { url: "https://ci.example.com/gate" } }]] }),
    alarms: alarms().meta({
      description: "Asked for as long as the rollout goes forward; each must be quiet before anybody is changed, and stops the rollout when it goes off.",
      examples: [[{ prometheus: { url: "http://prometheus:9090", query: "error_rate", max: 0.01 } }]],
    }),
    max_unavailable: size().prefault("25%").meta({ description: "How many targets may be unavailable at once, whatever made them so: changing, unhealthy, drained, not heard.", examples: [5, "20%"] }),
    max_unavailable_per: MaxUnavailablePer,
    spread: text(labelRule).optional().meta({ description: "Label of which only targets of one value may be changing at a time.", examples: ["zone"] }),
    order: Order.optional().meta({
      description: "Who comes into the first waves, and starts first in them: id, shuffle, a label, or a list of these; - before it reverses.",
      examples: ["-id", "shuffle", ["-zone", "id"]],
    }),
    min_healthy_time: duration("min_healthy_time", 0, DEADLINE_MAX)
      .prefault("10s")
      .meta({ description: "Healthy without a break for so long; a restart starts it again. Shorter than healthy_deadline.", examples: ["30s"] }),
    healthy_deadline: duration("healthy_deadline", 0, DEADLINE_MAX)
      .prefault("5m")
      .meta({ description: "Per target, from its first step to healthy; one that gives no answer fails, too. Shorter than progress_deadline.", examples: ["2m"] }),
    progress_deadline: duration("progress_deadline", 0, DEADLINE_MAX)
      .prefault("10m")
      .meta({ description: "No target newly healthy for so long, time that a gate is waited for and time without the controller not counted: the rollout fails.", examples: ["10m"] }),
    max_failures: tolerance()
      .prefault(0)
      .meta({ description: "Failed targets that a wave may have: a count, or a percentage of the wave.", examples: [0, "5%"] }),
    max_unreachable: tolerance()
      .optional()
      .meta({ description: "Unreachable targets that a wave may have: a count, or a percentage of the wave. Without it any number that were silent from the start, and one or a tenth of those that took the release.", examples: [3, "10%"] }),
    offline: Offline.prefault("skip").meta({ description: "What a wave does about machines that are not heard: skip, wait, or wait:30m.", examples: ["skip", "wait", "wait:30m"] }),
    late_joiners: choice("what to do about machines that join later", ["deploy", "ignore"])
      .prefault("deploy")
      .meta({ description: "Whether machines that match later get the release once it has succeeded, while it is healthy where it runs." }),
    window: Window.optional().meta({ description: "Recurring times in which targets may be started.", examples: [{ cron: "0 2 * * 1-5", duration: "4h" }] }),
    start: choice("how the rollout begins", ["auto", "manual"])
      .prefault("auto")
      .meta({ description: "Whether the rollout begins by itself, or when somebody starts it with muster approve." }),
    start_at: instant("when the rollout begins")
      .optional()
      .meta({ description: "The rollout begins not before: RFC 3339, with a time zone.", examples: ["2026-12-01T08:00:00Z"] }),
    after: Promotion.optional().meta({
      description: "The rollout begins when another deployment has succeeded and stood for a while.",
      examples: [{ deployment_of: "shop-web", targets: "env=staging", soak: "1h" }],
    }),
    priority: whole("a priority", -PRIORITY_MAX, PRIORITY_MAX).prefault(0).meta({ description: "Higher goes first where rollouts wait for the same: -100 to 100." }),
    on_failure: choice("what to do on failure", ["rollback", "pause", "abort"])
      .prefault("rollback")
      .meta({ description: "What a failed rollout does: take the targets back, stop and wait, or leave all as it is." }),
    on_conflict: choice("what to do on conflict", ["queue", "supersede"])
      .prefault("queue")
      .meta({ description: "When the app is being deployed already: wait for that, or take its place." }),
  },
  says(explainMap("which machines, and how to go through them", "{ targets: role=web }")),
);
