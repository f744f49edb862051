// Answers the webhook gate: node webhook.mjs go|stop|wait
import { createServer } from "node:http";

createServer(async (request, response) => {
  const asked = JSON.parse(Buffer.concat(await request.toArray()).toString());
  console.log(`${asked.deployment} wave ${asked.wave} of ${asked.waves}, ${asked.counts.healthy} healthy`);
  response.end(JSON.stringify({ decision: process.argv[2] ?? "go", reason: "smoke test" }));
}).listen(8080, "127.0.0.1");
