/** Why an agent does not believe what it was sent, or cannot take it. Public API once released: never renamed, never given another meaning. */
export const REFUSAL_CODES = [
  "too_large",
  "unreadable",
  "wrong_payload_type",
  "unknown_key",
  "bad_signature",
  "wrong_audience",
  "older_epoch",
  "older_generation",
  "other_content",
  "expired",
  "not_fresh",
  "repeated",
  "cannot_store", // it is believed, and cannot be written down: a full disk, a directory that cannot be written to
  "unsupported", // it is believed, and asks for something that this agent does not know
] as const;

export type RefusalCode = (typeof REFUSAL_CODES)[number];
