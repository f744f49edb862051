/**
 * The enums of the protocol as people and scripts see them: `DEPLOYMENT_PHASE_ROLLED_BACK` is `rolled_back`.
 */
import type { AppPhase } from "@muster/proto/gen/muster/v1/agent.ts";
import type { AlarmState, DeploymentPhase, GateState, TargetState, WavePhase } from "@muster/proto/gen/muster/v1/deployments.ts";
import type { MachineState } from "@muster/proto/gen/muster/v1/fleet.ts";

type WordOf<Value extends string, Prefix extends string> = Value extends `${Prefix}_${infer Word}` ? Lowercase<Word> : never;

export type PhaseWord = WordOf<DeploymentPhase, "DEPLOYMENT_PHASE">;
export type WavePhaseWord = WordOf<WavePhase, "WAVE_PHASE">;
export type GateStateWord = WordOf<GateState, "GATE_STATE">;
export type AlarmStateWord = WordOf<AlarmState, "ALARM_STATE">;
export type TargetStateWord = WordOf<TargetState, "TARGET_STATE">;
export type AppPhaseWord = Exclude<WordOf<AppPhase, "APP_PHASE">, "unspecified">;
export type MachineStateWord = WordOf<MachineState, "MACHINE_STATE">;

function word<Prefix extends string, Value extends string>(prefix: Prefix, value: Value): WordOf<Value, Prefix> {
  return value.slice(prefix.length + 1).toLowerCase() as WordOf<Value, Prefix>;
}

export function phaseWord(phase: DeploymentPhase): PhaseWord {
  return word("DEPLOYMENT_PHASE", phase);
}

export function wavePhaseWord(phase: WavePhase): WavePhaseWord {
  return word("WAVE_PHASE", phase);
}

export function gateStateWord(state: GateState): GateStateWord {
  return word("GATE_STATE", state);
}

export function alarmStateWord(state: AlarmState): AlarmStateWord {
  return word("ALARM_STATE", state);
}

export function targetStateWord(state: TargetState): TargetStateWord {
  return word("TARGET_STATE", state);
}

export function machineStateWord(state: MachineState): MachineStateWord {
  return word("MACHINE_STATE", state);
}

/** null while the machine has said nothing. */
export function appPhaseWord(phase: AppPhase): AppPhaseWord | null {
  const said = word("APP_PHASE", phase);
  return said === "unspecified" ? null : said;
}

/** Whether a deployment in this phase changes no more. */
export function hasEnded(phase: DeploymentPhase): boolean {
  const ended: readonly PhaseWord[] = ["succeeded", "rolled_back", "failed", "aborted", "superseded"];
  return ended.includes(phaseWord(phase));
}
