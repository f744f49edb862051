/**
 * A stream that outlives its connection: a controller that restarts in the middle of a rollout is no reason to stop watching.
 *
 *   open ──item──▶ open ──ends──▶ done
 *    ▲               │ unreachable
 *    └── back-off ◀──┘   away for longer than reconnectForMs: the fault is thrown
 *
 * Each attempt finds the controller anew, since it may come back on another port, and uses a connection of its own.
 */
import type { Clock } from "../context.ts";
import { CliError, EXIT } from "../errors.ts";
import type { Controller } from "./controller.ts";

export interface ReconnectOptions {
  readonly connect: () => Promise<Controller>;
  /** From the moment on at which the connection is found to be lost; what was open may have had nothing to say for hours. 0: never. */
  readonly reconnectForMs: number;
  readonly clock: Clock;
  /** Ends the stream quietly. */
  readonly signal: AbortSignal;
}

export type Heard<Item> = { readonly kind: "item"; readonly item: Item } | { readonly kind: "away"; readonly error: CliError; readonly lostAt: number };

const BACKOFF_FIRST_MS = 200;
const BACKOFF_MAX_MS = 3_000;

/** `open` begins where the caller stands, and throws an unreachable `CliError` when the stream breaks off. */
export async function* reconnecting<Item>(
  open: (controller: Controller) => AsyncIterable<Item>,
  { connect, reconnectForMs, clock, signal }: ReconnectOptions,
): AsyncGenerator<Heard<Item>, void, undefined> {
  let hasHeard = false;
  let lostAt: number | undefined;
  let backoffMs = BACKOFF_FIRST_MS;
  while (!signal.aborted) {
    let controller: Controller | undefined;
    try {
      controller = await connect();
      for await (const item of open(controller)) {
        hasHeard = true;
        lostAt = undefined;
        backoffMs = BACKOFF_FIRST_MS;
        yield { kind: "item", item };
      }
      return;
    } catch (error) {
      // The first connection tells the user whether the address is right, so it gets no second chance.
      if (!(error instanceof CliError) || error.exit !== EXIT.unreachable || !hasHeard) throw error;
      lostAt ??= clock.now();
      if (clock.now() - lostAt >= reconnectForMs) throw error;
      yield { kind: "away", error, lostAt };
    } finally {
      controller?.close();
    }
    await clock.sleep(backoffMs, signal);
    backoffMs = Math.min(backoffMs * 2, BACKOFF_MAX_MS);
  }
}

/** What `open` throws when the controller closes a stream that had more to say. */
export function brokeOff(controller: Controller): CliError {
  const { target, source } = controller.address;
  return new CliError(`the controller at ${target} (from ${source}) ended the stream. Is it stopping?`, {
    code: "unreachable",
    exit: EXIT.unreachable,
  });
}
