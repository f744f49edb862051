/**
 * A part of the herd: many agents in one process, each with the agent's own link, so its own gRPC connection and its own NATS connection, with TLS and credentials of its own. Does what it is told over the
 * IPC channel, and says several times a second how far its agents are.
 */
import { subscribe } from "node:diagnostics_channel";
import { readFileSync, writeFileSync } from "node:fs";
import type { Socket } from "node:net";
import type { Identity } from "@muster/agent/identity/identity-store.ts";
import type { JoinToken } from "@muster/proto/join-token.ts";
import pino, { type Logger } from "pino";
import { joinAs } from "../integration/member.ts";
import { BenchAgent } from "./bench-agent.ts";

/** What it is told. */
export type Order =
  /** `file`: where the identities are kept, of the machines numbered `from` to below `to`. */
  | { readonly kind: "join"; readonly controller: string; readonly token: JoinToken; readonly file: string; readonly from: number; readonly to: number; readonly atOnce: number }
  | { readonly kind: "open"; readonly controller: string; readonly file: string }
  /** Everything is counted from here on. */
  | { readonly kind: "mark" }
  | { readonly kind: "end" };

/** A number of agents, and when the last of them came to it: milliseconds since 1970. */
export interface Reached {
  readonly agents: number;
  readonly lastAt: number;
}

/** What it says: of everything, since the mark. */
export interface Count {
  readonly isJoined: boolean;
  /** Counts from the first mark are 1. */
  readonly marks: number;
  /** TCP connections that were begun to the controller's gRPC port. */
  readonly attempts: number;
  readonly welcomed: Reached;
  readonly listening: Reached;
  readonly told: Reached;
}

const SAY_EVERY_MS = 100;

class Tally {
  readonly #machines = new Set<string>();
  #lastAt = 0;

  note(machine: string): void {
    if (this.#machines.has(machine)) return;
    this.#machines.add(machine);
    this.#lastAt = Date.now();
  }

  reached(): Reached {
    return { agents: this.#machines.size, lastAt: this.#lastAt };
  }
}

class Herd {
  #agents: readonly BenchAgent[] = [];
  #isJoined = false;
  #marks = 0;
  #attempts = 0;
  #port = 0;
  #welcomed = new Tally();
  #listening = new Tally();
  #told = new Tally();

  constructor() {
    subscribe("net.client.socket", (message) => {
      const { socket } = message as { readonly socket: Socket };
      socket.once("connectionAttempt", (_ip: string, port: number) => (this.#attempts += port === this.#port ? 1 : 0));
    });
  }

  count(): Count {
    return {
      isJoined: this.#isJoined,
      marks: this.#marks,
      attempts: this.#attempts,
      welcomed: this.#welcomed.reached(),
      listening: this.#listening.reached(),
      told: this.#told.reached(),
    };
  }

  async obey(order: Order): Promise<void> {
    switch (order.kind) {
      case "join":
        return this.#join(order);
      case "open":
        return this.#open(order);
      case "mark":
        [this.#welcomed, this.#listening, this.#told] = [new Tally(), new Tally(), new Tally()];
        this.#attempts = 0;
        this.#marks += 1;
        return;
      case "end":
        // Ten thousand sessions are not ended one by one: the kernel closes them.
        process.exit(0);
    }
  }

  async #join({ controller, token, file, from, to, atOnce }: Extract<Order, { readonly kind: "join" }>): Promise<void> {
    const joined: Identity[] = [];
    let next = from;
    const worker = async (): Promise<void> => {
      for (let index = next++; index < to; index = next++) joined.push(await joinAs({ grpc: controller }, token, `herd-${index}`, { role: "bench" }));
    };
    await Promise.all(Array.from({ length: atOnce }, worker));
    writeFileSync(file, JSON.stringify(joined));
    this.#isJoined = true;
  }

  #open({ controller, file }: Extract<Order, { readonly kind: "open" }>): void {
    this.#port = Number(new URL(`tcp://${controller}`).port);
    const identities = JSON.parse(readFileSync(file, "utf8")) as readonly Identity[];
    this.#agents = identities.map(
      ({ machine, current }) =>
        new BenchAgent({
          id: machine,
          controller,
          credentials: current,
          logger: this.#listenerOf(machine),
          onWelcome: () => this.#welcomed.note(machine),
          onTold: () => this.#told.note(machine),
          onAcknowledged: () => {},
        }),
    );
    for (const agent of this.#agents) agent.open();
  }

  /** That an agent listens on NATS is said nowhere but in its log. */
  #listenerOf(machine: string): Logger {
    const info = (_fields: unknown, message?: string): void => {
      if (message === "nats connected") this.#listening.note(machine);
    };
    return Object.assign(pino({ level: "silent" }), { info });
  }
}

const herd = new Herd();
process.on("message", (order) => void herd.obey(order as Order));
// Its parent is gone.
process.on("disconnect", () => process.exit(1));
setInterval(() => process.send?.(herd.count()), SAY_EVERY_MS);
