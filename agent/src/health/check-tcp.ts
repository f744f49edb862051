/** Opens a connection once and closes it. Well when it opens in time. */
import { connect } from "node:net";
import { errorCode } from "../runner/fault.ts";
import type { Sample } from "./verdict.ts";

/** `host:port`, with an IPv6 host in brackets. */
const ADDRESS = /^(?:\[(?<bracketed>[^\]]+)\]|(?<plain>[^:]+)):(?<port>\d{1,5})$/;

export function checkTcp(address: string, timeoutMs: number, signal: AbortSignal): Promise<Sample> {
  const parts = ADDRESS.exec(address)?.groups;
  const port = Number(parts?.["port"]);
  const host = parts?.["bracketed"] ?? parts?.["plain"];
  if (host === undefined || port < 1 || port > 65_535) return Promise.resolve(failed(address, "is not host:port"));
  const { promise, resolve } = Promise.withResolvers<Sample>();
  const socket = connect({ host, port, signal });
  const timer = setTimeout(() => finish(failed(address, `timed out after ${timeoutMs} ms`)), timeoutMs);
  const finish = (sample: Sample): void => {
    clearTimeout(timer);
    socket.destroy();
    resolve(sample);
  };
  socket.on("connect", () => finish({ ok: true }));
  socket.on("error", (error) => finish(failed(address, errorCode(error) === "ECONNREFUSED" ? "refused" : `failed: ${error.message}`)));
  return promise;
}

function failed(address: string, what: string): Sample {
  return { ok: false, detail: `tcp ${address} ${what}` };
}
