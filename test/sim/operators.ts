/**
 * People at random: they deploy, steer what is under way, and keep machines from it, whatever state things are in. What is refused is refused; what is granted must hold.
 */
import type { AppName, DeploymentId, Digest, Instant, MachineId } from "@muster/proto/ids.ts";
import { parseSelector } from "@muster/proto/selector.ts";
import type { Engine } from "@muster/controller/src/engine/engine.ts";
import type { Command } from "@muster/controller/src/engine/operators.ts";
import type { Answer } from "@muster/controller/src/engine/refusal.ts";
import type { Random } from "./random.ts";
import type { Releases } from "./releases.ts";
import { randomSize, randomStrategy } from "./strategies.ts";

const VERSIONS_MAX = 5;
export const ZONES = ["a", "b", "c"];
const GROUPS = ["role=web", "zone=a", ""];
const ORDER = { by: "ops", reason: "" };

export class Operators {
  readonly #random: Random;
  readonly #releases: Releases;
  readonly #apps: readonly string[];
  #submitted = 0;

  constructor(random: Random, releases: Releases, apps: readonly string[]) {
    this.#random = random;
    this.#releases = releases;
    this.#apps = apps;
  }

  act(engine: Engine, machines: readonly MachineId[], now: Instant): string {
    const random = this.#random;
    if (this.#submitted === 0 || random.chance(0.25)) return this.deploy(engine, now);
    if (random.chance(0.35)) return this.#order(engine, machines, now);
    const id = `d-${random.chance(0.7) ? this.#submitted : random.whole(1, this.#submitted)}` as DeploymentId;
    if (random.chance(0.05)) {
      const version = String(random.whole(1, VERSIONS_MAX));
      const answer = engine.operators.rollbackTo(id, version, ORDER);
      if (answer.ok) this.#submitted = Number(answer.value.deployment.slice(2));
      return `rollback ${id} to ${version}: ${told(answer)}`;
    }
    const command = this.#command();
    return `${JSON.stringify(command)} ${id}: ${told(engine.operators.command(id, command, ORDER))}`;
  }

  deploy(engine: Engine, now: Instant): string {
    const random = this.#random;
    const app = random.pick(this.#apps) as AppName;
    const strategy = randomStrategy(random, now, this.#apps);
    const parsed = parseSelector(strategy.targets);
    if (!parsed.ok) throw new Error(parsed.message);
    const release = this.#releases.release(app, String(random.whole(1, VERSIONS_MAX)));
    engine.operators.recordArtifact({ kind: "artifact_stored", artifact: release.artifact as Digest, fileCount: 1, sizeBytes: 1, packBytes: 1 });
    const answer = engine.operators.submit({ app, release, strategy, selector: parsed.selector });
    if (answer.ok) this.#submitted = Number(answer.value.deployment.slice(2));
    return `deploy ${app}@${release.version} to ${strategy.targets}: ${told(answer)}`;
  }

  #command(): Command {
    const random = this.#random;
    const kind = random.weighted([[3, "pause"], [4, "resume"], [1, "abort"], [2, "rollback"], [2, "retry"], [4, "approve"], [2, "promote"], [2, "set_max_unavailable"]] as const);
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

  #labels(): { readonly set: Readonly<Record<string, string>>; readonly remove: readonly string[] } {
    const random = this.#random;
    const zone = random.pick(ZONES);
    const kind = random.weighted([[3, "zone"], [1, "no zone"], [1, "role"], [1, "canary"], [1, "no canary"]] as const);
    switch (kind) {
      case "zone":
        return { set: { zone }, remove: [] };
      case "no zone":
        return { set: {}, remove: ["zone"] };
      case "role":
        return { set: { role: random.chance(0.7) ? "web" : "db", zone }, remove: [] };
      case "canary":
        return { set: { canary: "true" }, remove: [] };
      case "no canary":
        return { set: {}, remove: ["canary"] };
    }
  }

  #order(engine: Engine, machines: readonly MachineId[], now: Instant): string {
    const random = this.#random;
    const machine = random.pick(machines);
    const { orders } = engine;
    const kind = random.weighted([[3, "cordon"], [2, "drain"], [4, "uncordon"], [3, "label"], [5, "remove"], [2, "budget"], [1, "no budget"], [1, "freeze"], [1, "end freeze"]] as const);
    switch (kind) {
      case "cordon":
        return `cordon ${machine}: ${told(orders.cordon(machine, { drain: false, force: false }, ORDER))}`;
      case "drain":
        return `drain ${machine}: ${told(orders.cordon(machine, { drain: true, force: random.chance(0.5) }, ORDER))}`;
      case "uncordon":
        return `uncordon ${machine}: ${told(orders.uncordon(machine, ORDER))}`;
      case "label":
        return `label ${machine}: ${told(orders.labelMachine(machine, this.#labels(), "ops"))}`;
      case "remove":
        return `remove ${machine}: ${told(orders.removeMachine(machine, ORDER))}`;
      case "budget": {
        const group = random.pick(GROUPS);
        const most = random.whole(0, 3);
        return `budget "${group}" ${most}: ${told(orders.setBudget(group, most, "ops"))}`;
      }
      case "no budget":
        return `no budget: ${told(orders.removeBudget(random.pick(GROUPS), "ops"))}`;
      case "freeze": {
        const from = (now + random.whole(-10_000, 60_000)) as Instant;
        const until = random.chance(0.3) ? null : ((now + random.whole(-10_000, 300_000)) as Instant);
        return `freeze ${from} to ${until}: ${told(orders.addFreeze({ from, until }, ORDER))}`;
      }
      case "end freeze": {
        const freeze = orders.freezes()[0];
        return freeze === undefined ? "no freeze to end" : `end ${freeze.id}: ${told(orders.endFreeze(freeze.id, "ops"))}`;
      }
    }
  }
}

function told(answer: Answer<unknown>): string {
  return answer.ok ? "granted" : answer.refusal.message;
}
