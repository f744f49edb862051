/**
 * What a deployment file may say: the single source of what is accepted, of the defaults, and of docs/muster.schema.json.
 *
 * Takes the plain values of the YAML; gives durations in milliseconds, sizes and the selector as they are used. What needs more than one key to be judged
 * is in cross-rules.ts. Every leaf explains itself through explain.ts.
 */
import { NAME_RULE, parseAppName, VERSION_RULE } from "@muster/proto/ids.ts";
import { parseSelector } from "@muster/proto/selector.ts";
import { z } from "zod";
import { DURATION, parseDuration } from "./duration.ts";
import {
  explainArgument, explainChoice, explainCommand, explainDuration, explainEnvValue, explainList, explainMap, explainPort, explainSize, explainText, explainWhole,
} from "./explain.ts";
import type { Explain, TextRule } from "./explain.ts";
import { COUNT_MAX, PERCENT, PERCENT_OR_ZERO, toSize } from "./size.ts";

const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
/** Timers hold 24 days. */
const DEADLINE_MAX = 480 * HOUR;
/** Each probe is a timer, and each port a choice, on every machine. */
const PROBES_MAX = 16;
const PORTS_MAX = 64;
/** More waves than anybody could watch. */
const WAVES_MAX = 100;
const STREAK_MAX = 1_000;

function says(explain: Explain): { error: (issue: { readonly input?: unknown }) => string } {
  return { error: (issue) => explain(issue.input) };
}

function text(rule: TextRule) {
  const explain = says(explainText(rule));
  return z.string(explain).regex(rule.pattern, explain);
}

function duration(what: string, minMs: number, maxMs: number) {
  const explain = explainDuration(what, { minMs, maxMs });
  const written = z.string(says(explain)).regex(DURATION, says(explain));
  // 0 is the one number that needs no unit.
  const found = minMs > 0 ? written : z.union([written, z.literal(0, says(explain))], says(explain));
  return found.transform((value, context) => {
    const parsed = parseDuration(String(value));
    if (parsed.ok && parsed.ms >= minMs && parsed.ms <= maxMs) return parsed.ms;
    context.issues.push({ code: "custom", message: explain(value), input: value });
    return z.NEVER;
  });
}

function size(range: { readonly min: number; readonly max: number }, pattern: RegExp) {
  const explain = says(explainSize(range));
  const count = z.int(explain).min(range.min, explain).max(range.max, explain);
  return z.union([count, z.string(explain).regex(pattern, explain)], explain).transform(toSize);
}

function whole(what: string, min: number, max: number) {
  const explain = says(explainWhole(what, { min, max }));
  return z.int(explain).min(min, explain).max(max, explain);
}

function choice<const Allowed extends readonly [string, ...string[]]>(what: string, allowed: Allowed) {
  return z.enum(allowed, says(explainChoice(what, allowed)));
}

const NO_NUL = /^[^\u0000]*$/u;

function command(example: string) {
  const argument = z.string(says(explainArgument)).regex(NO_NUL, says(explainArgument));
  return z.array(argument, says(explainCommand(example))).min(1, says(explainCommand(example)));
}

const App = text({
  pattern: /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/u,
  what: "an app's name",
  example: "shop-web",
  rule: NAME_RULE,
  nearest: (found) => {
    const tidy = found.toLowerCase().replaceAll(/[^a-z0-9]+/g, "-").replaceAll(/^-|-$/g, "");
    return parseAppName(tidy) === undefined ? undefined : tidy;
  },
}).meta({ description: "Name of the app. Releases of one name follow each other on a machine.", examples: ["shop-web"] });

const versionRule: TextRule = { pattern: /^[0-9A-Za-z][0-9A-Za-z.+_-]{0,63}$/u, what: "a version", example: "1.4.2", rule: VERSION_RULE };
const saysVersion = says(explainText(versionRule));
const Version = z
  .union([text(versionRule), z.number(saysVersion).nonnegative(saysVersion)], saysVersion)
  .transform(String)
  .meta({ description: "Version of the release, taken as it is written: 1.10 stays 1.10. One version names one content for good.", examples: ["1.4.2"] });

