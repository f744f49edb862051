/** A quiet world that does what a scenario says, under the same checks as any other run. */
import type { DeploymentId, MachineId } from "@muster/proto/ids.ts";
import type { Gate, Strategy } from "@muster/controller/src/plan/strategy.ts";
import type { Machine } from "./machine.ts";
import { pass } from "./exam.ts";
import type { Character } from "./releases.ts";
import { liveness, settle } from "./run.ts";
import { plainStrategy, waveOf } from "./strategies.ts";
import { World } from "./world.ts";

const SEED = 1;
export const GOOD: Character = { kind: "good", readyMs: 200 };
export const SLOW: Character = { kind: "good", readyMs: 10_000 };

export class Scenario {
  readonly world: World;

  /** Its machines have joined. */
  static async of(machines: number): Promise<Scenario> {
    const scenario = new Scenario(machines);
    await scenario.pass(2_000);
    return scenario;
  }

  constructor(machines: number) {
    this.world = new World(SEED, { quietMachines: machines });
  }

  get desk(): World["desk"] {
    return this.world.desk;
  }

  machine(name: string): Machine {
    return this.world.machines.get(name as MachineId)!;
  }

  /** To all machines, in one wave, one at a time. */
  deploy(version: string, changes: Partial<Strategy> = {}, character: Character = GOOD, app = "web"): DeploymentId {
    const { releases, desk } = this.world;
    const answer = desk.deploy(app, releases.define(app, version, character), { ...plainStrategy(), ...changes });
    if (answer?.ok !== true) throw new Error(answer?.refusal.message ?? "no answer");
    return answer.value.deployment as DeploymentId;
  }

  /** Deploys, and waits until that has succeeded. */
  async stand(version: string, changes: Partial<Strategy> = {}, character: Character = GOOD): Promise<DeploymentId> {
    const id = this.deploy(version, { maxUnavailable: { kind: "percent", percent: 100 }, ...changes }, character);
    await this.until(() => this.phaseOf(id) === "succeeded");
    await this.pass(30_000);
    return id;
  }

  async pass(ms: number): Promise<void> {
    await pass(this.world, ms);
  }

  /** Nothing arrives from the machine, and nothing at it. */
  cutOff(name: string): void {
    this.world.network.cut(name as MachineId, { toMachine: true, toController: true });
  }

  mend(name: string): void {
    this.world.network.mend(name as MachineId);
  }

  async controllerIsDeadFor(ms: number): Promise<void> {
    const { controller } = this.world;
    controller.kill(ms);
    await this.pass(ms);
    controller.start();
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

  phaseOf(id: DeploymentId): string {
    return this.world.oracle.phaseOf(id)!;
  }

  /** As operators read it. */
  reasonOf(id: DeploymentId): string {
    return this.world.oracle.reasonOf(id);
  }

  waitsFor(id: DeploymentId, word: string): boolean {
    return this.world.controller.waitingOn(id)?.includes(word) === true;
  }

  /** Machines that were assigned the app. */
  assigned(app = "web"): number {
    return [...this.world.machines.keys()].filter((machine) => this.world.oracle.newest(machine, app) !== undefined).length;
  }

  /** The version of the app that answers well there now; undefined: none does. */
  serves(name: string, app = "web"): string | undefined {
    const artifact = this.machine(name).serving(app).current(this.world.timeline.now)?.artifact;
    return artifact === undefined ? undefined : this.world.releases.versionOf(artifact);
  }

  /** The same of each machine, in the order of their names. */
  fleet(): readonly (string | undefined)[] {
    return [...this.world.machines.keys()].map((name) => this.serves(name));
  }

  /** Everything must come to rest where it should. */
  async settle(): Promise<void> {
    await liveness(this.world);
    await settle(this.world);
  }
}

export function canary(...gates: Gate[]): Pick<Strategy, "waves"> {
  return { waves: [waveOf({ kind: "count", count: 1 }, gates), waveOf({ kind: "percent", percent: 100 })] };
}

export function count(of: number): { readonly kind: "count"; readonly count: number } {
  return { kind: "count", count: of };
}
