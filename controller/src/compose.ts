/**
 * The one file that knows every adapter: builds the controller from its configuration and takes it down again, in order.
 */
import { rmSync } from "node:fs";
import { join } from "node:path";
import { AgentServiceService } from "@muster/proto/gen/muster/v1/agent.ts";
import { ArtifactsServiceService } from "@muster/proto/gen/muster/v1/artifacts.ts";
import { DeploymentsServiceService } from "@muster/proto/gen/muster/v1/deployments.ts";
import { EventsServiceService } from "@muster/proto/gen/muster/v1/events.ts";
import { FleetServiceService } from "@muster/proto/gen/muster/v1/fleet.ts";
import { HistoryServiceService } from "@muster/proto/gen/muster/v1/history.ts";
import { ForecastServiceService } from "@muster/proto/gen/muster/v1/forecast.ts";
import { TrustServiceService } from "@muster/proto/gen/muster/v1/trust.ts";
import type { Logger } from "pino";
import { artifactsApi } from "./api/artifacts-api.ts";
import { deploymentsApi } from "./api/deployments-api.ts";
import { eventsApi } from "./api/events-api.ts";
import { fleetApi } from "./api/fleet-api.ts";
import { forecastApi } from "./api/forecast-api.ts";
import { historyApi } from "./api/history-api.ts";
import { trustApi } from "./api/trust-api.ts";
import { DeploymentViews } from "./api/views.ts";
import { createArtifactStore } from "./artifacts/artifact-store.ts";
import { removeWhatWasLetGo } from "./artifacts/removal.ts";
import type { Config } from "./config.ts";
import { systemClock } from "./engine/clock.ts";
import { Engine } from "./engine/engine.ts";
import { Gatekeeper } from "./gates/gatekeeper.ts";
import { Schedule } from "./gates/schedule.ts";
import { Fleet } from "./fleet/fleet.ts";
import { serveGrpc } from "./grpc/server.ts";
import { rememberedPorts, rememberPorts, takeHome, writeJson } from "./home.ts";
import { createHttpServer } from "./http/http-server.ts";
import { Journal } from "./journal/journal.ts";
import { createEmbeddedNats } from "./nats/embedded-nats.ts";
import { createNatsClient } from "./nats/nats-client.ts";
import { Publisher } from "./publish/publisher.ts";
import { agentApi } from "./report/agent-api.ts";
import { LogRelay } from "./report/log-relay.ts";
import { TrustRoots } from "./trust/trust-roots.ts";

/** What others need to find this controller; also written to `<dir>/controller.json`. */
export interface Addresses {
  readonly pid: number;
  /** `host:port`. */
  readonly grpc: string;
  /** Base URL of the artifact server. Plain HTTP on loopback until there are identities. */
  readonly https: string;
  readonly nats: { readonly pid: number; readonly url: string };
}

export interface Controller {
  readonly addresses: Addresses;
  stop(): Promise<void>;
}

/** Heartbeats in the time after which a machine counts as silent, so that losing two of them changes nothing. */
const HEARTBEATS_PER_SILENCE = 4;
const HEARTBEAT_MS_MAX = 10_000;

export async function startController(config: Config, logger: Logger): Promise<Controller> {
  const { dir, host } = config;
  const undo: (() => unknown)[] = [];
  const stop = async (): Promise<void> => {
    for (const step of undo.splice(0).reverse()) await step();
  };
  try {
    const home = takeHome(dir);
    undo.push(() => home.release());
    const journal = Journal.open(join(dir, "muster.db"));
    undo.push(() => journal.close());
    const store = await createArtifactStore({ dir: join(dir, "artifacts") });
    const before = rememberedPorts(dir);

    const embedded = await createEmbeddedNats({ dir: join(dir, "nats"), host, port: config.natsPort, logger });
    undo.push(() => embedded.stop());
    const nats = await createNatsClient({ url: embedded.url, logger });
    undo.push(() => nats.close());
    const publisher = new Publisher(nats);

    const trustRoots = new TrustRoots(journal.db, () => systemClock.now());
    const fleet = new Fleet(config.silentAfterMs);
    const gatekeeper = new Gatekeeper(() => systemClock.now());
    undo.push(() => gatekeeper.close());
    const engine = new Engine({
      journal,
      fleet,
      clock: systemClock,
      logger,
      schedule: new Schedule(),
      tell: (assignment) => publisher.tell(assignment),
      distrusts: (release) => trustRoots.refusal(release),
      ask: (question) => gatekeeper.ask(question),
    });
    undo.push(() => engine.stop());
    undo.push(removeWhatWasLetGo({ store, isKnown: (digest) => engine.operators.hasArtifact(digest), onCommit: (listener) => engine.onCommit(listener), clock: systemClock, logger }));
    nats.onReconnect(() => engine.tellAgain());
    const logs = new LogRelay((machine, wanted) => publisher.wantLogs(machine, wanted));

    const http = await createHttpServer({ dir: store.dir, host, port: config.httpPort === 0 ? before.http : config.httpPort, logger });
    undo.push(() => http.close());
    const heartbeatIntervalMs = Math.min(HEARTBEAT_MS_MAX, Math.floor(config.silentAfterMs / HEARTBEATS_PER_SILENCE));
    const artifactUrl = `${http.url}/v1/artifacts`;
    const views = new DeploymentViews(journal.db, (id) => engine.waitingOn(id));
    const grpc = await serveGrpc(
      [
        { definition: AgentServiceService, implementation: agentApi({ engine, logs, logger, natsUrl: () => embedded.url, artifactUrl, heartbeatIntervalMs, trustRoots }) },
        { definition: ArtifactsServiceService, implementation: artifactsApi({ journal, engine, store, logger }) },
        { definition: DeploymentsServiceService, implementation: deploymentsApi({ journal, engine, views, logger }) },
        { definition: EventsServiceService, implementation: eventsApi({ journal, engine, logger }) },
        { definition: ForecastServiceService, implementation: forecastApi({ source: engine.outlook, logger }) },
        { definition: FleetServiceService, implementation: fleetApi({ journal, engine, fleet, logs, logger }) },
        { definition: HistoryServiceService, implementation: historyApi({ journal, engine, views, store, now: () => systemClock.now(), logger }) },
        { definition: TrustServiceService, implementation: trustApi({ trustRoots, logger }) },
      ],
      host,
      config.grpcPort === 0 ? before.grpc : config.grpcPort,
    );
    undo.push(() => grpc.close());
    rememberPorts(dir, { grpc: grpc.port, http: http.port });

    const addresses = (): Addresses => ({ pid: process.pid, grpc: grpc.address, https: http.url, nats: { pid: embedded.pid(), url: embedded.url } });
    const addressFile = join(dir, "controller.json");
    embedded.onPid(() => writeJson(addressFile, addresses()));
    writeJson(addressFile, addresses());
    undo.push(() => rmSync(addressFile, { force: true }));
    engine.start();
    return { addresses: addresses(), stop };
  } catch (error) {
    await stop();
    throw error;
  }
}
