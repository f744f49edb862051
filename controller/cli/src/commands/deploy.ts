/**
 * `muster deploy -f FILE [--watch]`: check → pack → push → submit → watch. Nothing is deployed before `submit`; from then on the
 * deployment goes on without us.
 */
import { resolve } from "node:path";
import type { CheckResponse, Deployment, SubmitResponse } from "@muster/proto/gen/muster/v1/deployments.ts";
import { counted } from "@muster/proto/text.ts";
import type { Command } from "commander";
import type { Controller } from "../client/controller.ts";
import { withController } from "../client/session.ts";
import { terminalColumns, writeLines, type CliContext } from "../context.ts";
import { CliError, EXIT, interrupted } from "../errors.ts";
import { submittedJson } from "../output/deployment-json.ts";
import { printDocument } from "../output/json.ts";
import { afterSubmission } from "../render/next-commands.ts";
import { plain, wrapLines } from "../render/text.ts";
import { faulty, readDeploymentFile, type DeploymentFile } from "./deployment-file.ts";
import { followRollout, type FollowOptions } from "./follow-rollout.ts";
import { withExamples, withWatching, type WatchOptions } from "./options.ts";
import { publishArtifact, pushedLine } from "./publish-artifact.ts";
import { prepareSigning, type Signing } from "./deploy-signing.ts";

interface DeployOptions extends FollowOptions, WatchOptions {
  readonly file: string;
  readonly signKey?: string;
  readonly passphraseFile?: string;
  /** Files of `release sign`. */
  readonly signature: readonly string[];
}

interface Submitted {
  readonly deployment: Deployment;
  readonly notes: readonly string[];
}

/** Planning a large fleet takes longer than a look-up. */
const SUBMIT_DEADLINE_MS = 60_000;

export function registerDeploy(program: Command, context: CliContext): void {
  const command = program
    .command("deploy")
    .summary("submit a deployment file")
    .description(
      "Submits a deployment file: checks it, packs and sends its artifact unless the controller has it, and starts the rollout. " +
        "Without --watch it returns at once, and the rollout goes on by itself.",
    )
    .requiredOption("-f, --file <file>", "the deployment file; - reads stdin, and then the artifact is relative to the current folder")
    .option("--sign-key <file>", "sign the release with this key; what is signed is read and packed here")
    .option("--passphrase-file <file>", "the passphrase of that key; else it is asked for at the terminal")
    .option("--signature <file>", "a signature of muster release sign; may be given again", (file: string, files: readonly string[]) => [...files, file], [])
    .option("--watch", "go on as watch does; exit code 0 when it succeeded, 1 when it failed or was taken back, 5 and 6 when that is not so, or not known, of every machine, 7 when it is paused and no terminal is there")
    .action(async (_options: unknown, self: Command) => {
      const options = self.optsWithGlobals<DeployOptions>();
      const submitted = await submitFile(context, options);
      const { id } = submitted.deployment;
      const isJsonStream = options.output === "json" && options.watch === true;
      if (!isJsonStream) await show(context, submitted, options);
      if (options.watch === true) await followRollout(context, id, { goal: "succeeded", untilSettled: false }, options);
    });
  withExamples(withWatching(command), [
    ["muster deploy -f muster.yaml", "submit and return"],
    ["muster deploy -f muster.yaml --watch", "see it happen; the exit code says how it ended"],
    ["muster deploy -f muster.yaml --sign-key ci.key", "for apps whose trust root asks for a signature"],
    ["muster deploy -f - -o json < muster.yaml", "prints {id, app, version, …}"],
  ]);
}

async function submitFile(context: CliContext, options: DeployOptions): Promise<Submitted> {
  const signal = context.interruption();
  const file = await readDeploymentFile(context, options.file);
  const signing = await prepareSigning(context, file, options);
  return withController(context, options, async (controller) => {
    const artifact = await prepare(context, controller, file, options, signing).catch((error: unknown) => {
      throw signal.aborted ? interrupted(signal, "interrupted; nothing was deployed") : error;
    });
    if (signal.aborted) throw interrupted(signal, "interrupted; nothing was deployed");
    return submit(controller, file, { artifact, signed: signing?.signed(artifact) ?? "", by: context.user() });
  });
}

