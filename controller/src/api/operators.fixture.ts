/**
 * What operators reach over a real connection: deployments and fleet of an engine without its adapters.
 */
import { credentials } from "@grpc/grpc-js";
import pino from "pino";
import { DeploymentsServiceClient, DeploymentsServiceService } from "@muster/proto/gen/muster/v1/deployments.ts";
import { FleetServiceClient, FleetServiceService } from "@muster/proto/gen/muster/v1/fleet.ts";
import { World } from "../engine/world.fixture.ts";
import { Fleet } from "../fleet/fleet.ts";
import type { Caller } from "../grpc/caller.ts";
import { serveOpenly } from "../grpc/open.fixture.ts";
import { presentOf } from "../history/present.ts";
import { LogRelay } from "../report/log-relay.ts";
import { Asker } from "./asker.fixture.ts";
import { deploymentsApi } from "./deployments-api.ts";
import { fleetApi } from "./fleet-api.ts";
import { DeploymentViews } from "./views.ts";

export class Office extends Asker {
  readonly world = new World();
  /** Machines whose credentials count no more. */
  readonly revoked = new Set<string>();
  #server!: Awaited<ReturnType<typeof serveOpenly>>;
  deployments!: DeploymentsServiceClient;
  fleet!: FleetServiceClient;

  /** `caller`: who every call is from; somebody local where nobody is named. */
  async open(caller?: Caller): Promise<void> {
    const { journal, engine, clock } = this.world;
    const logger = pino({ level: "silent" });
    const isRevoked = (machine: string): boolean => this.revoked.has(machine);
    const views = new DeploymentViews(journal.db, (id) => engine.waitingOn(id), (id) => engine.rollout(id), presentOf(engine, isRevoked), () => engine.catchingUp !== undefined);
    this.#server = await serveOpenly([
        { definition: DeploymentsServiceService, implementation: deploymentsApi({ journal, engine, views, clock, logger }) },
        { definition: FleetServiceService, implementation: fleetApi({ journal, engine, fleet: new Fleet(15_000), logs: new LogRelay(() => undefined), isRevoked, logger }) },
      ], caller);
    this.deployments = new DeploymentsServiceClient(this.#server.address, credentials.createInsecure());
    this.fleet = new FleetServiceClient(this.#server.address, credentials.createInsecure());
  }

  async close(): Promise<void> {
    this.deployments.close();
    this.fleet.close();
    this.#server.close();
    this.world.engine.stop();
    this.world.journal.close();
  }
}
