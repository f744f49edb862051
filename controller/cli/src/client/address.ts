/**
 * Where the controller is: --address, MUSTER_ADDRESS, or what the nearest `.muster/` upwards says.
 */
import { readFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import type { Env } from "../context.ts";
import { badInput, CliError, EXIT } from "../errors.ts";

export interface ControllerAddress {
  /** `host:port` of the operators' gRPC services. */
  readonly target: string;
  /** Where we know it from, for messages: `--address`, `MUSTER_ADDRESS`, `.muster/dev.json`. */
  readonly source: string;
}

/** The first that is there speaks for its folder. */
const FILES = ["dev.json", "controller.json"] as const;
const SOCKET = /^unix:.+$/;
const ADDRESS = /^(?:\[[0-9A-Fa-f:.]+\]|[^\s:/[\]]+):([0-9]{1,5})$/;

export function findController(option: string | undefined, env: Env, cwd: string): ControllerAddress {
  if (option !== undefined) return checked(option, "--address");
  const fromEnv = env["MUSTER_ADDRESS"];
  if (fromEnv !== undefined && fromEnv !== "") return checked(fromEnv, "MUSTER_ADDRESS");
  for (let folder = cwd; ; folder = dirname(folder)) {
    for (const file of FILES) {
      const path = join(folder, ".muster", file);
      const text = readIfThere(path);
      if (text !== undefined) return readAddress(text, shownPath(path, cwd));
    }
    if (folder === dirname(folder)) break;
  }
  throw new CliError(
    "no controller is known here: say --address HOST:PORT, set MUSTER_ADDRESS, or go to a folder with a .muster/ in it or above it. " +
      "Start one with: muster dev",
    { code: "unreachable", exit: EXIT.unreachable },
  );
}

function checked(text: string, source: string): ControllerAddress {
  if (SOCKET.test(text)) return { target: text, source };
  const port = Number(ADDRESS.exec(text)?.[1]);
  if (port >= 1 && port <= 65_535) return { target: text, source };
  throw badInput(`${source}: "${text}" is not HOST:PORT (try 127.0.0.1:4000)`);
}

function readIfThere(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    if (error instanceof Error && "code" in error && (error.code === "ENOENT" || error.code === "ENOTDIR")) return undefined;
    throw new CliError(`cannot read ${path}`, { code: "unreachable", exit: EXIT.unreachable, cause: error });
  }
}

/** dev.json holds `controller.socket`; controller.json holds `socket`. */
function readAddress(text: string, source: string): ControllerAddress {
  const target = socketOf(text);
  if (target !== undefined) return { target, source };
  throw new CliError(`${source} names no controller; it may have been cut off. Start one with: muster dev`, {
    code: "unreachable",
    exit: EXIT.unreachable,
  });
}

function socketOf(text: string): string | undefined {
  try {
    const record = JSON.parse(text) as { readonly socket?: unknown; readonly controller?: { readonly socket?: unknown } } | null;
    const socket = record?.controller?.socket ?? record?.socket;
    return typeof socket === "string" ? `unix:${socket}` : undefined;
  } catch {
    return undefined;
  }
}

/** As the user sees it: relative while it stays short. */
function shownPath(path: string, cwd: string): string {
  const near = relative(cwd, path);
  return near.startsWith("../../../..") ? path : near;
}
