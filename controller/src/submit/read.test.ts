import { Release } from "@muster/proto/gen/muster/v1/release.ts";
import { describe, expect, it } from "vitest";
import { readDeploymentFile } from "./read.ts";
import type { DeploymentFile } from "./read.ts";

const WHOLE = `
app: shop-web
version: 1.4.2
artifact: ./dist                  # a directory, .tar, .tar.gz, .tgz or .zip
run:
  driver: process                 # process | files
  command: [node, server.js]
  ports: { http: auto, admin: 9090 }
  env: { PORT: "\${ports.http}", NAME: "\${machine.id}", ZONE: "\${labels.zone}", PRICE: "$\${x}" }
  stop_timeout: 10s
health:
  - http: http://127.0.0.1:\${ports.http}/healthz
    interval: 1s
    timeout: 500ms
    healthy_after: 2
    unhealthy_after: 3
  - tcp: "[::1]:\${ports.admin}"
  - exec: [./check.sh, "\${release_dir}/x"]
rollout:
  targets: role=web,env in (prod,staging)
  waves: [1, 12.5%, 25%, 100%]
  max_unavailable: 20%
  min_healthy_time: 5s
  healthy_deadline: 2m
  progress_deadline: 10m
  max_failures: 1
  on_failure: pause
  on_conflict: supersede
`;

function read(text: string): DeploymentFile {
  const outcome = readDeploymentFile(Buffer.from(text));
  if (!outcome.ok) throw new Error(JSON.stringify(outcome.faults));
  return outcome.file;
}

function small({ version = "1.0", run = "{ command: [./app] }", extra = "", targets = "role=web" } = {}): string {
  return `app: web\nversion: ${version}\nartifact: ./dist\nrun: ${run}\nrollout:\n  targets: ${targets}\n${extra}`;
}

describe("readDeploymentFile", () => {
  it("reads every key", () => {
    const file = read(WHOLE);
    expect(file).toMatchObject({ app: "shop-web", version: "1.4.2", artifactPath: "./dist" });
    expect(file.release).toEqual({
      app: "shop-web",
      version: "1.4.2",
      artifact: "",
      driver: {
        $case: "process",
        value: {
          command: ["node", "server.js"],
          env: { NAME: "${machine.id}", PORT: "${ports.http}", PRICE: "$${x}", ZONE: "${labels.zone}" },
          stopTimeoutMs: 10_000,
        },
      },
      ports: { admin: 9090, http: 0 },
      health: [
        { check: { $case: "http", value: { url: "http://127.0.0.1:${ports.http}/healthz" } }, intervalMs: 1_000, timeoutMs: 500, healthyAfter: 2, unhealthyAfter: 3 },
        { check: { $case: "tcp", value: { address: "[::1]:${ports.admin}" } }, intervalMs: 2_000, timeoutMs: 1_000, healthyAfter: 2, unhealthyAfter: 3 },
        { check: { $case: "exec", value: { command: ["./check.sh", "${release_dir}/x"] } }, intervalMs: 2_000, timeoutMs: 1_000, healthyAfter: 2, unhealthyAfter: 3 },
      ],
    });
    expect(file.strategy).toEqual({
      targets: "role=web,env in (prod,staging)",
      waves: [{ kind: "count", count: 1 }, { kind: "percent", percent: 12.5 }, { kind: "percent", percent: 25 }, { kind: "percent", percent: 100 }],
      maxUnavailable: { kind: "percent", percent: 20 },
      minHealthyTimeMs: 5_000,
      healthyDeadlineMs: 120_000,
      progressDeadlineMs: 600_000,
      maxFailures: { kind: "count", count: 1 },
      onFailure: "pause",
      onConflict: "supersede",
    });
    expect(file.selector.requirements).toHaveLength(2);
  });

  it("fills in the defaults", () => {
    const { release, strategy } = read(small());
    expect(release).toMatchObject({ driver: { $case: "process", value: { env: {}, stopTimeoutMs: 10_000 } }, ports: {}, health: [] });
    expect(strategy).toEqual({
      targets: "role=web",
      waves: [{ kind: "count", count: 1 }, { kind: "percent", percent: 25 }, { kind: "percent", percent: 100 }],
      maxUnavailable: { kind: "percent", percent: 25 },
      minHealthyTimeMs: 10_000,
      healthyDeadlineMs: 300_000,
      progressDeadlineMs: 600_000,
      maxFailures: { kind: "count", count: 0 },
      onFailure: "rollback",
      onConflict: "queue",
    });
  });

  it("reads the files driver", () => {
    expect(read(small({ run: "{ driver: files, ports: { http: 80 } }" })).release).toMatchObject({ driver: { $case: "files", value: {} }, ports: { http: 80 } });
  });

  it.each([
    ["1.10", "1.10"], ["1.4", "1.4"], ["0x10", "0x10"], ["2024", "2024"], ["1e3", "1e3"], ["007", "007"], ['"1.10"', "1.10"], ["1.10.0-rc.1+b", "1.10.0-rc.1+b"], ["!!str 1.10", "1.10"],
  ])("takes the version %s as it is written", (written, version) => {
    expect(read(small({ version })).release.version).toBe(version);
    expect(read(small({ version: written })).version).toBe(version);
  });

  it("takes numbers, true and false in env as they are written", () => {
    const { release } = read(small({ run: "{ command: [./app], env: { A: 1.50, B: 0x1F, C: True, D: off, E: '', F: 1_0, G: .inf } }" }));
    expect(release.driver?.value).toMatchObject({ env: { A: "1.50", B: "0x1F", C: "True", D: "off", E: "", F: "1_0", G: ".inf" } });
  });

  it("takes 0 without a unit where 0 is allowed", () => {
    expect(read(small({ extra: "  min_healthy_time: 0\n" })).strategy.minHealthyTimeMs).toBe(0);
  });

  it("takes a written empty selector for every machine", () => {
    expect(read(small({ targets: '""' })).selector.requirements).toEqual([]);
  });

  it("lets counts and percentages stand in any order, as they can't be compared yet", () => {
    expect(read(small({ extra: "  waves: [50%, 10, 75%, 20, 100%]\n" })).strategy.waves).toHaveLength(5);
  });

  it("tolerates a byte order mark, CRLF, a document mark, and text in any language", () => {
    const text = `\uFEFF---\n# Überblick \uFFFD 🚀\n${small()}...\n`.replaceAll("\n", "\r\n");
    expect(read(text).app).toBe("web");
  });

  it("follows anchors", () => {
    const probes = 'health:\n  - exec: &check ["./check.sh"]\n    interval: &every 5s\n  - exec: *check\n    interval: *every\n';
    expect(read(small({ extra: probes })).release.health).toHaveLength(2);
  });

  it("makes the same release, byte for byte, of the same names in another order", () => {
    const one = read(small({ run: "{ command: [a], env: { B: x, A: y }, ports: { p: 1, o: 2 } }" })).release;
    const two = read(small({ run: "{ ports: { o: 2, p: 1 }, env: { A: y, B: x }, command: [a] }" })).release;
    expect(Release.encode(one).finish()).toEqual(Release.encode(two).finish());
  });
});
