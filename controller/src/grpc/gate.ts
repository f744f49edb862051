/**
 * The gate before every method: a call goes on only when it has been admitted, and its handler learns who calls. It is asked before any message of the call is
 * read, so a stranger's bytes are never parsed. Whoever wants to know is told how each call ended, before the caller is. Each answer begins with the time of the controller's clock.
 */
import { type Metadata, ResponderBuilder, type ServerInterceptor, ServerInterceptingCall, ServerListenerBuilder, status } from "@grpc/grpc-js";
import { NOW_HEADER } from "@muster/proto/now-header.ts";
import { type Caller, type Peer, rememberCaller } from "./caller.ts";
import { OpenCalls } from "./open-calls.ts";

export interface Knock {
  /** `/muster.v1.FleetService/ListMachines` */
  readonly path: string;
  readonly peer: Peer;
  readonly metadata: Metadata;
}

export type Admission =
  | { readonly ok: true; readonly caller: Caller }
  /** `caller`: who it was, where that is known. */
  | { readonly ok: false; readonly code: status.UNAUTHENTICATED | status.PERMISSION_DENIED; readonly message: string; readonly caller?: Caller };

export type Admit = (knock: Knock) => Admission | Promise<Admission>;

/** A call that is over. */
export interface Ending extends Knock {
  readonly caller: Caller | undefined;
  /** The first message, when one was read. */
  readonly request: unknown;
  /** CANCELLED: the caller went away before the answer; what was asked may have been done. */
  readonly code: status;
  readonly message: string;
}

/** Who looks on. */
export interface Witness {
  /** Called once for each call, before its status is sent. */
  readonly onEnd: (ending: Ending) => void;
  /** Where calls are noted while they are under way. */
  readonly open: OpenCalls;
}

interface GateOptions {
  readonly admit: Admit;
  /** The other end of the connection with this address; undefined when it has gone. */
  readonly peerAt: (address: string) => Peer | undefined;
  /** Wall clock, milliseconds since 1970. */
  readonly now: () => number;
  readonly witness?: Witness | undefined;
}

export function gate({ admit, peerAt, now, witness: { onEnd, open } = nobody() }: GateOptions): ServerInterceptor {
  return ({ path }, call) => {
    let knock: Knock | undefined;
    let caller: Caller | undefined;
    let request: unknown;
    let leave = (): void => undefined;

    const end = (code: status, message: string): void => {
      if (knock === undefined) return;
      leave();
      const ending = { ...knock, caller, request, code, message };
      knock = undefined;
      onEnd(ending);
    };
    const refuse = (code: status, message: string): void => {
      end(code, message);
      call.sendStatus({ code, details: message });
    };
    const settle = (admission: Admission, metadata: Metadata, pass: (metadata: Metadata) => void): void => {
      // It may have gone while it was looked at.
      if (knock === undefined) return;
      caller = admission.caller;
      if (!admission.ok) return refuse(admission.code, admission.message);
      leave = open.enter(admission.caller, refuse);
      rememberCaller(metadata, admission.caller);
      pass(metadata);
    };

    const listener = new ServerListenerBuilder()
      .withOnReceiveMetadata((metadata, pass) => {
        const peer = peerAt(call.getPeer());
        if (peer === undefined) return call.sendStatus({ code: status.UNAUTHENTICATED, details: "the connection has gone" });
        knock = { path, peer, metadata };
        const admission = admit(knock);
        if (!(admission instanceof Promise)) return settle(admission, metadata, pass);
        admission.then(
          (settled) => settle(settled, metadata, pass),
          () => refuse(status.INTERNAL, "internal error"),
        );
      })
      .withOnReceiveMessage((message, pass) => {
        request ??= message;
        pass(message);
      })
      .withOnCancel(() => end(status.CANCELLED, "the caller went away before the answer"));
    const responder = new ResponderBuilder()
      .withStart((next) => next(listener.build()))
      .withSendMetadata((metadata, next) => {
        metadata.set(NOW_HEADER, String(now()));
        next(metadata);
      })
      .withSendStatus((ended, next) => {
        end(ended.code ?? status.UNKNOWN, ended.details ?? "");
        next(ended);
      });
    return new ServerInterceptingCall(call, responder.build());
  };
}

function nobody(): Witness {
  return { onEnd: () => undefined, open: new OpenCalls() };
}
