import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { ensureNatsServer } from "./ensure-nats-server.ts";

describe("finding or installing nats-server", () => {
  let dir: string;
  let ran: string[];
  beforeEach(() => {
    dir = mkdtempSync(join(tmpdir(), "muster-nats-"));
    ran = [];
  });
  afterEach(() => rmSync(dir, { recursive: true }));

  function put(): void {
    writeFileSync(join(dir, "nats-server"), "");
    chmodSync(join(dir, "nats-server"), 0o755);
  }

  /** Answers each command line by what it ends with. */
  function execute(answers: Readonly<Record<string, () => number>>) {
    return (command: readonly string[]): number => {
      ran.push(command.join(" "));
      return Object.entries(answers).find(([part]) => command.join(" ").includes(part))?.[1]() ?? 0;
    };
  }
  const installs = (): number => (put(), 0);
  const ensure = (isRoot: boolean, answers: Readonly<Record<string, () => number>>) =>
    ensureNatsServer([dir], isRoot, execute(answers), () => ran.push("says so"));

  it("takes the one on PATH and runs nothing", () => {
    put();
    expect(ensure(true, {})).toEqual({ kind: "found", path: join(dir, "nats-server") });
    expect(ran).toEqual([]);
  });

  it("installs the package as root, fetching package lists only when it fails without", () => {
    let attempts = 0;
    const answer = ensure(true, { " install ": () => ((attempts += 1) === 1 ? 100 : installs()) });
    expect(answer.kind).toBe("found");
    expect(ran.map((line) => /says so|install|update/.exec(line)?.[0])).toEqual(["says so", "install", "update", "install"]);
  });

  it("installs by sudo where it asks for no password", () => {
    expect(ensure(false, { " install ": installs }).kind).toBe("found");
    expect(ran[0]).toBe("sudo -n true");
    expect(ran.at(-1)).toMatch(/^sudo -n .*apt-get install/);
  });

  it("says in one sentence what to run where it may not install", () => {
    const answer = ensure(false, { "sudo -n true": () => 1 });
    expect(answer).toMatchObject({ kind: "missing", message: expect.stringContaining("sudo apt-get install nats-server") });
    expect(ran).toEqual(["sudo -n true"]);
  });

  it("says what to run when the installation fails", () => {
    expect(ensure(true, { "apt-get": () => 100 }).kind).toBe("missing");
  });
});
