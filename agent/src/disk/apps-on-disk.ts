/** The apps that have a directory here. */
import { readdirSync } from "node:fs";
import { parseAppName } from "@muster/proto/ids.ts";
import { errorCode } from "../runner/fault.ts";
import { appsDir } from "./layout.ts";

export function appsOnDisk(dir: string): readonly string[] {
  try {
    return readdirSync(appsDir(dir)).filter((name) => parseAppName(name) !== undefined);
  } catch (error) {
    if (errorCode(error) === "ENOENT") return [];
    throw error;
  }
}
