/**
 * PURE. What the tour does, what it says before and after, and what has to come of it.
 */
import type { Deployment } from "@muster/proto/gen/muster/v1/deployments.ts";
import type { Machine } from "@muster/proto/gen/muster/v1/fleet.ts";
import { phaseWord, type PhaseWord } from "../output/words.ts";

export const APP = "shop-web";
export const AGENTS = 3;

export interface Step {
  readonly version: string;
  /** Before it: what is about to happen and why that matters. */
  readonly before: string;
  readonly expectedPhase: PhaseWord;
  /** Of the app, on every machine afterwards. */
  readonly expectedVersion: string;
}

export const STEPS: readonly Step[] = [
  {
    version: "1.0",
    before:
      "shop-web 1.0 goes to every machine with role=web, in two waves: one machine first, and the others only when it has been " +
      "healthy for 2 s. Whatever is wrong with a release shows on one machine, not on all.",
    expectedPhase: "succeeded",
    expectedVersion: "1.0",
  },
  {
    version: "1.1",
    before:
      "shop-web 1.1 replaces it in the same two waves. Each machine keeps 1.0 on its disk, so that it can go back at once, even " +
      "with no network.",
    expectedPhase: "succeeded",
    expectedVersion: "1.1",
  },
  {
    version: "1.2",
    before:
      "shop-web 1.2 is broken: it starts, but a setting is missing and its health check answers 500. Watch Muster give the first machine " +
      "8 s, stop there, and take it back to 1.1, while the others go on serving and never see 1.2.",
    expectedPhase: "rolled_back",
    expectedVersion: "1.1",
  },
];

export type Verdict = { readonly ok: true } | { readonly ok: false; readonly message: string };

/** Whether a step ended as it should: the deployment's end, and what the fleet's machines run. */
export function judge(step: Step, deployment: Deployment, machines: readonly Machine[]): Verdict {
  const phase = phaseWord(deployment.phase);
  if (phase !== step.expectedPhase) {
    const why = deployment.reason === undefined || deployment.reason.message === "" ? "" : `: ${deployment.reason.message}`;
    return { ok: false, message: `${deployment.id} (${APP} ${step.version}) ended as ${words(phase)} instead of ${words(step.expectedPhase)}${why}` };
  }
  const wrong = machines
    .map(({ id, apps }) => ({ id, version: apps.find(({ app }) => app === APP)?.runningVersion ?? "" }))
    .filter(({ version }) => version !== step.expectedVersion)
    .map(({ id, version }) => `${id} runs ${version === "" ? "nothing" : version}`);
  if (wrong.length === 0) return { ok: true };
  return { ok: false, message: `after ${deployment.id} every machine should run ${APP} ${step.expectedVersion}, but ${wrong.join(", ")}` };
}

/** After the broken release: what happened to whom, from the deployment's own targets. */
export function aftermath(deployment: Deployment): readonly string[] {
  const touched = deployment.targets.filter(({ attempts }) => attempts > 0);
  const untouched = deployment.targets.length - touched.length;
  const lines = touched.map(({ machine, reason }) => `${machine} took ${deployment.version}: ${sentence(reason?.message ?? "no reason known")}`);
  if (untouched > 0) lines.push(`${untouched === 1 ? "The other one was" : `The other ${untouched} were`} never touched.`);
  return lines;
}

/** Commands worth trying while the fleet is up, each with what it is for. */
export function nextCommands(deploymentIds: readonly string[], machine: Machine, exampleDir: string): readonly (readonly [string, string])[] {
  const last = deploymentIds.at(-1) ?? "";
  const port = machine.apps.find(({ app }) => app === APP)?.ports["http"];
  const page: readonly (readonly [string, string])[] =
    port === undefined ? [] : [[`curl http://127.0.0.1:${port}/`, `the page that ${machine.id} serves`]];
  return [
    ["npx muster machines", "who is there, and what they run"],
    [`npx muster status ${last} --targets`, "machine by machine, and why"],
    [`npx muster logs ${machine.id} ${APP}`, "what the app itself said"],
    ...page,
    [`npx muster deploy -f ${exampleDir}/1.0/muster.yaml --watch`, "back to 1.0, because you say so"],
    ["npx muster events --follow", "everything Muster decides, as it happens"],
  ];
}

function words(phase: PhaseWord): string {
  return phase.replaceAll("_", " ");
}

function sentence(text: string): string {
  return text === "" || text.endsWith(".") ? text : `${text}.`;
}
