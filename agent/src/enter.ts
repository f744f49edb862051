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

/** Says a line to whoever started us. */
type Say = (line: string) => void;

/** Throws CannotStart and JoinError. */
export async function identityFor({ machineId, controller, join: joining }: RunConfig, store: IdentityStore, say: Say): Promise<Identity> {
  const known = loaded(store);
  if (known === undefined) {
    if (joining === undefined) {
      throw new CannotStart("this machine has not joined a fleet: make a token on the controller's side with muster token create, then: muster-agent join --controller HOST:PORT --token-file FILE");
    }
    return becomeMember(joining, store, { isAgain: false, say });
  }
  if (machineId !== undefined && machineId !== known.machine) {
    throw new CannotStart(`this directory belongs to the machine ${known.machine}, not to ${machineId}: give another --dir, or leave --id out`);
  }
  return controller === undefined ? known : { ...known, controller };
}

/** Throws CannotStart and JoinError. */
export async function becomeMember(config: JoinConfig, store: IdentityStore, { isAgain, say }: { readonly isAgain: boolean; readonly say: Say }): Promise<Identity> {
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
    onWaiting: (machine) => say(`${machine} waits for approval. On the controller's side: muster machine approve ${machine}`),
    signal: new AbortController().signal,
  });
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
