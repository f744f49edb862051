/**
 * JoinService: how machines get credentials. It says as little as it can to whoever has none; the log has the rest.
 */
import { status } from "@grpc/grpc-js";
import type { Credentials, JoinServiceServer, JoinRequest, MachineKeys as KeysMessage } from "@muster/proto/gen/muster/v1/identity.ts";
import { NAME_RULE, parseMachineId } from "@muster/proto/ids.ts";
import { isLabelKey, isLabelValue, LABELS_MAX } from "@muster/proto/selector.ts";
import { clip } from "@muster/proto/text.ts";
import type { Logger } from "pino";
import { CallError, invalid, unary } from "../grpc/answer.ts";
import { type Caller, machineOf } from "../grpc/caller.ts";
import type { Authorities } from "./authorities.ts";
import type { Issued, Member } from "./members.ts";
import type { Asked, MachineKeys, Membership } from "./membership.ts";

export interface JoinApiOptions {
  readonly membership: Membership;
  readonly authorities: Authorities;
  readonly controllerId: string;
  /** A trust file, for machines to pin; undefined: none was published. */
  readonly trustRoot: () => Uint8Array | undefined;
  readonly logger: Logger;
}

const APPROVAL_POLL_MS = 2_000;
/** In UTF-16 units: of what a machine says of itself, and of what a refusal quotes. A token's id is 16 long. */
const WORD_UNITS_MAX = 255;
const QUOTED_UNITS_MAX = 80;
const BAD_TOKEN = "the token was not accepted: it is wrong, used up, expired or revoked. Make another on the controller's side: muster token create";

export function joinApi({ membership, authorities, controllerId, trustRoot, logger }: JoinApiOptions): JoinServiceServer {
  const credentials = ({ machine }: Member, { certificate, natsJwt, issuedAt, expiresAt }: Issued): Credentials => ({
    machine,
    certificate: Buffer.from(certificate),
    authorities: [...authorities.bundle],
    natsJwt,
    issuedAt,
    expiresAt,
  });

  return {
    join: unary(logger, async (request, caller) => {
      const asked = checkJoin(request, caller);
      const outcome = await membership.join(asked);
      const fields = { machineId: asked.machine, tokenId: asked.tokenId, address: asked.address };
      switch (outcome.kind) {
        case "joined":
          if (outcome.isNew) logger.info(fields, "machine joined");
          return { result: { $case: "credentials", value: credentials(outcome.member, outcome.issued) }, trustRoot: Buffer.from(trustRoot() ?? []), controllerId };
        case "waits":
          if (outcome.isNew) logger.info(fields, "machine waits for approval");
          return { result: { $case: "awaitingApproval", value: { retryAfterMs: APPROVAL_POLL_MS } }, trustRoot: Buffer.alloc(0), controllerId: "" };
        case "bad_token":
          logger.warn({ ...fields, fault: outcome.fault }, "join refused");
          throw new CallError(status.UNAUTHENTICATED, BAD_TOKEN);
        case "bad_keys":
          throw badKeys();
        case "taken":
          logger.warn({ ...fields, state: outcome.member.state }, "join refused: the id is taken");
          throw new CallError(
            status.ALREADY_EXISTS,
            `${asked.machine} is a machine of this fleet already${outcome.member.state === "revoked" ? ", and has been revoked" : ""}: choose another --id, or have it removed first: muster machine remove ${asked.machine}`,
          );
      }
    }),

    renew: unary(logger, async ({ keys }, caller) => {
      const { machine, membership: number } = machineOf(caller);
      const outcome = await membership.renew(machine, number, checkKeys(keys));
      switch (outcome.kind) {
        case "renewed":
          logger.info({ machineId: machine, expiresAt: outcome.issued.expiresAt }, "credentials renewed");
          return { credentials: credentials(outcome.member, outcome.issued) };
        case "bad_keys":
          throw badKeys();
        case "not_a_member":
          throw new CallError(status.UNAUTHENTICATED, `${machine} is not a member of this fleet any more`);
      }
    }),
  };
}

function checkJoin(request: JoinRequest, caller: Caller): Asked {
  const machine = parseMachineId(request.machine);
  if (machine === undefined) throw invalid(`the machine id "${clip(request.machine, QUOTED_UNITS_MAX)}" is not ${NAME_RULE}`);
  const labels = Object.entries(request.labels);
  if (labels.length > LABELS_MAX) throw invalid(`${labels.length} labels; at most ${LABELS_MAX} are allowed`);
  for (const [key, value] of labels) {
    if (!isLabelKey(key) || !isLabelValue(value)) throw invalid(`"${clip(key, QUOTED_UNITS_MAX)}=${clip(value, QUOTED_UNITS_MAX)}" is not a label`);
  }
  return {
    tokenId: clip(request.tokenId, QUOTED_UNITS_MAX),
    secret: request.secret,
    machine,
    keys: checkKeys(request.keys),
    labels: Object.fromEntries(labels),
    hostname: clip(request.hostname, WORD_UNITS_MAX),
    os: clip(request.os, WORD_UNITS_MAX),
    arch: clip(request.arch, WORD_UNITS_MAX),
    address: "address" in caller ? caller.address : "local",
  };
}

function checkKeys(keys: KeysMessage | undefined): MachineKeys {
  if (keys === undefined) throw badKeys();
  return keys;
}

function badKeys(): CallError {
  return invalid("the keys can't be used: a signed request (PKCS#10) of a P-256 key, the public nkey of a user and an X25519 key of 32 bytes are wanted");
}
