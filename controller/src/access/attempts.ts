/**
 * Counts failed attempts to be somebody, for each address, so that nobody goes on guessing. Bounded: of the addresses that were longest quiet nothing is known.
 */
import { isIPv6 } from "node:net";

/** So many in a row, for somebody who mixes up their tokens. */
const FAILURES_MAX = 10;
/** Afterwards one more in this time. */
const FORGIVEN_EVERY_MS = 6_000;
const ADDRESSES_MAX = 10_000;

interface Record {
  readonly failures: number;
  readonly at: number;
}

export class Attempts {
  readonly #now: () => number;
  /** The one that failed last is last. */
  readonly #records = new Map<string, Record>();

  constructor(now: () => number) {
    this.#now = now;
  }

  /** How long until the address may try again; 0: now. */
  waitMs(address: string): number {
    const failures = this.#failures(networkOf(address));
    return Math.max(0, Math.ceil((failures - FAILURES_MAX + 1) * FORGIVEN_EVERY_MS));
  }

  failed(address: string): void {
    const network = networkOf(address);
    const failures = this.#failures(network) + 1;
    this.#records.delete(network);
    this.#records.set(network, { failures, at: this.#now() });
    const [oldest] = this.#records.keys();
    if (this.#records.size > ADDRESSES_MAX && oldest !== undefined) this.#records.delete(oldest);
  }

  /** What is left of them by now. */
  #failures(network: string): number {
    const record = this.#records.get(network);
    return record === undefined ? 0 : Math.max(0, record.failures - (this.#now() - record.at) / FORGIVEN_EVERY_MS);
  }
}

/** `10.0.0.7:41922` → `10.0.0.7`; `::ffff:10.0.0.7:41922` too. */
export function hostOf(address: string): string {
  return address.slice(0, address.lastIndexOf(":")).replace(/^::ffff:(?=[0-9.]+$)/, "");
}

/** IPv6 is given out by the /64: whoever has one address of it has them all. */
function networkOf(address: string): string {
  const host = hostOf(address);
  if (!isIPv6(host)) return host;
  const [head = "", tail] = host.split("%")[0]!.split("::");
  const before = head === "" ? [] : head.split(":");
  const after = tail === undefined || tail === "" ? [] : tail.split(":");
  const middle = tail === undefined ? [] : Array.from({ length: Math.max(0, 8 - before.length - after.length) }, () => "0");
  return [...before, ...middle, ...after].slice(0, 4).join(":");
}
