/** A quiet world that does what a scenario says, under the same checks as any other run. */
import type { AppName, DeploymentId, Digest, MachineId } from "@muster/proto/ids.ts";
import { parseSelector } from "@muster/proto/selector.ts";
import type { Engine } from "@muster/controller/src/engine/engine.ts";
import type { Strategy } from "@muster/controller/src/plan/strategy.ts";
import type { TargetState } from "@muster/controller/src/rollout/state.ts";
import type { Machine } from "./machine.ts";
import type { Character } from "./releases.ts";
import { liveness, openJournal } from "./run.ts";
import { checkConverged } from "./settled.ts";
import { World } from "./world.ts";

const SEED = 1;
const GOOD: Character = { kind: "good", readyMs: 200 };
export const ORDER = { by: "ops", reason: "" };

export class Scenario {
  readonly world: World;

  constructor(machines: number) {
    this.world = new World(SEED, openJournal(), { quietMachines: machines });
  }

  get engine(): Engine {
    return this.world.controller.engine!;
  }

  machine(name: string): Machine {
    return this.world.machines.get(name as MachineId)!;
  }

  /** To all machines, in one wave, one at a time. */
  deploy(version: string, changes: Partial<Strategy> = {}, character: Character = GOOD, app = "web" as AppName): DeploymentId {
    const release = this.world.releases.define(app, version, character);
    const { operators } = this.engine;
    operators.recordArtifact({ kind: "artifact_stored", artifact: release.artifact as Digest, fileCount: 1, sizeBytes: 1, packBytes: 1 });
    const strategy: Strategy = {
      targets: "role=web",
      waves: [{ members: { kind: "size", size: { kind: "percent", percent: 100 } }, gates: [], at: null, afterMs: 0, maxFailures: null, maxUnreachable: null, successThreshold: null }],
      alarms: [],
      maxUnavailable: { kind: "count", count: 1 },
      maxUnavailablePer: [],
      spread: null,
      order: [],
      minHealthyTimeMs: 1_000,
      healthyDeadlineMs: 30_000,
      progressDeadlineMs: 300_000,
      maxFailures: { kind: "count", count: 9 },
      maxUnreachable: null,
      offline: { kind: "skip" },
      lateJoiners: "deploy",
      window: null,
      start: "auto",
      startAt: null,
      after: null,
      priority: 0,
      onFailure: "pause",
      onConflict: "supersede",
      ...changes,
    };
    const parsed = parseSelector(strategy.targets);
    if (!parsed.ok) throw new Error(parsed.message);
    const answer = operators.submit({ app, release, strategy, selector: parsed.selector });
    if (!answer.ok) throw new Error(answer.refusal.message);
    return answer.value.deployment as DeploymentId;
  }

  async pass(ms: number): Promise<void> {
    const end = this.world.timeline.now + ms;
    while ((this.world.timeline.nextAt ?? Infinity) <= end) await this.world.step();
    this.world.timeline.idleUntil(end);
  }

  /** Nothing arrives from the machine, and nothing at it. */
  cutOff(name: string): void {
    this.world.network.cut(name as MachineId, { toMachine: true, toController: true });
  }

  mend(name: string): void {
    this.world.network.mend(name as MachineId);
  }

  restartController(): void {
    this.world.controller.kill();
    this.world.controller.start();
  }

  async until(isSo: () => boolean): Promise<void> {
    for (let waited = 0; !isSo(); waited += 100) {
      if (waited > 3_600_000) throw new Error(`it has not come to ${isSo.toString()} in an hour`);
      await this.pass(100);
    }
  }

  stateOf(id: DeploymentId, name: string): TargetState {
    return this.world.checks.model.of(id).targets.get(name as MachineId)!.state;
  }

  phaseOf(id: DeploymentId): string {
    return this.world.checks.model.of(id).phase;
  }

  /** Everything must come to rest where it should. */
  async settle(): Promise<void> {
    await liveness(this.world);
    this.world.checks.audit(this.world.controller.engine);
    checkConverged(this.world);
  }
}
