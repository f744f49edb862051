/**
 * Asks what gates and alarms ask of the outside world, one answer to each question. Never rejects, and never decides: what silence means and when to ask
 * again is the engine's.
 *
 * Always holds: at most `ASKING_MAX` questions are under way, the others wait their turn in the order in which they came, and a question's
 * timeout begins with its turn. After `close()` nothing is under way, no connection is open and every question has its verdict: `wait`, since
 * a controller that stops has learned nothing about a release.
 */
import type { Instant } from "@muster/proto/ids.ts";
import { judge, measure } from "./prometheus.ts";
import type { Question, Verdict } from "./verdict.ts";
import { askWebhook } from "./webhook.ts";

/** Enough that one slow server holds up few others, and few enough that the controller is no burden. */
const ASKING_MAX = 16;
/** A question a rollout at a time, so this is more than a controller has rollouts. */
const WAITING_MAX = 1_000;

const CLOSED: Verdict = { kind: "wait", detail: "not asked: the controller is stopping" };
const BUSY: Verdict = { kind: "wait", detail: `not asked: ${WAITING_MAX} questions of other gates are waiting already` };

export class Gatekeeper {
  readonly #now: () => Instant;
  /** Under way; each with its own controller, so that none outlives its question as a listener of another. */
  readonly #asking = new Map<AbortController, Promise<Verdict>>();
  /** Whose turn has not come; each is called when it has, or when there will be none. */
  readonly #waiting: (() => void)[] = [];
  #isClosed = false;

  constructor(now: () => Instant) {
    this.#now = now;
  }

  async ask(question: Question): Promise<Verdict> {
    if (this.#isClosed) return CLOSED;
    if (this.#asking.size < ASKING_MAX) return this.#begin(question);
    if (this.#waiting.length >= WAITING_MAX) return BUSY;
    return new Promise((resolve) => this.#waiting.push(() => resolve(this.#isClosed ? CLOSED : this.#begin(question))));
  }

  /** Ends what is under way. Afterwards questions are answered with `wait`. */
  async close(): Promise<void> {
    this.#isClosed = true;
    const asking = [...this.#asking];
    for (const turn of this.#waiting.splice(0)) turn();
    for (const [controller] of asking) controller.abort();
    await Promise.all(asking.map(([, verdict]) => verdict));
  }

  #begin(question: Question): Promise<Verdict> {
    const controller = new AbortController();
    const verdict = this.#answer(question, controller.signal)
      .catch((error: unknown): Verdict => ({ kind: "silent", detail: `could not be asked: ${error instanceof Error ? error.message : String(error)}` }))
      .finally(() => {
        this.#asking.delete(controller);
        this.#waiting.shift()?.();
      })
      .then((found) => (this.#isClosed && controller.signal.aborted ? CLOSED : found));
    this.#asking.set(controller, verdict);
    return verdict;
  }

  async #answer(question: Question, signal: AbortSignal): Promise<Verdict> {
    const { check, ...about } = question;
    switch (check.kind) {
      case "webhook":
        return askWebhook(check, { ...about, askedAt: this.#now() }, signal);
      case "prometheus": {
        const found = await measure(check, signal);
        switch (found.kind) {
          case "values":
            return judge(check, found.samples);
          case "silent":
            return found;
          case "cancelled":
            return CLOSED;
        }
      }
    }
  }
}
