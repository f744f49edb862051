/**
 * IdentityService: which machines may be part of the fleet. What is decided here holds at once: connections of a machine that is sent away are cut.
 */
import { status } from "@grpc/grpc-js";
import { type Authority as AuthorityMessage, type IdentityServiceServer, type JoinToken as TokenMessage, type Member as MemberMessage, MemberState } from "@muster/proto/gen/muster/v1/identity.ts";
import { type MachineId, parseMachineId } from "@muster/proto/ids.ts";
import { isLabelKey, isLabelValue } from "@muster/proto/selector.ts";
import { firstAndMore } from "@muster/proto/text.ts";
import type { Logger } from "pino";
import type { Order } from "../engine/operators.ts";
import { CallError, invalid, missing, unary } from "../grpc/answer.ts";
import { nameOf } from "../grpc/caller.ts";
import type { Authorities } from "../identity/authorities.ts";
import type { JoinToken } from "../identity/join-tokens.ts";
import type { Member, MemberState as State } from "../identity/members.ts";
import type { Membership } from "../identity/membership.ts";
import { Slice } from "../journal/slices.ts";

export interface IdentityApiOptions {
  readonly membership: Membership;
  readonly authorities: Authorities;
  /** Ends whatever the machine has open, and keeps it from coming back. */
  readonly cutOff: (member: Member) => void;
  /** Writes down who revoked the machine, and why. */
  readonly onRevoked: (machine: MachineId, order: Order) => void;
  /** Servers show certificates of the authorities that are left. */
  readonly onAuthoritiesChanged: () => void;
  /** Users with certificates of an authority before the one that was made then. */
  readonly usersCertifiedBefore: (at: number) => readonly string[];
  /** Where machines reach the controller. */
  readonly address: () => string;
  readonly natsConfig: () => string;
  readonly now: () => number;
  readonly logger: Logger;
}

const USES_MAX = 100_000;
const TTL_MS_MIN = 1_000;
const TTL_MS_MAX = 366 * 24 * 60 * 60_000;
const LABELS_MAX = 64;
const DEPENDANTS_SHOWN_MAX = 1_000;
/** A message names no more than this. */
const NAMED_MAX = 5;

