/**
 * Sees to it that a child ends when this process does, even by kill -9: a shell that waits at a pipe which this process holds open. When the pipe
 * closes without a word, the shell kills the child; after a word from `release` it just ends, so a recycled pid is never hit.
 *
 * It kills with SIGKILL, which also ends a child that is stopped or hangs: nats-server without JetStream keeps nothing that could be lost.
 * It has a session of its own, so that a Ctrl-C in the terminal does not end it first.
 */
import { spawn, type ChildProcess } from "node:child_process";

const SCRIPT = 'read -r _ || kill -KILL "$2"';
/** Somebody may end the guardian itself; a new one takes over, but not in a busy loop. */
const REPLACE_AFTER_MS = 1000;

export interface Guardian {
  release(): void;
}

/** `label` is shown by `ps`. */
export function guard(pid: number, label: string): Guardian {
  let released = false;
  let timer: NodeJS.Timeout | undefined;
  let shell: ChildProcess;
  const begin = () => {
    shell = spawn("/bin/sh", ["-c", SCRIPT, "muster-guardian", label, String(pid)], { detached: true, stdio: ["pipe", "ignore", "ignore"] });
    // It may end at any moment: a failed write to it, or a failed start, is followed by its exit.
    shell.stdin?.on("error", () => undefined);
    shell.on("error", replace);
    shell.on("exit", replace);
  };
  const replace = () => {
    if (released || timer !== undefined) return;
    timer = setTimeout(() => {
      timer = undefined;
      begin();
    }, REPLACE_AFTER_MS);
  };
  begin();
  return {
    release: () => {
      released = true;
      clearTimeout(timer);
      shell.stdin?.end("\n");
    },
  };
}
