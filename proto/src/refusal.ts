/** Why an agent does not believe what it was sent. Public API once released: never renamed, never given another meaning. */
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
] as const;

export type RefusalCode = (typeof REFUSAL_CODES)[number];
