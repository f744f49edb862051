/** Columns of the tables in the words of the generated messages. */
import { AppPhase, type Reason } from "@muster/proto/gen/muster/v1/agent.ts";
import { TargetState } from "@muster/proto/gen/muster/v1/deployments.ts";
import type { AgentPhase, TargetState as TargetStateName } from "../rollout/state.ts";

export function reasonOf(row: { readonly reason_code: string | null; readonly reason_message: string | null }): Reason | undefined {
  return row.reason_code === null ? undefined : { code: row.reason_code, message: row.reason_message ?? "" };
}

/** The generated enums spell `unreachable` as `TARGET_STATE_UNREACHABLE`. */
export function targetState(state: TargetStateName): TargetState {
  return TargetState[state.toUpperCase() as Uppercase<TargetStateName>];
}

export function appPhase(phase: AgentPhase | null): AppPhase {
  return phase === null ? AppPhase.UNSPECIFIED : AppPhase[phase.toUpperCase() as Uppercase<AgentPhase>];
}
