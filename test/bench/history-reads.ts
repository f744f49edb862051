/**
 * What operators read of a controller with a long history: each call as the API answers it, and its answer as it is encoded. Without a connection, whose other end would share the loop.
 */
import { Metadata } from "@grpc/grpc-js";
import { deploymentAt } from "@muster/controller/src/api/deployment-at.ts";
import { forecastApi } from "@muster/controller/src/api/forecast-api.ts";
import { MachineViews } from "@muster/controller/src/api/machine-views.ts";
import { DeploymentViews } from "@muster/controller/src/api/views.ts";
import type { Engine } from "@muster/controller/src/engine/engine.ts";
import type { Fleet } from "@muster/controller/src/fleet/fleet.ts";
import { rememberCaller } from "@muster/controller/src/grpc/caller.ts";
import { Past } from "@muster/controller/src/history/past.ts";
import { listReleases } from "@muster/controller/src/history/releases.ts";
import { pictures } from "@muster/controller/src/history/replay.ts";
import { Why } from "@muster/controller/src/history/why.ts";
import type { Journal } from "@muster/controller/src/journal/journal.ts";
import { GetDeploymentResponse, ListDeploymentsResponse } from "@muster/proto/gen/muster/v1/deployments.ts";
import { ListMachinesResponse } from "@muster/proto/gen/muster/v1/fleet.ts";
import { PlanResponse } from "@muster/proto/gen/muster/v1/forecast.ts";
import { ListReleasesResponse, ReplayResponse, WhyResponse } from "@muster/proto/gen/muster/v1/history.ts";
import type { AppName, DeploymentId, Instant, MachineId } from "@muster/proto/ids.ts";
import { parseSelector } from "@muster/proto/selector.ts";
import type { Logger } from "pino";

/** The most that a list has. */
const LIST_MAX = 1000;

export interface Readable {
  readonly journal: Journal;
  readonly engine: Engine;
  readonly fleet: Fleet;
  readonly now: () => Instant;
  readonly logger: Logger;
  /** One of the fleet, one of its apps, and a selector of one in a hundred. */
  readonly machine: MachineId;
  readonly app: AppName;
  readonly few: string;
}

/** Each read by its name; whoever measures says when. */
export function readsOf({ journal, engine, fleet, now, logger, machine, app, few }: Readable): readonly (readonly [name: string, read: () => Promise<unknown>])[] {
  const { db } = journal;
  const views = new DeploymentViews(db, (id) => engine.waitingOn(id), (id) => engine.rollout(id), engine);
  const machineViews = new MachineViews({ db, engine, fleet, isRevoked: () => false });
  const why = new Why({ db, archive: journal.archive, corrections: journal.corrections, now, waiting: (id) => views.waitingOn(id), rollout: (id) => engine.rollout(id), present: engine });
  const { plan } = forecastApi({ source: engine.outlook, logger });
  // The first one of an app goes to all machines.
  const [largest, endedAt] = db.prepare("SELECT id, ended_at FROM deployments WHERE ended_at IS NOT NULL ORDER BY number LIMIT 1").raw().get() as [DeploymentId, number];
  const listMachines = async (text: string): Promise<void> => {
    const parsed = parseSelector(text);
    if (!parsed.ok) throw new Error(parsed.message);
    for await (const machines of machineViews.selected(parsed.selector, true)) ListMachinesResponse.encode({ machines }).finish();
  };
  const listed = async (filter: { readonly app: string; readonly activeOnly: boolean; readonly limit: number }) => ListDeploymentsResponse.encode({ deployments: await views.list(filter) }).finish();
  const released = async (of: string) => ListReleasesResponse.encode({ releases: await listReleases(db, of, LIST_MAX) }).finish();
  const explained = async (answer: ReturnType<Why["machine"]>) => {
    const told = await answer;
    if (!told.ok) throw new Error(told.refusal.message);
    return WhyResponse.encode(told.value).finish();
  };
  return [
    ["muster machines", () => listMachines("")],
    [`muster machines -l ${few}`, () => listMachines(few)],
    [`muster list, ${LIST_MAX.toLocaleString("en")} deployments`, () => listed({ app: "", activeOnly: false, limit: LIST_MAX })],
    ["muster releases", () => released("")],
    ["muster releases APP", () => released(app)],
    ["muster status", async () => GetDeploymentResponse.encode({ deployment: await views.one("") }).finish()],
    ["muster status, all machines", async () => GetDeploymentResponse.encode({ deployment: await views.one(largest) }).finish()],
    ["muster status --targets, all machines", async () => GetDeploymentResponse.encode({ deployment: await views.withTargets(largest) }).finish()],
    ["muster status --at, all machines", async () => GetDeploymentResponse.encode({ deployment: await deploymentAt(journal, largest, (endedAt + 1000) as Instant, true) }).finish()],
    ["muster status --at now, all machines", async () => GetDeploymentResponse.encode({ deployment: await deploymentAt(journal, largest, now(), true) }).finish()],
    ["muster why DEPLOYMENT, all machines", () => explained(why.deployment(largest))],
    ["muster why MACHINE", () => explained(why.machine(machine, undefined))],
    ["muster replay, the first pictures", () => replayed(journal, largest)],
    [
      "muster plan, all machines",
      async () => {
        const made = await new Promise<PlanResponse>((resolve, reject) => {
          const metadata = new Metadata();
          rememberCaller(metadata, { kind: "local", name: "bench" });
          const call = { metadata, request: { fileName: "muster.yaml", content: Buffer.from(fileOf(app)) } } as Parameters<typeof plan>[0];
          plan(call, (error, response) => (error === null ? resolve(response!) : reject(error)));
        });
        if (made.faults.length > 0) throw new Error(made.faults.map(({ message }) => message).join("; "));
        return PlanResponse.encode(made).finish();
      },
    ],
  ];
}

const PICTURES = 20;

async function replayed(journal: Journal, id: DeploymentId): Promise<void> {
  const past = new Past(journal);
  try {
    const views = new DeploymentViews(past.db, () => past.waiting());
    let made = 0;
    for await (const { at } of pictures(journal, id, past)) {
      ReplayResponse.encode({ at, deployment: await views.withTargets(id), happened: [] }).finish();
      made += 1;
      if (made === PICTURES) return;
    }
  } finally {
    past.close();
  }
}

function fileOf(app: AppName): string {
  return `
app: ${app}
version: "next"
artifact: .
run: { command: [./server] }
rollout: { targets: role=web, waves: [1%, 100%] }
`;
}
