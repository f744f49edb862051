/**
 * Decides who is admitted to which method: the controller's own user through the unix socket, machines by their certificates.
 */
import { status } from "@grpc/grpc-js";
import type { Admission, Admit, Knock } from "../grpc/gate.ts";
import type { Membership } from "../identity/membership.ts";
import { needOf } from "./methods.ts";

export function createAdmission({ membership }: { readonly membership: Membership }): Admit {
  return (knock) => admit(knock, membership);
}

function admit({ path, peer, metadata }: Knock, membership: Membership): Admission {
  const need = needOf(path);
  if (need === undefined) return denied("nobody may call this");
  if (peer.via === "socket") {
    if (need === "machine" || need === "former_machine") return denied("this is for machines alone");
    return { ok: true, caller: { kind: "local", name: String(metadata.get("muster-user")[0] ?? "local") } };
  }
  const { address, certified } = peer;
  if (need === "anybody") return { ok: true, caller: { kind: "anonymous", address } };
  if (need !== "machine" && need !== "former_machine") return denied("operators are answered on the controller's own machine");
  if (certified.kind === "nobody") return { ok: false, code: status.UNAUTHENTICATED, message: "this machine has not joined: muster-agent join" };
  const standing = membership.judge(certified);
  if (standing.kind === "refused") return { ok: false, code: status.UNAUTHENTICATED, message: standing.why };
  if (standing.kind === "expired" && need === "machine") return { ok: false, code: status.UNAUTHENTICATED, message: "the certificate has expired: renew it" };
  const { machine, membership: number, authority } = certified;
  return { ok: true, caller: { kind: "machine", machine, membership: number, authority, address } };
}

function denied(message: string): Admission {
  return { ok: false, code: status.PERMISSION_DENIED, message };
}
