/**
 * `muster login HOST:PORT`, `muster logout [HOST:PORT]` and `muster whoami`
 */
import type { WhoAmIResponse } from "@muster/proto/gen/muster/v1/access.ts";
import { parsePin } from "@muster/proto/join-token.ts";
import { type Command, Option } from "commander";
import type { DeviceCode } from "../access/oidc.ts";
import type { Credential } from "../access/logins.ts";
import { checkedHostPort } from "../client/address.ts";
import type { Controller } from "../client/controller.ts";
import { withController } from "../client/session.ts";
import { writeLines, type CliContext } from "../context.ts";
import { badInput, CliError, EXIT, interrupted } from "../errors.ts";
import { callerJson } from "../output/access-json.ts";
import { printDocument } from "../output/json.ts";
import { callerLines } from "../render/access-view.ts";
import type { GlobalOptions } from "../usage.ts";
import { viewOptions, withExamples } from "./options.ts";

interface LoginOptions extends GlobalOptions {
  readonly ca?: string;
  readonly tokenFile?: string;
  readonly certificate?: string;
  readonly oidc?: boolean;
}

export function registerLogin(program: Command, context: CliContext): void {
  const login = program
    .command("login")
    .summary("log in to a controller elsewhere")
    .description(
      "Logs in to a controller elsewhere, and keeps its authority and the credential for the commands that follow. The token is asked for, or read from stdin.",
    )
    .argument("<host:port>", "the controller")
    .option("--ca <pin>", "sha256 of its authority, as `muster user create` shows it; else you are asked whether it is the right one")
    .option("--token-file <file>", "the token; - is stdin")
    .addOption(new Option("--certificate <file>", "a key and its certificate, instead of a token").conflicts("tokenFile"))
    .addOption(new Option("--oidc", "by the OpenID provider that the controller trusts").conflicts(["tokenFile", "certificate"]))
    .action(async (address: string, _options: unknown, self: Command) => {
      await logIn(context, checkedHostPort(address, "login"), self.optsWithGlobals<LoginOptions>());
    });
  withExamples(login, [
    ["muster login muster.example:4000 --ca sha256:1f…", "asks for the token"],
    ["muster login muster.example:4000 --ca sha256:1f… --token-file token.txt", "in a script"],
    ["muster login muster.example:4000 --oidc", "in the browser"],
  ]);
}

export function registerLogout(program: Command, context: CliContext): void {
  const logout = program
    .command("logout")
    .summary("forget a login")
    .description("Forgets a login on this machine. The token itself holds until it ends: `muster user remove` ends it at once.")
    .argument("[host:port]", "the controller; else the one that was logged in to last")
    .action(async (address: string | undefined, _options: unknown, self: Command) => {
      await logOut(context, address, self.optsWithGlobals<GlobalOptions>());
    });
  withExamples(logout, [["muster logout muster.example:4000", "its credential is removed from this machine"]]);
}

export function registerWhoami(program: Command, context: CliContext): void {
  const whoami = program
    .command("whoami")
    .summary("show who you are to the controller")
    .description("Shows who you are to the controller, and what you may do.")
    .action(async (_options: unknown, self: Command) => {
      const options = self.optsWithGlobals<GlobalOptions>();
      const { caller, address } = await withController(context, options, async (controller) => ({
        caller: await ask(controller),
        address: controller.address.target,
      }));
      await show(context, caller, address, options);
    });
  withExamples(whoami, [["muster whoami -o json", "for a program"]]);
}

async function logIn(context: CliContext, address: string, options: LoginOptions): Promise<void> {
  const { addLogin } = await import("../access/logins.ts");
  const { connect } = await import("../client/remote.ts");
  const where = { target: address, source: "login" };
  const authorities = await trustedAuthorities(context, address, options);
  const credential = options.oidc === true ? await askProvider(context, connect(where, authorities, undefined)) : await readCredential(context, options);
  const controller = connect(where, authorities, credential, undefined, context.controllerClock);
  try {
    const caller = await ask(controller);
    const known = caller.authorities.length === 0 ? authorities : caller.authorities;
    addLogin(context.env, { address, authorities: known.map((der) => Buffer.from(der).toString("base64")), authoritiesAt: context.clock.now(), credential });
    await show(context, caller, address, options);
  } finally {
    controller.close();
  }
}

