/**
 * Where the controller is: --address, MUSTER_ADDRESS, or what the nearest `.muster/` upwards says. A controller on this machine is reached through its unix
 * socket, one elsewhere at HOST:PORT.
 */
import { readFileSync } from "node:fs";
import { basename, dirname, join, relative, resolve } from "node:path";
import type { Env } from "../context.ts";
import { badInput, CliError, EXIT } from "../errors.ts";

export interface ControllerAddress {
  /** `unix:/path/to/socket`, or `host:port`. */
  readonly target: string;
  /** Where we know it from, for messages: `--address`, `MUSTER_ADDRESS`, `.muster/dev.json`. */
  readonly source: string;
}

/** The first that is there speaks for its folder. */
const FILES = ["dev.json", "controller.json"] as const;
const ADDRESS = /^(?:\[[0-9A-Fa-f:.]+\]|[^\s:/[\]]+):([0-9]{1,5})$/;
const SOCKET = "unix:";

/** Undefined when nothing says where. */
export function findController(option: string | undefined, env: Env, cwd: string): ControllerAddress | undefined {
  if (option !== undefined) return checked(option, "--address", cwd);
  const fromEnv = env["MUSTER_ADDRESS"];
  if (fromEnv !== undefined && fromEnv !== "") return checked(fromEnv, "MUSTER_ADDRESS", cwd);
  for (let folder = cwd; ; folder = dirname(folder)) {
    for (const file of FILES) {
      const path = join(folder, ".muster", file);
      const text = readIfThere(path);
      if (text !== undefined) return readAddress(text, dirname(path), shownPath(path, cwd));
    }
    if (folder === dirname(folder)) return undefined;
  }
}

/** `host:port`, as it is. */
export function checkedHostPort(text: string, source: string): string {
  const port = Number(ADDRESS.exec(text)?.[1]);
  if (port >= 1 && port <= 65_535) return text;
  throw badInput(`${source}: "${text}" is not HOST:PORT (try 127.0.0.1:4000)`);
}

export function isSocket(target: string): boolean {
  return target.startsWith(SOCKET);
}

function checked(text: string, source: string, cwd: string): ControllerAddress {
  if (!isSocket(text)) return { target: checkedHostPort(text, source), source };
  const path = text.slice(SOCKET.length);
  if (path === "") throw badInput(`${source}: "${text}" names no socket (try unix:.muster/operators.sock)`);
  return { target: `${SOCKET}${resolve(cwd, path)}`, source };
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
function readAddress(text: string, folder: string, source: string): ControllerAddress {
  const path = socketOf(text);
  if (path !== undefined) return { target: `${SOCKET}${resolve(folder, path)}`, source };
  throw new CliError(`${source} names no controller; it may have been cut off. Start one with: muster dev`, {
    code: "unreachable",
    exit: EXIT.unreachable,
  });
}

function socketOf(text: string): string | undefined {
  try {
    const record = JSON.parse(text) as { readonly socket?: unknown; readonly controller?: { readonly socket?: unknown } } | null;
    const socket = record?.controller?.socket ?? record?.socket;
    return typeof socket === "string" && socket !== "" ? socket : undefined;
  } catch {
    return undefined;
  }
}

/** As the user sees it: relative while it stays short. */
function shownPath(path: string, cwd: string): string {
  const near = relative(cwd, path);
  return near.startsWith("../../../..") ? path : near;
}

/** What starts the controller of this address, with a space before it: `muster dev` where that made it, else its directory. Empty: nobody knows here. */
export function howToStart({ target, source }: ControllerAddress): string {
  const socket = target.slice(SOCKET.length);
  if (!target.startsWith(SOCKET) || basename(socket) !== "operators.sock") return "";
  return source.endsWith("dev.json") || dirname(socket) === resolve(".muster/controller") ? " Start it with: muster dev" : ` Start it with: muster controller --dir ${dirname(socket)}`;
}
