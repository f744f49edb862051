/**
 * The identity of a running agent: says which credentials to use, and renews them at about half their life.
 *
 * Always holds: new keys each time; the credentials in use are given up only for such as the controller has welcomed; what fails is tried again for ever, and said
 * once.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { Metadata, type ServiceError, status } from "@grpc/grpc-js";
import { JoinServiceClient, type RenewResponse } from "@muster/proto/gen/muster/v1/identity.ts";
import type { Logger } from "pino";
import { channelOf } from "./channel.ts";
import type { Credentials, Identity, IdentityStore } from "./identity-store.ts";
import { credentialsOf } from "./join.ts";
import { makeKeys, publicHalves } from "./keys.ts";
import { askedDelayMs, type Crowd, retryDelayMs } from "./renewal-delays.ts";

export interface RunningIdentityOptions {
  readonly identity: Identity;
  readonly store: IdentityStore;
  /** From 0 to below 1. */
  readonly fraction: () => number;
  readonly now: () => number;
  readonly logger: Logger;
}

/** With the handshake, which a controller whose fleet comes back lets wait in its queue. */
const CALL_MS = 3 * 60_000;
const RETRY_MS = { least: 1_000, most: 60_000 };
/** Refused for good, as far as the controller knows now; an operator may still change that. */
const REFUSED_RETRY_MS = 5 * 60_000;
const JITTER = 0.1;
/** So often in a row may new credentials fail before the old ones are used in between. */
const NEXT_FAILURES_MAX = 3;
/** What a timer can hold. */
const TIMER_MS_MAX = 2 ** 31 - 1;

export class RunningIdentity {
  readonly #options: RunningIdentityOptions;
  readonly #closing = new AbortController();
  #identity: Identity;
  #nextFailures = 0;
  /** Aborted when the wait for the next renewal is to end early. */
  #waiting = new AbortController();
  #isAsked = false;
  #spreadMs = 0;
  #hasComplained = false;
  #onRenewed: () => void = () => undefined;
  #ended: Promise<void> | undefined;

  constructor(options: RunningIdentityOptions) {
    this.#options = options;
    this.#identity = options.identity;
  }

  get machine(): string {
    return this.#identity.machine;
  }

  get controller(): string {
    return this.#identity.controller;
  }

  /** What to connect with now: the newest, unless they have failed and the old ones shall have a turn. */
  get credentials(): Credentials {
    const next = this.#identity.next?.credentials;
    return next !== undefined && this.#nextFailures < NEXT_FAILURES_MAX ? next : this.#identity.current;
  }

  /** Private halves (PEM) that something may have been sealed to, newest first. */
  get sealingKeys(): readonly string[] {
    const { next, current, previousSealingKey } = this.#identity;
    return [next?.keys.sealing, current.keys.sealing, previousSealingKey].filter((key) => key !== undefined);
  }

  /** `onRenewed`: there are newer credentials, to connect with. */
  open(onRenewed: () => void): void {
    this.#onRenewed = onRenewed;
    this.#ended = this.#keepRenewed();
  }

  async close(): Promise<void> {
    this.#closing.abort();
    this.#waiting.abort();
    await this.#ended;
  }

  /** The controller has welcomed somebody with these. */
  worked(credentials: Credentials): void {
    const { next, current } = this.#identity;
    if (next?.credentials !== credentials) return;
    this.#nextFailures = 0;
    const { next: _, ...identity } = this.#identity;
    const known: Identity = { ...identity, current: credentials, previousSealingKey: current.keys.sealing };
    try {
      this.#keep(known);
    } catch (error) {
      // Both are on disk, as current and next ones: an agent that starts from there finds out the same.
      this.#identity = known;
      this.#options.logger.error({ err: error }, "credentials that work not written as the current ones");
    }
  }

