/** A real HTTP server on a free port of the loopback interface, and questions to ask it. */
import { createServer, type IncomingMessage, type RequestListener, type ServerResponse } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import { parseAppName, parseDeploymentId } from "@muster/proto/ids.ts";
import type { PrometheusGate, WebhookGate } from "../plan/strategy.ts";
import type { Question } from "./verdict.ts";

export interface TestServer {
  readonly port: number;
  readonly url: string;
  /** In the order in which they came, with their bodies. */
  readonly requests: { readonly method: string | undefined; readonly path: string | undefined; readonly headers: IncomingMessage["headers"]; readonly body: string }[];
  /** Those that are open. */
  readonly connections: ReadonlySet<Socket>;
  close(): Promise<void>;
}

export async function serve(answer: (response: ServerResponse, request: IncomingMessage) => void): Promise<TestServer> {
  const requests: TestServer["requests"] = [];
  const connections = new Set<Socket>();
  const listener: RequestListener = (request, response) => {
    let body = "";
    request.setEncoding("utf8").on("data", (piece) => (body += piece));
    request.on("end", () => {
      requests.push({ method: request.method, path: request.url, headers: request.headers, body });
      answer(response, request);
    });
  };
  const server = createServer(listener).on("connection", (socket) => {
    connections.add(socket);
    socket.on("close", () => connections.delete(socket)).on("error", () => undefined);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  return {
    port,
    url: `http://127.0.0.1:${port}`,
    requests,
    connections,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
        for (const socket of connections) socket.destroy();
      }),
  };
}

export function says(body: string, status = 200): (response: ServerResponse) => void {
  return (response) => response.writeHead(status).end(body);
}

export function webhookGate(url: string, timeoutMs = 10_000): WebhookGate {
  return { kind: "webhook", url, timeoutMs, retries: 0, retryIntervalMs: 1_000, onSilence: "stop" };
}

export function prometheusGate(url: string, change: Partial<PrometheusGate> = {}): PrometheusGate {
  return { kind: "prometheus", url, query: "error_rate", max: 0.01, min: null, intervalMs: 1_000, timeoutMs: 10_000, count: 3, failureLimit: 0, retries: 0, onSilence: "stop", ...change };
}

export function questionOf(check: Question["check"], attempt = 1): Question {
  const [deployment, app] = [parseDeploymentId("d-7")!, parseAppName("shop")!];
  return { check, asker: { kind: "gate", wave: 1, gate: 0 }, deployment, app, version: "1.4.0", wave: 2, waves: 3, attempt, counts: { healthy: 4, pending: 6 } };
}
