/**
 * Reports on disk until the controller has them. Survives kill -9 and power cuts at any byte: a report is in the spool from the moment that
 * `append` returns, and no sequence is given out twice.
 *
 * The file: a header line, then a line for each report, each led by the crc32 of what follows. It is only ever appended to, or replaced whole.
 * A torn last line is cut off on opening: its `append` never returned.
 *
 * Always holds: pending reports are in the order of their sequence, and there are at most `reportsMax`.
 */
import { closeSync, fsyncSync, ftruncateSync, openSync, readFileSync, renameSync, rmSync, writeSync } from "node:fs";
import { dirname, join } from "node:path";
import { crc32 } from "node:zlib";
import { Report } from "@muster/proto/gen/muster/v1/agent.ts";
import { withPath } from "../runner/fault.ts";
import { syncDirectory } from "../runner/record.ts";

const FORMAT = "muster.spool.v1";
/** Bounds memory and disk for weeks without a controller. Beyond it the newest report of each app is kept: it is the whole picture. */
const REPORTS_MAX = 10_000;
/** The file is written anew when so many of its bytes belong to reports that are acknowledged. */
const DEAD_BYTES_MAX = 256 * 1024;

export type NewReport = Omit<Report, "seq" | "observedAt">;

export interface Spool {
  /** Sequences belong to it: a spool that was lost begins again under another one. */
  readonly instanceId: string;
  /** The highest sequence among the reports that are pending; 0 when none is. One that could not be written is still to come, under the next sequence: what was said before is not so any more. */
  readonly newestPendingSeq: number;
  /** Up to which report it was acknowledged last; 0: not since it was opened. */
  readonly acknowledgedSeq: number;
  /** Up to which report the controller has this spool's for certain, or may have them by this life: what was acknowledged beyond it may have been said by a spool that this one does not know. */
  readonly sentSeq: number;
  /** Throws when it can't be written; the spool then holds what it held before, and whoever has the report tries again. */
  append(report: NewReport): Report;
  /** Pending reports after `seq`, oldest first. */
  after(seq: number, limit: number): readonly Report[];
  /** Forgets all up to `seq`. */
  acknowledge(seq: number): void;
  /** Called after each append; there is one listener, the last. */
  onAppend(listener: () => void): void;
  close(): void;
}

export interface SpoolOptions {
  readonly dir: string;
  readonly newInstanceId: () => string;
  /** Wall clock. */
  readonly now: () => number;
  /** Told what was lost, when opening finds the file damaged. */
  readonly onDamage: (what: string) => void;
  readonly reportsMax?: number;
}

interface Contents {
  readonly instanceId: string;
  readonly nextSeq: number;
  readonly reports: readonly Report[];
  /** Of the whole lines; 0 when there is no file, or its lines are not all good. */
  readonly sizeBytes: number;
}

export function openSpool(options: SpoolOptions): Spool {
  const path = join(options.dir, "spool.jsonl");
  const fresh: Contents = { instanceId: options.newInstanceId(), nextSeq: 1, reports: [], sizeBytes: 0 };
  return new FileSpool(path, readSpool(path, options.onDamage) ?? fresh, options);
}

class FileSpool implements Spool {
  readonly instanceId: string;
  readonly #path: string;
  readonly #now: () => number;
  readonly #reportsMax: number;
  #pending: readonly Report[];
  #nextSeq: number;
  #file: number;
  /** Of the whole lines in the file; more is there only after a write that failed half-way. */
  #sizeBytes = 0;
  #deadBytes = 0;
  acknowledgedSeq = 0;
  sentSeq: number;
  /** Apps of which a report could not be written. */
  readonly #unwritten = new Set<string>();
  #listener = (): void => {};

  constructor(path: string, { instanceId, nextSeq, reports, sizeBytes }: Contents, { now, reportsMax = REPORTS_MAX }: SpoolOptions) {
    this.instanceId = instanceId;
    this.#path = path;
    this.#now = now;
    this.#reportsMax = reportsMax;
    this.#pending = newestPerApp(reports, reportsMax);
    this.#nextSeq = nextSeq;
    this.sentSeq = (reports[0]?.seq ?? nextSeq) - 1;
    this.#sizeBytes = sizeBytes;
    // A file that is good is taken as it is, so that an agent starts on a full disk too.
    this.#file = sizeBytes === 0 ? this.#writeAnew() : openSync(path, "r+");
  }

  get newestPendingSeq(): number {
    return this.#unwritten.size > 0 ? this.#nextSeq : (this.#pending.at(-1)?.seq ?? 0);
  }

