/** Answers one LogsWanted: sends an app's output until it ends, or until the controller ends the call. */
import { once } from "node:events";
import type { AgentServiceClient, LogsWanted, SendLogsRequest } from "@muster/proto/gen/muster/v1/agent.ts";
import { parseAppName } from "@muster/proto/ids.ts";
import type { LogReader } from "../runner/ports.ts";

/** Bounds what an operator can make this machine read from the end of a file. */
const TAIL_LINES_MAX = 10_000;
/** Keeps messages far below the size that receivers accept. */
const MESSAGE_LINES_MAX = 256;

/** Where to send, and what `stop` ends. */
export interface LogsCall {
  readonly client: AgentServiceClient;
  readonly stop: AbortSignal;
}

/** `refusal`: send this in place of lines. Never rejects. */
export async function sendLogs({ client, stop }: LogsCall, wanted: LogsWanted, logs: LogReader, refusal?: string): Promise<void> {
  const { requestId, app, follow } = wanted;
  const ended = new AbortController();
  const { signal } = ended;
  // Its answer, or its error, is the controller's word that nobody reads any more.
  const call = client.sendLogs(() => ended.abort());
  call.on("error", () => ended.abort());
  const cancel = (): void => call.cancel();
  stop.addEventListener("abort", cancel, { once: true });
  const write = async (message: Partial<SendLogsRequest>): Promise<void> => {
    if (signal.aborted) return;
    if (!call.write({ requestId, lines: [], error: undefined, ...message })) await once(call, "drain", { signal });
  };
  try {
    if (refusal !== undefined) return await write({ error: { code: "io_error", message: refusal } });
    if (parseAppName(app) === undefined) return await write({ error: { code: "io_error", message: "that is not an app's name" } });
    await write({});
    for await (const lines of logs.read({ app, tailLines: Math.min(TAIL_LINES_MAX, wanted.tailLines), follow, signal })) {
      for (let at = 0; at < lines.length; at += MESSAGE_LINES_MAX) await write({ lines: lines.slice(at, at + MESSAGE_LINES_MAX) });
    }
  } catch (error) {
    if (!signal.aborted) await write({ error: { code: "io_error", message: error instanceof Error ? error.message : String(error) } }).catch(() => {});
  } finally {
    stop.removeEventListener("abort", cancel);
    call.end();
  }
}
