/**
 * A trust root for people: who may sign what, who may change it, and who has signed it. Pure.
 */
import { quorumText } from "@muster/proto/trust/root-chain.ts";
import type { TrustRoot } from "@muster/proto/trust/root.ts";
import type { Signing } from "../signing/trust-draft.ts";
import { table } from "./table.ts";
import { ahead, dateAndTime } from "./time.ts";
import type { ViewOptions } from "./view-options.ts";

export function trustRootView(root: TrustRoot, signing: readonly Signing[], options: ViewOptions): readonly string[] {
  const { colors, now } = options;
  const expiry = root.expiresAt > now ? `good until ${dateAndTime(root.expiresAt)} (${ahead(root.expiresAt, now)})` : colors.red(`expired on ${dateAndTime(root.expiresAt)}`);
  return [
    `${colors.bold(`trust root ${root.version}`)}  ${expiry}`,
    `  changed by ${quorumText(root.root)}`,
    ...signing.map((each) => `  ${signingText(each, root.version)}`),
    ...(root.apps.size === 0 ? ["  no app needs a signature; ask for one with: muster trust app"] : ["", ...appTable(root, options)]),
  ];
}

/** `as version 2 needs: 1 of 2 signed (anna); ben or cleo can` */
function signingText({ version, threshold, signed, missing }: Signing, of: number): string {
  const whose = version === of ? "its own keys" : `the keys of version ${version}`;
  const who = signed.length === 0 ? "" : ` (${signed.join(", ")})`;
  if (signed.length >= threshold) return `signed by ${whose}: ${signed.length} of ${threshold}${who}`;
  return `to be signed by ${whose}: ${signed.length} of ${threshold}${who}; wanted ${missing.join(" or ")}`;
}

function appTable({ apps }: TrustRoot, { colors, columns }: ViewOptions): readonly string[] {
  const rows = [...apps].map(([pattern, rule]) => [
    { text: pattern },
    rule.threshold === 0 ? { text: "no signature", paint: colors.yellow } : { text: quorumText(rule) },
    { text: rule.floor ?? "" },
  ]);
  return table([{ title: "APPS", isFixed: true }, { title: "NEEDS" }, { title: "FLOOR" }], rows, columns, colors.dim);
}
