import { appendFile, mkdir, mkdtemp, rm, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { createLogReader, type LogReaderLimits } from "./log-reader.ts";
import { rotateIfLarge } from "./rotation.ts";

let dir: string;
let logs: string;

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), "muster-logs-"));
  logs = join(dir, "apps/shop/logs");
  await mkdir(logs, { recursive: true });
});

afterEach(() => rm(dir, { recursive: true, force: true }));

const rotation = { fileBytesMax: 15, rotatedKept: 3, checkIntervalMs: 1_000 };

async function tail(tailLines: number, limits: Partial<LogReaderLimits> = {}): Promise<readonly string[]> {
  const lines: string[] = [];
  const reader = createLogReader({ dir, limits });
  for await (const batch of reader.read({ app: "shop", tailLines, follow: false, signal: new AbortController().signal })) {
    lines.push(...batch.map(({ stream, text }) => `${stream} ${text}`));
  }
  return lines;
}

/** Follows until `steps` are done: each is called once the line before it has been seen. */
async function follow(tailLines: number, steps: readonly { readonly seen: string; readonly then: () => Promise<unknown> | void }[]): Promise<readonly string[]> {
  const lines: string[] = [];
  const stop = new AbortController();
  const reader = createLogReader({ dir, limits: { pollIntervalMs: 5 } });
  const left = [...steps];
  for await (const batch of reader.read({ app: "shop", tailLines, follow: true, signal: stop.signal })) {
    for (const { text } of batch) {
      lines.push(text);
      if (text !== left[0]?.seen) continue;
      await left.shift()?.then();
      if (left.length === 0) stop.abort();
    }
  }
  return lines;
}

function put(stream: "stdout" | "stderr", text: string, age = ""): Promise<void> {
  return writeFile(join(logs, `${stream}.log${age}`), text);
}

function add(text: string): Promise<void> {
  return appendFile(join(logs, "stdout.log"), text);
}

describe("the last lines", () => {
  test("are those of stdout and then those of stderr", async () => {
    await put("stdout", "a\nb\nc\n");
    await put("stderr", "x\ny\nz\n");
    expect(await tail(4)).toEqual(["stdout b", "stdout c", "stderr y", "stderr z"]);
    expect(await tail(100)).toHaveLength(6);
    expect(await tail(0)).toEqual([]);
  });

  test("come from the rotated file too when the new one has too few, also when a line was cut in two", async () => {
    await put("stdout", "one\ntwo\nthr", ".1");
    await put("stdout", "ee\nfour\n");
    expect(await tail(3)).toEqual(["stdout two", "stdout three", "stdout four"]);
  });

  test("include one that has no end yet", async () => {
    await put("stdout", "a\nhalf");
    expect(await tail(2)).toEqual(["stdout a", "stdout half"]);
  });

  test("are looked for only so far back, and no half line is shown", async () => {
    await put("stdout", "first line\nsecond\nthird\n");
    expect(await tail(10, { tailBytesMax: 15 })).toEqual(["stdout second", "stdout third"]);
  });

  test("come in batches of bounded size", async () => {
    await put("stdout", Array.from({ length: 12 }, (_, index) => `${index}\n`).join(""));
    const sizes: number[] = [];
    const request = { app: "shop", tailLines: 12, follow: false, signal: new AbortController().signal };
    for await (const batch of createLogReader({ dir, limits: { batchLinesMax: 5 } }).read(request)) sizes.push(batch.length);
    expect(sizes).toEqual([5, 5, 2]);
  });

  test("of an app that never wrote any cannot be read, and it says so", async () => {
    await expect(tail(10)).rejects.toThrow("shop has no output on this machine: none of its releases was ever started here as a process");
  });
});

describe("following", () => {
  test("brings each new line once it has its end", async () => {
    await put("stdout", "a\nhal");
    const lines = await follow(10, [
      { seen: "a", then: () => add("f\nb\n") },
      { seen: "b", then: () => add("c\n") },
      { seen: "c", then: () => undefined },
    ]);
    expect(lines).toEqual(["a", "half", "b", "c"]);
  });

  test("goes on over rotations, without losing or doubling a line", async () => {
    await put("stdout", "begin\n");
    const rotateAfter = (text: string) => async (): Promise<void> => {
      await add(text);
      await rotateIfLarge(logs, "stdout", rotation);
    };
    const lines = await follow(10, [
      { seen: "begin", then: rotateAfter("before one\n") },
      { seen: "before one", then: () => add("after one\n") },
      { seen: "after one", then: rotateAfter("before two\n") },
      { seen: "before two", then: () => add("after two\n") },
      { seen: "after two", then: () => undefined },
    ]);
    expect(lines).toEqual(["begin", "before one", "after one", "before two", "after two"]);
  });

  test("goes on over a truncation", async () => {
    await put("stdout", "a long first line\n");
    const lines = await follow(1, [
      {
        seen: "a long first line",
        then: async () => {
          await truncate(join(logs, "stdout.log"), 0);
          await add("new\n");
        },
      },
      { seen: "new", then: () => undefined },
    ]);
    expect(lines).toEqual(["a long first line", "new"]);
  });

  test("ends when the app is removed", async () => {
    await put("stdout", "a\n");
    expect(await follow(1, [{ seen: "a", then: () => rm(join(dir, "apps/shop"), { recursive: true }) }, { seen: "never", then: () => undefined }])).toEqual(["a"]);
  });
});
