/**
 * The real engine under hand-made conditions, and what history says of it as plain text.
 */
import type { AppName, DeploymentId, Generation, MachineId } from "@muster/proto/ids.ts";
import type { WhyResponse } from "@muster/proto/gen/muster/v1/history.ts";
import type { Answer } from "../engine/refusal.ts";
import { World } from "../engine/world.fixture.ts";
import type { AgentPhase, RolloutReason } from "../rollout/state.ts";
import { Why } from "./why.ts";

const EXITED: RolloutReason = { code: "exited", message: "exited with code 1" };

export class Scene extends World {
  #reportSeq = 1_000_000;
  readonly #startedAt = this.clock.now();

  /** As an agent says it, with the version that runs there. */
  async tell(machine: string, phase: AgentPhase, runs = "", reason: RolloutReason | null = phase === "reverted" || phase === "failed" || phase === "unhealthy" ? EXITED : null): Promise<void> {
    this.#reportSeq += 1;
    await this.engine.report([
      {
        kind: "report_accepted",
        machine: machine as MachineId,
        app: "app" as AppName,
        instance: `i-${machine}`,
        reportSeq: this.#reportSeq,
        observedAt: this.clock.now(),
        generation: this.generation(machine),
        phase,
        reason,
        runningVersion: runs,
        runningArtifact: "",
        starts: 1,
        pid: 1,
        ports: {},
      },
    ]);
  }

  /** Time passes; all but those that are away are heard. */
  elapse(ms: number, ...heard: readonly string[]): void {
    for (let passed = 0; passed < ms; passed += 5000) {
      this.clock.advance(Math.min(5000, ms - passed));
      for (const machine of heard) this.engine.heartbeat(machine as MachineId, 0 as Generation);
    }
  }

  /** So much time passes, all of it attended, and nothing happens in it. Looking at each second of it would take minutes. */
  age(ms: number): void {
    this.clock.wall += ms;
    this.engine.stop();
    const newest = this.journal.db.prepare("SELECT max((SELECT coalesce(max(attended), 0) FROM journal), coalesce((SELECT CAST(value AS INTEGER) FROM meta WHERE key = 'attended_ms'), 0))").pluck().get() as number;
    this.journal.db.prepare("INSERT INTO meta VALUES ('attended_ms', @value) ON CONFLICT (key) DO UPDATE SET value = @value").run({ value: String(newest + ms) });
    this.startEngine();
    // Tests say when.
    this.engine.archiving.stop();
  }

  get why(): Why {
    const { journal, clock, engine } = this;
    return new Why({ db: journal.db, archive: journal.archive, corrections: journal.corrections, now: () => clock.now(), waiting: (id) => engine.waitingOn(id) ?? "", rollout: (id) => engine.rollout(id), present: engine });
  }

  async whyDeployment(id: DeploymentId): Promise<string> {
    return this.text(await this.why.deployment(id));
  }

  async whyMachine(machine: string, id?: DeploymentId): Promise<string> {
    return this.text(await this.why.machine(machine as MachineId, id));
  }

  /** Times in seconds since the beginning. */
  text(answer: Answer<WhyResponse>): string {
    if (!answer.ok) return answer.refusal.message;
    const { summary, now, decisions } = answer.value;
    const lines = decisions.map(({ at, kind, text }) => `${String((at - this.#startedAt) / 1000).padStart(6)}s ${kind}: ${text}`);
    return [summary, ...now.map((sentence) => `  > ${sentence}`), ...lines].join("\n");
  }
}
