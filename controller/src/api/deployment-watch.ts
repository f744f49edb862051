/**
 * Deployments that somebody watches: one picture for all watchers of a deployment, made again only when something happened that can change it, and never more often than a
 * person can read. Without news it does nothing but look, as often as the engine does, at what no row tells: whether the controller still waits for its machines to be heard, and what gates and alarms that ask the
 * world outside were answered last.
 *
 * Always holds: whatever was committed is in a picture that is begun after it, and there is news of what is committed while one is made; so a watcher that asks as long as `hasNews` sees everything.
 */
import type { DeploymentId } from "@muster/proto/ids.ts";
import { type Deployment, DeploymentPhase, GateState } from "@muster/proto/gen/muster/v1/deployments.ts";
import { LOOK_MS } from "../engine/attendance.ts";
import type { Clock } from "../engine/clock.ts";
import type { Engine } from "../engine/engine.ts";
import type { JournalRow } from "../journal/entry.ts";
import type { DeploymentViews } from "./views.ts";

/** Between two pictures of one deployment: a person can't read faster, and a fleet's reports would make hundreds a second. */
export const WATCH_INTERVAL_MS = 100;

export interface Picture {
  readonly deployment: Deployment;
  /** Rises when what it shows has changed. */
  readonly version: number;
}

/** One watcher's hold on a deployment. */
export interface Following {
  /** Rejects with what the database throws. */
  picture(): Promise<Picture>;
  /** Whether `picture()` may show something else than the version that was seen. */
  hasNews(seenVersion: number): boolean;
  /** Calls back once there may be news. Returns a function that cancels. */
  onNews(callback: () => void): () => void;
  stop(): void;
}

export interface DeploymentWatchOptions {
  readonly engine: Pick<Engine, "onCommit" | "catchingUp">;
  readonly views: Pick<DeploymentViews, "one">;
  readonly clock: Clock;
}

interface Followed {
  readonly waiting: Set<() => void>;
  followers: number;
  picture: Picture | undefined;
  /** Set while one is made, for all who ask. */
  making: Promise<Picture> | undefined;
  /** Of the picture. */
  text: string;
  madeAt: number;
  /** The picture may be old, and it is time for another. */
  isStale: boolean;
  /** Set while it may be old, and it is not time yet. */
  cancelWake: (() => void) | undefined;
}

export class DeploymentWatch {
  readonly #options: DeploymentWatchOptions;
  readonly #followed = new Map<DeploymentId, Followed>();
  /** Set while somebody follows. */
  #cancelLook: (() => void) | undefined;
  #caughtUp = "";

  constructor(options: DeploymentWatchOptions) {
    this.#options = options;
    options.engine.onCommit((rows) => this.#noteRows(rows));
  }

  /** Of a deployment that exists. */
  follow(id: DeploymentId): Following {
    const followed: Followed = this.#followed.get(id) ?? {
      waiting: new Set(),
      followers: 0,
      picture: undefined,
      making: undefined,
      text: "",
      madeAt: Number.NEGATIVE_INFINITY,
      isStale: true,
      cancelWake: undefined,
    };
    this.#followed.set(id, followed);
    followed.followers += 1;
    if (this.#cancelLook === undefined) this.#look();
    return {
      picture: () => this.#pictureOf(id, followed),
      hasNews: (seenVersion) => followed.isStale || followed.making !== undefined || followed.picture?.version !== seenVersion,
      onNews(callback) {
        followed.waiting.add(callback);
        return () => followed.waiting.delete(callback);
      },
      stop: () => {
        followed.followers -= 1;
        if (followed.followers > 0) return;
        followed.cancelWake?.();
        this.#followed.delete(id);
        if (this.#followed.size > 0) return;
        this.#cancelLook?.();
        this.#cancelLook = undefined;
      },
    };
  }

  async #pictureOf(id: DeploymentId, followed: Followed): Promise<Picture> {
    const last = followed.picture;
    if (last !== undefined && !followed.isStale && followed.making === undefined) return last;
    followed.making ??= this.#make(id, followed).finally(() => {
      followed.making = undefined;
    });
    return followed.making;
  }

  async #make(id: DeploymentId, followed: Followed): Promise<Picture> {
    const last = followed.picture;
    // What happens from here on is news.
    followed.isStale = false;
    followed.madeAt = this.#options.clock.monotonicMs();
    try {
      const deployment = (await this.#options.views.one(id))!;
      const text = JSON.stringify(deployment);
      if (last !== undefined && text === followed.text) return last;
      followed.text = text;
      followed.picture = { deployment, version: (last?.version ?? 0) + 1 };
      return followed.picture;
    } catch (error) {
      followed.isStale = true;
      throw error;
    }
  }

  /** As often as the engine looks itself. */
  #look(): void {
    const { clock, engine } = this.#options;
    const { heard, total } = engine.catchingUp ?? { heard: 0, total: 0 };
    const caughtUp = total === 0 ? "" : `${heard}/${total}`;
    if (caughtUp !== this.#caughtUp) for (const followed of this.#followed.values()) this.#wakeInTime(followed);
    for (const followed of this.#followed.values()) if (followed.picture !== undefined && asksOutside(followed.picture.deployment)) this.#wakeInTime(followed);
    this.#caughtUp = caughtUp;
    this.#cancelLook = clock.wakeAfter(LOOK_MS, () => this.#look());
  }

  #noteRows(rows: readonly JournalRow[]): void {
    if (this.#followed.size === 0) return;
    const apps = new Set<string>();
    for (const { entry } of rows) if ("app" in entry) apps.add(entry.app);
    const isOfPresence = rows.some(({ entry }) => entry.kind === "machine_silent" || entry.kind === "machine_heard");
    const isOfDeployments = rows.some(({ entry }) => "deployment" in entry);
    for (const followed of this.#followed.values()) {
      const { deployment } = followed.picture ?? {};
      // Who falls silent is on the way no longer, as far as anybody knows.
      // One that has not begun waits for others, of other apps too; what comes later shows what was said about its own app alone.
      const concerns = deployment === undefined || apps.has(deployment.app) || (isOfDeployments && deployment.phase === DeploymentPhase.PENDING) || (isOfPresence && deployment.underWay);
      if (concerns) this.#wakeInTime(followed);
    }
  }

  #wakeInTime(followed: Followed): void {
    if (followed.isStale || followed.cancelWake !== undefined) return;
    const { clock } = this.#options;
    followed.cancelWake = clock.wakeAfter(followed.madeAt + WATCH_INTERVAL_MS - clock.monotonicMs(), () => {
      followed.cancelWake = undefined;
      followed.isStale = true;
      for (const callback of [...followed.waiting]) callback();
    });
  }
}

const GOES_FORWARD: ReadonlySet<DeploymentPhase> = new Set([DeploymentPhase.ROLLING, DeploymentPhase.SOAKING, DeploymentPhase.AWAITING_APPROVAL]);

/** What it is answered may be no news, and so no row. */
function asksOutside({ phase, alarms, waves }: Deployment): boolean {
  if (!GOES_FORWARD.has(phase)) return false;
  return alarms.length > 0 || waves.some(({ gates }) => gates.some(({ kind, state }) => state === GateState.REACHED && (kind === "webhook" || kind === "prometheus")));
}
