import { AppPhase } from "@muster/proto/gen/muster/v1/agent.ts";
import { Deployment, DeploymentPhase, Target, TargetState } from "@muster/proto/gen/muster/v1/deployments.ts";
import { Machine, MachineApp } from "@muster/proto/gen/muster/v1/fleet.ts";
import { describe, expect, it } from "vitest";
import { aftermath, judge, nextCommands, STEPS } from "./script.ts";

const [first, , broken] = STEPS;
const running = (id: string, runningVersion: string): Machine =>
  Machine.create({ id, apps: [MachineApp.create({ app: "shop-web", runningVersion, phase: AppPhase.HEALTHY, ports: { http: 4711 } })] });

describe("the tour's verdict on a step", () => {
  it("is good when a good release runs everywhere", () => {
    const deployment = Deployment.create({ id: "d-1", phase: DeploymentPhase.SUCCEEDED });
    expect(judge(first!, deployment, [running("dev-0", "1.0"), running("dev-1", "1.0")])).toEqual({ ok: true });
  });

  it("is good when the broken release was taken back and the one before runs everywhere", () => {
    const deployment = Deployment.create({ id: "d-3", phase: DeploymentPhase.ROLLED_BACK });
    expect(judge(broken!, deployment, [running("dev-0", "1.1")])).toEqual({ ok: true });
  });

  it("is bad when the broken release succeeds", () => {
    const deployment = Deployment.create({ id: "d-3", phase: DeploymentPhase.SUCCEEDED });
    const message = "d-3 (shop-web 1.2) ended as succeeded instead of rolled back";
    expect(judge(broken!, deployment, [running("dev-0", "1.2")])).toEqual({ ok: false, message });
  });

  it("is bad when a machine was left behind, and names it", () => {
    const deployment = Deployment.create({ id: "d-3", phase: DeploymentPhase.ROLLED_BACK });
    const message = "after d-3 every machine should run shop-web 1.1, but dev-1 runs 1.2, dev-2 runs nothing";
    const machines = [running("dev-0", "1.1"), running("dev-1", "1.2"), Machine.create({ id: "dev-2" })];
    expect(judge(broken!, deployment, machines)).toEqual({ ok: false, message });
  });
});

describe("the tour's words after the broken release", () => {
  it("say who took it, why it failed, and that the others were never touched", () => {
    const reason = { code: "never_healthy", message: "not healthy within 8s: GET /healthz answered 500; back on 1.1" };
    const targets = [
      Target.create({ machine: "dev-0", attempts: 1, state: TargetState.REVERTED, reason, previousVersion: "1.1" }),
      Target.create({ machine: "dev-1" }),
      Target.create({ machine: "dev-2" }),
    ];
    expect(aftermath(Deployment.create({ version: "1.2", targets }))).toEqual([
      "dev-0 took 1.2: not healthy within 8s: GET /healthz answered 500; back on 1.1.",
      "The other 2 were never touched.",
    ]);
  });
});

describe("the commands to try next", () => {
  it("name the last deployment, a real machine and its real port", () => {
    const commands = nextCommands(["d-4", "d-5", "d-6"], running("dev-0", "1.1"), "docs/example/shop-web").map(([command]) => command);
    expect(commands).toContain("npx muster status d-6 --targets");
    expect(commands).toContain("npx muster logs dev-0 shop-web");
    expect(commands).toContain("curl http://127.0.0.1:4711/");
  });
});
