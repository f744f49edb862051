/**
 * The program of test releases: a small server that says who it is, behaves as its release tells it to, and writes down each of its starts.
 * From its environment: PORT, MACHINE, LEDGER (the file of starts), BEHAVIOUR, STARTS_IN_MS (until it is healthy), STOPS_IN_MS (from SIGTERM to its end). From its release directory: version.txt.
 * Whatever its behaviour, it is unhealthy while a file lies beside the ledger that says so (`TestApp.turnUnhealthy`).
 */
import { appendFileSync, existsSync, readFileSync } from "node:fs";
import { createServer } from "node:http";

const { PORT, MACHINE, LEDGER, BEHAVIOUR, STARTS_IN_MS, STOPS_IN_MS } = process.env;
const version = readFileSync("version.txt", "utf8").trim();
const startedAt = Date.now();
const TURNS_UNHEALTHY_AFTER_MS = 3000;

appendFileSync(LEDGER, `${JSON.stringify({ version, machine: MACHINE, pid: process.pid, port: Number(PORT), at: startedAt })}\n`);

if (BEHAVIOUR === "exits") {
  console.error("cannot find the prices");
  process.exit(3);
}

function isHealthy() {
  if (existsSync(`${LEDGER}.unhealthy-${version}`) || existsSync(`${LEDGER}.unhealthy-${version}-${MACHINE}`)) return false;
  if (BEHAVIOUR === "never_healthy" || Date.now() - startedAt < Number(STARTS_IN_MS)) return false;
  if (BEHAVIOUR === "turns_unhealthy") return Date.now() - startedAt < TURNS_UNHEALTHY_AFTER_MS;
  return true;
}

const server = createServer((request, response) => {
  if (request.url === "/healthz") response.writeHead(isHealthy() ? 200 : 503).end();
  else response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify({ version, machine: MACHINE, pid: process.pid }));
});
server.listen(Number(PORT), "127.0.0.1");
process.on("SIGTERM", () => setTimeout(() => process.exit(0), Number(STOPS_IN_MS)));
