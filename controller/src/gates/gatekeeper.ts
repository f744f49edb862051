/**
 * Asks what gates and alarms ask of the outside world, one answer to each question. Never rejects, and never decides: what silence means and when to ask
 * again is the engine's.
 *
 * Always holds: each deployment has places of its own, and waits for no question of another while there are any left of all; its questions take their turn in the order in which they came, and a
 * question's timeout begins with its turn. After `close()` nothing is under way, no connection is open and every question has its verdict: `wait`, since
 * a controller that stops has learned nothing about a release.
 */
import type { DeploymentId, Instant } from "@muster/proto/ids.ts";
import { judge, measure } from "./prometheus.ts";
import type { Question, Verdict } from "./verdict.ts";
import { askWebhook } from "./webhook.ts";

/** Of one deployment. It asks a gate and at most 16 alarms at a time; the rest are questions that hang since before a pause. */
const ASKING_MAX_EACH = 32;
/** Of all deployments: connections. More than that many rollouts whose servers all hang would need. */
const ASKING_MAX = 1_024;
/** Of one deployment. It would have to be paused and resumed again and again while its servers hang. */
const WAITING_MAX_EACH = 128;

const CLOSED: Verdict = { kind: "wait", detail: "not asked: the controller is stopping" };
const BUSY: Verdict = { kind: "wait", detail: `not asked: ${WAITING_MAX_EACH} questions of this deployment are waiting already` };

/** The questions of one deployment. */
interface Desk {
  asking: number;
  /** Whose turn has not come; each is called when it has, or when there will be none. */
  readonly waiting: (() => void)[];
}

export class Gatekeeper {
  readonly #now: () => Instant;
  readonly #askingMax: number;
  /** Under way; each with its own controller, so that none outlives its question as a listener of another. */
  readonly #asking = new Map<AbortController, Promise<Verdict>>();
  /** Of deployments that ask anything. */
  readonly #desks = new Map<DeploymentId, Desk>();
  #isClosed = false;

  /** `askingMax`: questions under way, of all deployments together. */
  constructor(now: () => Instant, askingMax = ASKING_MAX) {
    this.#now = now;
    this.#askingMax = askingMax;
  }

  async ask(question: Question): Promise<Verdict> {
    if (this.#isClosed) return CLOSED;
    const desk = this.#deskOf(question.deployment);
    if (desk.waiting.length >= WAITING_MAX_EACH) return BUSY;
    const { promise, resolve } = Promise.withResolvers<Verdict>();
    desk.waiting.push(() => resolve(this.#isClosed ? CLOSED : this.#begin(question, desk)));
    this.#takeTurns();
    return promise;
  }

  /** Ends what is under way. Afterwards questions are answered with `wait`. */
  async close(): Promise<void> {
    this.#isClosed = true;
    const asking = [...this.#asking];
    for (const { waiting } of this.#desks.values()) for (const turn of waiting.splice(0)) turn();
    for (const [controller] of asking) controller.abort();
    await Promise.all(asking.map(([, verdict]) => verdict));
  }

  #deskOf(deployment: DeploymentId): Desk {
    const known = this.#desks.get(deployment);
    if (known !== undefined) return known;
    const desk: Desk = { asking: 0, waiting: [] };
    this.#desks.set(deployment, desk);
    return desk;
  }

  /** As long as there is a place, for the deployment that has the fewest. O(deployments that ask) each. */
  #takeTurns(): void {
    while (this.#asking.size < this.#askingMax) {
      let next: Desk | undefined;
      for (const desk of this.#desks.values()) {
        if (desk.waiting.length > 0 && desk.asking < (next?.asking ?? ASKING_MAX_EACH)) next = desk;
      }
      if (next === undefined) return;
      next.waiting.shift()?.();
    }
  }

  #begin(question: Question, desk: Desk): Promise<Verdict> {
    const { deployment } = question;
    const controller = new AbortController();
    desk.asking += 1;
    const verdict = this.#answer(question, controller.signal)
      .catch((error: unknown): Verdict => ({ kind: "silent", detail: `could not be asked: ${error instanceof Error ? error.message : String(error)}` }))
      .finally(() => {
        this.#asking.delete(controller);
        desk.asking -= 1;
        if (desk.asking === 0 && desk.waiting.length === 0) this.#desks.delete(deployment);
        this.#takeTurns();
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