  failed(credentials: Credentials): void {
    if (this.#identity.next?.credentials !== credentials) this.#nextFailures = 0;
    else this.#nextFailures += 1;
  }

  /** What all machines are asked for at once, they do within so long. */
  spreadOver(spreadMs: number): void {
    this.#spreadMs = spreadMs;
  }

  /** The controller wants these renewed soon, or takes them no longer. A session of older ones may say so still: that is done. */
  renewSoon(credentials: Credentials): void {
    const { next, current } = this.#identity;
    if (this.#isAsked || credentials !== current || next?.credentials !== undefined) return;
    this.#isAsked = true;
    this.#waiting.abort();
  }

  async #keepRenewed(): Promise<void> {
    const { logger } = this.#options;
    let retryMs = RETRY_MS.least;
    while (await this.#isDue()) {
      const outcome = await this.#renew();
      switch (outcome.kind) {
        case "renewed":
          retryMs = RETRY_MS.least;
          this.#hasComplained = false;
          // Asked for while it was under way: here they are.
          this.#isAsked = false;
          logger.info({ expiresAt: new Date(this.credentials.expiresAt).toISOString() }, "credentials renewed");
          this.#onRenewed();
          break;
        case "refused":
          this.#complain("this machine is not accepted any more; join again: muster token create on the controller's side, then muster-agent join --again", outcome.why);
          await this.#pause(REFUSED_RETRY_MS, this.#closing.signal);
          break;
        case "failed":
          this.#complain("credentials not renewed yet", outcome.why);
          await this.#pause(retryDelayMs(retryMs, this.#crowd()), this.#closing.signal);
          retryMs = Math.min(RETRY_MS.most, retryMs * 2);
          break;
      }
    }
  }

  /** Resolves with true when it is time to renew, or somebody asks for it, and with false when there is nothing to be renewed any more. */
  async #isDue(): Promise<boolean> {
    const { signal } = this.#closing;
    while (!signal.aborted && !this.#isAsked && this.#dueInMs() > 0) {
      this.#waiting = new AbortController();
      await this.#pause(this.#dueInMs(), this.#waiting.signal);
    }
    if (this.#isAsked) await this.#pause(askedDelayMs(this.#crowd()), signal);
    this.#isAsked = false;
    return !signal.aborted;
  }

  #crowd(): Crowd {
    return { spreadMs: this.#spreadMs, fraction: this.#options.fraction() };
  }

  /** Ends early when the signal aborts. */
  async #pause(ms: number, signal: AbortSignal): Promise<void> {
    await sleep(Math.min(ms, TIMER_MS_MAX), undefined, { signal }).catch(() => undefined);
  }

  /** At half of their life, more or less: a fleet that joined in one minute does not renew in one. */
  #dueInMs(): number {
    const { issuedAt, expiresAt } = this.credentials;
    const lifeMs = expiresAt - issuedAt;
    return issuedAt + lifeMs * this.#share - this.#options.now();
  }

  /** Drawn once for each set of credentials. */
  #drawn: { readonly issuedAt: number; readonly share: number } | undefined;
  get #share(): number {
    const { issuedAt } = this.credentials;
    if (this.#drawn?.issuedAt !== issuedAt) this.#drawn = { issuedAt, share: 0.5 * (1 + JITTER * (2 * this.#options.fraction() - 1)) };
    return this.#drawn.share;
  }

  async #renew(): Promise<{ readonly kind: "renewed" } | { readonly kind: "refused" | "failed"; readonly why: string }> {
    // Keys that were sent and not answered are sent again: the controller may have given credentials for them.
    const pending = this.#identity.next;
    const keys = pending !== undefined && pending.credentials === undefined ? pending.keys : makeKeys();
    const { next: _, ...identity } = this.#identity;
    try {
      this.#keep({ ...identity, next: { keys } });
      const { credentials: message } = await this.#call(await publicHalves(keys));
      if (message === undefined) return { kind: "failed", why: "the answer was empty" };
      this.#keep({ ...this.#identity, next: { keys, credentials: credentialsOf(message, keys) } });
      this.#nextFailures = 0;
      return { kind: "renewed" };
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      return { kind: isRefusal(error) ? "refused" : "failed", why };
    }
  }

  async #call(keys: Awaited<ReturnType<typeof publicHalves>>): Promise<RenewResponse> {
    const { credentials, options } = channelOf(this.#identity.current);
    const client = new JoinServiceClient(this.controller, credentials, { ...options, "grpc.enable_channelz": 0, "grpc.enable_http_proxy": 0, "grpc.use_local_subchannel_pool": 1 });
    try {
      return await new Promise<RenewResponse>((resolve, reject) => {
        client.renew({ keys }, new Metadata(), { deadline: Date.now() + CALL_MS }, (error, response) => (error === null ? resolve(response) : reject(error)));
      });
    } finally {
      client.close();
    }
  }

  #keep(identity: Identity): void {
    this.#options.store.save(identity);
    this.#identity = identity;
  }

  #complain(message: string, detail: string): void {
    const fields = { controller: this.controller, detail };
    if (this.#hasComplained) this.#options.logger.debug(fields, message);
    else this.#options.logger.error(fields, message);
    this.#hasComplained = true;
  }
}

function isRefusal(error: unknown): boolean {
  return error instanceof Error && "code" in error && (error as ServiceError).code === status.UNAUTHENTICATED;
}
