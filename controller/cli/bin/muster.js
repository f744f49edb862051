#!/usr/bin/env node
/**
 * Starts muster on a Node that can run it. Plain JavaScript that old Nodes read too: muster needs 22 or newer, and npm brings
 * one into node_modules/.bin, so the system's Node may be older.
 */
import { spawn } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import module from "node:module";
import { constants } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const NODE_MAJOR_MIN = 22;

/** How often npm is looked for. */
const NPM_LOOK_MS = 500;

const here = dirname(fileURLToPath(import.meta.url));

endWithNpm();
if (Number(process.versions.node.split(".")[0]) >= NODE_MAJOR_MIN) {
  // Compiled code is kept beside the packages, where only those who may change muster may write: it halves the start.
  const cacheFolder = nearest(here, "node_modules");
  if (cacheFolder !== undefined) {
    const folder = join(cacheFolder, ".cache", "muster");
    module.enableCompileCache?.(folder);
    // The controller and the agents of `muster dev` find theirs there, too. What agents run gets an environment of its own.
    process.env.NODE_COMPILE_CACHE ??= folder;
  }
  await import("../src/main.ts");
} else {
  // Npm 10 leaves out the link when it has taken away other platforms' packages; the program itself is there all the same.
  const platform = `${process.platform}-${process.arch}`;
  const places = [".bin/node", `node-${platform}/bin/node`, `node-bin-${platform}/bin/node`];
  const node = places.map((place) => nearest(here, join("node_modules", place))).find((path) => path !== undefined);
  if (node === undefined) fail(`needs Node ${NODE_MAJOR_MIN} or newer, this is ${process.versions.node}; run npm install to bring one`);
  runOn(node);
}

/**
 * npx and npm scripts put a shell between npm and us, which does not pass on that npm was ended. Whoever ended npm meant us: once it is gone, it is as if we had
 * been told ourselves. Where no npm is above us, nothing is watched, so a fleet started from a shell outlives that shell.
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

/** The path, in this folder or the nearest one above it that has it. */
function nearest(from, path) {
  for (let folder = from; ; folder = dirname(folder)) {
    if (existsSync(join(folder, path))) return join(folder, path);
    if (folder === dirname(folder)) return undefined;
  }
}

function runOn(node) {
  const child = spawn(node, [fileURLToPath(import.meta.url), ...process.argv.slice(2)], { stdio: "inherit" });
  // The terminal sends Ctrl-C to both of us, but kill reaches only us; the child decides what a signal means.
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, () => child.kill(signal));
  child.on("error", (error) => fail(`cannot start ${node}: ${error.message}`));
  child.on("exit", (code, signal) => process.exit(code ?? 128 + constants.signals[signal]));
}

function fail(message) {
  console.error(`muster: ${message}`);
  process.exit(1);
}
