/**
 * What an agent says, checked: from the wire's messages to the engine's entries.
 *
 * Always holds: names, versions, digests and ports that no agent has are refused, with a message that says what and why, which ends the session; texts for people are cut. So nothing
 * that an agent says is longer than `MESSAGE_UNITS_MAX`, whoever speaks in its name.
 */
import { AppPhase, type Hello, type Refusal, type Report } from "@muster/proto/gen/muster/v1/agent.ts";
import { type Instant, isVersion, type MachineId, NAME_RULE, parseAppName, parseDigest, parseMachineId, PORT_MAX, PORT_NAME, PORT_NAME_RULE, PORTS_MAX, VERSION_RULE } from "@muster/proto/ids.ts";
import { REASON_CODES, type ReasonCode } from "@muster/proto/reason.ts";
import { REFUSAL_CODES } from "@muster/proto/refusal.ts";
import { clip } from "@muster/proto/text.ts";
import type { AgentRefusal } from "../fleet/fleet.ts";
import type { MachineJoined, ReportAccepted } from "../journal/entry.ts";
import type { AgentPhase } from "../rollout/state.ts";

export type Checked<T> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly message: string };

const INSTANCE = /^[0-9A-Za-z-]{1,64}$/;
/** Of what agents say of themselves, in UTF-16 units. */
const WORD_UNITS_MAX = 255;
/** Of a reason, in UTF-16 units: enough for a cause and the last line of output. */
export const MESSAGE_UNITS_MAX = 2000;
/** Of what is refused, so that its message can be read. */
const QUOTED_UNITS_MAX = 80;

/** Without labels, which are the controller's to say. */
export function checkHello(hello: Hello): Checked<Omit<MachineJoined, "labels">> {
  const machine = parseMachineId(hello.machine);
  if (machine === undefined) return refused(`the machine id ${quoted(hello.machine)} is not ${NAME_RULE}`);
  if (!INSTANCE.test(hello.instanceId)) return refused("the instance id is not 1 to 64 letters, digits and hyphens");
  if (!Number.isSafeInteger(hello.newestPendingSeq) || hello.newestPendingSeq < 0) return refused(`its newest pending report has the sequence ${hello.newestPendingSeq}`);
  return {
    ok: true,
    value: {
      kind: "machine_joined",
      machine,
      instance: hello.instanceId,
      agentVersion: clip(hello.agentVersion, WORD_UNITS_MAX),
      hostname: clip(hello.hostname, WORD_UNITS_MAX),
      os: clip(hello.os, WORD_UNITS_MAX),
      arch: clip(hello.arch, WORD_UNITS_MAX),
    },
  };
}

export function checkReport(machine: MachineId, instance: string, report: Report): Checked<ReportAccepted> {
  const app = parseAppName(report.app);
  if (app === undefined) return refused(`a report is about ${quoted(report.app)}, which is not the name of an app`);
  const phase = AGENT_PHASE[report.phase];
  if (phase === undefined) return refused(`a report about ${app} has no phase`);
  if (!Number.isSafeInteger(report.seq) || report.seq < 1) return refused(`a report about ${app} has the sequence ${report.seq}`);
  const { reason, runningVersion, runningArtifact } = report;
  const wrong = faultOfPorts(report.ports) ?? faultOfRunning(runningVersion, runningArtifact);
  if (wrong !== undefined) return refused(`a report about ${app} ${wrong}`);
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
      reason: reason === undefined ? null : { code: reasonCode(reason.code), message: clip(reason.message, MESSAGE_UNITS_MAX) },
      runningVersion,
      runningArtifact,
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
  return { code, message: clip(refusal.message, MESSAGE_UNITS_MAX) };
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

/** Undefined: they are such as a release may have; 0 is one that is not known. */
function faultOfPorts(ports: Readonly<Record<string, number>>): string | undefined {
  const all = Object.entries(ports);
  if (all.length > PORTS_MAX) return `has more than ${PORTS_MAX} ports`;
  for (const [name, port] of all) {
    if (!PORT_NAME.test(name)) return `has a port ${quoted(name)}, whose name is not ${PORT_NAME_RULE}`;
    if (port > PORT_MAX) return `has the port ${name}=${port}, which is above ${PORT_MAX}`;
  }
  return undefined;
}

/** Empty: nothing runs. */
function faultOfRunning(version: string, artifact: string): string | undefined {
  if (version !== "" && !isVersion(version)) return `runs the version ${quoted(version)}, which is not ${VERSION_RULE}`;
  if (artifact !== "" && parseDigest(artifact) === undefined) return `runs the artifact ${quoted(artifact)}, which is not a sha256`;
  return undefined;
}

function quoted(text: string): string {
  return `"${clip(text, QUOTED_UNITS_MAX)}"`;
}

function refused(message: string): { readonly ok: false; readonly message: string } {
  return { ok: false, message };
}
