// shop-web: a shop's front page, small enough to read. It listens on the port that Muster gives it and says who and where it is.
//
// This version is broken on purpose: it wants a setting, `taxRate`, that nobody put into settings.json. It starts and answers,
// but its health check says no, as that of a service does whose configuration was forgotten.
import { readFileSync } from "node:fs";
import { createServer } from "node:http";

const { PORT, VERSION, MACHINE, ZONE } = process.env;
const settings = JSON.parse(readFileSync(new URL("settings.json", import.meta.url), "utf8"));

const server = createServer((request, response) => {
  if (request.url === "/healthz" && settings.taxRate === undefined) {
    console.error("settings.json has no taxRate: no price can be shown");
    response.statusCode = 500;
    response.end("settings.json has no taxRate\n");
    return;
  }
  if (request.url === "/healthz") {
    response.end("well\n");
    return;
  }
  console.log(`${request.method} ${request.url}`);
  response.setHeader("content-type", "text/plain; charset=utf-8");
  const price = settings.offer.price * (1 + settings.taxRate);
  const offer = `Today: ${settings.offer.name} for ${price} ${settings.currency}, tax included`;
  response.end(`shop-web ${VERSION} on ${MACHINE} in zone ${ZONE}\n${settings.greeting}\n${offer}\n`);
});

server.listen(Number(PORT), "127.0.0.1", () => console.log(`shop-web ${VERSION} listens on 127.0.0.1:${PORT}`));
process.once("SIGTERM", () => {
  console.log("asked to stop");
  server.close(() => process.exit(0));
  server.closeIdleConnections();
});
