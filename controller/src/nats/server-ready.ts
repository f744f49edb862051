/**
 * Whether a nats-server accepts connections, and is the one we mean: its greeting carries the name that it was started with.
 */
import { connect } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";

const POLL_MS = 20;
const GREETING_MS = 2000;
/** The greeting is one line of JSON, well below this. */
const GREETING_BYTES_MAX = 64 * 1024;

/** Resolves once it accepts; gives up when the signal aborts. */
export async function whenAccepting(host: string, port: number, name: string, signal: AbortSignal): Promise<boolean> {
  while (!signal.aborted) {
    if ((await greetingName(host, port)) === name) return true;
    await sleep(POLL_MS);
  }
  return false;
}

function greetingName(host: string, port: number): Promise<string | undefined> {
  return new Promise((resolve) => {
    let text = "";
    const socket = connect({ host, port, timeout: GREETING_MS });
    const end = (name: string | undefined) => {
      socket.destroy();
      resolve(name);
    };
    socket.on("error", () => end(undefined));
    socket.on("timeout", () => end(undefined));
    socket.on("close", () => end(undefined));
    socket.on("data", (data) => {
      text += data.toString("utf8");
      const line = /^INFO (\{.*\})\s*\r\n/.exec(text)?.[1];
      if (line !== undefined) end(nameIn(line));
      else if (text.length > GREETING_BYTES_MAX) end(undefined);
    });
  });
}

function nameIn(json: string): string | undefined {
  try {
    const info = JSON.parse(json) as { readonly server_name?: string };
    return info.server_name;
  } catch {
    return undefined;
  }
}
