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
  it("needs no more than a controller", () => {
    expect(parseConfig(base, around)).toEqual({
      kind: "config",
      config: {
        controller: "127.0.0.1:4440",
        dir: "/home/ann/.local/state/muster-agent",
        machineId: "web-1",
        labels: {},
        maxAssignmentAgeMs: 3_600_000,
        stopWithParent: false,
        logLevel: "info",
        environment: {},
      },
    });
  });

  it("takes options, and several labels", () => {
    const args = [...base, "--dir", "/d", "--id", "m1", "--label", "role=web", "--label", "zone=", "--stop-with-parent", "--log-level", "debug", "--max-assignment-age", "5m"];
    expect(parseConfig(args, around)).toMatchObject({
      config: { dir: "/d", machineId: "m1", labels: { role: "web", zone: "" }, maxAssignmentAgeMs: 300_000, stopWithParent: true, logLevel: "debug" },
    });
  });

  it("takes variables, and options over variables", () => {
    const environment = { MUSTER_CONTROLLER: "[::1]:1", MUSTER_AGENT_DIR: "/e", MUSTER_AGENT_ID: "from-env" };
    expect(parseConfig([], { ...around, environment })).toMatchObject({ config: { controller: "[::1]:1", dir: "/e", machineId: "from-env" } });
    expect(parseConfig(["--id", "m2"], { ...around, environment })).toMatchObject({ config: { machineId: "m2" } });
  });

  it("keeps root's files where a service keeps them", () => {
    expect(parseConfig(base, { ...around, isRoot: true })).toMatchObject({ config: { dir: "/var/lib/muster-agent" } });
  });

  it("says help and version, with examples", () => {
    expect(parseConfig(["--help"], around)).toMatchObject({ kind: "said", text: expect.stringContaining("Examples:") });
    expect(parseConfig(["--version"], around)).toMatchObject({ kind: "said", text: expect.stringMatching(/^\d+\.\d+\.\d+\n$/) });
  });

  it("refuses what it cannot use, in one line that says what is allowed", () => {
    expect(fault()).toContain("--controller HOST:PORT");
    for (const address of ["localhost", "localhost:0", "localhost:70000", "http://localhost:1", ":1", ""]) expect(fault("--controller", address)).toContain("HOST:PORT");
    expect(fault(...base, "--id", "Web_1")).toContain("a-z, 0-9 and -");
    expect(fault(...base, "--label", "role")).toContain("KEY=VALUE");
    expect(fault(...base, "--label", "-x=1")).toContain('"-x" is not a label\'s name');
    expect(fault(...base, "--label", "role=a b")).toContain('"a b" is not a label\'s value');
    expect(fault(...base, "--label", "role=a", "--label", "role=b")).toContain("given twice");
    for (const age of ["1", "59s", "25h", "-1h", "h", "1d"]) expect(fault(...base, "--max-assignment-age", age)).toContain("1m to 24h");
    expect(fault(...base, "--log-level", "loud")).toContain("trace, debug, info");
    expect(fault(...base, "--colour")).toContain("--colour");
    expect(fault(...base, "more")).toContain("too many arguments");
    expect(fault("--dir")).toContain("argument missing");
    const badHost = parseConfig(base, { ...around, hostname: "web_1.example" });
    expect(badHost).toMatchObject({ kind: "fault", message: expect.stringContaining("--id ID") });
  });
});
