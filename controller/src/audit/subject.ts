/**
 * What a call was about, in a few words: `machine=web-1`, `app=shop-web version=1.4.2`. Only fields that are named here are told, so that none that comes later
 * tells a secret.
 */
import type { Metadata } from "@grpc/grpc-js";

const FIELDS = ["id", "machine", "app", "name", "apps", "targets", "selector", "wave", "toVersion", "maxUnavailable", "drain", "revert", "all", "uses", "tokenId", "digest", "disabled", "force"] as const;
const VALUE_CHARS_MAX = 100;

const REMARKS = new WeakMap<Metadata, string>();

/** What a handler knows better than the request's fields; told in place of them. */
export function remark({ metadata }: { readonly metadata: Metadata }, about: Readonly<Record<string, string>>): void {
  REMARKS.set(metadata, wordsOf(Object.entries(about)));
}

export function subjectOf(metadata: Metadata, request: unknown): string {
  const remarked = REMARKS.get(metadata);
  if (remarked !== undefined) return remarked;
  if (typeof request !== "object" || request === null) return "";
  return wordsOf(FIELDS.flatMap((field) => (Object.hasOwn(request, field) ? [[field, (request as Readonly<Record<string, unknown>>)[field]] as const] : [])));
}

function wordsOf(pairs: readonly (readonly [name: string, value: unknown])[]): string {
  return pairs.flatMap(([name, value]) => (isWord(value) ? [`${name}=${String(value).slice(0, VALUE_CHARS_MAX)}`] : [])).join(" ");
}

/** Empty, 0 and false are what is said by saying nothing. */
function isWord(value: unknown): value is string | number | true {
  return (typeof value === "string" && value !== "") || (typeof value === "number" && value !== 0) || value === true;
}
