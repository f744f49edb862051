/** For tests alone: services on a unix socket of their own, to whoever opens it, as whoever is wanted. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Caller } from "./caller.ts";
import { type GrpcService, serveSocket } from "./server.ts";

export async function serveOpenly(services: readonly GrpcService[], caller: Caller = { kind: "local", name: "tester" }): Promise<{ readonly address: string; close(): void }> {
  const dir = mkdtempSync(join(tmpdir(), "muster-grpc-"));
  const path = join(dir, "socket");
  const server = await serveSocket({ services, admit: () => ({ ok: true, caller }), now: () => Date.now() }, path);
  return {
    address: `unix:${path}`,
    close: () => {
      server.close();
      rmSync(dir, { recursive: true, force: true });
    },
  };
}