/** By the pin; else as in an earlier login; else when somebody looks at the pin and says yes. */
async function trustedAuthorities(context: CliContext, address: string, { ca }: LoginOptions): Promise<readonly Uint8Array[]> {
  const { fetchAuthority, pinOf } = await import("../access/authority.ts");
  if (ca !== undefined) {
    const pin = parsePin(ca);
    if (pin === undefined) throw badInput(`--ca: "${ca}" is not the pin of an authority (sha256: and 64 hex digits)`);
    return [await fetchAuthority(address, pin)];
  }
  const { readLogin } = await import("../access/logins.ts");
  const before = readLogin(context.env, address);
  if (before !== undefined) return before.authorities.map((der) => Buffer.from(der, "base64"));
  const shown = await fetchAuthority(address, undefined);
  const { confirm, isAtTerminal } = await import("../access/ask.ts");
  const pin = `sha256:${pinOf(shown)}`;
  const wayOut = `muster login ${address} --ca sha256:PIN, with the pin from the controller's own machine: muster ca show`;
  if (!isAtTerminal(context)) throw badInput(`who answers at ${address} shows the authority ${pin}, and nobody is here to say whether that is right: ${wayOut}`);
  await writeLines(context.stderr, [`the controller at ${address} shows the authority`, `  ${pin}`]);
  if (await confirm(context, "Is that the one that the controller's admin has given you?")) return [shown];
  throw new CliError(`not logged in: ${wayOut}`, { code: "untrusted", exit: EXIT.failed });
}

async function readCredential(context: CliContext, { tokenFile, certificate }: LoginOptions): Promise<Credential> {
  const { askSecret, isAtTerminal, readSecret } = await import("../access/ask.ts");
  if (certificate !== undefined) return keyAndCertificate(await readSecret(context, certificate, "--certificate"), certificate);
  const token = tokenFile === undefined && isAtTerminal(context) ? await askSecret(context, "token: ") : await readSecret(context, tokenFile ?? "-", "--token-file");
  if (/^[\x21-\x7E]+$/.test(token)) return { kind: "token", token };
  throw badInput("that is not a token: it is one word");
}

function keyAndCertificate(text: string, file: string): Credential {
  const [key] = /-----BEGIN (?:EC )?PRIVATE KEY-----[^-]+-----END (?:EC )?PRIVATE KEY-----/.exec(text) ?? [];
  const [certificate] = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/.exec(text) ?? [];
  if (key === undefined || certificate === undefined) throw badInput(`--certificate: ${file} does not hold both a private key and a certificate, as PEM`);
  return { kind: "certificate", key: `${key}\n`, certificate: `${certificate}\n` };
}

/** Closes the controller. */
async function askProvider(context: CliContext, controller: Controller): Promise<Credential> {
  const { loginWithDevice } = await import("../access/oidc.ts");
  const signal = context.interruption();
  try {
    const { oidc } = await controller.unary(controller.access, controller.access.getLoginMethods, {});
    if (oidc === undefined) throw badInput(`the controller at ${controller.address.target} trusts no OpenID provider; log in with a token`);
    const show = ({ url, code }: DeviceCode): Promise<void> => writeLines(context.stderr, [`open ${url}`, `and confirm the code ${context.colors.bold(code)}`]);
    return await loginWithDevice(oidc, show, signal, () => context.clock.now());
  } catch (error) {
    if (signal.aborted) throw interrupted(signal, "not logged in");
    throw error;
  } finally {
    controller.close();
  }
}

async function logOut(context: CliContext, wanted: string | undefined, { output }: GlobalOptions): Promise<void> {
  const { readCurrentLogin, removeLogin } = await import("../access/logins.ts");
  const address = wanted === undefined ? readCurrentLogin(context.env)?.address : checkedHostPort(wanted, "logout");
  if (address === undefined) throw new CliError("not logged in to any controller", { code: "not_found", exit: EXIT.notFound });
  if (!removeLogin(context.env, address)) throw new CliError(`not logged in to ${address}`, { code: "not_found", exit: EXIT.notFound });
  if (output === "json") return printDocument(context, { address, removed: true });
  await writeLines(context.stdout, [`logged out of ${address}`]);
}

function ask(controller: Controller): Promise<WhoAmIResponse> {
  return controller.unary(controller.access, controller.access.whoAmI, {});
}

async function show(context: CliContext, caller: WhoAmIResponse, address: string, { output }: GlobalOptions): Promise<void> {
  if (output === "json") return printDocument(context, callerJson(caller, address));
  await writeLines(context.stdout, callerLines(caller, address, viewOptions(context)));
}
