// shop-web: a shop's front page, small enough to read. It listens on the port that Muster gives it and says who and where it is.
import { readFileSync } from "node:fs";
import { createServer } from "node:http";

const { PORT, VERSION, MACHINE, ZONE } = process.env;
const settings = JSON.parse(readFileSync(new URL("settings.json", import.meta.url), "utf8"));

const server = createServer((request, response) => {
  if (request.url === "/healthz") {
    response.end("well\n");
    return;
  }
  console.log(`${request.method} ${request.url}`);
  response.setHeader("content-type", "text/plain; charset=utf-8");
  response.end(`shop-web ${VERSION} on ${MACHINE} in zone ${ZONE}\n${settings.greeting}\n`);
});

server.listen(Number(PORT), "127.0.0.1", () => console.log(`shop-web ${VERSION} listens on 127.0.0.1:${PORT}`));
process.once("SIGTERM", () => {
  console.log("asked to stop");
  server.close(() => process.exit(0));
  server.closeIdleConnections();
});
