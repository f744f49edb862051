// Answers as Prometheus would, always the same value: node prometheus.mjs 0.002
// or another one some seconds after the first question: node prometheus.mjs 0.002 0.5 10
import { createServer } from "node:http";

const [first = "0", later = first, afterSeconds = "0"] = process.argv.slice(2);
let askedAt;

createServer((request, response) => {
  askedAt ??= Date.now();
  const value = [Date.now() / 1000, Date.now() - askedAt < Number(afterSeconds) * 1000 ? first : later];
  response.end(JSON.stringify({ status: "success", data: { resultType: "vector", result: [{ metric: {}, value }] } }));
}).listen(9091, "127.0.0.1");
