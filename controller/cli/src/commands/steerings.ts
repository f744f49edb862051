/**
 * The commands that steer a rollout, as data: what each is called, asks for, and waits for with --watch. `steer.ts` carries them out.
 */
import type { Deployment } from "@muster/proto/gen/muster/v1/deployments.ts";
import { type Command, Option } from "commander";
import type { Controller } from "../client/controller.ts";
import { badInput } from "../errors.ts";
import type { FollowOptions } from "./follow-rollout.ts";
import type { Goal } from "./goal.ts";
import { wholeNumber, type WatchOptions } from "./options.ts";

export interface SteerOptions extends FollowOptions, WatchOptions {
  readonly reason?: string;
  /** approve */
  readonly wave?: number;
  /** promote */
  readonly all?: boolean;
  /** abort; the other, `--keep`, is what happens anyway. */
  readonly revert?: boolean;
  /** rollback */
  readonly to?: string;
}

/** What every request that steers a rollout says. */
interface Wish {
  readonly id: string;
  readonly reason: string;
  readonly by: string;
}

export interface Steering {
  readonly name: string;
  readonly summary: string;
  readonly description: string;
  /** Its own, besides those that all have. */
  readonly options?: (command: Command) => Command;
  /** What --watch waits for, and what exit code 0 then means. */
  readonly goal: (options: SteerOptions) => Goal;
  /** Machines that are on their way when it has ended are waited for, too. Default false. */
  readonly untilSettled?: boolean;
  readonly watchHelp: string;
  readonly steer: (controller: Controller, wish: Wish, options: SteerOptions) => Promise<{ readonly deployment?: Deployment | undefined }>;
  readonly examples: readonly (readonly [string, string])[];
}

/** More waves than a deployment file may have. */
const WAVE_MAX = 1000;

const pause: Steering = {
  name: "pause",
  summary: "touch no new machine; those under way finish",
  description: "Pauses a rollout: no new machine is touched, and those under way finish.",
  goal: () => "paused",
  watchHelp: "wait until no machine is under way",
  steer: (controller, wish) => controller.unary(controller.deployments, controller.deployments.pause, wish),
  examples: [["muster pause d-7 --reason 'high error rate'", "the reason is kept in the journal"]],
};

const resume: Steering = {
  name: "resume",
  summary: "go on with a paused rollout",
  description: "Goes on with a paused rollout. When it was paused for what its release did, the failures and losses known by now count no more; when a person paused it, they count.",
  goal: () => "succeeded",
  watchHelp: "go on as watch does",
  steer: (controller, wish) => controller.unary(controller.deployments, controller.deployments.resume, wish),
  examples: [["muster resume d-7 --watch", "go on, and see it happen"]],
};

const approve: Steering = {
  name: "approve",
  summary: "open the approval gate that a rollout waits at, or start it",
  description:
    "Opens the approval gate that the rollout waits at. With --wave it is the gate of that wave, and no other. A deployment with start: manual, which has not begun, is started.",
  options: (command) =>
    command.option("--wave <n>", "the wave whose gate is meant; else the one that it waits at", wholeNumber(1, WAVE_MAX)),
  goal: () => "succeeded",
  watchHelp: "go on as watch does",
  steer: (controller, wish, { wave = 0 }) =>
    controller.unary(controller.deployments, controller.deployments.approve, { ...wish, wave }),
  examples: [
    ["muster approve d-7", "the next wave may begin"],
    ["muster approve d-7 --wave 2 --reason 'checked the shop'", "the gate of wave 2, and no other"],
  ],
};

const promote: Steering = {
  name: "promote",
  summary: "skip the gate that a rollout waits at, or all",
  description: "Skips the gate that a rollout waits at; with --all, every gate that is left. Who did it and why is kept in the journal.",
  options: (command) => command.option("--all", "every gate that is left; needs --reason"),
  goal: () => "succeeded",
  watchHelp: "go on as watch does",
  steer: (controller, wish, { all = false }) => {
    if (all && wish.reason === "") {
      throw badInput(`promote --all skips every gate that is left, and the journal has to say why; add --reason 'TEXT'. ${wish.id} is as it was`);
    }
    return controller.unary(controller.deployments, controller.deployments.promote, { ...wish, all });
  },
  examples: [
    ["muster promote d-7", "skips the rest of a soak, for example"],
    ["muster promote d-7 --all --reason 'fixes an outage'", "no gate holds it from now on"],
  ],
};

const retry: Steering = {
  name: "retry",
  summary: "try the machines that failed again",
  description: "Tries the machines that failed again. Those that are healthy stay as they are.",
  goal: () => "succeeded",
  untilSettled: true,
  watchHelp: "wait until it has ended and nobody is on the way any more",
  steer: (controller, wish) => controller.unary(controller.deployments, controller.deployments.retry, wish),
  examples: [["muster retry d-7 --reason 'disk was full' --watch", "try the failed ones again, and see it happen"]],
};

const abort: Steering = {
  name: "abort",
  summary: "stop, and leave every machine as it is",
  description: "Ends a rollout and leaves every machine as it is; with --revert, the machines that it has changed go back to what they ran before.",
  options: (command) =>
    command
      .addOption(new Option("--keep", "leave every machine as it is (the default)").conflicts("revert"))
      .option("--revert", "take the changed machines back to what they ran before"),
  goal: ({ revert }) => (revert === true ? "taken_back" : "aborted"),
  untilSettled: true,
  watchHelp: "wait until it has ended and nobody is on the way any more; exit code 0 when it is aborted, with --revert when all is taken back",
  steer: (controller, wish, { revert = false }) =>
    controller.unary(controller.deployments, controller.deployments.abort, { ...wish, revert }),
  examples: [
    ["muster abort d-7", "machines that have the new release keep it"],
    ["muster abort d-7 --revert --reason 'wrong branch'", "they get back what they ran before"],
  ],
};

const rollback: Steering = {
  name: "rollback",
  summary: "take every machine back to what it ran before",
  description:
    "Takes each machine back to what it ran before this deployment; where that is nothing, as with the first release of an app, the app is removed. With --to, deploys that release again to the machines of this deployment, " +
    "as a new deployment.",
  options: (command) => command.option("--to <version>", "a release of the app, for example 1.4.1; see: muster releases"),
  goal: ({ to }) => (to === undefined ? "rolled_back" : "succeeded"),
  untilSettled: true,
  watchHelp: "wait until it has ended and nobody is on the way any more; exit code 0 when it is rolled back, with --to when that release is out",
  steer: (controller, wish, { to = "" }) =>
    controller.unary(controller.deployments, controller.deployments.rollback, { ...wish, toVersion: to }),
  examples: [
    ["muster rollback d-7 --reason 'wrong prices' --watch", "take it back, and see it happen"],
    ["muster rollback d-7 --to 1.3.0", "every machine of d-7 gets 1.3.0"],
  ],
};

/** In the order of the help. */
export const STEERINGS: readonly Steering[] = [pause, resume, approve, promote, retry, abort, rollback];