const Artifact = text({
  pattern: /^(?=[^\u0000]*\S)[^\u0000]+$/u,
  what: "the path of an artifact",
  example: "./dist",
  rule: "write a directory or an archive, such as ./dist",
}).meta({
  description: "Directory, .tar, .tar.gz, .tgz or .zip with the files of the release; relative to the deployment file.",
  examples: ["./dist", "./shop-web-1.4.2.tgz"],
});

const PORT_NAME = /^[a-z0-9][a-z0-9_-]{0,31}$/u;
const explainPortName = explainText({
  pattern: PORT_NAME,
  what: "a port's name",
  example: "http",
  rule: "1 to 32 of a-z, 0-9, _ and -, beginning with a letter or digit",
});
const saysPort = says(explainPort);
const Ports = z
  .record(
    z.string().regex(PORT_NAME, says(explainPortName)),
    z.union([z.int(saysPort).min(1, saysPort).max(65_535, saysPort), z.literal("auto", saysPort)], saysPort),
    says(explainMap("names and ports", "{ http: auto }")),
  )
  .refine((ports) => Object.keys(ports).length <= PORTS_MAX, `more than ${PORTS_MAX} ports`)
  .prefault({})
  .meta({
    description: "Ports by name, used as ${ports.NAME}. `auto` is a free port that the machine keeps for this app over its releases.",
    examples: [{ http: "auto", admin: 9090 }],
    maxProperties: PORTS_MAX,
  });

const ENV_NAME = /^(?!MUSTER_)[A-Za-z_][A-Za-z0-9_]*$/u;
const explainVariable = explainText({ pattern: ENV_NAME, what: "a variable's name", example: "PORT", rule: "letters, digits and _, not beginning with a digit" });
const explainEnvName: Explain = (found) =>
  String(found).startsWith("MUSTER_") ? `"${String(found)}" can't be set: names that begin with MUSTER_ are the agent's` : explainVariable(found);
const saysEnvValue = says(explainEnvValue);
const Env = z
  .record(
    z.string().regex(ENV_NAME, says(explainEnvName)),
    z.union([z.string(saysEnvValue).regex(NO_NUL, saysEnvValue), z.number(), z.boolean()], saysEnvValue).transform(String),
    says(explainMap("names and values", '{ PORT: "${ports.http}" }')),
  )
  .prefault({})
  .meta({
    description: "Environment variables. Numbers, true and false are taken as they are written. `${…}` is filled in on the machine.",
    examples: [{ PORT: "${ports.http}", NAME: "${machine.id}", ZONE: "${labels.zone}" }],
  });

const DRIVERS = ["process", "files"] as const;
const explainDriver = explainChoice("a driver", DRIVERS);

export const ProcessRun = z.strictObject(
  {
    driver: z.literal("process").optional().meta({ description: "Runs a command as a process group of its own.", default: "process" }),
    command: command("[node, server.js]").meta({
      description: "Program and arguments, run in the release directory without a shell. `${…}` is filled in on the machine.",
      examples: [["node", "server.js"]],
    }),
    ports: Ports,
    env: Env,
    stop_timeout: duration("stop_timeout", 0, 10 * MINUTE).prefault("10s").meta({ description: "From SIGTERM to SIGKILL: 0s to 10m.", examples: ["30s"] }),
  },
  says(explainMap("how to run the release", "{ command: [node, server.js] }")),
);

export const FilesRun = z.strictObject({
  driver: z.literal("files").meta({ description: "Puts the files in place and runs nothing." }),
  ports: Ports,
});

