/**
 * People at random: they deploy, steer what is under way, and keep machines from it, whatever state things are in. What is refused is refused; what is granted must hold.
 */
import type { DeploymentId, Instant, MachineId } from "@muster/proto/ids.ts";
import type { Release } from "@muster/proto/gen/muster/v1/release.ts";
import type { Command } from "@muster/controller/src/engine/operators.ts";
import type { Answer } from "@muster/controller/src/engine/refusal.ts";
import type { Strategy } from "@muster/controller/src/plan/strategy.ts";
import type { Desk } from "./desk.ts";
import type { Random } from "./random.ts";
import type { Releases } from "./releases.ts";
import { type Fate, rareStory } from "./rare-stories.ts";
import { type Narrator, type Step, story } from "./stories.ts";
import { randomSize, randomStrategy } from "./strategies.ts";

const VERSIONS_MAX = 5;
export const ZONES = ["a", "b", "c"];
const GROUPS = ["role=web", "zone=a", ""];

/** Worlds in which rare stories are told: what chooses among them, and what happens to machines in them. */
export interface Rare {
  readonly random: Random;
  readonly fate: Fate;
}

interface Submission {
  readonly app: string;
  readonly release: Release;
  readonly strategy: Strategy;
}

export class Operators {
  readonly #random: Random;
  readonly #releases: Releases;
  readonly #apps: readonly string[];
  readonly #desk: Desk;
  readonly #rare: Rare | undefined;
  #last: Submission | undefined;
  #submitted = 0;
  #steps: Step[] = [];
  #stories = 0;
  /** Until the next act; undefined: whenever somebody comes. */
  nextMs: number | undefined;
  #pauseMs: readonly [number, number] = [0, 0];

  constructor(random: Random, releases: Releases, apps: readonly string[], desk: Desk, rare?: Rare) {
    this.#random = random;
    this.#releases = releases;
    this.#apps = apps;
    this.#desk = desk;
    this.#rare = rare;
  }

