/**
 * Deployment files that can't be used: each is refused with its place and the way out, all faults at once, and nothing is deployed.
 */
import { symlinkSync, mkdirSync, writeFileSync, chmodSync } from "node:fs";
import { join } from "node:path";
import { asOrdinary, type BadInput, describeBadInput, EXIT, MUSTER } from "./bad-input.ts";

/** Parts of a good file, to be replaced one by one. */
const GOOD = {
  app: "app: shop",
  version: "version: 1.0.0",
  artifact: "artifact: ./files",
  run: "run: { driver: files }",
  rollout: "rollout: { targets: role=web }",
} as const;

function written(at: string, content: string | Buffer): readonly string[] {
  mkdirSync(join(at, "files"));
  writeFileSync(join(at, "files", "index.html"), "hello");
  writeFileSync(join(at, "muster.yaml"), content);
  return ["deploy", "-f", "muster.yaml"];
}

/** A file that is good but for some of its lines; a line that is undefined is left out. */
function file(kind: string, changes: { readonly [Part in keyof typeof GOOD]?: string | undefined }, says: RegExp): BadInput {
  const lines = Object.values({ ...GOOD, ...changes }).filter((line) => line !== undefined);
  return { kind, command: (at) => written(at, `${lines.join("\n")}\n`), exit: EXIT.badInput, says };
}

function bytes(kind: string, content: string | Buffer, says: RegExp): BadInput {
  return { kind, command: (at) => written(at, content), exit: EXIT.badInput, says };
}

const ONE_FAULT = String.raw`\nmuster: muster\.yaml has 1 fault; nothing was deployed\n$`;

function fault(place: string): RegExp {
  return new RegExp(`^muster\\.yaml:${place}${ONE_FAULT}`);
}

const process = (more: string): string => `run: { command: [node, s.js]${more} }`;

const rollout = (more: string): string => `rollout: { targets: role=web, ${more} }`;