const explainRun: Explain = (found) => {
  const isMap = typeof found === "object" && found !== null && !Array.isArray(found);
  return isMap ? explainDriver("driver" in found ? found.driver : undefined) : explainMap("how to run the release", "{ command: [node, server.js] }")(found);
};
const Run = z.discriminatedUnion("driver", [ProcessRun, FilesRun], says(explainRun)).meta({ description: "How the release is run." });

export const CHECKS = ["http", "tcp", "exec"] as const;

/** Over what stands in the probe; runs beside other faults of it, hence `when`. */
function hasOneCheck(probe: object): boolean {
  return CHECKS.filter((check) => check in probe).length === 1;
}
const explainChecks: Explain = (probe) => {
  const found = CHECKS.filter((check) => typeof probe === "object" && probe !== null && check in probe);
  if (found.length === 0) return "asks nothing: one of http, tcp, exec is wanted, for example http: http://127.0.0.1:${ports.http}/healthz";
  return `${found.join(" and ")} in one probe: write a probe for each, as all of them must hold`;
};
const probeMap = explainMap("a probe", "{ http: http://127.0.0.1:8080/healthz }");

export const Probe = z
  .strictObject(
    {
      http: text({
        pattern: /^https?:\/\/[^\u0000]+$/u,
        what: "a URL",
        example: "http://127.0.0.1:${ports.http}/healthz",
        rule: "a URL begins with http:// or https://",
        nearest: (found) => (URL.canParse(`http://${found}`) && !found.includes("://") ? `http://${found}` : undefined),
      })
        .optional()
        .meta({ description: "Well when a GET is answered with a status from 200 to 399.", examples: ["http://127.0.0.1:${ports.http}/healthz"] }),
      tcp: text({ pattern: /^[^\u0000]+:[^\u0000]+$/u, what: "an address", example: "127.0.0.1:5432", rule: "write host:port, for example 127.0.0.1:5432" })
        .optional()
        .meta({ description: "Well when a connection opens: host:port.", examples: ["127.0.0.1:5432"] }),
      exec: command("[./check.sh]")
        .optional()
        .meta({ description: "Well when the command exits with 0. Run in the release directory with the release's environment.", examples: [["./check.sh"]] }),
      interval: duration("interval", 100, HOUR).prefault("2s").meta({ description: "From one question to the next: 100ms to 1h.", examples: ["1s"] }),
      timeout: duration("timeout", 1, MINUTE).prefault("1s").meta({ description: "An answer that takes longer is a failure: 1ms to 1m.", examples: ["500ms"] }),
      healthy_after: whole("a number of successes", 1, STREAK_MAX).prefault(2).meta({ description: "Successes in a row that make it healthy." }),
      unhealthy_after: whole("a number of failures", 1, STREAK_MAX).prefault(3).meta({ description: "Failures in a row that make it unhealthy." }),
    },
    says(probeMap),
  )
  .refine(hasOneCheck, { ...says(explainChecks), when: ({ value }) => typeof value === "object" && value !== null && !Array.isArray(value) })
  .meta({ description: "Exactly one of http, tcp, exec.", oneOf: CHECKS.map((check) => ({ required: [check] })) });

const healthList = says(explainList("a list of probes", "[{ http: http://127.0.0.1:8080/healthz }]", PROBES_MAX));
const Health = z
  .array(Probe, healthList)
  .max(PROBES_MAX, healthList)
  .prefault([])
  .meta({ description: "Probes; all must hold. None: a process is healthy while it runs, files are healthy once they are in place." });

const wavesList = says(explainList("the waves", "[1, 25%, 100%]", WAVES_MAX));
const explainTargets = explainText({ pattern: /^/, what: "a selector of machines", example: '"role=web,env in (prod,staging)"', rule: "" });