export function identityApi({ membership, authorities, cutOff, onRevoked, onAuthoritiesChanged, usersCertifiedBefore, address, natsConfig, now, logger }: IdentityApiOptions): IdentityServiceServer {
  const { tokens, members } = membership;
  const known = (text: string): Member => {
    const machine = parseMachineId(text);
    const member = machine === undefined ? undefined : members.find(machine);
    if (member === undefined) throw missing(`there is no machine ${text}`);
    return member;
  };
  const waiting = (text: string): Member => {
    const member = known(text);
    if (member.state !== "pending") throw new CallError(status.FAILED_PRECONDITION, `${text} does not wait for approval: it is ${STATE_WORDS[member.state]}`);
    return member;
  };
  const listed = (): AuthorityMessage[] => {
    const dependants = members.dependants(authorities.newest.pin);
    const users = usersCertifiedBefore(authorities.newest.madeAt);
    return authorities.all.map(({ pin, certificate }) => ({
      pin,
      notBefore: certificate.validFromDate.getTime(),
      notAfter: certificate.validToDate.getTime(),
      dependants: (dependants.get(pin) ?? []).slice(0, DEPENDANTS_SHOWN_MAX),
      users: pin === authorities.newest.pin ? [] : users.slice(0, DEPENDANTS_SHOWN_MAX),
    }));
  };

  return {
    createToken: unary(logger, ({ uses, ttlMs, labels, approve }, caller) => {
      if (uses < 1 || uses > USES_MAX) throw invalid(`a token is for 1 to ${USES_MAX} machines, not for ${uses}`);
      if (ttlMs < TTL_MS_MIN || ttlMs > TTL_MS_MAX) throw invalid("a token lives for a second at least and a year at most");
      checkLabels(labels);
      const { text, token } = tokens.create({ uses, ttlMs, labels, approve, by: nameOf(caller) }, authorities.newest.pin, now());
      logger.info({ tokenId: token.id, uses, by: token.createdBy }, "join token made");
      return { token: text, description: tokenMessage(token), address: address() };
    }),

    listTokens: unary(logger, () => ({ tokens: tokens.list().map(tokenMessage) })),

    revokeToken: unary(logger, ({ id }) => {
      if (!tokens.revoke(id, now())) throw missing(`there is no token ${id}`);
      return {};
    }),

    listMembers: unary(logger, async ({ pending }) => {
      const slice = new Slice();
      const listed: MemberMessage[] = [];
      for (const machine of members.names(pending)) {
        await slice.took(2);
        // It may have been removed since.
        const member = members.find(machine);
        if (member !== undefined) listed.push(memberMessage(member));
      }
      return { members: listed };
    }),

    approveMachine: unary(logger, ({ machine }, caller) => {
      const member = waiting(machine);
      members.approve(member.machine, now());
      logger.info({ machineId: machine, by: nameOf(caller) }, "machine approved");
      return { member: memberMessage(members.find(member.machine)!) };
    }),

    rejectMachine: unary(logger, ({ machine }, caller) => {
      members.remove(waiting(machine).machine);
      logger.info({ machineId: machine, by: nameOf(caller) }, "machine rejected");
      return {};
    }),

    revokeMachine: unary(logger, ({ machine, reason }, caller) => {
      const member = known(machine);
      members.revoke(member.machine, now());
      cutOff(member);
      if (member.state !== "revoked") onRevoked(member.machine, { by: nameOf(caller), reason });
      logger.warn({ machineId: machine, by: nameOf(caller), reason }, "machine revoked");
      return { member: memberMessage(members.find(member.machine)!) };
    }),

    exportNats: unary(logger, () => ({ config: natsConfig() })),

    listAuthorities: unary(logger, () => ({ authorities: listed() })),

    rotateAuthority: unary(logger, async (_, caller) => {
      if (authorities.all.length > 1) throw new CallError(status.FAILED_PRECONDITION, "an earlier rotation is not finished: see muster ca show, and end it with muster ca retire");
      await authorities.rotate();
      onAuthoritiesChanged();
      logger.warn({ by: nameOf(caller), pin: authorities.newest.pin }, "certificate authority rotated");
      return { authorities: listed() };
    }),

    retireAuthority: unary(logger, async ({ force }, caller) => {
      if (authorities.all.length === 1) throw new CallError(status.FAILED_PRECONDITION, "there is one authority alone; a rotation begins with muster ca rotate");
      const dependants = [...members.dependants(authorities.newest.pin).values()].flat();
      if (dependants.length > 0 && !force) {
        throw new CallError(status.FAILED_PRECONDITION, `${firstAndMore(dependants, NAMED_MAX)} would be lost: they have not renewed under the new authority yet. Wait until they have been connected, or use --force and let them join again`);
      }
      const users = usersCertifiedBefore(authorities.newest.madeAt);
      if (users.length > 0 && !force) {
        throw new CallError(status.FAILED_PRECONDITION, `the certificates of the users ${firstAndMore(users, NAMED_MAX)} would be worth nothing: make them anew (muster user remove, then create), or use --force`);
      }
      await authorities.retire();
      onAuthoritiesChanged();
      logger.warn({ by: nameOf(caller), lost: dependants.length }, "certificate authority retired");
      return { authorities: listed() };
    }),
  };
}

const STATE_WORDS: Readonly<Record<State, string>> = { pending: "waiting", member: "a member already", revoked: "revoked" };
const STATES: Readonly<Record<State, MemberState>> = { pending: MemberState.PENDING, member: MemberState.MEMBER, revoked: MemberState.REVOKED };

function memberMessage(member: Member): MemberMessage {
  const { machine, state, labels, hostname, os, arch, askedAt, joinedAt, expiresAt, token, address, fingerprint } = member;
  return { machine, state: STATES[state], labels: { ...labels }, hostname, os, arch, askedAt, joinedAt: joinedAt ?? 0, expiresAt: expiresAt ?? 0, tokenId: token, address, fingerprint };
}

function tokenMessage({ id, uses, used, labels, approve, createdAt, expiresAt, revokedAt, createdBy }: JoinToken): TokenMessage {
  return { id, uses, used, labels: { ...labels }, approve, createdAt, expiresAt, revokedAt: revokedAt ?? 0, createdBy };
}

function checkLabels(labels: Readonly<Record<string, string>>): void {
  const entries = Object.entries(labels);
  if (entries.length > LABELS_MAX) throw invalid(`${entries.length} labels; at most ${LABELS_MAX} are allowed`);
  for (const [key, value] of entries) if (!isLabelKey(key) || !isLabelValue(value)) throw invalid(`"${key}=${value}" is not a label`);
}
