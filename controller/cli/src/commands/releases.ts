/**
 * `muster releases [APP]` and `muster diff APP@V1 APP@V2`
 */
import type { DiffReleasesRequest } from "@muster/proto/gen/muster/v1/history.ts";
import type { Command } from "commander";
import { LARGE_READ_DEADLINE_MS } from "../client/controller.ts";
import { withController } from "../client/session.ts";
import { writeLines, type CliContext } from "../context.ts";
import { badInput } from "../errors.ts";
import { differenceJson, releaseJson } from "../output/history-json.ts";
import { printDocument } from "../output/json.ts";
import { differenceView, releaseTable } from "../render/release-view.ts";
import type { GlobalOptions } from "../usage.ts";
import { viewOptions, wholeNumber, withExamples } from "./options.ts";

interface ReleasesOptions extends GlobalOptions {
  readonly limit: number;
}

const LIMIT_DEFAULT = 50;
/** The most that the controller gives. */
const LIMIT_MAX = 1000;
/** Two manifests of up to 16 MiB are read. */
const DIFF_DEADLINE_MS = 30_000;

export function registerReleases(program: Command, context: CliContext): void {
  const releases = program
    .command("releases")
    .summary("list releases, newest first, and where they run")
    .description("Lists releases, newest first: where they run, which deployments brought them, and whether their files are kept.")
    .argument("[app]", "only of this app")
    .option("--limit <count>", "at most so many", wholeNumber(1, LIMIT_MAX), LIMIT_DEFAULT)
    .action(async (app: string | undefined, _options: unknown, self: Command) => {
      await listReleases(context, app ?? "", self.optsWithGlobals<ReleasesOptions>());
    });
  withExamples(releases, [["muster releases shop-web", "what could be rolled back to"]]);
  const diff = program
    .command("diff")
    .summary("show what differs between two releases")
    .description("Shows what differs between two releases: how they are run, and their files. Exit code 0 also when something does.")
    .argument("<release>", "APP@VERSION; or APP, and both versions after it")
    .argument("<release>", "APP@VERSION of the same app; or a version")
    .argument("[version]", "the second version, when the app stands alone")
    .action(async (first: string, second: string, third: string | undefined, _options: unknown, self: Command) => {
      await diffReleases(context, wanted(first, second, third), self.optsWithGlobals<GlobalOptions>());
    });
  withExamples(diff, [
    ["muster diff shop-web@1.4.1 shop-web@1.4.2", "what 1.4.2 changes"],
    ["muster diff shop-web 1.4.1 1.4.2", "the same"],
  ]);
}

async function listReleases(context: CliContext, app: string, options: ReleasesOptions): Promise<void> {
  const { releases } = await withController(context, options, (controller) =>
    controller.unary(controller.history, controller.history.listReleases, { app, limit: options.limit }, { deadlineMs: LARGE_READ_DEADLINE_MS }),
  );
  if (options.output === "json") return printDocument(context, releases.map(releaseJson));
  const lines = releaseTable(releases, viewOptions(context));
  await writeLines(context.stdout, lines.length > 0 ? lines : [`no releases${app === "" ? "" : ` of ${app}`}; make one with: muster deploy -f muster.yaml`]);
}

async function diffReleases(context: CliContext, request: DiffReleasesRequest, options: GlobalOptions): Promise<void> {
  const difference = await withController(context, options, (controller) =>
    controller.unary(controller.history, controller.history.diffReleases, request, { deadlineMs: DIFF_DEADLINE_MS }),
  );
  if (options.output === "json") return printDocument(context, differenceJson(request, difference));
  await writeLines(context.stdout, differenceView(request, difference, viewOptions(context)));
}

const WAYS = "try shop-web@1.4.1 shop-web@1.4.2, or shop-web 1.4.1 1.4.2";

/** `shop@1 shop@2`, `shop@1 2` and `shop 1 2` mean the same. */
function wanted(first: string, second: string, third: string | undefined): DiffReleasesRequest {
  if (third !== undefined) {
    const odd = [first, second, third].find((word) => word.includes("@"));
    if (odd !== undefined) throw badInput(`diff: ${odd} names a whole release, and then there are but two of them; ${WAYS}`);
    return { app: first, fromVersion: second, toVersion: third };
  }
  const from = parts(first);
  const to = second.includes("@") ? parts(second) : { app: from.app, version: second };
  if (from.app !== to.app) throw badInput(`diff: ${first} and ${second} are releases of two apps; compare two versions of one: ${WAYS}`);
  return { app: from.app, fromVersion: from.version, toVersion: to.version };
}

function parts(release: string): { readonly app: string; readonly version: string } {
  const [, app, version] = /^([^@]+)@(.+)$/.exec(release) ?? [];
  if (app !== undefined && version !== undefined) return { app, version };
  throw badInput(`diff: ${JSON.stringify(release)} is not APP@VERSION; ${WAYS}`);
}
