/**
 * The files of the keys of NATS: `<dir>/{operator,system,control,agents}.nk`, each a seed, and `revocations.json`.
 *
 * Always holds: the keys are there all or not at all; they are made once and never replaced, since everything that any machine holds hangs on them;
 * a file is replaced whole, and is on disk before it counts; nobody but the owner reads any of them.
 */
import { closeSync, existsSync, fsyncSync, mkdirSync, openSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { NatsAuthorityError } from "./authority-error.ts";
import { type Nkey, newNkeySeed, nkeyFromSeed } from "./nkey.ts";

export interface AuthorityKeys {
  readonly operator: Nkey;
  readonly system: Nkey;
  readonly control: Nkey;
  readonly agents: Nkey;
}

const KINDS = { operator: "operator", system: "account", control: "account", agents: "account" } as const;
const NAMES = Object.keys(KINDS) as (keyof typeof KINDS)[];

/** Made at the first call. Throws NatsAuthorityError. */
export function openKeys(dir: string): AuthorityKeys {
  return guarded(dir, () => {
    if (!existsSync(dir)) makeKeys(dir);
    refuseOthers(dir);
    return { operator: readKey(dir, "operator"), system: readKey(dir, "system"), control: readKey(dir, "control"), agents: readKey(dir, "agents") };
  });
}

/** Undefined when there is none yet. Throws NatsAuthorityError. */
export function readPrivate(dir: string, name: string): string | undefined {
  const path = join(dir, name);
  return guarded(dir, () => {
    if (!existsSync(path)) return undefined;
    refuseOthers(path);
    return readFileSync(path, "utf8");
  });
}

/** On disk when it returns. Throws NatsAuthorityError. */
export function writePrivate(dir: string, name: string, text: string): void {
  guarded(dir, () => {
    const path = join(dir, name);
    writeSynced(`${path}.tmp`, text);
    renameSync(`${path}.tmp`, path);
    syncDirectory(dir);
  });
}

function makeKeys(dir: string): void {
  const making = `${dir}.tmp`;
  rmSync(making, { recursive: true, force: true });
  mkdirSync(making, { recursive: true, mode: 0o700 });
  for (const name of NAMES) writeSynced(join(making, `${name}.nk`), `${newNkeySeed(KINDS[name])}\n`);
  syncDirectory(making);
  renameSync(making, dir);
  syncDirectory(dirname(dir));
}

function readKey(dir: string, name: keyof typeof KINDS): Nkey {
  const text = readPrivate(dir, `${name}.nk`);
  const key = text === undefined ? undefined : nkeyFromSeed(KINDS[name], text);
  if (key !== undefined) return key;
  const what = text === undefined ? "is missing" : `is not the seed of an ${KINDS[name]}`;
  throw new NatsAuthorityError("damaged", `the key ${join(dir, `${name}.nk`)} ${what}; put it back from a backup`);
}

function refuseOthers(path: string): void {
  const mode = statSync(path).mode & 0o777;
  if ((mode & 0o077) === 0) return;
  throw new NatsAuthorityError("exposed", `${path} can be read or written by others (mode ${mode.toString(8)}); if nobody has, run \`chmod go= ${path}\``);
}

function writeSynced(path: string, text: string): void {
  rmSync(path, { force: true });
  const file = openSync(path, "wx", 0o600);
  try {
    writeFileSync(file, text);
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
}

function syncDirectory(path: string): void {
  const directory = openSync(path, "r");
  try {
    fsyncSync(directory);
  } finally {
    closeSync(directory);
  }
}

function guarded<T>(dir: string, act: () => T): T {
  try {
    return act();
  } catch (cause) {
    if (cause instanceof NatsAuthorityError) throw cause;
    throw new NatsAuthorityError("io_error", `the keys of NATS in ${dir} can't be used: ${cause instanceof Error ? cause.message : String(cause)}`, { cause });
  }
}
