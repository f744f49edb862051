/**
 * Releases, a line each, and what differs between two of them, as git writes differences. Pure.
 */
import type { DiffReleasesRequest, DiffReleasesResponse, FieldDifference, FileDifference, ReleaseRecord } from "@muster/proto/gen/muster/v1/history.ts";
import { counted, firstAndMore } from "@muster/proto/text.ts";
import type { Colors } from "../context.ts";
import { fileChange } from "../output/history-json.ts";
import { shortDigest } from "./list-view.ts";
import { size } from "./sizes.ts";
import { table } from "./table.ts";
import { padEnd, plain, truncate, width, wrap } from "./text.ts";
import { ago } from "./time.ts";
import type { ViewOptions } from "./view-options.ts";

/** More of them are read with list. */
const DEPLOYMENTS_SHOWN_MAX = 3;

export function releaseTable(releases: readonly ReleaseRecord[], { colors, columns, now }: ViewOptions): readonly string[] {
  const rows = releases.map(({ release, createdAt, machines, healthy, deploymentIds, hasFiles }) => [
    { text: plain(`${release?.app ?? ""}@${release?.version ?? ""}`) },
    { text: ago(createdAt, now), paint: colors.dim },
    { text: machines === 0 ? "-" : healthy === machines ? String(machines) : `${healthy}/${machines} healthy`, paint: machines === 0 ? colors.dim : healthy === machines ? colors.green : colors.red },
    { text: deploymentsText(deploymentIds) },
    { text: hasFiles ? "kept" : "removed", paint: hasFiles ? String : colors.dim },
    { text: shortDigest(release?.artifact ?? ""), paint: colors.dim },
  ]);
  const titles = [
    { title: "RELEASE" },
    { title: "CREATED" },
    { title: "MACHINES", align: "right" as const },
    { title: "DEPLOYMENTS" },
    { title: "FILES", isSpare: true },
    { title: "ARTIFACT", isSpare: true },
  ];
  return table(titles, rows, columns, colors.dim);
}

function deploymentsText(ids: readonly string[]): string {
  return firstAndMore(ids, DEPLOYMENTS_SHOWN_MAX);
}

export function differenceView({ app, fromVersion, toVersion }: DiffReleasesRequest, difference: DiffReleasesResponse, options: ViewOptions): readonly string[] {
  const { colors, columns } = options;
  const { fields, files, unchangedFiles, filesUnknown } = difference;
  const header = [colors.bold(`--- ${plain(`${app}@${fromVersion}`)}`), colors.bold(`+++ ${plain(`${app}@${toVersion}`)}`)];
  const unknown = filesUnknown === "" ? [] : ["", ...wrap(`files: ${plain(filesUnknown)}`, columns).map((line) => colors.yellow(line))];
  const same = unchangedFiles === 0 ? [] : [colors.dim(`  ${counted(unchangedFiles, "file")} unchanged`)];
  const fileLines = files.length === 0 ? [] : ["", colors.cyan("@@ files @@"), ...differingFiles(files, options)];
  if (fields.length + files.length === 0 && filesUnknown === "") return [...header, "", "nothing differs", ...same];
  return [...header, ...fields.flatMap((field) => fieldLines(field, options)), ...fileLines, ...same, ...unknown];
}

function fieldLines({ path, before, after }: FieldDifference, { colors, columns }: ViewOptions): readonly string[] {
  return [
    "",
    colors.cyan(truncate(`@@ ${plain(path)} @@`, columns)),
    ...signed("-", before, columns, colors.red),
    ...signed("+", after, columns, colors.green),
  ];
}

/** Nothing for a setting that is not there. A value may have several lines. */
function signed(sign: string, value: string, columns: number, paint: (text: string) => string): readonly string[] {
  if (value === "") return [];
  return value.split("\n").map((line) => paint(truncate(`${sign} ${plain(line)}`, columns)));
}

function differingFiles(files: readonly FileDifference[], { colors, columns }: ViewOptions): readonly string[] {
  const longest = Math.max(...files.map(({ path }) => width(plain(path))));
  const room = Math.max(8, Math.min(longest, columns - 26));
  return files.map((file) => {
    const { sign, paint, sizes } = fileLook(file, colors);
    return paint(`${sign} ${padEnd(truncate(plain(file.path), room), room)}  ${sizes}`);
  });
}

function fileLook(file: FileDifference, colors: Colors): { readonly sign: string; readonly paint: (text: string) => string; readonly sizes: string } {
  const { beforeBytes = 0, afterBytes = 0 } = file;
  switch (fileChange(file)) {
    case "added":
      return { sign: "+", paint: colors.green, sizes: size(afterBytes) };
    case "removed":
      return { sign: "-", paint: colors.red, sizes: size(beforeBytes) };
    case "mode":
      return { sign: "~", paint: colors.yellow, sizes: "mode only" };
    case "changed":
      return { sign: "~", paint: colors.yellow, sizes: `${size(beforeBytes)} → ${size(afterBytes)}` };
  }
}
