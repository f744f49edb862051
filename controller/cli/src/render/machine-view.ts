/**
 * Machines and what runs on them: a table of many, or one in full.
 */
import type { Cordon, Machine, MachineApp } from "@muster/proto/gen/muster/v1/fleet.ts";
import { counted } from "@muster/proto/text.ts";
import type { Colors } from "../context.ts";
import { appPhaseWord, machineStateWord, type AppPhaseWord, type MachineStateWord } from "../output/words.ts";
import { table } from "./table.ts";
import { padEnd, plain, width, wrap } from "./text.ts";
import { ago, dateAndTime, moment } from "./time.ts";
import type { ViewOptions } from "./view-options.ts";

export function machineTable(machines: readonly Machine[], { colors, columns, now }: ViewOptions): readonly string[] {
  // A column that is empty for almost everybody is no column.
  const hasCordons = machines.some(({ cordon }) => cordon !== undefined);
  const isAnyOver = machines.some(({ heldReports }) => heldReports > 0);
  const rows = machines.map((machine) => {
    const state = machineStateWord(machine.state);
    return [
      { text: machine.id },
      { text: state, paint: statePaint(state, colors) },
      ...(hasCordons ? [{ text: cordonBadge(machine), paint: colors.yellow }] : []),
      ...(isAnyOver ? [{ text: machine.heldReports > 0 ? "over budget" : "", paint: colors.yellow }] : []),
      { text: ago(machine.lastSeenAt, now), paint: colors.dim },
      { text: machine.apps.map(appSummary).join(", ") },
      { text: labelText(machine.labels), paint: colors.dim },
    ];
  });
  const titles = [
    { title: "MACHINE", isFixed: true },
    { title: "STATE" },
    ...(hasCordons ? [{ title: "CORDON" }] : []),
    ...(isAnyOver ? [{ title: "REPORTS" }] : []),
    { title: "SEEN" },
    { title: "APPS" },
    { title: "LABELS" },
  ];
  return table(titles, rows, columns, colors.dim);
}

/** A drain is an order: the machine is drained when it has said that nothing runs there any more. */
function cordonBadge(machine: Machine): string {
  if (machine.cordon === undefined) return "";
  if (!machine.cordon.drained) return "cordoned";
  return running(machine).length === 0 ? "drained" : "draining";
}

/** What runs there of what is assigned, as far as it has said: `shop-web 1.4.2`. */
export function running({ apps }: Machine): readonly string[] {
  return apps
    .filter(({ deploymentId, pid, phase, runningVersion }) => deploymentId !== "" && (pid !== 0 || (runningVersion !== "" && appPhaseWord(phase) !== "removed")))
    .map(({ app, runningVersion }) => plain(`${app} ${runningVersion}`));
}

/** `drained by ada@laptop, 5m ago (12:03:04): kernel update` */
export function cordonText(machine: Machine, cordon: Cordon, { now }: ViewOptions): string {
  const by = cordon.by === "" ? "" : ` by ${plain(cordon.by)}`;
  const reason = cordon.reason === "" ? "" : `: ${plain(cordon.reason)}`;
  return `${cordonBadge(machine)}${by}, ${ago(cordon.since, now)} (${moment(cordon.since, now)})${reason}`;
}

function appSummary({ app, runningVersion, phase, deploymentId }: MachineApp): string {
  return [app, plain(runningVersion), phaseText(phase) ?? "assigned", deploymentId === "" ? "(not assigned)" : ""].filter((part) => part !== "").join(" ");
}

/** What went back by itself runs what it ran before, and serves. */
function phaseText(phase: MachineApp["phase"]): string | undefined {
  const word = appPhaseWord(phase);
  return word === "reverted" ? "healthy (went back)" : word?.replaceAll("_", " ");
}

/** `role=web,zone=a`, by name. */
export function labelText(labels: Readonly<Record<string, string>>): string {
  return Object.entries(labels)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, value]) => plain(`${key}=${value}`))
    .join(",");
}

