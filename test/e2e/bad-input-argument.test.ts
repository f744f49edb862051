/**
 * Command lines that can't be carried out: words that no command knows, values that are none, and names of what is not there.
 */
import { AGENT, type BadInput, describeBadInput, EXIT } from "./bad-input.ts";

function said(kind: string, command: readonly string[], says: RegExp, exit: number = EXIT.badInput): BadInput {
  return { kind, command: () => command, exit, says };
}

/** No agent is left behind by one that was refused: it ends by itself, and its folder was never made. */
function agent(kind: string, args: readonly string[], says: RegExp): BadInput {
  return { kind: `an agent with ${kind}`, command: (at) => [...AGENT, "--dir", `${at}/agent`, ...args], exit: EXIT.badInput, says };
}

const SEE = (command: string): string => String.raw`\. See: muster ${command}--help\n$`;

const TABLE: readonly BadInput[] = [
  said("an unknown command", ["frob"], new RegExp(`^muster: unknown command 'frob'${SEE("")}`)),
  said("a mistyped command", ["depoly", "-f", "x"], new RegExp(String.raw`^muster: unknown command 'depoly' \(Did you mean deploy\?\)${SEE("")}`)),
  said("an unknown option", ["list", "--fast"], new RegExp(`^muster: unknown option '--fast'${SEE("list ")}`)),
  said("an argument that is missing", ["logs", "dev-0"], new RegExp(`^muster: missing required argument 'app'${SEE("logs ")}`)),
  said("an argument too many", ["artifact", "push", "a", "b"], new RegExp(String.raw`^muster: too many arguments for 'push'\. Expected 1 argument but got 2${SEE("artifact push ")}`)),
  said("an option that is missing", ["deploy"], new RegExp(`^muster: required option '-f, --file <file>' not specified${SEE("deploy ")}`)),
  said("a number that is none", ["logs", "dev-0", "shop", "-n", "abc"], new RegExp(String.raw`^muster: option '-n, --lines <count>' argument 'abc' is invalid\. It is not a whole number from 1 to 10000${SEE("logs ")}`)),
  said("a number beyond its bounds", ["dev", "--agents", "0"], new RegExp(String.raw`^muster: option '--agents <n>' argument '0' is invalid\. It is not a whole number from 1 to 100${SEE("dev ")}`)),
  said("a port that is none", ["controller", "--grpc-port", "70000"], new RegExp(String.raw`^muster: option '--grpc-port <port>' argument '70000' is invalid\. It is not a whole number from 0 to 65535${SEE("controller ")}`)),
  said("a duration that is none", ["controller", "--silent-after", "5"], new RegExp(String.raw`^muster: option '--silent-after <duration>' argument '5' is invalid\. 5 has no unit: try 5s${SEE("controller ")}`)),
  said("a duration beyond its bounds", ["controller", "--silent-after", "1ms"], /^muster controller: option '--silent-after <duration>' argument '1ms' is invalid\. "1ms" is not between 1s and 24h\.\n$/),
  said("an address that is none to listen on", ["controller", "--host", "nope"], /^muster controller: option '--host <address>' argument 'nope' is invalid\. "nope" is not an IP address \(try 0\.0\.0\.0 for all of this machine's\)\.\n$/),
  said("a format that does not exist", ["list", "-o", "yaml"], /^muster: option '-o, --output <format>' argument 'yaml' is invalid\. Allowed choices are text, json\. See: muster .*--help\n$/),
  said("a selector that is none", ["machines", "-l", "role in web"], /^muster: the selector "role in web" can't be read at character 9: "web" where "\(" was expected\n$/),

  said("an address that is none", ["--address", "nope", "list"], /^muster: --address: "nope" is not HOST:PORT \(try 127\.0\.0\.1:4000\)\n$/),
  said("an address with a port that is none", ["--address", "127.0.0.1:99999", "list"], /^muster: --address: "127\.0\.0\.1:99999" is not HOST:PORT \(try 127\.0\.0\.1:4000\)\n$/),
  said("an address where nobody is", ["--address", "unix:/nowhere", "list"], /^muster: cannot reach the controller at unix:\/nowhere \(from --address\): .* Is it running\?\n$/, EXIT.unreachable),
  said("a host that does not exist", ["--address", "no.such.host.invalid:4000", "list"], /^muster: not logged in to no\.such\.host\.invalid:4000: muster login no\.such\.host\.invalid:4000\n$/, EXIT.failed),
  {
    kind: "a MUSTER_ADDRESS where nobody is",
    command: () => ["status"],
    env: { MUSTER_ADDRESS: "127.0.0.1:1" },
    exit: EXIT.failed,
    says: /^muster: not logged in to 127\.0\.0\.1:1: muster login 127\.0\.0\.1:1\n$/,
  },
  {
    kind: "a folder in which no controller is known",
    command: () => ["list"],
    env: { MUSTER_ADDRESS: "" },
    exit: EXIT.unreachable,
    says: /^muster: no controller is known here: say --address, .*, or log in to one: muster login HOST:PORT\. Start one with: muster dev\n$/,
  },

  ...["status", "watch", "pause", "resume", "abort", "rollback", "events"].map((command) =>
    said(`${command} of an unknown deployment`, [command, "d-99"], /^muster: there is no deployment d-99\n$/, EXIT.notFound),
  ),
  said("a deployment's id that is none", ["status", "shop"], /^muster: there is no deployment shop\n$/, EXIT.notFound),
  said("an unknown machine", ["machine", "nope"], /^muster: there is no machine nope\n$/, EXIT.notFound),
  said("logs of an unknown machine", ["logs", "nope", "shop"], /^muster: there is no machine nope\n$/, EXIT.notFound),
  said("logs of an unknown app", ["logs", "dev-0", "nope"], /^muster: dev-0 has no app nope; it has shop, slow\n$/, EXIT.notFound),
  said("logs of an app that runs nothing", ["logs", "dev-0", "shop"], /^muster: shop has no output on this machine: none of its releases was ever started here as a process\n$/),
  said("resuming what was not paused", ["resume", "d-2"], /^muster: d-2 can't be resumed: it is succeeded; only a paused deployment can be resumed\n$/),
  said("resuming what is rolling", ["resume", "d-3"], /^muster: d-3 can't be resumed: it is rolling; only a paused deployment can be resumed\n$/),
  said("pausing what has ended", ["pause", "d-2"], /^muster: d-2 can't be paused: it is succeeded; only a rolling deployment can be paused\n$/),
  said("aborting what has ended", ["abort", "d-2"], /^muster: d-2 can't be aborted: it has ended \(succeeded\)\n$/),
  said("rolling back an older deployment", ["rollback", "d-1"], /^muster: d-1 can't be rolled back: d-2 of shop has been carried out since; roll that back instead\n$/),

  { kind: "an agent that has not joined", command: (at) => [...AGENT, "--dir", `${at}/agent`], exit: EXIT.badInput, says: /^muster-agent: this machine has not joined a fleet: make a token .*\n$/ },
  agent("a malformed controller", ["--controller", "nope"], /^muster-agent: --controller "nope" is not HOST:PORT \(for example 127\.0\.0\.1:4440\)\n$/),
  agent("an id that is none", ["--controller", "127.0.0.1:1", "--id", "Web_1"], /^muster-agent: --id "Web_1" is not a machine's id: 1 to 63 of a-z, 0-9 and -, with no - at either end\n$/),
  agent("a label without a value", ["--controller", "127.0.0.1:1", "--label", "web"], /^muster-agent: --label "web" is not KEY=VALUE \(for example role=web\)\n$/),
  agent("a label whose name is none", ["--controller", "127.0.0.1:1", "--label", "a b=c"], /^muster-agent: --label "a b=c": "a b" is not a label's name \(.*\)\n$/),
  agent("a label that is given twice", ["--controller", "127.0.0.1:1", "--label", "a=b", "--label", "a=c"], /^muster-agent: --label "a=c": a is given twice\n$/),
  agent("an unknown option", ["--controller", "127.0.0.1:1", "--fast"], /^muster-agent: unknown option '--fast'\. See: muster-agent --help\n$/),
];

const YAML = (app: string, version: number, minHealthyTime: string): string =>
  `app: ${app}\nversion: ${version}\nartifact: ./files\nrun: { driver: files }\n` +
  `rollout: { targets: role=web, waves: [100%], min_healthy_time: ${minHealthyTime}, healthy_deadline: 2h, progress_deadline: 3h }\n`;

describeBadInput("a command line", TABLE, async (fleet) => {
  const file = (app: string, version: number, minHealthyTime: string): string => fleet.release(`${app}-${version}`, YAML(app, version, minHealthyTime), { index: `${version}` });
  await fleet.ended(await fleet.deploy(file("shop", 1, "0s")));
  await fleet.ended(await fleet.deploy(file("shop", 2, "0s")));
  await fleet.deploy(file("slow", 1, "1h"));
});
