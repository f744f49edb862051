/** Keys, signed releases and trust roots, with real files. */
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PassThrough } from "node:stream";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { fakeContext, muster } from "../fakes/fake-context.ts";
import { FakeController } from "../fakes/fake-controller.ts";
import { NOON, rollingDeployment } from "../fakes/samples.ts";
import { run as runIn } from "../run.ts";

let controller: FakeController;
let cwd: string;
beforeEach(async () => {
  controller = await FakeController.start();
  cwd = await mkdtemp(join(tmpdir(), "muster-signing-"));
  await mkdir(join(cwd, "dist"));
  await writeFile(join(cwd, "dist/server.js"), "console.log('hello')\n");
  await writeFile(join(cwd, "muster.yaml"), yaml("1.4.2"));
});
afterEach(async () => {
  await controller.die();
  await rm(cwd, { recursive: true });
});

const yaml = (version: string, command = "node"): string => `app: shop-web\nversion: "${version}"\nartifact: ./dist\nrun:\n  command: [${command}, server.js]\nrollout:\n  targets: role=web\n`;
const run = (...words: string[]): ReturnType<typeof muster> => muster([...words, "--address", controller.address], { cwd, now: NOON, columns: 100 });
const json = async <T = Record<string, unknown>>(...words: string[]): Promise<T> => {
  const { code, out, err } = await run(...words, "-o", "json");
  if (code !== 0) throw new Error(err);
  return JSON.parse(out) as T;
};
const text = (file: string): Promise<string> => readFile(join(cwd, file), "utf8");
const keys = async (...names: string[]): Promise<void> => {
  for (const name of names) await json("key", "create", name);
};

