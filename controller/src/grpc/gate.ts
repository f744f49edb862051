/**
 * The gate before every method: a call goes on only when it has been admitted, and its handler learns who calls. It is asked before any message of the call is
 * read, so a stranger's bytes are never parsed.
 */
import { type Metadata, type ServerInterceptor, ServerInterceptingCall, ServerListenerBuilder, status } from "@grpc/grpc-js";
import { type Caller, type Peer, rememberCaller } from "./caller.ts";

export interface Knock {
  /** `/muster.v1.FleetService/ListMachines` */
  readonly path: string;
  readonly peer: Peer;
  readonly metadata: Metadata;
}

export type Admission =
  | { readonly ok: true; readonly caller: Caller }
  | { readonly ok: false; readonly code: status.UNAUTHENTICATED | status.PERMISSION_DENIED; readonly message: string };

export type Admit = (knock: Knock) => Admission | Promise<Admission>;

/** `peerAt`: the other end of the connection with this address; undefined when it has gone. */
export function gate(admit: Admit, peerAt: (address: string) => Peer | undefined): ServerInterceptor {
  return ({ path }, call) => {
    const settle = (admission: Admission, metadata: Metadata, pass: (metadata: Metadata) => void): void => {
      if (!admission.ok) return call.sendStatus({ code: admission.code, details: admission.message });
      rememberCaller(metadata, admission.caller);
      pass(metadata);
    };
    const listener = new ServerListenerBuilder().withOnReceiveMetadata((metadata, pass) => {
      const peer = peerAt(call.getPeer());
      if (peer === undefined) return call.sendStatus({ code: status.UNAUTHENTICATED, details: "the connection has gone" });
      const admission = admit({ path, peer, metadata });
      if (!(admission instanceof Promise)) return settle(admission, metadata, pass);
      admission.then(
        (settled) => settle(settled, metadata, pass),
        () => call.sendStatus({ code: status.INTERNAL, details: "internal error" }),
      );
    });
    return new ServerInterceptingCall(call, { start: (next) => next(listener.build()) });
  };
}
