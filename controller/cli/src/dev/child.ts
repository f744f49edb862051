/**
 * One program that `muster dev` keeps running: started in a process group of its own, so that the terminal's Ctrl-C does not reach it,
 * with a pipe as its stdin, so that it learns of our death whatever killed us.
 *
 * Its output goes straight to its log file: a log that went through us would break when we are killed.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, openSync, readFileSync, renameSync, statSync } from "node:fs";
import type { Env } from "../context.ts";
import { afterEnd, type ChildRole } from "./restart.ts";

export interface ChildSpec {
  readonly name: string;
  readonly role: ChildRole;
  readonly log: string;
  readonly env: Env;
  /** Asked anew for each start. */
  command(): readonly string[];
}

export interface ChildHooks {
  /** A pid has come or gone. */
  onChange(): void;
  onRestarting(ended: string, delayMs: number): void;
  onAway(): void;
  /** It can't be started; the message is its own. */
  onGivenUp(message: string): void;
  isFleetReady(): boolean;
}

/** A longer log is set aside at the child's next start; the one set aside before is dropped. */
const LOG_BYTES_MAX = 16 * 1024 * 1024;
/** Of the log, from the end: enough to hold the last words of a program that could not start. */
const LAST_WORDS_BYTES = 16 * 1024;

export class SupervisedChild {
  readonly spec: ChildSpec;
  readonly #hooks: ChildHooks;
  #process: ChildProcess | undefined;
  #restartTimer: NodeJS.Timeout | undefined;
  #delayMs = 0;
  #stopping = false;
  #startedAt = 0;
  #waiters: (() => void)[] = [];

  constructor(spec: ChildSpec, hooks: ChildHooks) {
    this.spec = spec;
    this.#hooks = hooks;
  }

  get pid(): number | undefined {
    return this.#process?.pid;
  }

  /** Wall clock of the last start, milliseconds since 1970. */
  get startedAt(): number {
    return this.#startedAt;
  }

  start(): void {
    rotate(this.spec.log);
    const log = openSync(this.spec.log, "a");
    const logOffset = statSync(this.spec.log).size;
    const [program, ...args] = this.spec.command();
    const startedMonotonic = performance.now();
    this.#startedAt = Date.now();
    const child = spawn(program!, args, { stdio: ["pipe", log, log], detached: true, env: this.spec.env });
    closeSync(log);
    this.#process = child;
    child.stdin!.on("error", () => undefined); // it ended before we could end its stdin
    let ended = false;
    const onEnd = (exitCode: number | null, how: string): void => {
      if (ended) return;
      ended = true;
      this.#process = undefined;
      this.#ended(exitCode, how, performance.now() - startedMonotonic, logOffset);
    };
    child.once("error", (error) => onEnd(null, `could not be started (${error.message})`));
    child.once("exit", (exitCode, signal) => onEnd(exitCode, signal === null ? `exited with ${exitCode}` : `was ended by ${signal}`));
    this.#hooks.onChange();
  }

  /** Ends its stdin, on which it stops by itself; resolves when it has ended. */
  stop(): Promise<void> {
    this.#stopping = true;
    clearTimeout(this.#restartTimer);
    if (this.#process === undefined) return Promise.resolve();
    const ended = new Promise<void>((resolve) => this.#waiters.push(resolve));
    this.#process.stdin?.end();
    return ended;
  }

  kill(): void {
    this.#stopping = true;
    clearTimeout(this.#restartTimer);
    if (this.pid !== undefined) process.kill(-this.pid, "SIGKILL");
  }

  #ended(exitCode: number | null, how: string, uptimeMs: number, logOffset: number): void {
    for (const resolve of this.#waiters.splice(0)) resolve();
    this.#hooks.onChange();
    if (this.#stopping) return;
    const fleetReady = this.#hooks.isFleetReady();
    const next = afterEnd({ role: this.spec.role, exitCode, uptimeMs, lastDelayMs: this.#delayMs, fleetReady });
    switch (next.kind) {
      case "restart":
        this.#delayMs = next.delayMs;
        this.#hooks.onRestarting(how, next.delayMs);
        this.#restartTimer = setTimeout(() => this.start(), next.delayMs);
        return;
      case "stay_away":
        return this.#hooks.onAway();
      case "give_up":
        return this.#hooks.onGivenUp(lastWords(this.spec.log, logOffset) ?? `${this.spec.name} ${how}; see ${this.spec.log}`);
    }
  }
}

function rotate(log: string): void {
  const stat = statSync(log, { throwIfNoEntry: false });
  if (stat !== undefined && stat.size > LOG_BYTES_MAX) renameSync(log, `${log}.1`);
}

/** The last line since `offset` that is no log record: programs say their bad input in one plain line, after their own name. */
function lastWords(log: string, offset: number): string | undefined {
  const bytes = readFileSync(log);
  const text = bytes.subarray(Math.max(offset, bytes.length - LAST_WORDS_BYTES)).toString("utf8");
  const line = text.split("\n").findLast((candidate) => candidate.trim() !== "" && !candidate.startsWith("{"));
  return line?.replace(/^(?:muster[ -][a-z]+|error): /, "");
}
