/**
 * What a workload and an exec probe see of the agent's environment: enough to find programs, and nothing that may be a secret.
 */

const PASSED_ON = ["PATH", "HOME", "LANG", "USER"] as const;
const FALLBACK_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/** From the agent's own environment. PATH is the agent's, so that `node` is the same program for both. */
export function minimalEnvironment(environment: Readonly<Record<string, string | undefined>>): Readonly<Record<string, string>> {
  const minimal: Record<string, string> = { PATH: FALLBACK_PATH };
  for (const name of PASSED_ON) {
    const value = environment[name];
    if (value !== undefined && value !== "") minimal[name] = value;
  }
  return minimal;
}
