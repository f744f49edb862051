/** Each answer begins with the time of a clock, as a controller's does; undefined: it says nothing of it, as older ones. */
import { ResponderBuilder, type ServerInterceptor, ServerInterceptingCall } from "@grpc/grpc-js";
import { NOW_HEADER } from "@muster/proto/now-header.ts";

export function sayingNow(now: () => number | undefined): ServerInterceptor {
  return (_method, call) => {
    const responder = new ResponderBuilder().withSendMetadata((metadata, next) => {
      const at = now();
      if (at !== undefined) metadata.set(NOW_HEADER, String(at));
      next(metadata);
    });
    return new ServerInterceptingCall(call, responder.build());
  };
}
