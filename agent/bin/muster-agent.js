#!/usr/bin/env node
// Starts the agent on a Node that can run it. Plain JavaScript: the Node that reads this may be too old for the rest, and then the nearest
// node_modules/.bin/node upwards, which npm has installed, takes over; npm 10 may leave that link out, but not the program itself.
import { spawn } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import module from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

/** The first that runs TypeScript as it is. */
const NODE_MIN = [22, 18];

/** How often npm is looked for. */
const NPM_LOOK_MS = 500;

/** Names this program to the Node that takes over. */
const STARTER = "MUSTER_AGENT_STARTER";

endWithNpm();
endWithStarter();
const [major, minor] = process.versions.node.split(".").map(Number);
if (major > NODE_MIN[0] || (major === NODE_MIN[0] && minor >= NODE_MIN[1])) {
  // Compiled code is kept beside the packages, where only those who may change the agent may write: it halves the start.
  const packages = nearest(["node_modules"]);
  if (packages !== undefined) module.enableCompileCache?.(join(packages, ".cache", "muster"));
  await import("../src/main.ts");
} else {
  const platform = `${process.platform}-${process.arch}`;
  const node = nearest([".bin/node", `node-${platform}/bin/node`, `node-bin-${platform}/bin/node`].map((place) => join("node_modules", place)));
  if (node === undefined) {
    process.stderr.write(`muster-agent: needs Node ${NODE_MIN.join(".")} or newer, and this is ${process.versions.node}: run npm install, which brings one\n`);
    process.exit(2);
  }
  const child = spawn(node, process.argv.slice(1), { stdio: "inherit", env: { ...process.env, [STARTER]: String(process.pid) } });
  for (const signal of ["SIGTERM", "SIGINT", "SIGHUP"]) process.on(signal, () => child.kill(signal));
  child.on("exit", (code, signal) => {
    if (signal === null) process.exit(code);
    process.removeAllListeners(signal);
    process.kill(process.pid, signal);
  });
}

/** The first of these paths that is there, in the folder of this file or the nearest one above it that has any. */
function nearest(paths) {
  for (let folder = dirname(fileURLToPath(import.meta.url)); ; folder = dirname(folder)) {
    const found = paths.map((path) => join(folder, path)).find((path) => existsSync(path));
    if (found !== undefined) return found;
    if (folder === dirname(folder)) return undefined;
  }
}

/**
 * npx puts a shell between npm and the agent, which does not pass on that npm was ended: whoever ended npm meant the agent. Where no npm is above it, nothing
 * is watched.
 */
function endWithNpm() {
  const shell = process.ppid;
  const npm = parentOf(shell);
  if (npm === undefined || !textOf(`/proc/${npm}/cmdline`).startsWith("npm ")) return;
  const look = setInterval(() => {
    if (process.ppid === shell && parentOf(shell) === npm) return;
    clearInterval(look);
    process.kill(process.pid, "SIGTERM");
  }, NPM_LOOK_MS);
  look.unref();
}

/** Killed with SIGKILL, the Node that was too old passes nothing on: the agent that it started looks for itself. */
function endWithStarter() {
  const starter = process.env[STARTER];
  // Not for the workloads.
  delete process.env[STARTER];
  if (starter !== String(process.ppid)) return;
  const look = setInterval(() => {
    if (String(process.ppid) === starter) return;
    clearInterval(look);
    process.kill(process.pid, "SIGTERM");
  }, NPM_LOOK_MS);
  look.unref();
}

function parentOf(pid) {
  return /^PPid:\s+(\d+)$/m.exec(textOf(`/proc/${pid}/status`))?.[1];
}

function textOf(path) {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}
