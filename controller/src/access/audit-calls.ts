/**
 * Makes audit entries of calls: of each that changes something, and of each that was refused.
 */
import { status } from "@grpc/grpc-js";
import { methodName } from "./admission.ts";
import { hostOf } from "./attempts.ts";
import { changes } from "./methods.ts";
import type { Caller, Peer } from "../grpc/caller.ts";
import type { Ending } from "../grpc/gate.ts";
import type { Audit, AuditKind, AuditRecord, AuditResult } from "../audit/audit.ts";
import { subjectOf } from "../audit/subject.ts";

export function auditCalls(audit: Pick<Audit, "record">): (ending: Ending) => void {
  return ({ path, peer, caller, metadata, request, code, message }) => {
    const result = resultOf(code);
    if (result !== "refused" && !changes(path)) return;
    audit.record({ ...whoOf(peer, caller), method: methodName(path), subject: subjectOf(metadata, request), result, message: result === "ok" ? "" : message });
  };
}

function resultOf(code: status): AuditResult {
  if (code === status.OK) return "ok";
  return code === status.UNAUTHENTICATED || code === status.PERMISSION_DENIED ? "refused" : "failed";
}

function whoOf(peer: Peer, caller: Caller | undefined): Pick<AuditRecord, "who" | "kind" | "from"> {
  const from = peer.via === "socket" ? "local" : hostOf(peer.address);
  const known = (kind: AuditKind, who: string): Pick<AuditRecord, "who" | "kind" | "from"> => ({ who, kind, from });
  switch (caller?.kind) {
    case "local":
      return known("local", caller.name);
    case "operator":
      return known(caller.via, caller.name);
    case "machine":
      return known("machine", caller.machine);
    case "anonymous":
    case undefined:
      return peer.via === "tls" && peer.certified.kind === "machine" ? known("machine", peer.certified.machine) : known("unknown", "");
  }
}
