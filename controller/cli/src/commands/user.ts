/**
 * `muster user create NAME`, `muster user list`, `muster user set NAME` and `muster user remove NAME`
 */
import { rmSync, writeFileSync } from "node:fs";
import { resolve } from "node:path";
import { Role, type CreateUserResponse, type User } from "@muster/proto/gen/muster/v1/access.ts";
import { type Command, Option } from "commander";
import { withController } from "../client/session.ts";
import { write, writeLines, type CliContext } from "../context.ts";
import { badInput, CliError, EXIT } from "../errors.ts";
import { userJson } from "../output/access-json.ts";
import { printDocument } from "../output/json.ts";
import { userLine, userTable } from "../render/access-view.ts";
import { dateAndTime } from "../render/time.ts";
import type { GlobalOptions } from "../usage.ts";
import { parseDurationOption, viewOptions, withExamples } from "./options.ts";

const ROLES = { viewer: Role.VIEWER, deployer: Role.DEPLOYER, admin: Role.ADMIN } as const;
const TTL_DEFAULT = "90d";
const APPS_HELP = "only these apps: names and patterns such as shop-*,web; empty for all";
const TARGETS_HELP = "only these machines: a selector such as env=staging; empty for all";

interface Rights {
  readonly apps?: string;
  readonly targets?: string;
}

interface CreateOptions extends GlobalOptions, Rights {
  readonly role: keyof typeof ROLES;
  readonly ttl: number;
  readonly certificate?: string;
}

interface SetOptions extends GlobalOptions, Rights {
  readonly role?: keyof typeof ROLES;
  readonly disable?: boolean;
  readonly enable?: boolean;
}

export function registerUser(program: Command, context: CliContext): void {
  const user = program
    .command("user")
    .summary("say who may use the controller from elsewhere")
    .description("Says who may use the controller from elsewhere, and for what. On the controller's own machine nobody needs to be a user.");
  const create = user
    .command("create")
    .summary("make a user, with a token or a certificate")
    .description("Makes a user. The token is shown once; with --certificate a key is made here, and its certificate takes the token's place.")
    .argument("<name>", "1 to 63 of a-z, 0-9 and . _ @ -")
    .addOption(new Option("--role <role>", "viewers look, deployers deploy and steer, admins do everything").choices(Object.keys(ROLES)).makeOptionMandatory())
    .option("--apps <patterns>", APPS_HELP)
    .option("--targets <selector>", TARGETS_HELP)
    .addOption(new Option("--ttl <duration>", "how long it holds, at most a year").argParser(parseDurationOption).default(parseDurationOption(TTL_DEFAULT), TTL_DEFAULT))
    .option("--certificate <file>", "where the key and its certificate are written, instead of a token")
    .action(async (name: string, _options: unknown, self: Command) => {
      await createUser(context, name, self.optsWithGlobals<CreateOptions>());
    });
  withExamples(create, [
    ["muster user create anna --role deployer --apps 'shop-*' --targets env=staging", "deploys the shop, to staging"],
    ["muster user create ci --role deployer --ttl 30d", "for a pipeline"],
    ["muster user create bo --role admin --certificate bo.pem", "a client certificate"],
  ]);
  const list = user
    .command("list")
    .summary("list the users")
    .description("Lists the users, what they may do, and when they were last here.")
    .action(async (_options: unknown, self: Command) => {
      await listUsers(context, self.optsWithGlobals<GlobalOptions>());
    });
  withExamples(list, [["muster user list -o json", "for a program"]]);
  const set = user
    .command("set")
    .summary("change what a user may do")
    .description("Changes what a user may do, from now on. What they have open ends.")
    .argument("<name>", "see: muster user list")
    .addOption(new Option("--role <role>", "another role").choices(Object.keys(ROLES)))
    .option("--apps <patterns>", APPS_HELP)
    .option("--targets <selector>", TARGETS_HELP)
    .option("--disable", "the credential counts for nothing until it is enabled again")
    .addOption(new Option("--enable", "it counts again").conflicts("disable"))
    .action(async (name: string, _options: unknown, self: Command) => {
      await setUser(context, name, self.optsWithGlobals<SetOptions>());
    });
  withExamples(set, [
    ["muster user set anna --role admin --apps '' --targets ''", "everything, everywhere"],
    ["muster user set ci --disable", "shut out for now"],
  ]);
  const remove = user
    .command("remove")
    .alias("rm")
    .summary("remove a user")
    .description("Removes a user. The credential counts for nothing at once, and what is open with it ends.")
    .argument("<name>", "see: muster user list")
    .action(async (name: string, _options: unknown, self: Command) => {
      await removeUser(context, name, self.optsWithGlobals<GlobalOptions>());
    });
  withExamples(remove, [["muster user remove anna", "whoever holds the token is out"]]);
}

