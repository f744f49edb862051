#!/usr/bin/env node
/**
 * Starts muster on a Node that can run it. Plain JavaScript that old Nodes read too: muster needs 22 or newer, and npm brings
 * one into node_modules/.bin, so the system's Node may be older.
 */
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { constants } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const NODE_MAJOR_MIN = 22;

if (Number(process.versions.node.split(".")[0]) >= NODE_MAJOR_MIN) {
  await import("../src/main.ts");
} else {
  runOn(nearestNode(dirname(fileURLToPath(import.meta.url))));
}

function nearestNode(from) {
  for (let folder = from; ; folder = dirname(folder)) {
    const path = join(folder, "node_modules", ".bin", "node");
    if (existsSync(path)) return path;
    if (folder === dirname(folder)) break;
  }
  console.error(`muster: needs Node ${NODE_MAJOR_MIN} or newer, this is ${process.versions.node}; run npm install to bring one`);
  process.exit(1);
}

function runOn(node) {
  const child = spawn(node, [fileURLToPath(import.meta.url), ...process.argv.slice(2)], { stdio: "inherit" });
  // The terminal sends Ctrl-C to both of us, but kill reaches only us; the child decides what a signal means.
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, () => child.kill(signal));
  child.on("error", (error) => {
    console.error(`muster: cannot start ${node}: ${error.message}`);
    process.exit(1);
  });
  child.on("exit", (code, signal) => process.exit(code ?? 128 + constants.signals[signal]));
}
