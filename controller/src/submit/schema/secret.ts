/**
 * Where a deployment file names secrets: as the value of a variable, and as what a file holds. The values stand nowhere in it.
 */
import { NAME_RULE } from "@muster/proto/ids.ts";
import { z } from "zod";
import { explainChoice, explainList, explainMap } from "../explain.ts";
import type { Explain } from "../explain.ts";
import { says, text } from "./leaf.ts";

const FILES_MAX = 32;

const name = text({ pattern: /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/u, what: "a secret's name", example: "db-password", rule: NAME_RULE }).meta({
  description: "Name of a secret that the controller keeps; muster secret set NAME makes it.",
  examples: ["db-password"],
});

export const SecretValue = z.strictObject({ secret: name }, says(explainMap("the name of a secret", "{ secret: db-password }")));

/** Plain parts, so that a path stays below the folder of secrets. */
const path = text({
  pattern: /^(?!(?:.*\/)?\.{1,2}(?:\/|$))[A-Za-z0-9._-]{1,100}(?:\/[A-Za-z0-9._-]{1,100}){0,7}$/u,
  what: "a path of a secret's file",
  example: "tls/server.key",
  rule: "names of A-Z, a-z, 0-9 and . _ -, joined by /, relative to ${secrets_dir}",
}).meta({ description: "Relative to `${secrets_dir}`: a folder beside the release, which itself never changes.", examples: ["tls/server.key"] });

const MODES = ["0600", "0400"] as const;
const explainMode: Explain = (found) => (typeof found === "number" ? 'a number where text is wanted: write "0600" or "0400", with the quotes' : explainChoice("a mode", MODES)(found));

export const SecretFile = z.strictObject(
  {
    path,
    secret: name,
    mode: z.enum(MODES, says(explainMode)).prefault("0600").meta({ description: "Of the file. Nobody but the user that the release runs as may read it." }),
  },
  says(explainMap("a file that holds a secret", "{ path: tls/server.key, secret: tls-key }")),
);

const list = says(explainList("files that hold secrets", "[{ path: tls/server.key, secret: tls-key }]", FILES_MAX));
export const SecretFiles = z
  .array(SecretFile, list)
  .max(FILES_MAX, list)
  .prefault([])
  .meta({ description: "Files that hold secrets, in `${secrets_dir}`.", examples: [[{ path: "tls/server.key", secret: "tls-key" }]] });
