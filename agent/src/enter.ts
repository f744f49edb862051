/**
 * From what was given on the command line to who this machine is: the identity that is there, or a new one from a token.
 */
import { readFileSync } from "node:fs";
import { arch, hostname, platform } from "node:os";
import { text } from "node:stream/consumers";
import { parseJoinToken } from "@muster/proto/join-token.ts";
import { CannotStart } from "./compose.ts";
import { AGENT_VERSION, type JoinConfig, type RunConfig } from "./config.ts";
import type { Identity, IdentityStore } from "./identity/identity-store.ts";
import { join } from "./identity/join.ts";
import { forgetOtherFleet } from "./trust/other-fleet.ts";
import { pinRoot } from "./trust/release/pinned-root.ts";

/** Says a line to whoever started us. */
type Say = (line: string) => void;

interface Entering {
  /** The agent's own. */
  readonly dir: string;
  readonly store: IdentityStore;
  readonly say: Say;
}

/** Throws CannotStart and JoinError. */
export async function identityFor({ machineId, controller, join: joining }: RunConfig, entering: Entering): Promise<Identity> {
  const known = loaded(entering.store);
  if (known === undefined) {
    if (joining === undefined) {
      throw new CannotStart("this machine has not joined a fleet: make a token on the controller's side with muster token create, then: muster-agent join --controller HOST:PORT --token-file FILE");
    }
    return becomeMember(joining, entering);
  }
  if (machineId !== undefined && machineId !== known.machine) {
    throw new CannotStart(`this directory belongs to the machine ${known.machine}, not to ${machineId}: give another --dir, or leave --id out`);
  }
  return controller === undefined ? known : { ...known, controller };
}

/** `isAgain`: in place of what it was. Throws CannotStart and JoinError. */
export async function becomeMember(config: JoinConfig, { dir, store, say }: Entering, isAgain = false): Promise<Identity> {
  const known = isAgain ? undefined : loaded(store);
  if (known !== undefined) throw new CannotStart(`this machine has joined already, as ${known.machine} of the fleet at ${known.controller}: to give that up, add --again`);
  const token = parseJoinToken(await tokenText(config));
  if (token === undefined) throw new CannotStart("that is no token: it begins with mst1. and is what muster token create printed");
  return join({
    controller: config.controller,
    token,
    machine: config.machineId,
    about: { labels: { ...config.labels }, hostname: hostname(), os: platform(), arch: arch(), agentVersion: AGENT_VERSION },
    store,
    onAdmitted: ({ controllerId, trustRoot }) => {
      leaveOtherFleet(dir, controllerId);
      return pinGiven(dir, trustRoot, say);
    },
    onWaiting: (machine) => say(`${machine} waits for approval. On the controller's side: muster machine approve ${machine}`),
    signal: new AbortController().signal,
  });
}

/** Throws CannotStart: workloads of another fleet can't be taken over, and must not be left to nobody. */
function leaveOtherFleet(dir: string, controllerId: string): void {
  const left = forgetOtherFleet(dir, controllerId);
  if (!left.ok) {
    throw new CannotStart(`not joined: ${left.apps.join(", ")} in ${dir} belongs to another fleet. Give this fleet a directory of its own with --dir, and have the machine removed first: muster machine remove`);
  }
}

/** Throws CannotStart: a controller that hands out what is no trust root is not to be joined. */
async function pinGiven(dir: string, trustRoot: Uint8Array, say: Say): Promise<void> {
  if (trustRoot.length === 0) return;
  const pinned = await pinRoot(dir, trustRoot);
  switch (pinned.kind) {
    case "pinned":
      return say(`trust root ${pinned.version} pinned: what it asks signatures for runs with them alone`);
    case "kept":
      return say(`the trust root that was pinned before stays (version ${pinned.version}); for another: muster-agent trust pin FILE --replace`);
    case "refused":
      throw new CannotStart(`not joined: the controller's ${pinned.message.replace(/^the /, "")}`);
  }
}

function loaded(store: IdentityStore): Identity | undefined {
  const found = store.load();
  switch (found.kind) {
    case "identity":
      return found.identity;
    case "none":
      return undefined;
    case "exposed":
      throw new CannotStart(`others can read ${found.path}, and it holds this machine's keys: if nobody has, chmod go= ${found.path}; if somebody may have, have the machine revoked and join again with --again`);
    case "damaged":
      throw new CannotStart(`${found.path} is damaged (it is kept as ${found.path}.corrupt): join again`);
  }
}

async function tokenText({ token, tokenFile }: JoinConfig): Promise<string> {
  if (token !== undefined) return token;
  if (tokenFile === undefined) return text(process.stdin);
  try {
    return readFileSync(tokenFile, "utf8");
  } catch (error) {
    throw new CannotStart(`the token can't be read from ${tokenFile}: ${error instanceof Error ? error.message : String(error)}`);
  }
}
