/**
 * Tells nats-server what the accounts are now, over the system account: after each revocation, which cuts whoever is revoked at once, and at each
 * connection, since a server that was away has missed some. Goes on until the server has said yes.
 */
import { setTimeout as sleep } from "node:timers/promises";
import type { NatsConnection } from "nats";
import type { Logger } from "pino";
import { z } from "zod";
import { CLAIMS_UPDATE_SUBJECT, SYSTEM_INBOX_PREFIX } from "./accounts.ts";
import { KeptConnection, type Trusted } from "./connection.ts";
import type { Account, NatsAuthority } from "./nats-authority.ts";

export interface AccountPushOptions {
  readonly url: string;
  readonly authority: Pick<NatsAuthority, "accounts" | "answerAs" | "onChange">;
  readonly trusted: () => Trusted;
  readonly logger: Logger;
}

const ANSWER_TIMEOUT_MS = 2000;
const RETRY_MS = 500;

const Said = z.object({ error: z.object({ description: z.string() }).optional() });

export class AccountPush {
  readonly #authority: AccountPushOptions["authority"];
  readonly #logger: Logger;
  readonly #kept: KeptConnection;
  readonly #said = new Map<string, string>();
  #connection: NatsConnection | undefined;
  #isPushing = false;

  constructor({ url, authority, trusted, logger }: AccountPushOptions) {
    this.#authority = authority;
    this.#logger = logger;
    authority.onChange(() => void this.#push());
    this.#kept = new KeptConnection({
      url,
      answer: authority.answerAs("SYSTEM"),
      trusted,
      inboxPrefix: SYSTEM_INBOX_PREFIX,
      logger,
      onUp: (connection) => {
        this.#connection = connection;
        this.#said.clear();
        void this.#push();
      },
      onDown: () => (this.#connection = undefined),
    });
  }

  async close(): Promise<void> {
    this.#connection = undefined;
    await this.#kept.close();
  }

  /** One at a time, each time as the accounts are by then; ends when nothing is left to be said, or there is nobody to say it to. */
  async #push(): Promise<void> {
    if (this.#isPushing) return;
    this.#isPushing = true;
    let next = this.#unsaid();
    while (this.#connection !== undefined && next !== undefined) {
      const { name, publicKey, jwt } = next;
      const connection = this.#connection;
      const fault = await tell(connection, jwt);
      if (connection !== this.#connection) {
        this.#logger.debug({ account: name }, "nats connection lost while an account was told");
      } else if (fault === undefined) {
        this.#said.set(publicKey, jwt);
        this.#logger.info({ account: name }, "nats account told");
      } else {
        this.#logger.error({ account: name, detail: fault }, "nats-server did not take an account; telling it again");
        await sleep(RETRY_MS);
      }
      next = this.#unsaid();
    }
    this.#isPushing = false;
  }

  #unsaid(): Account | undefined {
    return this.#authority.accounts.find(({ publicKey, jwt }) => this.#said.get(publicKey) !== jwt);
  }
}

/** What was wrong, in the server's words; undefined when it has taken it. */
async function tell(connection: NatsConnection, jwt: string): Promise<string | undefined> {
  try {
    const answer = await connection.request(CLAIMS_UPDATE_SUBJECT, new TextEncoder().encode(jwt), { timeout: ANSWER_TIMEOUT_MS });
    return Said.parse(answer.json()).error?.description;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}