describe("muster key", () => {
  test("create writes a secret that only its owner reads, and a public key, and never over another", async () => {
    const made = await json("key", "create", "ci");
    expect(made).toEqual({ name: "ci", public_key: expect.stringMatching(/^ed25519:[\w-]{43}$/) as string, key_file: join(cwd, "ci.key"), public_file: join(cwd, "ci.pub"), sealed: false });
    expect([(await stat(join(cwd, "ci.key"))).mode & 0o777, (await stat(join(cwd, "ci.pub"))).mode & 0o777]).toEqual([0o600, 0o644]);
    expect(await text("ci.pub")).toBe(`${String(made["public_key"])} ci\n`);
    for (const file of ["ci.key", "ci.pub"]) expect((await run("key", "show", file)).out).toBe(await text("ci.pub"));
    expect(await run("key", "create", "ci")).toMatchObject({ code: 2, err: expect.stringContaining("is there already") as string });
    await rm(join(cwd, "ci.key"));
    expect(await run("key", "create", "ci")).toMatchObject({ code: 2 });
    expect(await readdir(cwd)).not.toContain("ci.key");
    expect(await run("key", "create", "Not A Name")).toMatchObject({ code: 2 });
  });

  test("create prints both files, and says when the secret is not sealed", async () => {
    expect((await run("key", "create", "ci")).out).toContain("ci.key  secret: not sealed, so whoever reads it can sign");
    await writeFile(join(cwd, "pass"), "correct horse\n");
    expect((await run("key", "create", "anna", "--passphrase-file", "pass")).out).toContain("anna.key  secret: sealed with the passphrase");
  });

  test("a sealed key opens with its passphrase alone, and holds nothing of the secret", async () => {
    await writeFile(join(cwd, "pass"), "correct horse\nsecond line\n");
    await writeFile(join(cwd, "wrong"), "battery staple\n");
    await writeFile(join(cwd, "empty"), "\n");
    await json("key", "create", "anna", "--passphrase-file", "pass");
    expect(JSON.parse(await text("anna.key"))).toMatchObject({ private_key: { kdf: "scrypt-131072-8-1", cipher: "aes-256-gcm" } });
    const sign = (...words: string[]): ReturnType<typeof run> => run("release", "sign", "-f", "muster.yaml", "--key", "anna.key", ...words);
    expect(await sign("--passphrase-file", "wrong")).toMatchObject({ code: 2, err: expect.stringContaining("does not open") as string });
    expect(await sign("--passphrase-file", "empty")).toMatchObject({ code: 2, err: expect.stringContaining("begins with no passphrase") as string });
    expect(await sign()).toMatchObject({ code: 2, err: expect.stringContaining("no terminal to ask") as string });
    expect(await sign("--passphrase-file", "pass")).toMatchObject({ code: 0 });
    await writeFile(join(cwd, "anna.key"), (await text("anna.key")).replace('"name": "anna"', '"name": "ben"'), { mode: 0o600 });
    expect(await sign("--passphrase-file", "pass")).toMatchObject({ code: 2, err: expect.stringContaining("does not open") as string });
  });

  test("the passphrase is asked for at the terminal, twice for a new key, and never shown", async () => {
    const typed = async (args: readonly string[], ...lines: readonly string[]) => {
      const stdin = Object.assign(new PassThrough(), { isTTY: true, setRawMode: () => undefined });
      const context = { ...fakeContext({ cwd }), stdin };
      const asked: string[] = [...lines];
      const { write } = context.stderr;
      context.stderr.write = ((chunk: string) => {
        if (/: $/.test(chunk)) setImmediate(() => stdin.write(`${asked.shift() ?? ""}\n`));
        return write.call(context.stderr, chunk);
      }) as typeof write;
      await runIn(args, context);
      return { code: context.exitCode(), err: context.err(), out: context.out() };
    };
    const create = ["key", "create", "anna", "--passphrase"];
    expect(await typed(create, "one", "two")).toMatchObject({ code: 2, err: expect.stringContaining("the two passphrases differ") as string });
    expect(await typed(create, "", "")).toMatchObject({ code: 2, err: expect.stringContaining("seals nothing") as string });
    const made = await typed(create, "correct horse", "correct horse");
    expect(made).toMatchObject({ code: 0, err: "passphrase: \nonce more: \n" });
    expect(made.out + made.err).not.toContain("horse");
    expect(await typed(["release", "sign", "-f", "muster.yaml", "--key", "anna.key"], "correct horse")).toMatchObject({ code: 0, err: "passphrase of anna: \n" });
  });

  test("a key that others may read, or that is none, is not used", async () => {
    await keys("ci");
    await chmod(join(cwd, "ci.key"), 0o640);
    expect(await run("release", "sign", "-f", "muster.yaml", "--key", "ci.key")).toMatchObject({ code: 2, err: expect.stringContaining("can be read by others (mode 0640)") as string });
    await chmod(join(cwd, "ci.key"), 0o600);
    await keys("other");
    const stolen = JSON.parse(await text("other.key")) as { readonly private_key: string };
    await writeFile(join(cwd, "ci.key"), JSON.stringify({ ...(JSON.parse(await text("ci.key")) as object), private_key: stolen.private_key }));
    expect(await run("release", "sign", "-f", "muster.yaml", "--key", "ci.key")).toMatchObject({ code: 2, err: expect.stringContaining("of another public key than it says") as string });
    for (const [file, content] of [["none.key", "{}"], ["ci.pub.key", "x"]] as const) {
      await writeFile(join(cwd, file), content, { mode: 0o600 });
      expect(await run("key", "show", file)).toMatchObject({ code: 2, err: expect.stringContaining("is no key file") as string });
    }
    expect(await run("key", "show", "muster.yaml")).toMatchObject({ code: 2, err: expect.stringContaining("is no public key") as string });
    expect(await run("key", "show", "nowhere")).toMatchObject({ code: 2, err: expect.stringContaining("can't be read") as string });
  });
});

interface Signed {
  readonly payload: Record<string, unknown>;
  readonly keys: readonly string[];
}
function opened(envelope: string): Signed {
  const { payload, signatures } = JSON.parse(envelope) as { readonly payload: string; readonly signatures: readonly { readonly keyid: string }[] };
  return { payload: JSON.parse(Buffer.from(payload, "base64").toString()) as Record<string, unknown>, keys: signatures.map(({ keyid }) => keyid) };
}

