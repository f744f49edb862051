/**
 * Many things, a line each: deployments and artifacts.
 */
import type { Artifact } from "@muster/proto/gen/muster/v1/artifacts.ts";
import type { Deployment } from "@muster/proto/gen/muster/v1/deployments.ts";
import { hasEnded, phaseWord, wavePhaseWord } from "../output/words.ts";
import { endingText, memberCount, phasePaint, saysMore, tookText } from "./rollout-view.ts";
import { size } from "./sizes.ts";
import { table } from "./table.ts";
import { plain } from "./text.ts";
import { ago } from "./time.ts";
import type { ViewOptions } from "./view-options.ts";

/** Enough to tell artifacts apart by eye; -o json gives the whole. */
const DIGEST_SHOWN = 12;
/** On a narrower terminal the reason needs the room more. */
const TOOK_COLUMNS_MIN = 100;
/** On a narrower one, who is missing stands before the reason, and not in a column that is so wide for all. */
const ENDING_COLUMNS_MIN = 120;

export function deploymentTable(deployments: readonly Deployment[], { colors, columns, now }: ViewOptions): readonly string[] {
  const hasRoom = columns >= TOOK_COLUMNS_MIN;
  const rows = deployments.map((deployment) => {
    const { counts, waves } = deployment;
    const done = waves.filter((wave) => wavePhaseWord(wave.phase) === "done").length;
    const isShort = columns < ENDING_COLUMNS_MIN;
    const why = hasEnded(deployment.phase) ? endText(deployment, isShort) : deployment.waitingOn;
    return [
      { text: deployment.id },
      { text: plain(deployment.app) },
      { text: plain(deployment.version) },
      { text: isShort ? phaseWord(deployment.phase).replaceAll("_", " ") : endingText(deployment), paint: phasePaint(deployment, colors) },
      { text: counts === undefined ? "-" : `${counts.healthy + counts.unchanged}/${memberCount(deployment)}` },
      { text: `${done}/${waves.length}` },
      { text: ago(deployment.submittedAt, now), paint: colors.dim },
      ...(hasRoom ? [{ text: tookText(deployment, now) ?? "-", paint: colors.dim }] : []),
      { text: plain(why ?? "") },
    ];
  });
  const titles = [
    { title: "ID", isFixed: true },
    { title: "APP" },
    { title: "VERSION" },
    { title: "PHASE", isFixed: true },
    { title: "HEALTHY", align: "right" as const },
    { title: "WAVES", align: "right" as const, isSpare: true },
    { title: "SUBMITTED", isSpare: true },
    ...(hasRoom ? [{ title: "TOOK", align: "right" as const, isSpare: true }] : []),
    { title: "WHY", isWide: true },
  ];
  return table(titles, rows, columns, colors.dim);
}

/** Who is missing comes first: it may need somebody. `isShort`: the phase beside it does not say how many. */
function endText(deployment: Deployment, isShort: boolean): string {
  const { now, outcome, phase, reason } = deployment;
  const word = phaseWord(phase);
  const beside = !saysMore(deployment) ? "" : outcome.slice(word.length).replace(/^[,;]? (except )?/, "");
  const nowText = now?.text ?? "";
  const missing = isShort ? endingText(deployment).slice(word.length).replace(/^, /, "") : "";
  // What is said in short already is not said again.
  const details = [beside, missing === "" || beside !== "" ? nowText : "", reason?.message ?? ""];
  const first = missing !== "" && beside === "" ? missing + nowText.replace(/^[^:]*/, "") : missing;
  return [first, ...details].filter((text) => text !== "").join("; ");
}

export function artifactTable(artifacts: readonly Artifact[], { colors, columns, now }: ViewOptions): readonly string[] {
  const rows = artifacts.map((artifact) => [
    { text: shortDigest(artifact.digest) },
    { text: String(artifact.fileCount) },
    { text: size(artifact.sizeBytes) },
    { text: size(artifact.packBytes) },
    { text: ago(artifact.storedAt, now), paint: colors.dim },
    { text: plain(artifact.releases.join(", ")) },
  ]);
  const titles = [
    { title: "DIGEST", isFixed: true },
    { title: "FILES", align: "right" as const },
    { title: "SIZE", align: "right" as const },
    { title: "PACKED", align: "right" as const, isSpare: true },
    { title: "STORED", isSpare: true },
    { title: "RELEASES" },
  ];
  return table(titles, rows, columns, colors.dim);
}

export function shortDigest(digest: string): string {
  return digest.slice(0, DIGEST_SHOWN);
}
