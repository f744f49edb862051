/**
 * Standing deployments: of each app, to each selector, the newest one that succeeded. Machines that were away when it was carried out, or came later, have their turn in its tail.
 */
import type { AppName, DeploymentId, Instant, MachineId } from "@muster/proto/ids.ts";
import { checkedSelector, type Labels, selects } from "@muster/proto/selector.ts";
import { type LaneLabel, laneOf } from "../plan/plan.ts";
import type { RolloutEvent } from "../rollout/decide.ts";
import type { TargetState } from "../rollout/state.ts";
import type { Facts, StandingTarget } from "./facts.ts";
import type { Append, Rollouts } from "./rollouts.ts";
import type { World } from "./world.ts";

export class Standing {
  readonly #facts: Facts;
  readonly #rollouts: Rollouts;
  readonly #world: World;

  constructor(facts: Facts, rollouts: Rollouts, world: World) {
    this.#facts = facts;
    this.#rollouts = rollouts;
    this.#world = world;
  }

  /** A machine is there: for the first time, again, with other labels, or after a cordon. */
  takeUp(machine: MachineId, labels: Labels, append: Append, now: Instant): void {
    if (!this.#isUsable(machine)) return;
    const decided = new Set<AppName>();
    for (const row of this.#facts.standingFor(machine)) {
      if (decided.has(row.app) || !isFor(row, labels)) continue;
      decided.add(row.app);
      const event = this.#isTargetOfActive(row.app, machine) ? undefined : eventOf(machine, labels, row);
      if (event === undefined) continue;
      this.#rollouts.overtakeTails({ ...row, id: row.deployment }, new Set([machine]), append, now);
      this.#drive(row.deployment, event, append, now);
    }
  }

  /** A deployment of the app has ended: the standing ones are for those that came while that was under way, or that it never told. */
  settled(app: AppName, append: Append, now: Instant): void {
    for (const { machine, labels } of this.#facts.outstandingFor(app)) this.takeUp(machine, labels, append, now);
  }

  #drive(deployment: string, event: RolloutEvent, append: Append, now: Instant): void {
    const state = this.#rollouts.takeUp(deployment as DeploymentId);
    if (state !== undefined) this.#rollouts.drive(state, event, append, now);
  }

  #isUsable(machine: MachineId): boolean {
    return !this.#world.isSilent(machine) && !this.#world.isCordoned(machine);
  }

  /** The one under way knows better what the machine is to run. */
  #isTargetOfActive(app: AppName, machine: MachineId): boolean {
    return this.#rollouts.ofApp(app).some(({ targets }) => !isNone(targets.get(machine)?.state));
  }
}

/** The newest that is for a machine is the one that counts: staging and production stand side by side. */
function isFor({ state, selector }: StandingTarget, labels: Labels): boolean {
  return !isNone(state) || selects(checkedSelector(selector), labels);
}

/** Whoever was removed left its place to a new machine of its name, which is a late joiner like any other. */
function isNone(state: TargetState | null | undefined): boolean {
  return (state ?? "removed") === "removed";
}

function eventOf(machine: MachineId, labels: Labels, row: StandingTarget): RolloutEvent | undefined {
  if (row.is_overtaken === 1) return undefined;
  switch (row.state) {
    case "unreachable":
      return { kind: "heard_again", machine, wasRenewed: row.was_renewed === 1 };
    case "skipped":
      return { kind: "uncordoned", machine };
    case "removed":
    case null: {
      if (row.late_joiners === "ignore" || row.assigned === row.release) return undefined;
      const lane = laneOf(JSON.parse(row.lanes) as LaneLabel[], labels);
      return { kind: "joined", target: { machine, previous: row.last_good, lane } };
    }
    case "pending":
    case "updating":
    case "healthy":
    case "failed":
    case "reverting":
    case "reverted":
      return undefined;
  }
}