describe("muster release sign", () => {
  beforeEach(() => keys("ci", "anna"));

  test("signs what the file and its artifact make, offline", async () => {
    await controller.die();
    const signed = await json("release", "sign", "-f", "muster.yaml", "--key", "ci.key");
    expect(signed).toMatchObject({ app: "shop-web", version: "1.4.2", file: join(cwd, "shop-web-1.4.2.sig.json"), keys: [expect.stringContaining("ed25519:")] });
    expect(opened(await text("shop-web-1.4.2.sig.json")).payload).toEqual({
      app: "shop-web",
      version: "1.4.2",
      artifact: signed["artifact"],
      process: { command: ["node", "server.js"], stopTimeoutMs: 10_000 },
    });
  });

  test("adds a signature to the file of another publisher, once each, and to none of another release", async () => {
    await json("release", "sign", "-f", "muster.yaml", "--key", "ci.key");
    expect((await run("release", "sign", "-f", "muster.yaml", "--key", "anna.key")).out).toMatch(/^shop-web@1\.4\.2 {2}artifact [0-9a-f]{12} {2}2 signatures: shop-web-1\.4\.2\.sig\.json\n$/);
    expect((await json<{ keys: string[] }>("release", "sign", "-f", "muster.yaml", "--key", "ci.key")).keys).toHaveLength(2);
    await writeFile(join(cwd, "muster.yaml"), yaml("1.4.2", "sh"));
    const other = await run("release", "sign", "-f", "muster.yaml", "--key", "ci.key");
    expect(other).toMatchObject({ code: 2, err: expect.stringContaining("other content with that name") as string });
    expect(opened(await text("shop-web-1.4.2.sig.json")).keys).toHaveLength(2);
  });

  test("tells every fault of the file, and signs nothing", async () => {
    await writeFile(join(cwd, "muster.yaml"), "app: shop-web\nversion: 1\n");
    const { code, err } = await run("release", "sign", "-f", "muster.yaml", "--key", "ci.key");
    expect(code).toBe(2);
    expect(err).toMatch(/^muster\.yaml:.*artifact/);
    expect(err).toContain("nothing was signed");
    expect((await readdir(cwd)).filter((file) => file.endsWith(".sig.json"))).toEqual([]);
  });
});

describe("muster deploy", () => {
  beforeEach(async () => {
    controller.deployments = [rollingDeployment()];
    await keys("ci", "anna");
  });
  const submitted = (): { readonly artifact: string; readonly signed: string } => controller.asked.findLast(({ method }) => method === "submit")?.request as never;

  test("--sign-key signs what is read and packed here, whatever the controller says is in the file", async () => {
    controller.artifactPath = "/etc";
    await json("deploy", "-f", "muster.yaml", "--sign-key", "ci.key");
    const { payload } = opened(submitted().signed);
    expect(payload).toMatchObject({ app: "shop-web", artifact: submitted().artifact });
    expect(JSON.parse(String(controller.pushed[0]?.manifest))).toMatchObject({ entries: [{ path: "server.js" }] });
  });

  test("--signature sends signatures that were made before, and --sign-key adds to them", async () => {
    await json("release", "sign", "-f", "muster.yaml", "--key", "anna.key");
    await json("deploy", "-f", "muster.yaml", "--signature", "shop-web-1.4.2.sig.json");
    expect(opened(submitted().signed).keys).toHaveLength(1);
    await json("deploy", "-f", "muster.yaml", "--signature", "shop-web-1.4.2.sig.json", "--sign-key", "ci.key");
    expect(opened(submitted().signed).keys).toHaveLength(2);
  });

  test("refuses a signature of other files before anything is submitted", async () => {
    await json("release", "sign", "-f", "muster.yaml", "--key", "ci.key");
    await writeFile(join(cwd, "dist/server.js"), "evil\n");
    const { code, err } = await run("deploy", "-f", "muster.yaml", "--signature", "shop-web-1.4.2.sig.json");
    expect([code, err]).toEqual([2, "muster: shop-web-1.4.2.sig.json: the signature is not of this shop-web@1.4.2, but of other content with that name\n"]);
    expect(submitted()).toBeUndefined();
    expect(await run("deploy", "-f", "muster.yaml", "--signature", "nowhere")).toMatchObject({ code: 2 });
  });

  test("without either, nothing is signed", async () => {
    await json("deploy", "-f", "muster.yaml");
    expect(submitted().signed).toBe("");
  });
});