async function createUser(context: CliContext, name: string, options: CreateOptions): Promise<void> {
  const { role, apps = "", targets = "", ttl, certificate: file } = options;
  const { requestCertificate } = await import("../access/certificate-request.ts");
  const own = file === undefined ? undefined : { ...requestCertificate(), path: resolve(context.cwd, file), file };
  // Before there is a user: a file that is in the way must not cost a certificate.
  if (own !== undefined) writeNew(own.path, own.key, own.file);
  const request = { name, role: ROLES[role], apps, targets, ttlMs: ttl, certificateRequest: own?.request ?? Buffer.alloc(0), by: context.user() };
  const created = await withController(context, options, (controller) => controller.unary(controller.access, controller.access.createUser, request)).catch((error: unknown) => {
    if (own !== undefined) rmSync(own.path);
    throw error;
  });
  const user = given(created);
  if (own !== undefined) {
    const { pemOf } = await import("../access/authority.ts");
    writeFileSync(own.path, `${own.key}${pemOf(created.certificate)}`, { mode: 0o600 });
  }
  const login = loginCommand(created, file);
  if (options.output === "json") {
    return printDocument(context, { ...userJson(user), token: own === undefined ? created.token : null, certificate: file ?? null, pin: created.pin, login });
  }
  const ends = dateAndTime(user.expiresAt);
  // What comes out of a pipe is the token and nothing else.
  await write(context.stdout, `${own === undefined ? created.token : own.file}\n`);
  await writeLines(context.stderr, [
    `${userLine(user, viewOptions(context))}  until ${ends}`,
    own === undefined ? "the token is shown this once. On their machine:" : "the file holds the key and its certificate. On their machine:",
    `  ${login}`,
  ]);
}

function writeNew(path: string, text: string, shown: string): void {
  try {
    writeFileSync(path, text, { mode: 0o600, flag: "wx" });
  } catch (error) {
    const isThere = error instanceof Error && "code" in error && error.code === "EEXIST";
    throw badInput(`--certificate: ${shown} ${isThere ? "is there already; name another file" : "can't be written"}`, error);
  }
}

function loginCommand({ address, pin }: CreateUserResponse, file: string | undefined): string {
  return `muster login ${address} --ca sha256:${pin}${file === undefined ? "" : ` --certificate ${file}`}`;
}

async function listUsers(context: CliContext, options: GlobalOptions): Promise<void> {
  const { users } = await withController(context, options, (controller) => controller.unary(controller.access, controller.access.listUsers, {}));
  if (options.output === "json") return printDocument(context, users.map(userJson));
  const lines = userTable(users, viewOptions(context));
  await writeLines(context.stdout, lines.length > 0 ? lines : ["no users; make one with: muster user create NAME --role deployer"]);
}

async function setUser(context: CliContext, name: string, options: SetOptions): Promise<void> {
  const { role, apps, targets, disable, enable } = options;
  const disabled = disable === true ? true : enable === true ? false : undefined;
  if (role === undefined && apps === undefined && targets === undefined && disabled === undefined) {
    throw badInput("nothing to change; give --role, --apps, --targets, --disable or --enable");
  }
  const request = { name, role: role === undefined ? Role.UNSPECIFIED : ROLES[role], apps, targets, disabled };
  const user = given(await withController(context, options, (controller) => controller.unary(controller.access, controller.access.setUser, request)));
  if (options.output === "json") return printDocument(context, userJson(user));
  await writeLines(context.stdout, [userLine(user, viewOptions(context))]);
}

async function removeUser(context: CliContext, name: string, options: GlobalOptions): Promise<void> {
  await withController(context, options, (controller) => controller.unary(controller.access, controller.access.removeUser, { name }));
  if (options.output === "json") return printDocument(context, { name, removed: true });
  await writeLines(context.stdout, [`${name} is no user any more`]);
}

function given({ user }: { readonly user?: User | undefined }): User {
  if (user !== undefined) return user;
  throw new CliError("the controller answered without a user", { code: "internal", exit: EXIT.failed });
}
