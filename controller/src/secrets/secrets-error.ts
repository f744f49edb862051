/** What keeps the controller from its secrets; the message says what and the way out, and never a value or a key. */
export type SecretsFault = "key_missing" | "key_wrong" | "key_malformed" | "key_exposed" | "key_unusable" | "damaged";

export class SecretsError extends Error {
  readonly code: SecretsFault;
  readonly retryable = false;

  constructor(code: SecretsFault, message: string, cause?: unknown) {
    super(message, { cause });
    this.name = "SecretsError";
    this.code = code;
  }
}
