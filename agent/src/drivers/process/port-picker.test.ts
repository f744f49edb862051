import { once } from "node:events";
import { createServer, type AddressInfo } from "node:net";
import { expect, onTestFinished, test } from "vitest";
import { createPortPicker } from "./port-picker.ts";

async function listening(host?: string): Promise<number> {
  const server = createServer().listen(0, host);
  await once(server, "listening");
  onTestFinished(() => void server.close());
  return (server.address() as AddressInfo).port;
}

test.each(["127.0.0.1", "0.0.0.0", undefined])("a port on which somebody listens at %s is not free", async (host) => {
  expect(await createPortPicker().isFree(await listening(host))).toBe(false);
});

test("a picked port is free, in the range, and not taken", async () => {
  const picker = createPortPicker();
  const taken = new Set<number>();
  for (let round = 0; round < 20; round += 1) {
    const port = await picker.pick(taken);
    expect(port).toBeGreaterThanOrEqual(10_000);
    expect(port).toBeLessThanOrEqual(32_767);
    expect(taken.has(port)).toBe(false);
    expect(await picker.isFree(port)).toBe(true);
    taken.add(port);
  }
});

test("a port that is in use is passed over", async () => {
  const used = await listening("127.0.0.1");
  const free = await createPortPicker().pick(new Set());
  const tries = [used - free, used - free, 0];
  const picker = createPortPicker({ from: free, to: used, random: () => tries.shift() ?? 0 });
  expect(await picker.pick(new Set())).toBe(free);
  expect(tries).toEqual([]);
});

test("when none is free it says so", async () => {
  const used = await listening("127.0.0.1");
  await expect(createPortPicker({ from: used, to: used }).pick(new Set())).rejects.toThrow(`no free port from ${used} to ${used} in 200 tries`);
});