export function machineView(machine: Machine, options: ViewOptions): readonly string[] {
  const { colors, columns, now } = options;
  const state = machineStateWord(machine.state);
  const host = [plain(machine.hostname), plain(`${machine.os} ${machine.arch}`), plain(`agent ${machine.agentVersion}`)].join(", ");
  const { assignedGeneration: assigned, acknowledgedGeneration: acknowledged } = machine;
  const generation = assigned === 0 ? "none yet" : `${assigned}, ${agentHas(acknowledged, assigned)}`;
  const facts: readonly (readonly [string, string])[] = [
    ["host", host],
    ["labels", labelText(machine.labels).replaceAll(",", ", ")],
    ["seen", `${ago(machine.lastSeenAt, now)}, first ${machine.firstSeenAt === 0 ? "never" : dateAndTime(machine.firstSeenAt)}`],
    ["assignment", generation],
    ["refuses", machine.refusal === undefined ? "" : `${plain(machine.refusal.message)} (${plain(machine.refusal.code)}, since ${ago(machine.refusedSince, now)})`],
    ["reports", machine.heldReports === 0 ? "" : `over its budget: the newest of ${counted(machine.heldReports, "app")} waits, and what is shown of that is older`],
    ["cordon", machine.cordon === undefined ? "" : cordonText(machine, machine.cordon, options)],
  ];
  const header = `${colors.bold(machine.id)}  ${statePaint(state, colors)(state)}  ${colors.dim(`since ${ago(machine.stateSince, now)}`)}`;
  const apps = machine.apps.length === 0 ? ["", colors.dim("no apps")] : machine.apps.flatMap((app) => ["", ...appLines(app, options)]);
  return [header, ...factLines(facts, columns, colors), ...apps];
}

function agentHas(acknowledged: number, assigned: number): string {
  if (acknowledged > assigned) return `the agent has a newer one, ${acknowledged}`;
  return acknowledged < assigned ? `the agent still has ${acknowledged}` : "and the agent has it";
}

function appLines(app: MachineApp, { colors, columns, now }: ViewOptions): readonly string[] {
  const phase = appPhaseWord(app.phase);
  const state = phase === null ? colors.dim("no report yet") : appPaint(phase, colors)(phaseText(app.phase)!);
  const wanted = app.deploymentId === "" ? "not assigned: it was there when the machine joined, and is left as it is" : app.wantedVersion === "" ? "none (to be removed)" : plain(app.wantedVersion);
  const running = app.runningVersion === "" || hasExited(app) ? "none" : plain(app.runningVersion);
  const ports = Object.entries(app.ports).map(([name, port]) => `${plain(name)} ${port}`);
  const facts: readonly (readonly [string, string])[] = [
    ["wanted", wanted],
    ["running", running],
    ["process", app.pid === 0 ? "" : `pid ${app.pid}${app.starts === 0 ? "" : `, started ${counted(app.starts, "time")}`}`],
    ["ports", ports.join(", ")],
    ["deployment", app.deploymentId === "" ? "" : `${app.deploymentId}, generation ${app.generation}`],
    ["reason", plain(app.reason?.message ?? "")],
  ];
  return [`${colors.bold(app.app)}  ${state}  ${colors.dim(`since ${ago(app.since, now)}`)}`, ...factLines(facts, columns, colors)];
}

/** Its process has ended. One that went back says why for as long as the older release runs, which may have no process. */
function hasExited({ pid, phase, reason }: MachineApp): boolean {
  return pid === 0 && reason?.code === "exited" && appPhaseWord(phase) !== "reverted";
}

/** Only those that say something. */
function factLines(facts: readonly (readonly [string, string])[], columns: number, colors: Colors): readonly string[] {
  const said = facts.filter(([, value]) => value !== "");
  const room = Math.max(...said.map(([name]) => width(name)));
  return said.flatMap(([name, value]) =>
    wrap(value, columns - room - 4).map((part, index) => `  ${colors.dim(padEnd(index === 0 ? name : "", room))}  ${part}`),
  );
}

function statePaint(state: MachineStateWord, colors: Colors): (text: string) => string {
  switch (state) {
    case "connected":
      return colors.green;
    case "disconnected":
      return colors.yellow;
    case "silent":
    case "revoked":
      return colors.red;
    case "unspecified":
      return colors.dim;
  }
}

function appPaint(phase: AppPhaseWord, colors: Colors): (text: string) => string {
  switch (phase) {
    case "healthy":
      return colors.green;
    case "unhealthy":
    case "failed":
      return colors.red;
    case "reverting":
    case "reverted":
      return colors.magenta;
    case "pulling":
    case "staged":
    case "activating":
    case "probing":
      return colors.cyan;
    case "removing":
    case "removed":
      return colors.dim;
  }
}
