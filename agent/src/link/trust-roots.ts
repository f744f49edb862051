/**
 * Brings the pinned trust root up to what the controller has: asks for the versions that follow, again and again until there is none. What comes is checked by whoever pins
 * it; the controller is only the way that it takes.
 */
import { Metadata } from "@grpc/grpc-js";
import type { AgentServiceClient, FetchTrustRootsResponse } from "@muster/proto/gen/muster/v1/agent.ts";
import type { Logger } from "pino";

/** The trust root that this machine has pinned. */
export interface TrustRoots {
  /** 0: none is pinned, and none is wanted. */
  version(): Promise<number>;
  /** Takes those that follow, in order, and stops at the first that may not. Returns the version afterwards. */
  take(envelopes: readonly string[]): Promise<{ readonly version: number; readonly refusal: string | undefined }>;
}

export interface TrustUpdateOptions {
  /** Undefined: the controller is away. */
  readonly client: () => AgentServiceClient | undefined;
  readonly roots: TrustRoots;
  readonly logger: Logger;
}

const FETCH_TIMEOUT_MS = 10_000;

export class TrustUpdate {
  readonly #options: TrustUpdateOptions;
  #running: Promise<void> | undefined;
  /** Said once, not with every heartbeat. */
  #refusal: string | undefined;

  constructor(options: TrustUpdateOptions) {
    this.#options = options;
  }

  /** One at a time; whoever asks meanwhile waits for the same. Never throws. */
  run(): Promise<void> {
    this.#running ??= this.#fetch().finally(() => {
      this.#running = undefined;
    });
    return this.#running;
  }

  /** The controller says that there is this version. */
  async offered(version: number): Promise<void> {
    try {
      const pinned = await this.#options.roots.version();
      if (pinned > 0 && version > pinned) await this.run();
    } catch (error) {
      this.#options.logger.error({ err: error }, "trust root not read");
    }
  }

  async #fetch(): Promise<void> {
    const { roots, client: currentClient, logger } = this.#options;
    try {
      for (let pinned = await roots.version(); pinned > 0; ) {
        const client = currentClient();
        if (client === undefined) return;
        const { envelopes } = await fetchAfter(client, pinned);
        if (envelopes.length === 0) return;
        const { version, refusal } = await roots.take(envelopes);
        if (version > pinned) logger.info({ trustRootVersion: version }, "trust root taken");
        if (refusal !== undefined && refusal !== this.#refusal) logger.error({ trustRootVersion: version, refusal }, "trust root refused");
        this.#refusal = refusal;
        if (refusal !== undefined) return;
        pinned = version;
      }
    } catch (error) {
      logger.warn({ err: error }, "trust root not updated");
    }
  }
}

function fetchAfter(client: AgentServiceClient, afterVersion: number): Promise<FetchTrustRootsResponse> {
  const { promise, resolve, reject } = Promise.withResolvers<FetchTrustRootsResponse>();
  const deadline = Date.now() + FETCH_TIMEOUT_MS;
  client.fetchTrustRoots({ afterVersion }, new Metadata(), { deadline }, (error, response) => (error === null ? resolve(response) : reject(error)));
  return promise;
}
