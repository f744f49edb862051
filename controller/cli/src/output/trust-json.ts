/**
 * A trust root in `-o json`. Once released, a key keeps its name and its meaning.
 */
import type { TrustRoot } from "@muster/proto/trust/root.ts";
import type { Signing } from "../signing/trust-draft.ts";
import { isoOrNull, textOrNull, type Json } from "./json.ts";

export interface Published {
  readonly publishedAt: number;
  readonly publishedBy: string;
}

/** `published` undefined: it is read from a file. */
export function trustRootJson(root: TrustRoot, signing: readonly Signing[], published?: Published): Json {
  return {
    version: root.version,
    expires_at: isoOrNull(root.expiresAt),
    keys: Object.fromEntries(root.keys),
    root: { keys: [...root.root.keys], threshold: root.root.threshold },
    apps: [...root.apps].map(([match, { keys, threshold, floor }]) => ({ match, keys: [...keys], threshold, floor })),
    signing: signing.map(({ version, threshold, signed, missing }) => ({ version, threshold, signed: [...signed], missing: [...missing] })),
    published_at: isoOrNull(published?.publishedAt ?? 0),
    published_by: textOrNull(published?.publishedBy ?? ""),
  };
}
