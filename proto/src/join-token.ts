/**
 * The token with which a machine joins: `mst1.<sha256 of the authority>.<id>.<secret>`. Whoever holds it can tell the right controller from a false
 * one before it says the secret.
 */

export interface JoinToken {
  /** sha256 of the authority's certificate, as 64 lower-case hex digits. */
  readonly pin: string;
  /** 16 hex digits; no secret. */
  readonly id: string;
  /** 32 bytes as base64url. */
  readonly secret: string;
}

const TOKEN = /^mst1\.([0-9a-f]{64})\.([0-9a-f]{16})\.([A-Za-z0-9_-]{43})$/;
const PIN = /^(?:sha256:)?([0-9a-f]{64})$/;

export function formatJoinToken({ pin, id, secret }: JoinToken): string {
  return `mst1.${pin}.${id}.${secret}`;
}

/** White space around it is allowed; undefined when it is no token. */
export function parseJoinToken(text: string): JoinToken | undefined {
  const [, pin, id, secret] = TOKEN.exec(text.trim()) ?? [];
  return pin === undefined || id === undefined || secret === undefined ? undefined : { pin, id, secret };
}

/** `sha256:<hex>` or the hex alone; undefined when it is neither. */
export function parsePin(text: string): string | undefined {
  return PIN.exec(text.trim().toLowerCase())?.[1];
}
