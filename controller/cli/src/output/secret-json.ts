/**
 * Secrets in `-o json`, without their values. Once released, a key keeps its name and its meaning.
 */
import type { Secret } from "@muster/proto/gen/muster/v1/secrets.ts";
import { isoOrNull, textOrNull, type Json } from "./json.ts";

/** `secret set` and `secret list` */
export function secretJson({ name, apps, versions }: Secret): Json {
  return {
    name,
    apps,
    versions: versions.map(({ version, sizeBytes, setAt, setBy, neededBy }) => ({ version, size_bytes: sizeBytes, set_at: isoOrNull(setAt), set_by: textOrNull(setBy), needed_by: neededBy })),
  };
}
