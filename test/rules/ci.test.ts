/** .ci/run says truly how it went in its last line and by its exit code, whatever becomes of what it runs. */
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { chmodSync, cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { ROOT } from "./tree.ts";

const NOTHING_COUNTED = "0 passed, 1 failed, 0 skipped";

describe(".ci/run", () => {
  let dir: string;

  beforeEach(() => {
    dir = mkdtempSync(join(tmpdir(), "muster-ci-"));
    cpSync(join(ROOT, ".ci"), join(dir, ".ci"), { recursive: true });
    mkdirSync(join(dir, "bin"));
    // Installed by the real one where it is missing.
    symlinkSync("/bin/sh", join(dir, "bin/zsh"));
    mkdirSync(join(dir, ".verify"));
    // What an earlier run left must not be taken for this one's.
    writeFileSync(join(dir, ".verify/last-line.txt"), "999 passed, 0 failed, 0 skipped\n");
  });

  afterEach(() => rmSync(dir, { recursive: true, force: true }));

  /** With an npm that does, for `npm test`, what the script says. */
  function ci(npmTest: string, npmInstall = "exit 0"): { readonly status: number | null; readonly lastLine: string | undefined } {
    const npm = join(dir, "bin/npm");
    writeFileSync(npm, `#!/bin/sh\nif [ "$1" = test ]; then\n${npmTest}\nelse\n${npmInstall}\nfi\n`);
    chmodSync(npm, 0o755);
    const { status, stdout } = spawnSync("bash", [".ci/run"], {
      cwd: dir,
      encoding: "utf8",
      env: { ...process.env, PATH: `${join(dir, "bin")}${delimiter}${process.env["PATH"]}` },
    });
    return { status, lastLine: stdout.trimEnd().split("\n").at(-1) };
  }

  test("stops the verification when it is told to stop, and says so last", async () => {
    const npm = join(dir, "bin/npm");
    writeFileSync(npm, '#!/bin/sh\n[ "$1" = test ] && echo testing && exec sleep 600\nexit 0\n');
    chmodSync(npm, 0o755);
    const run = spawn("bash", [".ci/run"], { cwd: dir, env: { ...process.env, PATH: `${join(dir, "bin")}${delimiter}${process.env["PATH"]}` } });
    let said = "";
    run.stdout.setEncoding("utf8").on("data", (text: string) => {
      said += text;
      if (text.includes("testing")) run.kill("SIGTERM");
    });
    const [status] = (await once(run, "close")) as [number | null];
    expect({ status, lastLine: said.trimEnd().split("\n").at(-1) }).toEqual({ status: 143, lastLine: NOTHING_COUNTED });
  });

  const counted = (line: string) => `echo noise; echo "${line}" > .verify/last-line.txt`;

  test("ends with the numbers of a verification that passed", () => {
    expect(ci(`${counted("12 passed, 0 failed, 0 skipped")}; exit 0`)).toEqual({ status: 0, lastLine: "12 passed, 0 failed, 0 skipped" });
  });

  test("ends with the numbers of one that failed", () => {
    expect(ci(`${counted("11 passed, 1 failed, 0 skipped")}; exit 1`)).toEqual({ status: 1, lastLine: "11 passed, 1 failed, 0 skipped" });
  });

  test("fails when the verification ends well and has counted nothing", () => {
    expect(ci("exit 0")).toEqual({ status: 1, lastLine: NOTHING_COUNTED });
  });

  test("fails when the verification is killed", () => {
    expect(ci("kill -9 $$")).toEqual({ status: 137, lastLine: NOTHING_COUNTED });
  });

  test("fails when npm install does", () => {
    expect(ci(counted("12 passed, 0 failed, 0 skipped"), "echo broken >&2; exit 7")).toEqual({ status: 7, lastLine: NOTHING_COUNTED });
  });

  test("says in the environment that it is a CI", () => {
    expect(ci(`[ "$CI" = true ] && ${counted("1 passed, 0 failed, 0 skipped")}`)).toEqual({ status: 0, lastLine: "1 passed, 0 failed, 0 skipped" });
  });
});