  append(report: NewReport): Report {
    this.#unwritten.add(report.app);
    const numbered: Report = { ...report, seq: this.#nextSeq, observedAt: this.#now() };
    const bytes = Buffer.from(lineOf(Report.toJSON(numbered)));
    try {
      ftruncateSync(this.#file, this.#sizeBytes);
      writeWhole(this.#file, bytes, this.#sizeBytes);
      fsyncSync(this.#file);
    } catch (error) {
      throw withPath(error, this.#path);
    }
    this.#sizeBytes += bytes.length;
    this.#nextSeq += 1;
    this.#pending = [...this.#pending, numbered];
    this.#unwritten.delete(report.app);
    if (this.#pending.length > this.#reportsMax) this.#shrink(newestPerApp(this.#pending, this.#reportsMax));
    this.#listener();
    return numbered;
  }

  after(seq: number, limit: number): readonly Report[] {
    const first = this.#countUpTo(seq);
    const reports = this.#pending.slice(first, first + limit);
    this.sentSeq = Math.max(this.sentSeq, reports.at(-1)?.seq ?? 0);
    return reports;
  }

  acknowledge(seq: number): void {
    const count = this.#countUpTo(seq);
    for (const report of this.#pending.slice(0, count)) this.#deadBytes += lineOf(Report.toJSON(report)).length;
    this.#pending = this.#pending.slice(count);
    this.acknowledgedSeq = seq;
    this.sentSeq = Math.max(this.sentSeq, seq);
    // The controller knows more than this spool does after its disk was put back to an older state.
    this.#nextSeq = Math.max(this.#nextSeq, seq + 1);
    if (this.#deadBytes >= DEAD_BYTES_MAX) this.#shrink(this.#pending);
  }

  onAppend(listener: () => void): void {
    this.#listener = listener;
  }

  close(): void {
    closeSync(this.#file);
  }

  #countUpTo(seq: number): number {
    const first = this.#pending.findIndex((report) => report.seq > seq);
    return first < 0 ? this.#pending.length : first;
  }

  /** The old file goes on to serve when there is no room for a new one. */
  #shrink(pending: readonly Report[]): void {
    this.#pending = pending;
    const old = this.#file;
    try {
      this.#file = this.#writeAnew();
    } catch {
      return;
    }
    closeSync(old);
  }

  #writeAnew(): number {
    const header = { format: FORMAT, instanceId: this.instanceId, nextSeq: this.#nextSeq };
    const bytes = Buffer.from([header, ...this.#pending.map((report) => Report.toJSON(report))].map(lineOf).join(""));
    const draft = `${this.#path}.new`;
    const file = openSync(draft, "w");
    try {
      writeWhole(file, bytes, 0);
      fsyncSync(file);
      renameSync(draft, this.#path);
      syncDirectory(dirname(this.#path));
    } catch (error) {
      closeSync(file);
      // On a full disk it takes the room that is left.
      rmSync(draft, { force: true });
      throw withPath(error, this.#path);
    }
    this.#sizeBytes = bytes.length;
    this.#deadBytes = 0;
    return file;
  }
}

/** Undefined when there is none, or nothing of it can be used; what is there is then set aside. */
function readSpool(path: string, onDamage: (what: string) => void): Contents | undefined {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return undefined;
    throw error;
  }
  const lines = text.split("\n");
  const torn = lines.pop();
  const [header, ...rest] = lines.map(valueOf);
  if (!isHeader(header)) {
    renameSync(path, `${path}.corrupt`);
    onDamage("the spool cannot be read and was set aside: its reports are lost");
    return undefined;
  }
  const whole = rest.filter((value) => value !== undefined);
  if (whole.length < rest.length) onDamage(`${rest.length - whole.length} reports in the spool cannot be read`);
  if (torn !== "") onDamage("the spool ended in the middle of a report that was never finished");
  const reports = whole.map((value) => Report.fromJSON(value));
  const sizeBytes = whole.length < rest.length ? 0 : Buffer.byteLength(text) - Buffer.byteLength(torn ?? "");
  return { instanceId: header.instanceId, nextSeq: Math.max(header.nextSeq, (reports.at(-1)?.seq ?? 0) + 1), reports, sizeBytes };
}

function isHeader(value: unknown): value is { readonly instanceId: string; readonly nextSeq: number } {
  return typeof value === "object" && value !== null && "format" in value && value.format === FORMAT;
}

function lineOf(value: unknown): string {
  const json = JSON.stringify(value);
  return `${checksum(json)} ${json}\n`;
}

/** Undefined when the line is not what was written. */
function valueOf(line: string): unknown {
  const json = line.slice(9);
  return line.slice(0, 9) === `${checksum(json)} ` ? JSON.parse(json) : undefined;
}

function checksum(text: string): string {
  return crc32(text).toString(16).padStart(8, "0");
}

function newestPerApp(reports: readonly Report[], max: number): readonly Report[] {
  if (reports.length <= max) return reports;
  const newest = new Map(reports.map((report) => [report.app, report]));
  return reports.filter((report) => newest.get(report.app) === report);
}

function writeWhole(file: number, bytes: Uint8Array, position: number): void {
  for (let at = 0; at < bytes.length; ) at += writeSync(file, bytes, at, bytes.length - at, position + at);
}
