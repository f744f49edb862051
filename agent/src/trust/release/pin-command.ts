/**
 * `muster-agent trust pin FILE` and `muster-agent trust show`: the pinned trust root, by the hands of whoever may write the agent's directory. The agent need not be stopped.
 */
import { readFileSync, statSync } from "node:fs";
import { quorumText } from "@muster/proto/trust/root-chain.ts";
import { TRUST_FILE_CHARS_MAX } from "@muster/proto/trust/trust-file.ts";
import { errorCode } from "../../runner/fault.ts";
import { pinByHand, type Pinned, pinnedRoot, TrustRootError } from "./pinned-root.ts";

/** What to say, and whether it went well. */
export interface Said {
  readonly ok: boolean;
  readonly text: string;
}

/** `replaces`: whatever is pinned. */
export function pin(dir: string, file: string, replaces: boolean): Promise<Said> {
  return faultsSaid(async () => {
    const read = readTrustFile(file);
    return read.ok ? pinnedText(await pinByHand(dir, read.bytes, replaces), { dir, file, replaces }) : { ok: false, text: read.message };
  });
}

export function showPinned(dir: string): Promise<Said> {
  return faultsSaid(async () => {
    const root = await pinnedRoot(dir);
    if (root === undefined) return { ok: true, text: "no trust root is pinned: this machine runs what its controller says" };
    const rules = [...root.apps].map(([pattern, rule]) => {
      const needs = rule.threshold === 0 ? "no signature" : quorumText(rule);
      return `  ${pattern}  ${needs}${rule.floor === null ? "" : `, nothing below ${rule.floor}`}`;
    });
    return { ok: true, text: [`trust root ${root.version}, good until ${new Date(root.expiresAt).toISOString()}`, ...rules].join("\n") };
  });
}

function pinnedText(pinned: Pinned, { dir, file, replaces }: { readonly dir: string; readonly file: string; readonly replaces: boolean }): Said {
  switch (pinned.kind) {
    case "pinned":
      return { ok: true, text: `trust root ${pinned.version} pinned in ${dir}` };
    case "kept":
      return { ok: true, text: `trust root ${pinned.version} was pinned already` };
    case "refused":
      return { ok: false, text: `${file} is not pinned: ${pinned.message}${replaces ? "" : "; --replace pins it all the same, where it is whole"}` };
  }
}

function readTrustFile(file: string): { readonly ok: true; readonly bytes: Uint8Array } | { readonly ok: false; readonly message: string } {
  try {
    if (statSync(file).size > TRUST_FILE_CHARS_MAX) return { ok: false, message: `${file} is larger than any trust file` };
    return { ok: true, bytes: readFileSync(file) };
  } catch (error) {
    if (errorCode(error) === "ENOENT") return { ok: false, message: `there is no file ${file}` };
    return { ok: false, message: `${file} can't be read: ${error instanceof Error ? error.message : String(error)}` };
  }
}

async function faultsSaid(work: () => Promise<Said>): Promise<Said> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof TrustRootError) return { ok: false, text: error.message };
    throw error;
  }
}
