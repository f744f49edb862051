/**
 * A part of the herd: many agents in one process, each with the agent's own link, so its own gRPC connection and its own NATS connection, with TLS and credentials of its own. Does what it is told over the
 * IPC channel, and says several times a second how far its agents are.
 */
import { subscribe } from "node:diagnostics_channel";
import { readFileSync } from "node:fs";
import type { Socket } from "node:net";
import pino, { type Logger } from "pino";
import { BenchAgent } from "./bench-agent.ts";
import type { HerdMachine } from "./herd-members.ts";

/** What it is told. */
export type Order =
  /** `file`: its machines (herd-members.ts). */
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
      marks: this.#marks,
      attempts: this.#attempts,
      welcomed: this.#welcomed.reached(),
      listening: this.#listening.reached(),
      told: this.#told.reached(),
    };
  }

  obey(order: Order): void {
    switch (order.kind) {
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

  #open({ controller, file }: Extract<Order, { readonly kind: "open" }>): void {
    this.#port = Number(new URL(`tcp://${controller}`).port);
    const machines = JSON.parse(readFileSync(file, "utf8")) as readonly HerdMachine[];
    this.#agents = machines.map(
      ({ machine, credentials }) =>
        new BenchAgent({
          id: machine,
          controller,
          credentials,
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
process.on("message", (order) => herd.obey(order as Order));
// Its parent is gone.
process.on("disconnect", () => process.exit(1));
setInterval(() => process.send?.(herd.count()), SAY_EVERY_MS);