const Targets = z
  .string(says((found) => selectorOfMap(found) ?? explainTargets(found)))
  .transform((found, context) => {
    const parsed = parseSelector(found);
    if (parsed.ok) return parsed.selector;
    context.issues.push({ code: "custom", message: `not a selector: ${parsed.message}`, input: found, params: { offset: parsed.offset } });
    return z.NEVER;
  })
  .meta({
    description: 'Label selector of the machines: role=web,env in (prod,staging),!canary. "" selects every machine.',
    examples: ["role=web", "role=web,env in (prod,staging)"],
  });

export const Rollout = z.strictObject(
  {
    targets: Targets,
    waves: z
      .array(size({ min: 1, max: COUNT_MAX }, PERCENT), wavesList)
      .min(1, wavesList)
      .max(WAVES_MAX, wavesList)
      .prefault([1, "25%", "100%"])
      .meta({
        description: "How many machines may be changed before the next gate: cumulative, rising, ending at 100%. Percentages round up.",
        examples: [[1, "25%", "100%"]],
      }),
    max_unavailable: size({ min: 1, max: COUNT_MAX }, PERCENT)
      .prefault("25%")
      .meta({ description: "How many targets may be on the move at once.", examples: [5, "20%"] }),
    min_healthy_time: duration("min_healthy_time", 0, DEADLINE_MAX)
      .prefault("10s")
      .meta({ description: "Healthy without a break for so long; a restart starts it again. Shorter than healthy_deadline.", examples: ["30s"] }),
    healthy_deadline: duration("healthy_deadline", 0, DEADLINE_MAX)
      .prefault("5m")
      .meta({ description: "Per target, from its first step to healthy. Shorter than progress_deadline.", examples: ["2m"] }),
    progress_deadline: duration("progress_deadline", 0, DEADLINE_MAX)
      .prefault("10m")
      .meta({ description: "No target newly healthy for so long: the rollout fails.", examples: ["10m"] }),
    max_failures: size({ min: 0, max: COUNT_MAX }, PERCENT_OR_ZERO)
      .prefault(0)
      .meta({ description: "Failed targets that a wave may have: a count, or a percentage of the wave.", examples: [0, "5%"] }),
    on_failure: choice("what to do on failure", ["rollback", "pause", "abort"])
      .prefault("rollback")
      .meta({ description: "What a failed rollout does: take the targets back, stop and wait, or leave all as it is." }),
    on_conflict: choice("what to do on conflict", ["queue", "supersede"])
      .prefault("queue")
      .meta({ description: "When the app is being deployed already: wait for that, or take its place." }),
  },
  says(explainMap("which machines, and how to go through them", "{ targets: role=web }")),
);

export const DeploymentFileSchema = z
  .strictObject(
    {
      app: App,
      version: Version,
      artifact: Artifact,
      run: Run,
      health: Health,
      rollout: Rollout.meta({ description: "Which machines, and how to go through them." }),
    },
    says(explainRoot),
  )
  .meta({ title: "Muster deployment file", description: "A release, the machines it is for, and how to bring it to them." });

export type ValidFile = z.output<typeof DeploymentFileSchema>;

/** The keys that may stand at a place of the file. */
export function keysAt(path: readonly (string | number)[], driver: unknown): readonly string[] {
  const [top] = path;
  if (top === "run") return Object.keys(driver === "files" ? FilesRun.shape : ProcessRun.shape);
  if (top === "health") return Object.keys(Probe.shape);
  return Object.keys(top === "rollout" ? Rollout.shape : DeploymentFileSchema.shape);
}

function selectorOfMap(found: unknown): string | undefined {
  if (typeof found !== "object" || found === null || Array.isArray(found)) return undefined;
  const labels = Object.entries(found).map(([key, value]) => `${key}=${String(value)}`);
  return `a map where text is wanted: write "${labels.join(",")}"`;
}

function explainRoot(found: unknown): string {
  const what = found === null || found === undefined ? "empty" : Array.isArray(found) ? "a list" : "a single text";
  return `the file is ${what}: a map with the keys ${keysAt([], undefined).join(", ")} is wanted`;
}
