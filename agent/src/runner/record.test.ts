import { existsSync, linkSync, mkdtempSync, readFileSync, renameSync, rmSync, statSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { readRecord, rewriteRecord } from "./record.ts";

const FORMAT = "muster.test.v1";
let path: string;
beforeEach(() => {
  path = join(mkdtempSync(join(tmpdir(), "muster-record-")), "state.json");
});
afterEach(() => rmSync(join(path, ".."), { recursive: true }));

const write = (value: unknown): void => rewriteRecord(path, FORMAT, value);
const read = (): unknown => readRecord(path, FORMAT);
const inode = (name: string): number => statSync(name).ino;

describe("a record that is rewritten", () => {
  it("takes the room of the one before the last, and no new one", () => {
    write({ count: 0, text: "long ".repeat(100) });
    const files = [inode(path), inode(`${path}.new`)];
    const { size, blocks } = statSync(path);
    for (let count = 1; count < 10; count += 1) {
      write({ count });
      expect(read()).toEqual({ kind: "found", value: { count } });
      expect([inode(path), inode(`${path}.new`)]).toEqual(count % 2 === 0 ? files : files.toReversed());
      expect(statSync(path)).toMatchObject({ size, blocks });
      expect(existsSync(`${path}.old`)).toBe(false);
    }
  });

  it("may grow", () => {
    write("short");
    const value = "x".repeat(100_000);
    for (let count = 0; count < 3; count += 1) {
      write(value);
      expect(read()).toEqual({ kind: "found", value });
    }
  });

  it.each<readonly [string, () => void]>([
    ["while the spare was written", () => truncateSync(`${path}.new`, 10)],
    ["before the new one took its name", () => linkSync(path, `${path}.old`)],
    ["after the new one took its name", () => renameSync(`${path}.new`, `${path}.old`)],
    ["and the record has lost its spare", () => rmSync(`${path}.new`)],
    ["and the spare is the record itself", () => { rmSync(`${path}.new`); linkSync(path, `${path}.new`); }],
    ["and what was left is the record itself", () => { rmSync(`${path}.new`); linkSync(path, `${path}.old`); }],
  ])("is whole when the agent was killed %s", (_, kill) => {
    write(1);
    write(2);
    kill();
    expect(read()).toEqual({ kind: "found", value: 2 });
    write(3);
    expect(read()).toEqual({ kind: "found", value: 3 });
    write(4);
    expect(read()).toEqual({ kind: "found", value: 4 });
    expect(existsSync(`${path}.new`)).toBe(true);
  });

  it.each([".new", ".old"])("is not written over in place while it is the %s one, too, as after a power cut", (beside) => {
    write(1);
    write(2);
    rmSync(`${path}.new`);
    linkSync(path, `${path}${beside}`);
    const { ino } = statSync(path);
    write(3);
    expect([read(), statSync(path).ino === ino]).toEqual([{ kind: "found", value: 3 }, false]);
  });

  it("reads what was written before there were spares", () => {
    write(1);
    writeFileSync(path, readFileSync(path, "utf8").trimEnd());
    expect(read()).toEqual({ kind: "found", value: 1 });
  });
});
