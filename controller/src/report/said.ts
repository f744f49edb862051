/**
 * What an agent says, checked: from the wire's messages to the engine's entries. Whatever is malformed is refused with a message that says what and why.
 */
import { AppPhase, type Hello, type Refusal, type Report } from "@muster/proto/gen/muster/v1/agent.ts";
import { type Instant, type MachineId, NAME_RULE, parseAppName, parseMachineId } from "@muster/proto/ids.ts";
import { REASON_CODES, type ReasonCode } from "@muster/proto/reason.ts";
import { REFUSAL_CODES } from "@muster/proto/refusal.ts";
import type { AgentRefusal } from "../fleet/fleet.ts";
import type { MachineJoined, ReportAccepted } from "../journal/entry.ts";
import type { AgentPhase } from "../rollout/state.ts";

export type Checked<T> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly message: string };

const INSTANCE = /^[0-9A-Za-z-]{1,64}$/;
/** Of what agents say of themselves. */
const WORD_CHARS_MAX = 255;
/** Of a report's reason: enough for a cause and the last line of output. */
const MESSAGE_CHARS_MAX = 2000;
const PORTS_MAX = 64;

/** Without labels, which are the controller's to say. */
export function checkHello(hello: Hello): Checked<Omit<MachineJoined, "labels">> {
  const machine = parseMachineId(hello.machine);
  if (machine === undefined) return refused(`the machine id "${clip(hello.machine, 80)}" is not ${NAME_RULE}`);
  if (!INSTANCE.test(hello.instanceId)) return refused("the instance id is not 1 to 64 letters, digits and hyphens");
  if (!Number.isSafeInteger(hello.newestPendingSeq) || hello.newestPendingSeq < 0) return refused(`its newest pending report has the sequence ${hello.newestPendingSeq}`);
  return {
    ok: true,
    value: {
      kind: "machine_joined",
      machine,
      instance: hello.instanceId,
      agentVersion: clip(hello.agentVersion, WORD_CHARS_MAX),
      hostname: clip(hello.hostname, WORD_CHARS_MAX),
      os: clip(hello.os, WORD_CHARS_MAX),
      arch: clip(hello.arch, WORD_CHARS_MAX),
    },
  };
}

export function checkReport(machine: MachineId, instance: string, report: Report): Checked<ReportAccepted> {
  const app = parseAppName(report.app);
  if (app === undefined) return refused(`a report is about "${clip(report.app, 80)}", which is not the name of an app`);
  const phase = AGENT_PHASE[report.phase];
  if (phase === undefined) return refused(`a report about ${app} has no phase`);
  if (!Number.isSafeInteger(report.seq) || report.seq < 1) return refused(`a report about ${app} has the sequence ${report.seq}`);
  if (Object.keys(report.ports).length > PORTS_MAX) return refused(`a report about ${app} has more than ${PORTS_MAX} ports`);
  const { reason } = report;
  return {
    ok: true,
    value: {
      kind: "report_accepted",
      machine,
      app,
      instance,
      reportSeq: report.seq,
      observedAt: report.observedAt as Instant,
      generation: report.generation,
      phase,
      reason: reason === undefined ? null : { code: reasonCode(reason.code), message: clip(reason.message, MESSAGE_CHARS_MAX) },
      runningVersion: clip(report.runningVersion, WORD_CHARS_MAX),
      runningArtifact: clip(report.runningArtifact, WORD_CHARS_MAX),
      starts: report.starts,
      pid: report.pid,
      ports: report.ports,
    },
  };
}

/** Undefined: it believes what it is told. A newer agent may know codes that this controller does not. */
export function refusalOf(refusal: Refusal | undefined): AgentRefusal | undefined {
  if (refusal === undefined) return undefined;
  const code = REFUSAL_CODES.find((known) => known === refusal.code) ?? "unreadable";
  return { code, message: clip(refusal.message, MESSAGE_CHARS_MAX) };
}

const AGENT_PHASE: Readonly<Partial<Record<AppPhase, AgentPhase>>> = {
  [AppPhase.PULLING]: "pulling",
  [AppPhase.STAGED]: "staged",
  [AppPhase.ACTIVATING]: "activating",
  [AppPhase.PROBING]: "probing",
  [AppPhase.HEALTHY]: "healthy",
  [AppPhase.UNHEALTHY]: "unhealthy",
  [AppPhase.REVERTING]: "reverting",
  [AppPhase.REVERTED]: "reverted",
  [AppPhase.FAILED]: "failed",
  [AppPhase.REMOVING]: "removing",
  [AppPhase.REMOVED]: "removed",
};

/** A newer agent may know codes that this controller does not. */
function reasonCode(code: string): ReasonCode {
  return (REASON_CODES as readonly string[]).includes(code) ? (code as ReasonCode) : "io_error";
}

function clip(text: string, chars: number): string {
  return text.length <= chars ? text : `${text.slice(0, chars - 1)}…`;
}

function refused(message: string): { readonly ok: false; readonly message: string } {
  return { ok: false, message };
}
