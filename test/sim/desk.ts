/**
 * Where people come to the controller: every order of an operator, of the caretaker and of a scenario goes through here, and is remembered as it was asked. What the
 * journal holds as an order must have been asked here (`orders_were_given`).
 */
import type { AppName, DeploymentId, Digest, Instant, MachineId } from "@muster/proto/ids.ts";
import type { Release } from "@muster/proto/gen/muster/v1/release.ts";
import { checkedSelector } from "@muster/proto/selector.ts";
import type { Engine } from "@muster/controller/src/engine/engine.ts";
import type { Command } from "@muster/controller/src/engine/operators.ts";
import type { Answer } from "@muster/controller/src/engine/refusal.ts";
import type { EntryKind } from "@muster/controller/src/journal/entry.ts";
import type { Strategy } from "@muster/controller/src/plan/strategy.ts";
import type { SimController } from "./controller.ts";
import type { Timeline } from "./clock.ts";

const ORDER = { by: "ops", reason: "" };

export class Desk {
  readonly #controller: SimController;
  readonly #timeline: Timeline;
  readonly #afterwards: () => void;
  /** The kinds of rows that were asked for at `#askedAt`. */
  #asked = new Set<EntryKind>();
  #askedAt = -1;
  /** When the last submission was asked for, if that was a way back to an older release; -1: it was not. */
  #goingBackAt = -1;

  /** `afterwards`: what was done for an order is judged while it is known that somebody gave it. */
  constructor(controller: SimController, timeline: Timeline, afterwards: () => void) {
    this.#controller = controller;
    this.#afterwards = afterwards;
    this.#timeline = timeline;
  }

  /** Somebody asked for such a row at this moment. */
  hasAsked(kind: EntryKind): boolean {
    return this.#askedAt === this.#timeline.now && this.#asked.has(kind);
  }

  /** Undefined: no answer came. */
  deploy(app: string, release: Release, strategy: Strategy): Answer<{ readonly deployment: string }> | undefined {
    this.#goingBackAt = -1;
    return this.#ask(["deployment_submitted"], ({ operators }) => {
      operators.recordArtifact({ kind: "artifact_stored", artifact: release.artifact as Digest, fileCount: 1, sizeBytes: 1, packBytes: 1 });
      return operators.submit({ app: app as AppName, release, strategy, selector: checkedSelector(strategy.targets) });
    });
  }

  command(id: DeploymentId, command: Command): Answer<void> | undefined {
    return this.#ask(["command_accepted"], ({ operators }) => operators.command(id, command, ORDER));
  }

  rollbackTo(id: DeploymentId, version: string): Answer<{ readonly deployment: string }> | undefined {
    this.#goingBackAt = this.#timeline.now;
    return this.#ask(["deployment_submitted"], ({ operators }) => operators.rollbackTo(id, version, ORDER));
  }

  /** What is submitted now is a way back to an older release, whether its answer came or not. */
  get isGoingBack(): boolean {
    return this.#goingBackAt === this.#timeline.now;
  }

  /** Its process is stopped, as by SIGSTOP, and goes on after so long. */
  holdUp(forMs: number): void {
    this.#controller.pause();
    this.#timeline.after(forMs, () => this.#controller.resume());
  }

  /** Its wall clock jumps by so much. */
  setClock(byMs: number): void {
    this.#controller.setClock(byMs);
  }

  cordon(machine: MachineId, how: { readonly drain: boolean; readonly force: boolean }): Answer<unknown> | undefined {
    return this.#ask(["machine_cordoned"], ({ orders }) => orders.cordon(machine, how, ORDER));
  }

  uncordon(machine: MachineId): Answer<unknown> | undefined {
    return this.#ask(["machine_uncordoned"], ({ orders }) => orders.uncordon(machine, ORDER));
  }

  label(machine: MachineId, set: Readonly<Record<string, string>>, remove: readonly string[] = []): Answer<unknown> | undefined {
    return this.#ask(["machine_labelled"], ({ orders }) => orders.labelMachine(machine, { set, remove }, ORDER.by));
  }

  remove(machine: MachineId): Answer<void> | undefined {
    return this.#ask(["machine_removed"], ({ orders }) => orders.removeMachine(machine, ORDER));
  }

  setBudget(selector: string, most: number): Answer<unknown> | undefined {
    return this.#ask(["budget_set"], ({ orders }) => orders.setBudget(selector, most, ORDER.by));
  }

  removeBudget(selector: string): Answer<unknown> | undefined {
    return this.#ask(["budget_removed"], ({ orders }) => orders.removeBudget(selector, ORDER.by));
  }

  addFreeze(from: Instant, until: Instant | null): Answer<unknown> | undefined {
    return this.#ask(["freeze_added"], ({ orders }) => orders.addFreeze({ from, until }, ORDER));
  }

  endFirstFreeze(): Answer<unknown> | undefined {
    return this.#ask(["freeze_ended"], ({ orders }) => {
      const [freeze] = orders.freezes();
      return freeze === undefined ? { ok: true, value: undefined } : orders.endFreeze(freeze.id, ORDER.by);
    });
  }

  keepReleases(keep: number, keepForMs: number): Answer<unknown> | undefined {
    return this.#ask(["retention_set", "artifact_removed"], ({ retention }) => ({ ok: true, value: retention.set({ ...retention.rule(), keep, keepForMs }, ORDER.by) }));
  }

  /** Steps that are older go to the archive, soon. */
  keepSteps(stepsForMs: number): Answer<unknown> | undefined {
    return this.#ask(["retention_set", "artifact_removed"], ({ retention, archiving }) => {
      const value = retention.set({ ...retention.rule(), stepsForMs }, ORDER.by);
      archiving.hurry();
      return { ok: true, value };
    });
  }

  /** Cordons, budgets and freezes end. False: it could not be done, or not to the end. */
  tidy(machines: Iterable<MachineId>): boolean {
    return (
      this.#ask(["machine_uncordoned", "budget_removed", "freeze_ended"], ({ orders }) => {
        for (const machine of machines) orders.uncordon(machine, ORDER);
        for (const { selector } of orders.budgets()) orders.removeBudget(selector, ORDER.by);
        for (const { id } of orders.freezes()) orders.endFreeze(id, ORDER.by);
        return true;
      }) ?? false
    );
  }

  #ask<T>(kinds: readonly EntryKind[], order: (engine: Engine) => T): T | undefined {
    if (this.#askedAt !== this.#timeline.now) this.#asked = new Set();
    this.#askedAt = this.#timeline.now;
    for (const kind of kinds) this.#asked.add(kind);
    const answer = this.#controller.ask(order);
    this.#afterwards();
    return answer;
  }
}
