/**
 * Decides what the agent believes, and remembers it: envelopes in, assignments and requests out. What it refuses it logs once a kind, and says in heartbeats; what
 * runs goes on running.
 *
 * Always holds: an assignment is taken in only after its generation is on disk as the highest, so that no restart makes the agent believe an older one.
 */
import type { AssignmentKeys, LogsWanted, Refusal } from "@muster/proto/gen/muster/v1/agent.ts";
import type { Assignment } from "@muster/proto/gen/muster/v1/assignment.ts";
import type { Envelope } from "@muster/proto/gen/muster/v1/envelope.ts";
import type { Logger } from "pino";
import { type Believed, checkEnvelope, checkRequest, type Highest, type Listener, readEnvelope, refused, type Refused } from "./check-envelope.ts";
import { keyidOf, type Keys, keyOf } from "./signatures.ts";
import type { TrustStore } from "./trust-store.ts";

/** As the contract says: muster.v1.AssignmentKeys. */
const KEYS_MAX = 16;
/** Requests that were answered and are not expired. Only signed ones count, and a controller that asks more often asks about the same. */
const REQUESTS_MAX = 1024;
/** Clocks that differ by less are taken for equal. */
const SKEW_MS = 60_000;

/** How it came. */
export type Source = "nats" | "sync";

export interface BelieverOptions {
  readonly machineId: string;
  readonly store: TrustStore;
  /** Of the assignment that is stored, for a store that knows of none. */
  readonly generation: number;
  readonly maxAgeMs: number;
  /** Wall clock. */
  readonly now: () => number;
  readonly logger: Logger;
}

export class Believer {
  readonly #options: BelieverOptions;
  #controllerId: string;
  #keys: Keys;
  #highest: Highest;
  #refusal: Refusal | undefined;
  readonly #logged = new Set<string>();
  /** When each is forgotten, by id, the oldest first. */
  readonly #requests = new Map<string, number>();
  #isClockTold = false;

  constructor(options: BelieverOptions) {
    const { store, generation } = options;
    this.#options = options;
    this.#controllerId = store.keys?.controllerId ?? "";
    this.#keys = keysOf((store.keys?.publicKeys ?? []).map((hex) => Buffer.from(hex, "hex")));
    const stored = store.highest;
    this.#highest = stored !== undefined && stored.generation >= generation ? stored : { generation, content: "" };
  }

  /** What is refused now, until something is believed again. */
  get refusal(): Refusal | undefined {
    return this.#refusal;
  }

  /** Said by the controller in a session, which is the only place where keys come from. */
  hearKeys({ controllerId, keys }: AssignmentKeys): void {
    const { logger, store } = this.#options;
    if (this.#controllerId !== "" && controllerId !== this.#controllerId) {
      logger.error({ controllerId, joined: this.#controllerId }, "session is of another controller than the one that this machine belongs to: its keys are ignored");
      return;
    }
    const known = keysOf(keys.slice(0, KEYS_MAX).map(({ publicKey }) => publicKey));
    const isNews = this.#controllerId === "" || known.size !== this.#keys.size || [...known.keys()].some((keyid) => !this.#keys.has(keyid));
    this.#controllerId = controllerId;
    this.#keys = known;
    if (!isNews) return;
    logger.info({ controllerId, keyids: [...known.keys()] }, "assignment keys taken");
    try {
      store.writeKeys({ controllerId, publicKeys: keys.slice(0, KEYS_MAX).map(({ publicKey }) => publicKey.toString("hex")) });
    } catch (error) {
      // They come again with the next session; until then an agent that starts anew waits for it.
      logger.error({ err: error }, "assignment keys not written");
    }
  }

  /** Undefined: not believed. What is believed is still to be taken. */
  read(bytes: Uint8Array): Believed | undefined {
    const read = readEnvelope(bytes);
    return read.ok ? this.check(read.envelope, "nats") : this.#refuse("assignment", "nats", read);
  }

  check(envelope: Envelope, source: Source): Believed | undefined {
    const checked = checkEnvelope(envelope, { ...this.#listener(), highest: this.#highest });
    if (!checked.ok) return this.#refuse("assignment", source, checked);
    this.#tellClock(checked.aheadMs);
    return checked;
  }

  /** Writes it down as the highest. Throws when that can't be done; then it is not taken. Undefined: a newer one was taken meanwhile. */
  take({ assignment, highest }: Believed): Assignment | undefined {
    const { generation, content } = this.#highest;
    if (highest.generation < generation) return undefined;
    if (highest.generation > generation || content !== highest.content) {
      this.#options.store.writeHighest(highest);
      this.#highest = highest;
      this.#logged.clear();
    }
    this.#refusal = undefined;
    return assignment;
  }

  /** Undefined: not believed, or answered before. */
  readRequest(bytes: Uint8Array): LogsWanted | undefined {
    const read = readEnvelope(bytes);
    if (!read.ok) return this.#refuse("request", "nats", read);
    const checked = checkRequest(read.envelope, this.#listener());
    if (!checked.ok) return this.#refuse("request", "nats", checked);
    const { request, expiresAt } = checked.request;
    const wanted = request!.value;
    if (this.#requests.has(wanted.requestId)) return this.#refuse("request", "nats", refused("repeated", `${wanted.requestId} came before`));
    this.#remember(wanted.requestId, expiresAt);
    return wanted;
  }

  #remember(requestId: string, expiresAt: number): void {
    const now = this.#options.now();
    for (const [id, until] of this.#requests) if (until <= now || this.#requests.size >= REQUESTS_MAX) this.#requests.delete(id);
    this.#requests.set(requestId, expiresAt);
  }

  #listener(): Omit<Listener, "highest"> {
    const { machineId, maxAgeMs, now } = this.#options;
    return { machine: machineId, controllerId: this.#controllerId, keys: this.#keys, now: now(), maxAgeMs };
  }

  #refuse(what: "assignment" | "request", source: Source, { code, message, generation }: Refused): undefined {
    const { logger } = this.#options;
    // NATS may be slower than Sync, and may repeat itself: then the machine is none the worse for it.
    const isLate = source === "nats" && (code === "older_generation" || code === "older_epoch" || code === "repeated");
    if (!isLate) this.#refusal = { code, message: `the ${what} that came ${WAYS[source]} ${message}` };
    const kind = `${what} ${source} ${code}`;
    if (this.#logged.has(kind)) return;
    this.#logged.add(kind);
    logger[isLate ? "info" : "error"]({ what, source, code, detail: message, generation, highest: this.#highest.generation }, "not believed; what runs goes on");
  }

  #tellClock(aheadMs: number): void {
    if (aheadMs > SKEW_MS && !this.#isClockTold) {
      this.#options.logger.warn({ aheadMs }, "this machine's clock is behind its controller's: an assignment that is held back is believed for so much longer");
    }
    this.#isClockTold = aheadMs > SKEW_MS;
  }
}

const WAYS: Readonly<Record<Source, string>> = { nats: "over NATS", sync: "from the controller" };

function keysOf(publicKeys: readonly Uint8Array[]): Keys {
  return new Map(publicKeys.flatMap((publicKey) => {
    const key = keyOf(publicKey);
    return key === undefined ? [] : [[keyidOf(publicKey), key] as const];
  }));
}
