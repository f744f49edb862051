/**
 * NATS as the controller has it: a server of its own or somebody else's, with our accounts on it, a connection to tell machines, and one to tell the
 * server who is revoked. Which of the two kinds it is makes no difference to anybody else.
 */
import type { Logger } from "pino";
import { AccountPush } from "./account-push.ts";
import type { Trusted } from "./connection.ts";
import { createEmbeddedNats } from "./embedded-nats.ts";
import type { NatsAuthority } from "./nats-authority.ts";
import { NatsClient } from "./nats-client.ts";
import { type NatsServer, externalNats } from "./nats-server.ts";

export interface Nats extends NatsServer {
  readonly client: NatsClient;
}

export type ServerChoice =
  | {
      readonly kind: "embedded";
      readonly dir: string;
      readonly host: string;
      /** 0: the one it had before, else a free one. */
      readonly port: number;
      /** PEM. */
      readonly certFile: string;
      readonly keyFile: string;
      readonly onExit?: () => void;
    }
  /** It runs with what `externalConfig` says. `url`: `tls://host:port`; without TLS it is not spoken to. */
  | { readonly kind: "external"; readonly url: string };

export interface NatsOptions {
  readonly server: ServerChoice;
  readonly authority: NatsAuthority;
  readonly trusted: () => Trusted;
  readonly logger: Logger;
}

/**
 * An embedded server accepts connections when this resolves; either is connected to in the background (`client.firstConnected`), for as long as that takes. Throws NatsServerError.
 */
export async function startNats({ server: choice, authority, trusted, logger }: NatsOptions): Promise<Nats> {
  const server = await serverOf(choice, authority, logger);
  const client = new NatsClient({ url: server.url, answer: authority.answerAs("CONTROL"), trusted, logger });
  const push = new AccountPush({ url: server.url, authority, trusted, logger });
  return {
    client,
    url: server.url,
    pid: () => server.pid(),
    onPid: (callback) => server.onPid(callback),
    reload: () => server.reload(),
    stop: async () => {
      await Promise.all([client.close(), push.close()]);
      await server.stop();
    },
  };
}

async function serverOf(choice: ServerChoice, authority: NatsAuthority, logger: Logger): Promise<NatsServer> {
  switch (choice.kind) {
    case "embedded": {
      const { dir, host, port, certFile, keyFile, onExit } = choice;
      return createEmbeddedNats({ dir, host, port, trust: { authority, certFile, keyFile }, logger, ...(onExit === undefined ? {} : { onExit }) });
    }
    case "external":
      return externalNats(choice.url);
  }
}
