/**
 * Writes docs/muster.schema.json. With `--check` it writes nothing and exits with 1 when the file is not what would be written.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { jsonSchemaText } from "./json-schema.ts";

const path = join(import.meta.dirname, "../../../docs/muster.schema.json");

if (!process.argv.includes("--check")) {
  writeFileSync(path, jsonSchemaText());
} else if (readOrEmpty(path) !== jsonSchemaText()) {
  console.error("docs/muster.schema.json is stale: run npm run gen -w controller");
  process.exitCode = 1;
}

function readOrEmpty(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return "";
  }
}
