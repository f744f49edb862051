/**
 * `muster artifact push PATH` and `muster artifact list`
 */
import { resolve } from "node:path";
import type { Command } from "commander";
import { withController } from "../client/session.ts";
import { writeLines, type CliContext } from "../context.ts";
import { interrupted } from "../errors.ts";
import { artifactJson, pushedJson } from "../output/artifact-json.ts";
import { printDocument } from "../output/json.ts";
import type { GlobalOptions } from "../usage.ts";
import { artifactTable } from "../render/list-view.ts";
import { viewOptions, withExamples } from "./options.ts";
import { publishArtifact, pushedLine } from "./publish-artifact.ts";

export function registerArtifact(program: Command, context: CliContext): void {
  const artifact = program.command("artifact").summary("send and list artifacts").description("Sends and lists artifacts: the files of releases.");
  const push = artifact
    .command("push")
    .summary("pack a directory or an archive and send it")
    .description("Packs a directory or an archive and sends it, unless the controller has it. deploy does this by itself.")
    .argument("<path>", "a directory, .tar, .tar.gz, .tgz or .zip")
    .action(async (path: string, _options: unknown, self: Command) => {
      await pushPath(context, path, self.optsWithGlobals<GlobalOptions>());
    });
  const list = artifact
    .command("list")
    .summary("list what the controller has, newest first")
    .description("Lists the artifacts that the controller has, newest first.")
    .action(async (_options: unknown, self: Command) => {
      await listArtifacts(context, self.optsWithGlobals<GlobalOptions>());
    });
  withExamples(push, [["muster artifact push ./dist", "the same files again send nothing"]]);
  withExamples(list, [["muster artifact list -o json", "with whole digests"]]);
}

async function pushPath(context: CliContext, path: string, options: GlobalOptions): Promise<void> {
  const signal = context.interruption();
  const pushed = await withController(context, options, (controller) =>
    publishArtifact(context, controller, resolve(context.cwd, path), options.output),
  ).catch((error: unknown) => {
    throw signal.aborted ? interrupted(signal, "interrupted; nothing was stored") : error;
  });
  if (options.output === "json") return printDocument(context, pushedJson(pushed));
  await writeLines(context.stdout, [pushedLine(pushed)]);
}

async function listArtifacts(context: CliContext, options: GlobalOptions): Promise<void> {
  const { artifacts } = await withController(context, options, (controller) =>
    controller.unary(controller.artifacts, controller.artifacts.listArtifacts, {}),
  );
  if (options.output === "json") return printDocument(context, artifacts.map(artifactJson));
  const lines = artifactTable(artifacts, viewOptions(context));
  await writeLines(context.stdout, lines.length > 0 ? lines : ["no artifacts"]);
}