/** The digest of the artifact, which the controller has afterwards. */
async function prepare(context: CliContext, controller: Controller, file: DeploymentFile, options: DeployOptions, signing: Signing | undefined): Promise<string> {
  const signal = context.interruption();
  const asks = { signal, signed: signing !== undefined };
  const checked = await check(controller, file, asks);
  // Whoever signs believes nobody in what is signed.
  const artifactPath = signing?.artifactPath ?? checked.artifactPath;
  const mayBeSent = (digest: string): Promise<unknown> => check(controller, file, { ...asks, artifact: digest });
  const pushed = await publishArtifact(context, controller, resolve(file.folder, artifactPath), options.output, mayBeSent).catch((error: unknown) => {
    throw isOfArtifact(error) ? named(file, error) : error;
  });
  if (options.output === "text") await writeLines(context.stdout, [pushedLine(pushed)]);
  return pushed.digest;
}

function isOfArtifact(error: unknown): error is CliError {
  return error instanceof CliError && error.code.startsWith("artifact_");
}

/** The path alone would not tell who asked for it. */
function named(file: DeploymentFile, { message, code, exit, cause }: CliError): CliError {
  return new CliError(`${file.name} artifact: ${message}; nothing was deployed`, { code, exit, cause });
}

interface Asked {
  readonly signal: AbortSignal;
  /** It will be. */
  readonly signed: boolean;
  readonly artifact?: string;
}

async function check(controller: Controller, file: DeploymentFile, { signal, signed, artifact = "" }: Asked): Promise<CheckResponse> {
  const { deployments } = controller;
  const request = { fileName: file.name, content: file.content, artifact, signed };
  const checked = await controller.unary(deployments, deployments.check, request, { signal });
  if (checked.faults.length > 0) throw faulty(file, checked.faults, "nothing was deployed");
  return checked;
}

/** Once begun, it is not interrupted: nobody could say whether it was done. */
async function submit(controller: Controller, file: DeploymentFile, made: { readonly artifact: string; readonly signed: string; readonly by: string }): Promise<Submitted> {
  const { deployments } = controller;
  const request = { fileName: file.name, content: file.content, ...made };
  const answer: SubmitResponse = await controller.unary(deployments, deployments.submit, request, { deadlineMs: SUBMIT_DEADLINE_MS });
  if (answer.faults.length > 0) throw faulty(file, answer.faults, "nothing was deployed");
  if (answer.deployment === undefined) {
    throw new CliError("the controller answered without a deployment", { code: "internal", exit: EXIT.failed });
  }
  return { deployment: answer.deployment, notes: answer.notes };
}

async function show(context: CliContext, { deployment, notes }: Submitted, { output, watch }: DeployOptions): Promise<void> {
  if (output === "json") return printDocument(context, submittedJson(deployment, notes));
  const next = watch === true ? [] : afterSubmission(deployment, context.colors, { columns: terminalColumns(context.stdout) });
  // What it waits for stands in the summary.
  const news = notes.filter((note) => note !== `waits for ${deployment.waitingOn}`);
  await writeLines(context.stdout, [summary(deployment, context), ...wrapLines(news.map((note) => `  note: ${plain(note)}`), terminalColumns(context.stdout), "      "), ...next]);
}

/** `d-7  shop-web 1.4.2  →  20 machines in 3 waves`; a deployment that waits for another has no waves yet. */
function summary({ id, app, version, waves, waitingOn }: Deployment, { colors }: CliContext): string {
  const machineCount = waves.reduce((sum, wave) => sum + wave.size, 0);
  const plan = `${counted(machineCount, "machine")} in ${counted(waves.length, "wave")}`;
  const waiting = waitingOn === "" ? "nothing to change" : `waiting on ${plain(waitingOn)}`;
  return `${colors.bold(id)}  ${app} ${version}  →  ${waves.length > 0 ? plan : waiting}`;
}