const TABLE: readonly BadInput[] = [
  { kind: "a file that is not there", command: () => ["deploy", "-f", "nope.yaml"], exit: EXIT.badInput, says: /^muster: nope\.yaml: there is no such file in <at>\n$/ },
  {
    kind: "a folder for a file",
    command: (at) => [written(at, "")[0]!, "-f", "files"],
    exit: EXIT.badInput,
    says: /^muster: files is a directory; name the file in it, for example files\/muster\.yaml\n$/,
  },
  {
    kind: "a file without permission to read it",
    command: (at, fleet) => {
      written(at, "app: shop\n");
      chmodSync(join(at, "muster.yaml"), 0o000);
      return asOrdinary([...MUSTER, "deploy", "-f", "muster.yaml", "--address", `unix:${fleet.file().controller.socket}`]);
    },
    exit: EXIT.badInput,
    says: /^muster: muster\.yaml: no permission to read it\n$/,
  },
  {
    kind: "a symlink that leads nowhere for a file",
    command: (at) => {
      symlinkSync("gone.yaml", join(at, "muster.yaml"));
      return ["deploy", "-f", "muster.yaml"];
    },
    exit: EXIT.badInput,
    says: /^muster: muster\.yaml: there is no such file in <at>\n$/,
  },
  bytes("an empty file", "", fault("1:1: the file is empty: a map with the keys app, version, artifact, run, health, rollout is wanted")),
  bytes("a file of more than 1 MiB", Buffer.alloc(1024 * 1024 + 1, "#"), /^muster: muster\.yaml is larger than 1 MiB, too large for a deployment file\n$/),
  bytes("a file that is not UTF-8", Buffer.from("app: sh\xff\xfep\n", "latin1"), fault(String.raw`1:8: byte 8 of the file \(0xFF\) is not UTF-8: save the file as UTF-8`)),
  bytes("a file indented with tabs", "app: shop\nrun:\n\tdriver: files\n", fault("3:1: a tab in the indentation: YAML is indented with spaces")),
  bytes("a file that is no YAML", "app: [\n", fault(String.raw`1:6: "\[" has no "\]", or the lines between them are indented too little`)),
  bytes("a file that is a list", "- app: shop\n", fault("1:1: the file is a list: a map with the keys app, version, .* is wanted")),
  { kind: "a bad file from stdin", command: () => ["deploy", "-f", "-"], input: "app: [\n", exit: EXIT.badInput, says: /^stdin:1:6: .*\nmuster: stdin has 1 fault; nothing was deployed\n$/ },
  file("a key that stands twice", { version: "version: 1\napp: other" }, fault(`3:1 app: "app" stands twice; the first is at line 1`)),
  file("an unknown key", { rollout: "rollout: { targets: role=web, wave: [1] }" }, fault(String.raw`5:31 rollout\.wave: unknown key "wave"; did you mean "waves"\? \(allowed here: targets, waves, .*\)`)),
  file("a key that is missing", { rollout: undefined }, fault("1:1 rollout: .*")),
  file("a value of the wrong type", { version: "version: [1]" }, fault("2:10 version: a list where text is wanted: a version, for example 1.4.2")),
  file("a name that is none", { app: "app: Shop Web" }, fault(`1:6 app: .*shop-web.*`)),
  file("a command as one text", { run: "run: { command: node server.js }" }, fault(String.raw`4:17 run\.command: "node server\.js" is text where a list is wanted: write \[node, server\.js\]`)),
  file("a driver that does not exist", { run: "run: { driver: docker }" }, fault(String.raw`4:16 run\.driver: "docker" is not one of process, files`)),
  file("a port that is none", { run: process(", ports: { http: 70000 }") }, fault(String.raw`4:\d+ run\.ports\.http: 70000 is not a port: a number from 1 to 65535, or auto for a free one`)),
  file("a name that nothing fills in", { run: process(', env: { A: "${ports.htp}" }, ports: { http: auto }') }, fault(String.raw`4:\d+ run\.env\.A: unknown name "ports\.htp"; did you mean "ports\.http"\? \(allowed: .*\)`)),
  file("a duration without a unit", { rollout: "rollout: { targets: role=web, min_healthy_time: 5 }" }, fault(String.raw`5:\d+ rollout\.min_healthy_time: 5 has no unit: try 5s`)),
  file("a duration in words", { rollout: "rollout: { targets: role=web, healthy_deadline: 2 minutes }" }, fault(String.raw`5:\d+ rollout\.healthy_deadline: "2 minutes" is not a duration, for example 10s or 1m30s; .*`)),
  file(
    "deadlines out of order",
    { rollout: "rollout: { targets: role=web, min_healthy_time: 5m, healthy_deadline: 2m, progress_deadline: 1m }" },
    /^muster\.yaml:5:\d+ rollout\.healthy_deadline: min_healthy_time \(5m\) must be shorter than healthy_deadline \(2m\)\nmuster\.yaml:5:\d+ rollout\.progress_deadline: healthy_deadline \(2m\) must be shorter than progress_deadline \(1m\)\nmuster: muster\.yaml has 2 faults; nothing was deployed\n$/,
  ),
  file("waves that do not rise", { rollout: "rollout: { targets: role=web, waves: [5, 3, 100%] }" }, fault(String.raw`5:\d+ rollout\.waves\[1\]: 3 is not more than 5 before it: waves are cumulative and rise`)),
  file("waves that leave machines out", { rollout: "rollout: { targets: role=web, waves: [1, 50%] }" }, fault(String.raw`5:\d+ rollout\.waves\[1\]: the last wave is 50%: it must be 100%, so that no machine is left out`)),
  file("waves as one text", { rollout: rollout('waves: "10%"') }, fault(String.raw`5:\d+ rollout\.waves: "10%" where a list is wanted: write \[10%, 100%\]`)),
  file("a wave that takes nobody", { rollout: rollout("waves: [{ soak: 5m }, 100%]") }, fault(String.raw`5:\d+ rollout\.waves\[0\]: takes nobody: one of size, targets is wanted, for example .*`)),
  file("a wave of a size and a selector", { rollout: rollout("waves: [{ size: 1, targets: a=b }, 100%]") }, fault(String.raw`5:\d+ rollout\.waves\[0\]: size and targets in one wave: write a wave for each`)),
  file("an unknown key of a wave", { rollout: rollout("waves: [{ size: 1, sok: 5m }, 100%]") }, fault(String.raw`5:\d+ rollout\.waves\[0\]\.sok: unknown key "sok"; did you mean "soak"\? \(allowed here: size, .*\)`)),
  file("a key of a wave in the rollout", { rollout: rollout("approve: true") }, fault(String.raw`5:\d+ rollout\.approve: unknown key "approve"; it belongs in a wave of rollout\.waves \(allowed here: .*\)`)),
  file("an approval that is neither true nor false", { rollout: rollout("waves: [{ size: 1, approve: yes }, 100%]") }, fault(String.raw`5:\d+ rollout\.waves\[0\]\.approve: "yes" where true or false is wanted: write true`)),
  file("two waves of one selector", { rollout: rollout("waves: [{ targets: a=b }, { targets: a in (b) }, 100%]") }, fault(String.raw`5:\d+ rollout\.waves\[1\]\.targets: selects the machines of waves\[0\] again: .*`)),
  file("a gate that asks nobody", { rollout: rollout("gates: [{}]") }, fault(String.raw`5:\d+ rollout\.gates\[0\]: asks nobody: one of webhook, prometheus is wanted, for example .*`)),
  file("an unknown key of a gate", { rollout: rollout("gates: [{ webhook: { url: 'http://w/', retires: 1 } }]") }, fault(String.raw`5:\d+ rollout\.gates\[0\]\.webhook\.retires: unknown key "retires"; did you mean "retries"\? \(allowed here: .*\)`)),
  file("a metric without a limit", { rollout: rollout("gates: [{ prometheus: { url: 'http://p', query: up } }]") }, fault(String.raw`5:\d+ rollout\.gates\[0\]\.prometheus: no limit: at least one of max, min is wanted, .*`)),
  file("a metric whose limits leave nothing", { rollout: rollout("gates: [{ prometheus: { url: 'http://p', query: up, min: 5, max: 3 } }]") }, fault(String.raw`5:\d+ rollout\.gates\[0\]\.prometheus\.min: min \(5\) is greater than max \(3\): no value could be within`)),
  file("a cron that is none", { rollout: rollout('window: { cron: "0 25 * * *", duration: 4h }') }, fault(String.raw`5:\d+ rollout\.window\.cron: "0 25 \* \* \*" is not a cron: .*25.*`)),
  file("a cron without quotes", { rollout: "rollout:\n  targets: role=web\n  window:\n    cron: */5 * * * *\n    duration: 1m" }, fault(String.raw`8:11: YAML reads text that begins with \* as an alias: put it in quotes: "\*/5 \* \* \* \*"`)),
  file("a time zone that is none", { rollout: rollout('window: { cron: "0 2 * * *", duration: 4h, time_zone: Berlin }') }, fault(String.raw`5:\d+ rollout\.window\.time_zone: "Berlin" is not a time zone: .*\(try Europe/Berlin\)`)),
  file("a window of more than a week", { rollout: rollout('window: { cron: "0 2 * * *", duration: 200h }') }, fault(String.raw`5:\d+ rollout\.window\.duration: 200h is too long for the duration of a window: at most 7d`)),
  file("a time without a zone", { rollout: rollout("start_at: 2026-12-01T08:00:00") }, fault(String.raw`5:\d+ rollout\.start_at: "2026-12-01T08:00:00" has no time zone: write 2026-12-01T08:00:00Z for UTC, .*`)),
  file("a duration to begin after", { rollout: rollout("after: 2h") }, fault(String.raw`5:\d+ rollout\.after: "2h" where a map is wanted: .*`)),
  file("a deployment that waits for itself", { rollout: rollout("after: { deployment_of: shop, targets: role=web }") }, fault(String.raw`5:\d+ rollout\.after\.targets: this deployment would wait for itself: .*`)),
  file("a wait without a unit", { rollout: rollout("offline: wait:30") }, fault(String.raw`5:\d+ rollout\.offline: 30 has no unit: try 30s`)),
  file("a list of labels to spread over", { rollout: rollout("spread: [zone]") }, fault(String.raw`5:\d+ rollout\.spread: a list where text is wanted: a label's name, for example zone`)),
  file("one label in two limits", { rollout: rollout("spread: zone, max_unavailable_per: { zone: 2 }") }, fault(String.raw`5:\d+ rollout\.max_unavailable_per\.zone: "zone" is spread's label already, .*`)),
  file("a priority out of its range", { rollout: rollout("priority: 1000") }, fault(String.raw`5:\d+ rollout\.priority: 1000 is not a priority: a whole number from -100 to 100 is wanted`)),
  file("a selector that is none", { rollout: "rollout: { targets: role in web }" }, fault(String.raw`5:\d+ rollout\.targets: not a selector: "web" where "\(" was expected`)),
  file("a selector that selects nobody", { rollout: "rollout: { targets: role=db }" }, /^muster: rollout\.targets "role=db" selects none of the 2 machines; muster machines lists them with their labels\n$/),
  bytes(
    "a file with many faults",
    "app: Shop\nversion: [1]\nartifact: ./files\nrun: { driver: docker }\nhealth: { http: x }\nrollout: { targets: role in web, waves: [5, 3] }\n",
    /^muster\.yaml:1:6 app: .*\nmuster\.yaml:2:10 version: .*\nmuster\.yaml:4:16 run\.driver: .*\nmuster\.yaml:5:9 health: .*\nmuster\.yaml:6:\d+ rollout\.targets: .*\nmuster\.yaml:6:\d+ rollout\.waves\[1\]: 3 is .*\nmuster\.yaml:6:\d+ rollout\.waves\[1\]: the last .*\nmuster: muster\.yaml has 7 faults; nothing was deployed\n$/,
  ),
  {
    kind: "a file with faults, told as JSON,",
    command: (at) => [...written(at, "app: [\n"), "-o", "json"],
    exit: EXIT.badInput,
    says: /^\{"error":\{"code":"invalid_file","message":"muster\.yaml has 1 fault; nothing was deployed","faults":\[\{"line":1,"column":6,.*\}\]\}\}\n$/,
  },
];

describeBadInput("a deployment file", TABLE);