describe("muster trust", () => {
  beforeEach(() => keys("anna", "ben", "cleo", "ci"));
  const init = (...words: string[]) => json("trust", "init", "--key", "anna.pub", "--key", "ben.pub", ...words);
  const sign = async (...names: string[]): Promise<void> => {
    for (const name of names) await json("trust", "sign", "--key", `${name}.key`);
  };

  test("is begun, given rules, signed in turn and published", async () => {
    expect(await init("--expires-in", "30d")).toMatchObject({
      version: 1,
      expires_at: new Date(NOON + 30 * 86_400_000).toISOString(),
      root: { keys: ["anna", "ben"], threshold: 2 },
      signing: [{ version: 1, threshold: 2, signed: [], missing: ["anna", "ben"] }],
    });
    const ruled = await json("trust", "app", "shop-*", "--key", "ci.pub", "--floor", "1.0");
    expect(ruled).toMatchObject({ version: 1, apps: [{ match: "shop-*", keys: ["ci"], threshold: 1, floor: "1.0" }] });
    await sign("anna");
    expect(await run("trust", "publish")).toMatchObject({ code: 2, err: expect.stringContaining("needs 2 signatures of anna, ben of version 1; signed by anna") as string });
    await sign("ben");
    expect(await json("trust", "publish")).toEqual({ version: 1, published: [1] });
    expect(await json("trust", "publish")).toEqual({ version: 1, published: [] });
    expect(controller.trustRoots.map(({ publishedBy }) => publishedBy)).toEqual(["ada@laptop"]);
    const shown = await json("trust", "show");
    expect(shown).toMatchObject({ version: 1, published_by: "ada@laptop", published_at: new Date(NOON).toISOString(), signing: [{ signed: ["anna", "ben"] }] });
    expect(await json("trust", "show", "-f", "trust.json")).toEqual({ ...shown, published_at: null, published_by: null });
  });

  test("says in words who has signed and who is still wanted", async () => {
    await init();
    await json("trust", "app", "shop-*", "--key", "ci.pub");
    await json("trust", "app", "shop-test", "--unsigned");
    expect((await run("trust", "sign", "--key", "anna.key")).out).toMatch(
      /^trust root 1 {2}good until .*\n {2}changed by 2 signatures of anna, ben\n {2}to be signed by its own keys: 1 of 2 \(anna\); wanted ben\n\nAPPS {7}NEEDS {14}FLOOR\nshop-\* {5}1 signature of ci\nshop-test {2}no signature\n\n {2}pass the file on to whoever signs next\n$/,
    );
    expect((await run("trust", "sign", "--key", "ben.key")).out).toContain("signed by enough; publish it with: muster trust publish -f trust.json");
    expect((await run("trust", "show")).out).toContain("no trust root is published");
    await run("trust", "publish");
    expect((await run("trust", "show")).out).toContain("published by ada@laptop");
  });

  test("a change of a version that is signed begins the next, which old and new owners sign", async () => {
    await init();
    await sign("anna", "ben");
    const next = await json("trust", "edit", "--remove-key", "ben", "--add-key", "cleo.pub");
    expect(next).toMatchObject({ version: 2, root: { keys: ["anna", "cleo"], threshold: 2 }, keys: { anna: expect.any(String) as string, cleo: expect.any(String) as string } });
    await sign("anna", "cleo");
    expect(await run("trust", "publish")).toMatchObject({ code: 2, err: expect.stringContaining("needs 2 signatures of anna, ben of version 1; signed by anna") as string });
    await sign("ben");
    expect(await json("trust", "publish")).toEqual({ version: 2, published: [1, 2] });
  });

  test("a change of a draft drops its signatures, and stays at its version", async () => {
    await init();
    await sign("anna");
    expect(await json("trust", "edit", "--expires-in", "10d")).toMatchObject({ version: 1, signing: [{ signed: [] }] });
    expect(await json("trust", "edit", "--threshold", "1")).toMatchObject({ version: 1, root: { threshold: 1 } });
  });

  test("rules are changed in parts, and taken away", async () => {
    await init();
    await json("trust", "app", "web", "--key", "ci.pub", "--floor", "1.0");
    expect(await json("trust", "app", "web", "--key", "ci", "--key", "anna", "--threshold", "2")).toMatchObject({ apps: [{ keys: ["anna", "ci"], threshold: 2, floor: "1.0" }] });
    expect(await json("trust", "app", "web", "--no-floor")).toMatchObject({ apps: [{ threshold: 2, floor: null }] });
    expect(await json("trust", "app", "web", "--remove")).toMatchObject({ apps: [], keys: { anna: expect.any(String) as string, ben: expect.any(String) as string } });
    expect(await json("trust", "app", "web", "--floor", "2.0")).toMatchObject({ apps: [{ keys: [], threshold: 0, floor: "2.0" }] });
  });

  test.each<[string, readonly string[], RegExp]>([
    ["a rule without keys", ["app", "web"], /say who must sign/],
    ["a rule for no pattern", ["app", "*web", "--key", "ci.pub"], /neither an app's name/],
    ["a floor without an order", ["app", "web", "--key", "ci.pub", "--floor", "latest"], /numbered version/],
    ["more signers than there are", ["app", "web", "--key", "ci.pub", "--threshold", "2"], /2 must sign, and it names 1/],
    ["keys that need not sign", ["app", "web", "--key", "ci.pub", "--unsigned"], /leaves nothing/],
    ["a rule that is not there", ["app", "web", "--remove"], /no rule for web/],
    ["an edit of nothing", ["edit"], /nothing to change/],
    ["a root that nobody could change", ["edit", "--remove-key", "ben"], /2 must sign, and it names 1/],
    ["the removal of nobody", ["edit", "--remove-key", "zoe"], /no key zoe/],
    ["a second beginning", ["init", "--key", "anna.pub"], /is there already/],
    ["a signature that counts for nothing", ["sign", "--key", "ci.key"], /counts? for nothing/],
    ["another key under a known name", ["edit", "--add-key", "other/anna.pub"], /name of another key/],
    ["a file that is none", ["show", "-f", "muster.yaml"], /no list of trust roots/],
    ["a file that is not there", ["publish", "-f", "nowhere.json"], /begin one with: muster trust init/],
  ])("refuses %s, and leaves the file as it is", async (_, words, message) => {
    await init();
    await mkdir(join(cwd, "other"));
    await json("key", "create", "anna", "--dir", "other");
    const before = await text("trust.json");
    const { code, err } = await run("trust", ...words);
    expect(code).toBe(2);
    expect(err).toMatch(message);
    expect(await text("trust.json")).toBe(before);
    expect(controller.asked).toEqual([]);
  });

  test("is not published over another, nor from a file that is behind", async () => {
    await init();
    await sign("anna", "ben");
    await json("trust", "publish");
    const behind = await text("trust.json");
    await json("trust", "edit", "--expires-in", "500d");
    await sign("anna", "ben");
    await json("trust", "publish");
    await writeFile(join(cwd, "behind.json"), behind);
    expect(await run("trust", "publish", "-f", "behind.json")).toMatchObject({ code: 2, err: expect.stringContaining("the controller has version 2: get the newer file") as string });
    await json("trust", "init", "--key", "cleo.pub", "-f", "other.json");
    for (const edit of [undefined, "10d"]) {
      if (edit !== undefined) await json("trust", "edit", "--expires-in", edit, "-f", "other.json");
      await json("trust", "sign", "--key", "cleo.key", "-f", "other.json");
    }
    expect(await run("trust", "publish", "-f", "other.json")).toMatchObject({ code: 2, err: expect.stringContaining("two different trust roots") as string });
    expect(controller.trustRoots).toHaveLength(2);
  });
});
