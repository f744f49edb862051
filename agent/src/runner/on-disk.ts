/** What a machine's runner keeps in the agent's directory, and finds there at its start. */
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { parseAppName } from "@muster/proto/ids.ts";
import { errorCode } from "./fault.ts";

export function assignmentFile(dir: string): string {
  return join(dir, "assignment.json");
}

export function stateFile(dir: string, app: string): string {
  return join(dir, "apps", app, "state.json");
}

/** Apps that have a directory. */
export function appsOnDisk(dir: string): readonly string[] {
  try {
    return readdirSync(join(dir, "apps")).filter((name) => parseAppName(name) !== undefined);
  } catch (error) {
    if (errorCode(error) === "ENOENT") return [];
    throw error;
  }
}
