import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { expect, it } from "vitest";

it("takes signals that come together as one wish, and a later one as an order to end at once", async () => {
  const child = spawn(process.execPath, [fileURLToPath(new URL("fakes/asked.ts", import.meta.url))]);
  const lines = createInterface(child.stdout)[Symbol.asyncIterator]();
  expect((await lines.next()).value).toBe("listening");
  child.kill("SIGINT");
  expect((await lines.next()).value).toBe("asked by SIGINT");
  child.kill("SIGINT"); // npm's
  child.kill("SIGINT"); // the shim's
  await sleep(1_100);
  expect(child.exitCode).toBeNull();
  child.kill("SIGINT");
  expect(await once(child, "exit")).toEqual([130, null]);
});
