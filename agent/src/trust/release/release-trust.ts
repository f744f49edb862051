/**
 * Judges releases by the trust root that this machine has pinned. A root that refuses may have been replaced by a newer one: that is asked for before the refusal counts.
 * The pinned root is read each time, so one that was pinned by hand counts at once.
 */
import type { Release } from "@muster/proto/gen/muster/v1/release.ts";
import { judgeRelease, judgeReturn, type ReleaseVerdict } from "@muster/proto/trust/release-rules.ts";
import type { TrustRoot } from "@muster/proto/trust/root.ts";
import type { Outcome, ReleaseTrust } from "../../runner/ports.ts";
import { verifyEd25519 } from "./ed25519.ts";
import { pinnedRoot, TrustRootError } from "./pinned-root.ts";

export interface ReleaseTrustOptions {
  /** The agent's directory. */
  readonly dir: string;
  /** Wall clock, milliseconds since 1970. */
  readonly now: () => number;
  /** Brings the pinned root up to what the controller has, if it can. Never throws. */
  readonly update: () => Promise<void>;
}

type Judge = (root: TrustRoot) => ReleaseVerdict;

const DONE: Outcome = { ok: true, value: undefined };

export function createReleaseTrust({ dir, now, update }: ReleaseTrustOptions): ReleaseTrust {
  const ask = async (judge: Judge): Promise<Outcome> => {
    try {
      const root = await pinnedRoot(dir);
      return root === undefined ? DONE : outcomeOf(judge(root));
    } catch (error) {
      if (!(error instanceof TrustRootError)) throw error;
      return { ok: false, fault: { code: "io_error", message: error.message, retryable: error.retryable } };
    }
  };
  return {
    async judge(release: Release) {
      const judge: Judge = (root) => judgeRelease(root, release, now(), verifyEd25519);
      const first = await ask(judge);
      if (first.ok) return first;
      await update();
      return ask(judge);
    },
    judgeReturn: (release) => ask((root) => judgeReturn(root, release)),
  };
}

function outcomeOf(verdict: ReleaseVerdict): Outcome {
  return verdict.ok ? DONE : { ok: false, fault: { code: verdict.code, message: verdict.message, retryable: false } };
}
