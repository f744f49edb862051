/**
 * TrustService: the trust root comes in, version by version, and is looked at.
 */
import type { TrustServiceServer } from "@muster/proto/gen/muster/v1/trust.ts";
import type { Logger } from "pino";
import { remark } from "../audit/subject.ts";
import { invalid, unary, valueOf } from "../grpc/answer.ts";
import type { TrustRoots } from "../trust/trust-roots.ts";
import { byOf } from "./order.ts";

export interface TrustApiOptions {
  readonly trustRoots: TrustRoots;
  readonly logger: Logger;
}

export function trustApi({ trustRoots, logger }: TrustApiOptions): TrustServiceServer {
  return {
    publishTrustRoot: unary(logger, (request, caller, call) => {
      const root = valueOf(trustRoots.publish(request.envelope, byOf(request, caller)));
      remark(call, { version: String(root.version) });
      logger.info({ trustRootVersion: root.version }, "trust root published");
      return { root };
    }),

    listTrustRoots: unary(logger, ({ afterVersion }) => {
      if (!(afterVersion >= 0)) throw invalid(`${afterVersion} is no version of a trust root`);
      return { roots: [...trustRoots.after(afterVersion)], newestVersion: trustRoots.newestVersion() };
    }),
  };
}
