/**
 * How a deployment is to be carried out, as its file says it: validated, with every default filled in, and independent of the fleet.
 */
import type { AppName, Instant } from "@muster/proto/ids.ts";

/** A number of machines, or a share of them. */
export type Size = { readonly kind: "count"; readonly count: number } | { readonly kind: "percent"; readonly percent: number };

/** What an unanswered question means: stop the rollout, go on, or ask again for as long as it takes. */
export type OnSilence = "stop" | "go" | "wait";

/** A condition for going on, asked for once every target of a wave has settled. */
export type Gate =
  /** No target of the wave may change for so long. */
  | { readonly kind: "soak"; readonly forMs: number }
  | PrometheusGate
  | WebhookGate
  /** Somebody says go. */
  | { readonly kind: "approval" };

/** One question to a webhook: POSTs what is being rolled out, and reads `go` or `stop`. */
export interface WebhookCheck {
  readonly kind: "webhook";
  readonly url: string;
  readonly timeoutMs: number;
}

/** One measurement of a metric, within its limits or not. */
export interface PrometheusCheck {
  readonly kind: "prometheus";
  /** Of the server: its `/api/v1/query` is asked. */
  readonly url: string;
  readonly query: string;
  readonly max: number | null;
  readonly min: number | null;
  readonly timeoutMs: number;
}

export type Check = WebhookCheck | PrometheusCheck;

/** The first answer decides. */
export interface WebhookGate extends WebhookCheck {
  /** Questions after the first that found no answer. */
  readonly retries: number;
  readonly retryIntervalMs: number;
  readonly onSilence: OnSilence;
}

/** Asks a metric again and again: `count` measurements within the limits open it, more than `failureLimit` outside of them stop the rollout. */
export interface PrometheusGate extends PrometheusCheck {
  readonly intervalMs: number;
  readonly count: number;
  readonly failureLimit: number;
  /** Questions in a row after the first that may find no answer. */
  readonly retries: number;
  readonly onSilence: OnSilence;
}

/** Asked every `intervalMs` for as long as the rollout goes forward: more than `failureLimit` answers `stop` in a row stop the rollout. */
export interface Alarm {
  readonly check: Check;
  readonly intervalMs: number;
  readonly failureLimit: number;
  /** Questions in a row after the first that may find no answer. */
  readonly retries: number;
  /** `go`: whatever it would have said, the rollout goes on. */
  readonly onSilence: Exclude<OnSilence, "wait">;
}

/** Who belongs to a wave: so many of all, counted from the first wave; or those with the labels that are in none yet. */
export type Members = { readonly kind: "size"; readonly size: Size } | { readonly kind: "selector"; readonly selector: string };

export interface WaveSpec {
  readonly members: Members;
  /** In the order in which they are asked for. */
  readonly gates: readonly Gate[];
  /** The wave begins not before. */
  readonly at: Instant | null;
  /** The wave begins not before so long after the one before it was finished; the first: after the rollout began. 0: at once. */
  readonly afterMs: number;
  /** Null: the rollout's. */
  readonly maxFailures: Size | null;
  readonly maxUnreachable: Size | null;
  /** So many healthy targets of the wave are enough for the next to begin; null: it waits until all have settled. */
  readonly successThreshold: Size | null;
}

/** Recurring times in which targets may be started. */
export interface Window {
  /** Five fields: minute, hour, day of month, month, day of week. */
  readonly cron: string;
  readonly durationMs: number;
  /** IANA name. */
  readonly timeZone: string;
}

/** Begins when the newest deployment of another app, or of this release elsewhere, has succeeded and stood for so long. */
export interface Promotion {
  readonly deploymentOf: AppName;
  /** The selector of that deployment, as written. */
  readonly targets: string;
  readonly soakMs: number;
}

/** What decides which of two machines comes first. */
export type OrderKey =
  | { readonly kind: "id"; readonly reversed: boolean }
  /** Whoever lacks the label comes last, reversed or not. */
  | { readonly kind: "label"; readonly label: string; readonly reversed: boolean }
  /** By a chance that the release decides. */
  | { readonly kind: "shuffle" };

export interface Strategy {
  /** The selector as written. */
  readonly targets: string;
  /** Sizes are cumulative and rise; the last is 100%. */
  readonly waves: readonly WaveSpec[];
  /** Asked all the while, and not behind waves alone. */
  readonly alarms: readonly Alarm[];
  /** How many targets may be unavailable at once. */
  readonly maxUnavailable: Size;
  /** Of the targets that share a value of the label, so many may be on the move at once. */
  readonly maxUnavailablePer: readonly { readonly label: string; readonly max: number }[];
  /** Label of which only one value may be on the move at a time. */
  readonly spread: string | null;
  /** Who comes into the first waves, and has the first turns in a wave; where the first key does not decide, the next. Empty: by the lanes' labels, then by id. */
  readonly order: readonly OrderKey[];
  readonly minHealthyTimeMs: number;
  readonly healthyDeadlineMs: number;
  readonly progressDeadlineMs: number;
  /** More failed targets than this in a wave trip `onFailure`. */
  readonly maxFailures: Size;
  /** More unreachable targets than this in a wave trip `onFailure`; null: any number is passed over. */
  readonly maxUnreachable: Size | null;
  /** What a wave does about silent machines; `forMs` null: waits however long. */
  readonly offline: { readonly kind: "skip" } | { readonly kind: "wait"; readonly forMs: number | null };
  /** Whether machines that match later get the release once it has succeeded. */
  readonly lateJoiners: "deploy" | "ignore";
  readonly window: Window | null;
  /** Whether it begins by itself, or when somebody starts it. */
  readonly start: "auto" | "manual";
  readonly startAt: Instant | null;
  readonly after: Promotion | null;
  /** Higher goes first where rollouts wait for the same. Default 0. */
  readonly priority: number;
  readonly onFailure: "rollback" | "pause" | "abort";
  readonly onConflict: "queue" | "supersede";
  /** A person goes back to an older release with it: what holds up an update (a freeze, a spent budget, machines that are lost) holds it up no more than a rollback. Default false. */
  readonly isWayBack?: boolean;
}