  act(machines: readonly MachineId[], now: Instant): string {
    const random = this.#random;
    // A rare story comes first, before anything else has gone wrong with its machines.
    const isFirst = this.#rare !== undefined && this.#stories === 0;
    if (this.#steps.length === 0 && (isFirst || random.chance(0.1))) this.#beginStory(machines);
    if (this.#steps.length > 0) return this.#tellOn();
    if (this.#submitted === 0 || random.chance(0.22)) return this.deploy(now);
    // A pipeline runs once more.
    if (random.chance(0.08)) return this.#again();
    if (random.chance(0.25)) return this.#order(machines, now);
    const id = `d-${random.chance(0.7) ? this.#submitted : random.whole(1, this.#submitted)}` as DeploymentId;
    if (random.chance(0.18)) {
      const version = String(random.whole(1, VERSIONS_MAX));
      return `rollback ${id} to ${version}: ${this.#submittedAs(this.#desk.rollbackTo(id, version))}`;
    }
    const command = this.#command();
    return `${JSON.stringify(command)} ${id}: ${answered(this.#desk.command(id, command))}`;
  }

  deploy(now: Instant): string {
    const random = this.#random;
    const app = random.pick(this.#apps);
    const strategy = randomStrategy(random, now, this.#apps);
    const release = this.#releases.release(app, String(random.whole(1, VERSIONS_MAX)));
    this.#last = { app, release, strategy };
    return `deploy ${app}@${release.version} to ${strategy.targets}: ${this.#submittedAs(this.#desk.deploy(app, release, strategy))}`;
  }

  /** There is something to act on, or to tell. */
  get isBusy(): boolean {
    return this.#submitted > 0 || this.#rare !== undefined;
  }

  #beginStory(machines: readonly MachineId[]): void {
    this.#stories += 1;
    const narrator: Narrator = { name: `s${this.#stories}`, random: this.#rare?.random ?? this.#random, releases: this.#releases, desk: this.#desk, apps: this.#apps, machines, submitted: (id) => this.#submitted = id ?? this.#submitted };
    const { steps, pauseMs } = this.#rare === undefined ? story(narrator) : rareStory(narrator, this.#rare.fate);
    this.#steps = steps;
    this.#pauseMs = pauseMs;
  }

  #tellOn(): string {
    const step = this.#steps.shift()!;
    this.nextMs = this.#steps.length === 0 ? undefined : this.#random.whole(...this.#pauseMs);
    return step();
  }

  #again(): string {
    if (this.#last === undefined) return "nothing to deploy again";
    const { app, release, strategy } = this.#last;
    const targets = this.#random.chance(0.5) ? strategy.targets : this.#random.pick(["role=web", "zone in (a,b)"]);
    return `deploy ${app}@${release.version} again to ${targets}: ${this.#submittedAs(this.#desk.deploy(app, release, { ...strategy, targets }))}`;
  }

  #submittedAs(answer: Answer<{ readonly deployment: string }> | undefined): string {
    if (answer?.ok === true) this.#submitted = Number(answer.value.deployment.slice(2));
    return answer?.ok === true ? answer.value.deployment : answered(answer);
  }

  #command(): Command {
    const random = this.#random;
    const kind = random.weighted([[3, "pause"], [4, "resume"], [2, "abort"], [3, "rollback"], [2, "retry"], [4, "approve"], [2, "promote"], [2, "set_max_unavailable"]] as const);
    switch (kind) {
      case "pause":
      case "resume":
      case "abort":
      case "rollback":
      case "retry":
        return { kind };
      case "approve":
        return { kind, wave: random.chance(0.8) ? 0 : random.whole(1, 3) };
      case "promote":
        return { kind, all: random.chance(0.4) };
      case "set_max_unavailable":
        return { kind, size: randomSize(random) };
    }
  }

  #label(machine: MachineId): Answer<unknown> | undefined {
    const random = this.#random;
    const zone = random.pick(ZONES);
    const kind = random.weighted([[3, "zone"], [1, "no zone"], [1, "role"], [1, "canary"], [1, "no canary"]] as const);
    switch (kind) {
      case "zone":
        return this.#desk.label(machine, { zone });
      case "no zone":
        return this.#desk.label(machine, {}, ["zone"]);
      case "role":
        return this.#desk.label(machine, { role: random.chance(0.7) ? "web" : "db", zone });
      case "canary":
        return this.#desk.label(machine, { canary: "true" });
      case "no canary":
        return this.#desk.label(machine, {}, ["canary"]);
    }
  }

  #order(machines: readonly MachineId[], now: Instant): string {
    const random = this.#random;
    const machine = random.pick(machines);
    const desk = this.#desk;
    const kind = random.weighted([[3, "cordon"], [2, "drain"], [4, "uncordon"], [3, "label"], [2, "remove"], [2, "budget"], [1, "no budget"], [1, "freeze"], [1, "end freeze"], [1, "retention"]] as const);
    switch (kind) {
      case "cordon":
        return `cordon ${machine}: ${answered(desk.cordon(machine, { drain: false, force: false }))}`;
      case "drain":
        return `drain ${machine}: ${answered(desk.cordon(machine, { drain: true, force: random.chance(0.5) }))}`;
      case "uncordon":
        return `uncordon ${machine}: ${answered(desk.uncordon(machine))}`;
      case "label":
        return `label ${machine}: ${answered(this.#label(machine))}`;
      case "remove":
        return `remove ${machine}: ${answered(desk.remove(machine))}`;
      case "budget": {
        const group = random.pick(GROUPS);
        const most = random.whole(0, 3);
        return `budget "${group}" ${most}: ${answered(desk.setBudget(group, most))}`;
      }
      case "no budget":
        return `no budget: ${answered(desk.removeBudget(random.pick(GROUPS)))}`;
      case "freeze": {
        const from = (now + random.whole(-10_000, 60_000)) as Instant;
        const until = random.chance(0.3) ? null : ((now + random.whole(-10_000, 300_000)) as Instant);
        return `freeze ${from} to ${until}: ${answered(desk.addFreeze(from, until))}`;
      }
      case "end freeze":
        return `end a freeze: ${answered(desk.endFirstFreeze())}`;
      case "retention":
        return `keep few releases: ${answered(desk.keepReleases(random.whole(1, 3), random.whole(0, 120_000)))}`;
    }
  }
}

function answered(answer: Answer<unknown> | undefined): string {
  if (answer === undefined) return "no answer";
  return answer.ok ? "granted" : answer.refusal.message;
}
