// Answers as Prometheus would, always the same value: node prometheus.mjs 0.002
import { createServer } from "node:http";

createServer((request, response) => {
  const value = [Date.now() / 1000, process.argv[2] ?? "0"];
  response.end(JSON.stringify({ status: "success", data: { resultType: "vector", result: [{ metric: {}, value }] } }));
}).listen(9091, "127.0.0.1");
