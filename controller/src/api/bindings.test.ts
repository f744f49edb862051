/** An operator who is bound to apps and machines, at each command that touches them, over a real connection. */
import { afterEach, beforeEach, expect, test } from "vitest";
import type { SubmitRequest } from "@muster/proto/gen/muster/v1/deployments.ts";
import type { Operator } from "../grpc/caller.ts";
import { APPROVAL, ALL, count, wave } from "../rollout/rollout.fixture.ts";
import { Office } from "./operators.fixture.ts";

const ANNA: Operator = { kind: "operator", via: "user", name: "anna", role: "deployer", apps: "app", targets: "env=staging", expiresAt: 0, address: "" };
const BY = { reason: "", by: "somebody else" };
const GATED = { waves: [wave(count(1), { gates: [APPROVAL] }), ALL] };

let office: Office;
beforeEach(() => {
  office = new Office();
});
afterEach(() => office.close());

async function openAs(bounds: Partial<Operator>): Promise<void> {
  await office.open({ ...ANNA, ...bounds });
  await office.world.joinAs({ env: "staging" }, "s-1");
  await office.world.joinAs({ env: "prod" }, "p-1");
}

function file(app: string, targets: string, onConflict = "queue"): SubmitRequest {
  const content = Buffer.from(`app: ${app}\nversion: 9.9.9\nartifact: ./x\nrun:\n  command: [./a]\nrollout:\n  targets: "${targets}"\n  on_conflict: ${onConflict}\n`);
  return { content, fileName: "muster.yaml", artifact: "ab".repeat(32), by: "", signed: "" };
}

test("nothing of another app, or of other machines, is steered", async () => {
  await openAs({ apps: "shop-*", targets: "" });
  office.world.deploy("1", { ...GATED, targets: "" });
  const { deployments } = office;
  const steering = [
    () => office.refused(deployments, deployments.pause, { id: "d-1", ...BY }),
    () => office.refused(deployments, deployments.resume, { id: "d-1", ...BY }),
    () => office.refused(deployments, deployments.abort, { id: "d-1", revert: false, ...BY }),
    () => office.refused(deployments, deployments.rollback, { id: "d-1", toVersion: "", ...BY }),
    () => office.refused(deployments, deployments.rollback, { id: "d-1", toVersion: "1", ...BY }),
    () => office.refused(deployments, deployments.approve, { id: "d-1", wave: 0, ...BY }),
    () => office.refused(deployments, deployments.promote, { id: "d-1", all: false, ...BY }),
    () => office.refused(deployments, deployments.retry, { id: "d-1", ...BY }),
    () => office.refused(deployments, deployments.setMaxUnavailable, { id: "d-1", maxUnavailable: "1", ...BY }),
  ];
  for (const steer of steering) expect(await steer()).toEqual(["PERMISSION_DENIED", "anna may touch the apps shop-* alone, and app is none of them"]);
});

test("a deployment has to keep within both, and gets further when it does", async () => {
  await openAs({});
  const { deployments } = office;
  expect(await office.refused(deployments, deployments.submit, file("db", "env=staging"))).toEqual(["PERMISSION_DENIED", "anna may touch the apps app alone, and db is none of them"]);
  expect((await office.refused(deployments, deployments.submit, file("app", "env in (staging,prod)")))[1]).toContain("anna may touch machines with env=staging alone");
  expect((await office.refused(deployments, deployments.submit, file("app", "env=staging")))[1]).toContain("is not stored");
});

test("one that would take the place of another's is refused", async () => {
  await openAs({});
  office.world.deploy("1", { ...GATED, targets: "env=prod" });
  const { deployments } = office;
  expect((await office.refused(deployments, deployments.submit, file("app", "env=staging", "supersede")))[1]).toContain('the selector "env=prod" goes beyond them');
  expect((await office.refused(deployments, deployments.submit, file("app", "env=staging", "queue")))[1]).toContain("is not stored");
});

test("machines are cordoned within the bounds alone, in the user's own name", async () => {
  await openAs({});
  const { fleet } = office;
  expect(await office.refused(fleet, fleet.cordon, { machine: "p-1", drain: false, force: false, ...BY })).toEqual(["PERMISSION_DENIED", "anna may touch machines with env=staging alone, and this is none of them"]);
  expect(await office.refused(fleet, fleet.uncordon, { machine: "p-1", ...BY })).toMatchObject(["PERMISSION_DENIED", expect.anything()]);
  expect(await office.ask(fleet, fleet.cordon, { machine: "s-1", drain: false, force: false, ...BY })).toMatchObject({ machine: { cordon: { by: "anna" } } });
});

test("a machine on which another's app is meant to run is not drained", async () => {
  await openAs({ apps: "shop-*", targets: "" });
  office.world.deploy("1", { targets: "" });
  const { fleet } = office;
  expect((await office.refused(fleet, fleet.cordon, { machine: "p-1", drain: true, force: false, ...BY }))[1]).toContain("app is none of them");
});
