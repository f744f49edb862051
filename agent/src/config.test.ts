import { describe, expect, it } from "vitest";
import { type Surroundings, parseConfig } from "./config.ts";

const around: Surroundings = { environment: {}, hostname: "Web-1", homeDir: "/home/ann", isRoot: false };
const base = ["--controller", "127.0.0.1:4440"];

function fault(...args: string[]): string {
  const parsed = parseConfig(args, around);
  if (parsed.kind !== "fault") throw new Error(`taken: ${JSON.stringify(parsed)}`);
  return parsed.message;
}

describe("the agent's configuration", () => {
  it("of one that runs needs nothing: it knows its controller", () => {
    expect(parseConfig([], around)).toEqual({
      kind: "config",
      config: {
        dir: "/home/ann/.local/state/muster-agent",
        command: { kind: "run", controller: undefined, machineId: undefined, join: undefined, maxAssignmentAgeMs: 3_600_000, stopWithParent: false },
        logLevel: "info",
        environment: {},
      },
    });
  });

  it("of one that joins takes a controller, a token's file, and several labels", () => {
    const args = ["join", ...base, "--token-file", "t", "--dir", "/d", "--id", "m1", "--label", "role=web", "--label", "zone=", "--log-level", "debug"];
    const join = { controller: "127.0.0.1:4440", tokenFile: "t", token: undefined, machineId: "m1", labels: { role: "web", zone: "" } };
    expect(parseConfig(args, around)).toMatchObject({ config: { dir: "/d", command: { kind: "join", join, isAgain: false }, logLevel: "debug" } });
    expect(parseConfig(["join", ...base, "--again"], around)).toMatchObject({ config: { command: { join: { tokenFile: undefined, machineId: "web-1" }, isAgain: true } } });
    expect(parseConfig([...base, "--token-file", "-", "--stop-with-parent"], around)).toMatchObject({ config: { command: { kind: "run", join: { tokenFile: undefined }, stopWithParent: true } } });
  });

  it("takes variables, and options over variables", () => {
    const environment = { MUSTER_CONTROLLER: "[::1]:1", MUSTER_AGENT_DIR: "/e", MUSTER_AGENT_ID: "from-env" };
    expect(parseConfig([], { ...around, environment })).toMatchObject({ config: { dir: "/e", command: { controller: "[::1]:1", machineId: "from-env" } } });
    expect(parseConfig(["--id", "m2"], { ...around, environment })).toMatchObject({ config: { command: { machineId: "m2" } } });
  });

  it("takes a token from the environment, and passes it on to nobody", () => {
    const parsed = parseConfig(base, { ...around, environment: { MUSTER_JOIN_TOKEN: "mst1.x", PATH: "/bin" } });
    expect(parsed).toMatchObject({ config: { command: { join: { token: "mst1.x", tokenFile: undefined } }, environment: { PATH: "/bin" } } });
    expect(parsed.kind === "config" && "MUSTER_JOIN_TOKEN" in parsed.config.environment).toBe(false);
  });

  it("of the pinned trust root takes a file, and the directory alone besides", () => {
    expect(parseConfig(["trust", "pin", "trust.json", "--dir", "/d"], around)).toMatchObject({ config: { dir: "/d", command: { kind: "pin", file: "trust.json", replaces: false } } });
    expect(parseConfig(["trust", "pin", "t", "--replace"], { ...around, environment: { MUSTER_AGENT_DIR: "/e" } })).toMatchObject({ config: { dir: "/e", command: { replaces: true } } });
    expect(parseConfig(["trust", "show"], around)).toMatchObject({ config: { command: { kind: "show-pinned" } } });
    expect(parseConfig(["trust", "--help"], around)).toMatchObject({ kind: "said", text: expect.stringContaining("pin") });
    expect(fault("trust")).toContain("muster-agent trust --help");
    expect(fault("trust", "forget")).toContain("forget");
    expect(fault("trust", "pin")).toContain("missing required argument");
  });

  it("keeps root's files where a service keeps them", () => {
    expect(parseConfig(base, { ...around, isRoot: true })).toMatchObject({ config: { dir: "/var/lib/muster-agent" } });
  });

  it("says help and version, with examples", () => {
    expect(parseConfig(["--help"], around)).toMatchObject({ kind: "said", text: expect.stringContaining("Examples:") });
    expect(parseConfig(["--version"], around)).toMatchObject({ kind: "said", text: expect.stringMatching(/^\d+\.\d+\.\d+\n$/) });
  });

  it("refuses what it cannot use, in one line that says what is allowed", () => {
    expect(fault("join")).toContain("--controller HOST:PORT");
    for (const address of ["localhost", "localhost:0", "localhost:70000", "http://localhost:1", ":1", ""]) expect(fault("--controller", address)).toContain("HOST:PORT");
    expect(fault(...base, "--id", "Web_1")).toContain("a-z, 0-9 and -");
    expect(fault(...base, "--label", "role")).toContain("KEY=VALUE");
    expect(fault(...base, "--label", "-x=1")).toContain('"-x" is not a label\'s name');
    expect(fault(...base, "--label", "role=a b")).toContain('"a b" is not a label\'s value');
    expect(fault(...base, "--label", "role=a", "--label", "role=b")).toContain("given twice");
    for (const age of ["1", "59s", "25h", "-1h", "h", "2d", "1w"]) expect(fault(...base, "--max-assignment-age", age)).toContain("1m to 24h");
    expect(fault(...base, "--log-level", "loud")).toContain("trace, debug, info");
    expect(fault(...base, "--colour")).toContain("--colour");
    expect(fault(...base, "more")).toContain("too many arguments");
    expect(fault("--dir")).toContain("argument missing");
    const badHost = parseConfig(["join", ...base], { ...around, hostname: "web_1.example" });
    expect(badHost).toMatchObject({ kind: "fault", message: expect.stringContaining("--id ID") });
  });
});
