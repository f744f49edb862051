/** Secrets go in, and only their names come out. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import { status } from "@grpc/grpc-js";
import { afterEach, beforeEach, expect, test } from "vitest";
import { fakeContext, muster } from "../fakes/fake-context.ts";
import { FakeController } from "../fakes/fake-controller.ts";
import { NOON } from "../fakes/samples.ts";
import { run as runProgram } from "../run.ts";

let controller: FakeController;
let cwd: string;

beforeEach(async () => {
  controller = await FakeController.start();
  cwd = mkdtempSync(join(tmpdir(), "muster-secret-"));
});

afterEach(async () => {
  await controller.die();
  rmSync(cwd, { recursive: true, force: true });
});

const run = (words: readonly string[], stdin = ""): ReturnType<typeof muster> => muster(["secret", ...words, "--address", controller.address], { now: NOON, columns: 100, cwd, stdin });
const asked = (): unknown => {
  const { value, ...rest } = controller.asked.at(-1)!.request as { readonly value: Buffer };
  return { ...rest, value: value.toString() };
};

test("a value is read from stdin or a file, and a single line loses its end", async () => {
  const { code, out } = await run(["set", "db-password"], "hunter2\n");
  expect([code, out]).toEqual([0, "db-password  version 1, for all apps; releases made from now on take it\n"]);
  expect(asked()).toEqual({ name: "db-password", value: "hunter2", apps: "", by: "ada@laptop" });
  writeFileSync(join(cwd, "key.pem"), "-----BEGIN\n-----END\n");
  expect((await run(["set", "tls-key", "--from-file", "key.pem", "--apps", "shop-*"])).out).toContain("version 1, for shop-*;");
  expect(asked()).toMatchObject({ value: "-----BEGIN\n-----END\n", apps: "shop-*" });
  await run(["set", "db-password"], "windows\r\n");
  expect(asked()).toMatchObject({ value: "windows" });
  await run(["set", "db-password", "--exact"], "hunter2\n");
  expect(asked()).toMatchObject({ value: "hunter2\n" });
});

test("secrets are listed with their versions, and never with a value", async () => {
  expect((await run(["list"])).out).toBe("no secrets; make one with: muster secret set db-password --from-file FILE\n");
  await run(["set", "db", "--apps", "shop-*"], "hunter2");
  await run(["set", "db"], "hunter33");
  controller.secrets[0]!.versions[0]!.neededBy = ["shop-web@1", "shop-web@2"];
  expect((await run(["list"])).out).toBe(
    [
      "NAME  VERSION  APPS    SIZE  SET  BY          NEEDED BY",
      "db          2  shop-*   8 B  now  ada@laptop",
      "            1           7 B  now  ada@laptop  shop-web@1, shop-web@2",
      "",
    ].join("\n"),
  );
  const json = (await run(["list", "-o", "json"])).out;
  expect(JSON.parse(json)).toStrictEqual([
    {
      name: "db",
      apps: "shop-*",
      versions: [
        { version: 1, size_bytes: 7, set_at: "2026-01-31T12:00:00.000Z", set_by: "ada@laptop", needed_by: ["shop-web@1", "shop-web@2"] },
        { version: 2, size_bytes: 8, set_at: "2026-01-31T12:00:00.000Z", set_by: "ada@laptop", needed_by: [] },
      ],
    },
  ]);
  expect(json).not.toContain("hunter");
});

test("a secret is removed, with a word on who needed it", async () => {
  await run(["set", "db"], "x");
  await run(["set", "other"], "x");
  expect((await run(["rm", "db"])).out).toBe("db is removed\n");
  expect(await run(["rm", "db"])).toMatchObject({ code: 4, err: "muster: there is no secret db\n" });
  controller.failures.set("removeSecret", { code: status.FAILED_PRECONDITION, details: "other is needed by shop-web@1" });
  expect(await run(["rm", "other"])).toMatchObject({ code: 2, err: "muster: other is needed by shop-web@1\n" });
  controller.failures.clear();
  controller.neededBy = ["a@1", "a@2", "a@3", "a@4", "a@5", "a@6"];
  expect((await run(["rm", "other", "--force"])).out).toBe(
    "other is removed, though it is needed by a@1, a@2, a@3, a@4, a@5 and 1 more\ntheir machines keep the value that they have; no other machine gets it\n",
  );
  expect(controller.asked.at(-1)).toEqual({ method: "removeSecret", request: { name: "other", force: true, by: "ada@laptop" } });
});

test.each<[readonly string[], string, string]>([
  [["set", "db"], "", "the value of db is empty"],
  [["set", "db"], "\n", "the value of db is empty"],
  [["set", "db"], "x".repeat(64 * 1024 + 1), "stdin is larger than 64 KiB, too large for a secret"],
  [["set", "db", "--from-file", "nope"], "", "nope: there is no such file in "],
  [["set", "db", "--from-file", "."], "", ". is a directory; name the file in it that holds the value"],
  [["set", "db", "hunter2"], "", "too many arguments"],
  [["set"], "x", "missing required argument 'secret'"],
  [["get", "db"], "", "unknown command 'get'"],
])("muster secret %j is bad input, and the controller is not asked", async (words, stdin, message) => {
  const { code, out, err } = await run(words, stdin);
  expect([code, out]).toEqual([2, ""]);
  expect(err).toContain(message);
  expect(controller.asked).toEqual([]);
});

test("a terminal that would show the value is not read", async () => {
  const context = fakeContext({ cwd });
  await runProgram(["secret", "set", "db", "--address", controller.address], { ...context, stdin: Object.assign(Readable.from(["hunter2\n"]), { isTTY: true }) });
  expect([context.exitCode(), context.out()]).toEqual([2, ""]);
  expect(context.err()).toContain("--from-file FILE");
  expect(controller.asked).toEqual([]);
});
