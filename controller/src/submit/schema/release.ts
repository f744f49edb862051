/**
 * What a deployment file may say of the release: its name, what it is made of, how a machine runs it and knows that it is well.
 */
import { NAME_RULE, parseAppName, PORT_MAX, PORT_NAME, PORT_NAME_RULE, PORTS_MAX, VERSION_RULE } from "@muster/proto/ids.ts";
import { z } from "zod";
import { explainChoice, explainEnvValue, explainList, explainMap, explainPort, explainText } from "../explain.ts";
import type { Explain, TextRule } from "../explain.ts";
import { command, duration, HOUR, MINUTE, NO_NUL, says, text, whole } from "./leaf.ts";
import { SecretFiles, SecretValue } from "./secret.ts";

/** Each probe is a timer, and each port a choice, on every machine. */
const PROBES_MAX = 16;
const STREAK_MAX = 1_000;

/** Also for apps that are named elsewhere. */
export const appName = text({
  pattern: /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/u,
  what: "an app's name",
  example: "shop-web",
  rule: NAME_RULE,
  nearest: (found) => {
    const tidy = found.toLowerCase().replaceAll(/[^a-z0-9]+/g, "-").replaceAll(/^-|-$/g, "");
    return parseAppName(tidy) === undefined ? undefined : tidy;
  },
});
export const App = appName.meta({ description: "Name of the app. Releases of one name follow each other on a machine.", examples: ["shop-web"] });

const versionRule: TextRule = { pattern: /^[0-9A-Za-z][0-9A-Za-z.+_-]{0,63}$/u, what: "a version", example: "1.4.2", rule: VERSION_RULE };
const saysVersion = says(explainText(versionRule));
export const Version = z
  .union([text(versionRule), z.number(saysVersion).nonnegative(saysVersion)], saysVersion)
  .transform(String)
  .meta({ description: "Version of the release, taken as it is written: 1.10 stays 1.10. One version names one content for good.", examples: ["1.4.2"] });

export const Artifact = text({
  pattern: /^(?=[^\u0000]*\S)[^\u0000]+$/u,
  what: "the path of an artifact",
  example: "./dist",
  rule: "write a directory or an archive, such as ./dist",
}).meta({
  description: "Directory, .tar, .tar.gz, .tgz or .zip with the files of the release; relative to the deployment file.",
  examples: ["./dist", "./shop-web-1.4.2.tgz"],
});

const explainPortName = explainText({
  pattern: PORT_NAME,
  what: "a port's name",
  example: "http",
  rule: PORT_NAME_RULE,
});
const saysPort = says(explainPort);
const Ports = z
  .record(
    z.string().regex(PORT_NAME, says(explainPortName)),
    z.union([z.int(saysPort).min(1, saysPort).max(PORT_MAX, saysPort), z.literal("auto", saysPort)], saysPort),
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
    z.union([z.string(saysEnvValue).regex(NO_NUL, saysEnvValue), z.number(), z.boolean(), SecretValue], saysEnvValue).transform((value) => (typeof value === "object" ? value : String(value))),
    says(explainMap("names and values", '{ PORT: "${ports.http}" }')),
  )
  .prefault({})
  .meta({
    description: "Environment variables. Numbers, true and false are taken as they are written. `${…}` is filled in on the machine. `{ secret: NAME }` is a secret's value.",
    examples: [{ PORT: "${ports.http}", NAME: "${machine.id}", ZONE: "${labels.zone}", DB_PASSWORD: { secret: "db-password" } }],
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
    files: SecretFiles,
    stop_timeout: duration("stop_timeout", 0, 10 * MINUTE).prefault("10s").meta({ description: "From SIGTERM to SIGKILL: 0s to 10m.", examples: ["30s"] }),
  },
  says(explainMap("how to run the release", "{ command: [node, server.js] }")),
);

export const FilesRun = z.strictObject({
  driver: z.literal("files").meta({ description: "Puts the files in place and runs nothing." }),
  ports: Ports,
  files: SecretFiles,
});

const explainRun: Explain = (found) => {
  const isMap = typeof found === "object" && found !== null && !Array.isArray(found);
  return isMap ? explainDriver("driver" in found ? found.driver : undefined) : explainMap("how to run the release", "{ command: [node, server.js] }")(found);
};
export const Run = z.discriminatedUnion("driver", [ProcessRun, FilesRun], says(explainRun)).meta({ description: "How the release is run." });

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
export const Health = z
  .array(Probe, healthList)
  .max(PROBES_MAX, healthList)
  .prefault([])
  .meta({ description: "Probes; all must hold. None: a process is healthy while it runs, files are healthy once they are in place." });
