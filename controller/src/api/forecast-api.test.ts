import { Metadata, status, type handleUnaryCall } from "@grpc/grpc-js";
import { DeploymentPhase } from "@muster/proto/gen/muster/v1/deployments.ts";
import type { PlanRequest, PlanResponse } from "@muster/proto/gen/muster/v1/forecast.ts";
import { pino } from "pino";
import { expect, test } from "vitest";
import { type Answer, conflict, granted } from "../engine/refusal.ts";
import type { Picture } from "../forecast/inputs.ts";
import { fleet, inputs } from "../forecast/forecast.fixture.ts";
import { forecastApi, type ForecastSource } from "./forecast-api.ts";
import { rememberCaller } from "../grpc/caller.ts";

const FILE = `
app: shop
version: 1.1
artifact: ./dist
run: { command: [./shop] }
rollout: { targets: role=web }
`;

/** In one step. */
type PictureAtOnce = (...asked: Parameters<ForecastSource["picture"]>) => Answer<Picture>;

function api(pictureAtOnce: PictureAtOnce): (content: string) => Promise<PlanResponse> {
  const { plan } = forecastApi({ source: { *picture(wanted) { yield; return pictureAtOnce(wanted); } }, logger: pino({ level: "silent" }) });
  return (content) =>
    new Promise((resolve, reject) => {
      const metadata = new Metadata();
      rememberCaller(metadata, { kind: "local", name: "tester" });
      const call = { metadata, request: { fileName: "muster.yaml", content: Buffer.from(content) } } as Parameters<handleUnaryCall<PlanRequest, PlanResponse>>[0];
      plan(call, (error, value) => (error === null ? resolve(value!) : reject(error)));
    });
}
const picture = (size: number) => () => granted(inputs({ machines: fleet(size) }));

test("a file and a fleet become waves, warnings and worlds", async () => {
  const made = await api(picture(20))(FILE);
  expect(made).toMatchObject({ faults: [], app: "shop", version: "1.1", unchanged: [], maxUnavailable: 5, beginsWhen: "", expectedMs: 120_000 });
  expect(made.waves.map(({ index, members, machines, expectedStartMs, expectedEndMs }) => [index, members, machines.length, expectedStartMs, expectedEndMs])).toEqual([
    [1, "1", 1, 0, 24_000],
    [2, "25%", 4, 24_000, 48_000],
    [3, "100%", 15, 48_000, 120_000],
  ]);
  expect(made.waves[0]!.machines).toEqual([{ id: "web-01", previousVersion: "1.0", note: "" }]);
  expect(made.warnings).toEqual([expect.stringContaining("has no probe"), expect.stringContaining("would reach all 20 machines"), expect.stringContaining("takes its machine with it after the soak is not noticed before they have passed")]);
  expect(made.blastRadius.map(({ world, phase }) => [world, phase])).toEqual([
    ["broken everywhere", DeploymentPhase.ROLLED_BACK],
    ["broken on 10%", DeploymentPhase.ROLLED_BACK],
    ["broken after 5m", DeploymentPhase.SUCCEEDED],
    ["takes its machine with it", DeploymentPhase.ROLLED_BACK],
    ["cut off: zone=a", DeploymentPhase.ROLLED_BACK],
    ["cut off: zone=b", DeploymentPhase.ROLLED_BACK],
    ["cut off: zone=c", DeploymentPhase.SUCCEEDED],
  ]);
  expect(made.blastRadius[2]).toMatchObject({ maxMachines: 20, stoppedAfterMs: undefined, restoredAfterMs: undefined });
});

test("the source is told what is asked about", async () => {
  const asked: unknown[] = [];
  await api((wanted) => {
    asked.push([wanted.app, wanted.releaseId, wanted.selector.text, wanted.strategy.targets]);
    return granted(inputs());
  })(FILE);
  expect(asked).toEqual([["shop", "shop@1.1", "role=web", "role=web"]]);
});

test("a file with faults is answered with them, and nobody is asked", async () => {
  const made = await api(() => {
    throw new Error("asked");
  })("app: shop\n");
  expect(made.faults.length).toBeGreaterThan(0);
  expect(made.waves).toEqual([]);
});

test("what a deployment would be refused for, a plan is refused for", async () => {
  await expect(api(() => conflict("shop@1.1 exists with other content"))(FILE)).rejects.toMatchObject({ code: status.FAILED_PRECONDITION, details: "shop@1.1 exists with other content" });
});

test("others have their turn while a large fleet is planned", async () => {
  const made = api(picture(5_000))(FILE);
  let turns = 0;
  let isDone = false;
  void made.then(() => {
    isDone = true;
  });
  while (!isDone) {
    await new Promise((resolve) => setImmediate(resolve));
    turns += 1;
  }
  expect(turns).toBeGreaterThan(5);
});

test("plans are made one at a time, and too many are refused; a failed one keeps nobody", async () => {
  let failures = 1;
  const plan = api(() => {
    failures -= 1;
    if (failures === 0) throw new Error("the tables could not be read");
    return granted(inputs());
  });
  const asked = await Promise.allSettled(Array.from({ length: 9 }, () => plan(FILE)));
  expect(asked.map((answer) => (answer.status === "fulfilled" ? "made" : (answer.reason as { code: status }).code))).toEqual([
    status.INTERNAL,
    ...Array.from({ length: 7 }, () => "made"),
    status.RESOURCE_EXHAUSTED,
  ]);
  await expect(plan(FILE)).resolves.toMatchObject({ app: "shop" });
});
