import { Release } from "@muster/proto/gen/muster/v1/release.ts";
import { describe, expect, it } from "vitest";
import type { Members, Size } from "../plan/strategy.ts";
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
  waves:
    - targets: canary=true
      soak: 5m
      gates: [{ webhook: { url: "https://ci.example.com/gate" } }]
    - 1
    - { size: 12.5%, approve: true, after: 2h, max_failures: 5%, max_unreachable: 2, success_threshold: 80% }
    - { size: 25%, at: 2026-12-01T08:00:00+01:00 }
    - 100%
  gates:
    - webhook: { url: https://chat.example.com/ask, timeout: 30s, retries: 0, retry_interval: 1m, on_silence: wait }
    - prometheus:
        url: http://prometheus:9090
        query: sum(rate(errors[1m]))
        max: 0.01
        min: -1
        interval: 15s
        timeout: 5s
        count: 3
        failure_limit: 1
        retries: 2
        on_silence: go
  alarms:
    - webhook: { url: https://pager.example.com/quiet, timeout: 3s, interval: 1m, failure_limit: 2, retries: 1, on_silence: go }
    - prometheus: { url: http://prometheus:9090, query: up, min: 1 }
  max_unavailable: 20%
  max_unavailable_per: { rack: 1, host-group: 5 }
  spread: zone
  order: [-zone, rack, id]
  min_healthy_time: 5s
  healthy_deadline: 2m
  progress_deadline: 10m
  max_failures: 1
  max_unreachable: 10%
  offline: wait:30m
  late_joiners: ignore
  window: { cron: "0  2 * * MON-FRI", duration: 4h, time_zone: Europe/Berlin }
  start: manual
  start_at: 2026-11-30T12:00:00.5Z
  after: { deployment_of: shop-web, targets: env=staging, soak: 1h }
  priority: -10
  on_failure: pause
  on_conflict: supersede
`;

/** What a wave is of which only the size is said. */
const PLAIN = { gates: [], at: null, afterMs: 0, maxFailures: null, maxUnreachable: null, successThreshold: null };
const CI = { kind: "webhook", url: "https://ci.example.com/gate", timeoutMs: 10_000, retries: 3, retryIntervalMs: 10_000, onSilence: "stop" };
const CHAT = { kind: "webhook", url: "https://chat.example.com/ask", timeoutMs: 30_000, retries: 0, retryIntervalMs: 60_000, onSilence: "wait" };
const METRIC = {
  kind: "prometheus",
  url: "http://prometheus:9090",
  query: "sum(rate(errors[1m]))",
  max: 0.01,
  min: -1,
  intervalMs: 15_000,
  timeoutMs: 5_000,
  count: 3,
  failureLimit: 1,
  retries: 2,
  onSilence: "go",
};

function sized(size: Size): Members {
  return { kind: "size", size };
}

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
      waves: [
        { ...PLAIN, members: { kind: "selector", selector: "canary=true" }, gates: [{ kind: "soak", forMs: 300_000 }, METRIC, CHAT, CI] },
        { ...PLAIN, members: sized({ kind: "count", count: 1 }), gates: [METRIC, CHAT] },
        {
          members: sized({ kind: "percent", percent: 12.5 }),
          gates: [METRIC, CHAT, { kind: "approval" }],
          at: null,
          afterMs: 7_200_000,
          maxFailures: { kind: "percent", percent: 5 },
          maxUnreachable: { kind: "count", count: 2 },
          successThreshold: { kind: "percent", percent: 80 },
        },
        { ...PLAIN, members: sized({ kind: "percent", percent: 25 }), gates: [METRIC, CHAT], at: Date.UTC(2026, 11, 1, 7) },
        { ...PLAIN, members: sized({ kind: "percent", percent: 100 }), gates: [METRIC, CHAT] },
      ],
      alarms: [
        { check: { kind: "webhook", url: "https://pager.example.com/quiet", timeoutMs: 3_000 }, intervalMs: 60_000, failureLimit: 2, retries: 1, onSilence: "go" },
        {
          check: { kind: "prometheus", url: "http://prometheus:9090", query: "up", max: null, min: 1, timeoutMs: 10_000 },
          intervalMs: 30_000,
          failureLimit: 0,
          retries: 3,
          onSilence: "stop",
        },
      ],
      maxUnavailable: { kind: "percent", percent: 20 },
      maxUnavailablePer: [{ label: "host-group", max: 5 }, { label: "rack", max: 1 }],
      spread: "zone",
      order: [{ kind: "label", label: "zone", reversed: true }, { kind: "label", label: "rack", reversed: false }, { kind: "id", reversed: false }],
      minHealthyTimeMs: 5_000,
      healthyDeadlineMs: 120_000,
      progressDeadlineMs: 600_000,
      maxFailures: { kind: "count", count: 1 },
      maxUnreachable: { kind: "percent", percent: 10 },
      offline: { kind: "wait", forMs: 1_800_000 },
      lateJoiners: "ignore",
      window: { cron: "0 2 * * MON-FRI", durationMs: 14_400_000, timeZone: "Europe/Berlin" },
      start: "manual",
      startAt: Date.UTC(2026, 10, 30, 12, 0, 0, 500),
      after: { deploymentOf: "shop-web", targets: "env=staging", soakMs: 3_600_000 },
      priority: -10,
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
      waves: [
        { ...PLAIN, members: sized({ kind: "count", count: 1 }) },
        { ...PLAIN, members: sized({ kind: "percent", percent: 25 }) },
        { ...PLAIN, members: sized({ kind: "percent", percent: 100 }) },
      ],
      alarms: [],
      maxUnavailable: { kind: "percent", percent: 25 },
      maxUnavailablePer: [],
      spread: null,
      order: [],
      minHealthyTimeMs: 10_000,
      healthyDeadlineMs: 300_000,
      progressDeadlineMs: 600_000,
      maxFailures: { kind: "count", count: 0 },
      maxUnreachable: null,
      offline: { kind: "skip" },
      lateJoiners: "deploy",
      window: null,
      start: "auto",
      startAt: null,
      after: null,
      priority: 0,
      onFailure: "rollback",
      onConflict: "queue",
    });
  });

  it("takes one key of the order without a list", () => {
    const orderOf = (order: string) => read(small({ extra: `  order: ${order}\n` })).strategy.order;
    expect(orderOf("-id")).toEqual([{ kind: "id", reversed: true }]);
    expect(orderOf("shuffle")).toEqual([{ kind: "shuffle" }]);
    expect(orderOf("example.com/rack")).toEqual([{ kind: "label", label: "example.com/rack", reversed: false }]);
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

  it("takes a wave as a size, as a map of it, and through an anchor for the same", () => {
    const { waves } = read(small({ extra: "  waves: [&canary 1, { size: 10% }, 25%, { size: 100% }]\n  max_unavailable: *canary\n" })).strategy;
    expect(waves).toEqual([
      { ...PLAIN, members: sized({ kind: "count", count: 1 }) },
      { ...PLAIN, members: sized({ kind: "percent", percent: 10 }) },
      { ...PLAIN, members: sized({ kind: "percent", percent: 25 }) },
      { ...PLAIN, members: sized({ kind: "percent", percent: 100 }) },
    ]);
  });

  it("asks what only takes time first, then metrics, then webhooks, then people; the rollout's before the wave's", () => {
    const webhook = (name: string): string => `{ webhook: { url: "http://${name}" } }`;
    const metric = (name: string): string => `{ prometheus: { url: "http://${name}", query: up, min: 1 } }`;
    const own = `{ size: 100%, approve: true, gates: [${webhook("c")}, ${metric("d")}], soak: 1m }`;
    const { waves } = read(small({ extra: `  gates: [${webhook("a")}, ${metric("b")}]\n  waves: [${own}]\n` })).strategy;
    const asked = waves[0]!.gates.map((gate) => ("url" in gate ? new URL(gate.url).host : gate.kind));
    expect(asked).toEqual(["soak", "b", "d", "a", "c", "approval"]);
  });

  it("fills in the defaults of gates", () => {
    const { waves } = read(small({ extra: "  waves: [100%]\n  gates: [{ prometheus: { url: 'http://p:9090', query: up, min: 1 } }, { webhook: { url: 'http://w/' } }]\n" })).strategy;
    expect(waves[0]!.gates).toEqual([
      { kind: "prometheus", url: "http://p:9090", query: "up", max: null, min: 1, intervalMs: 30_000, timeoutMs: 10_000, count: 5, failureLimit: 0, retries: 3, onSilence: "stop" },
      { kind: "webhook", url: "http://w/", timeoutMs: 10_000, retries: 3, retryIntervalMs: 10_000, onSilence: "stop" },
    ]);
  });

  it("takes a soak of 0 and no approval for no gate", () => {
    expect(read(small({ extra: "  waves: [{ size: 100%, soak: 0, approve: false }]\n" })).strategy.waves[0]!.gates).toEqual([]);
  });

  it.each([
    ["skip", { kind: "skip" }],
    ["wait", { kind: "wait", forMs: null }],
    ["wait:1h30m", { kind: "wait", forMs: 5_400_000 }],
  ])("reads offline: %s", (written, offline) => {
    expect(read(small({ extra: `  offline: ${written}\n` })).strategy.offline).toEqual(offline);
  });

  it("takes UTC and no soak where none are written", () => {
    const { window, after } = read(small({ extra: '  window: { cron: "*/5 * * * *", duration: 1m }\n  after: { deployment_of: web, targets: env=staging }\n' })).strategy;
    expect(window).toEqual({ cron: "*/5 * * * *", durationMs: 60_000, timeZone: "UTC" });
    expect(after).toEqual({ deploymentOf: "web", targets: "env=staging", soakMs: 0 });
  });

  it("takes numbers that look like something else for what they are: a label of digits, and limits with exponents", () => {
    const { maxUnavailablePer, waves } = read(
      small({ extra: "  max_unavailable_per: { 007: 1, 10: 2, a.b/c: 3 }\n  waves: [100%]\n  gates: [{ prometheus: { url: 'http://p', query: up, max: 1e-3 } }]\n" }),
    ).strategy;
    expect(maxUnavailablePer).toEqual([{ label: "007", max: 1 }, { label: "10", max: 2 }, { label: "a.b/c", max: 3 }]);
    expect(waves[0]!.gates).toMatchObject([{ max: 0.001 }]);
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
