/**
 * `${…}` in commands, environment and probes: every name must be one that the agent can fill in, and what the probes come to must be a URL or an address.
 */
import type { Fault } from "@muster/proto/gen/muster/v1/deployments.ts";
import { checkTemplate } from "@muster/proto/template.ts";
import type { TemplateFault } from "@muster/proto/template.ts";
import { shown } from "./explain.ts";
import { faultAt } from "./schema-faults.ts";
import { suggest } from "./suggest.ts";
import type { Path, YamlTree } from "./yaml-tree.ts";

export interface TemplatedText {
  readonly path: Path;
  readonly text: string;
  /** `url` and `address` for what passes the schema as such. */
  readonly kind: "text" | "url" | "address";
}

export function templateFaults(texts: readonly TemplatedText[], ports: readonly string[], tree: YamlTree): readonly Fault[] {
  return texts.flatMap(({ path, text, kind }) => {
    const faults = checkTemplate(text, { ports });
    if (faults.length > 0) return faults.map((fault) => faultAt(tree.places.inText(path, fault.offset), path, explainTemplate(fault, ports)));
    const message = kind === "url" ? explainUrl(text) : kind === "address" ? explainAddress(text) : undefined;
    return message === undefined ? [] : [faultAt(tree.places.ofValue(path), path, message)];
  });
}

function explainTemplate(fault: TemplateFault, ports: readonly string[]): string {
  if (fault.kind === "unclosed") return '"${" has no "}"; write "$${" for a plain "${"';
  const { name, allowed } = fault;
  const port = /^ports\.([a-z0-9][a-z0-9_-]*)$/.exec(name)?.[1];
  const meant = port === undefined ? suggest(name, allowed.filter((word) => word !== ANY_LABEL)) : suggest(port, ports);
  if (meant !== undefined) return `unknown name ${shown(name)}; did you mean "${port === undefined ? meant : `ports.${meant}`}"? (allowed: ${allowed.join(", ")})`;
  if (port === undefined) return `unknown name ${shown(name)} (allowed: ${allowed.join(", ")}; write "$\${${name}}" for a plain "\${${name}}")`;
  return `${shown(port)} is not in run.ports, which has ${ports.length === 0 ? "no ports" : ports.join(", ")}: add ports: { ${port}: auto } to run`;
}

/** How `checkTemplate` writes that any label will do. */
const ANY_LABEL = "labels.NAME";

/** A text as it may look on a machine. Only for texts whose names are known. */
function sampled(text: string): string {
  return text.replaceAll("$${", "{").replaceAll(/\$\{([^}]*)\}/g, (_, name: string) => (name.startsWith("ports.") ? "8080" : "sample"));
}

function explainUrl(text: string): string | undefined {
  const sample = sampled(text);
  if (/\s/.test(sample) || !URL.canParse(sample)) return `${shown(text)} is not a URL, for example http://127.0.0.1:8080/healthz`;
  const { username, password } = new URL(sample);
  return username === "" && password === "" ? undefined : "a user name or password in the URL: probes send none, use exec with a command of your own";
}

const ADDRESS = /^(?:\[[0-9A-Fa-f:.]+\]|[^\s:/[\]]+):([0-9]{1,5})$/;

function explainAddress(text: string): string | undefined {
  const sample = sampled(text);
  const port = Number(ADDRESS.exec(sample)?.[1]);
  return port >= 1 && port <= 65_535 ? undefined : `${shown(text)} is not an address: write host:port, for example 127.0.0.1:5432 or [::1]:5432`;
}
