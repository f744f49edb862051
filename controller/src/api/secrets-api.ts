/**
 * SecretsService: values come in, names and versions go out. Nothing here gives a value away, and none is ever part of a message for people or of a log.
 */
import type { Secret, SecretsServiceServer } from "@muster/proto/gen/muster/v1/secrets.ts";
import { isSecretName, NAME_RULE } from "@muster/proto/ids.ts";
import { firstAndMore } from "@muster/proto/text.ts";
import type { Logger } from "pino";
import { globsOf, isGlob } from "../access/app-globs.ts";
import { namedVersions, type NeedingRelease, needingReleases } from "../engine/secrets.ts";
import { conflict } from "../engine/refusal.ts";
import { invalid, missing, unary, valueOf } from "../grpc/answer.ts";
import type { Journal } from "../journal/journal.ts";
import { type KnownSecret, SECRETS_MAX, type SecretStore, VALUE_BYTES_MAX } from "../secrets/secret-store.ts";
import { byOf } from "./order.ts";

export interface SecretsApiOptions {
  readonly journal: Journal;
  readonly store: SecretStore;
  readonly now: () => number;
  readonly logger: Logger;
}

/** A message names no more than this. */
const RELEASES_SHOWN_MAX = 5;
const GLOBS_MAX = 32;

export function secretsApi({ journal: { db }, store, now, logger }: SecretsApiOptions): SecretsServiceServer {
  return {
    setSecret: unary(logger, (request, caller) => {
      const { name, value, apps } = request;
      if (!isSecretName(name)) throw invalid(`"${name.slice(0, 80)}" is not a secret's name: ${NAME_RULE}`);
      if (value.byteLength === 0) throw invalid(`the value of ${name} is empty`);
      if (value.byteLength > VALUE_BYTES_MAX) throw invalid(`the value of ${name} has ${value.byteLength} bytes; at most ${VALUE_BYTES_MAX} are allowed`);
      if (apps !== "" && !areApps(apps)) throw invalid(`"${apps.slice(0, 80)}" are not apps: names of apps, with * for any characters, separated by commas; at most ${GLOBS_MAX}`);
      const version = store.set({ name, value, apps: apps === "" ? undefined : apps, by: byOf(request, caller), at: now() });
      if (version === undefined) throw invalid(`there are ${SECRETS_MAX} secrets, and no more are kept; remove some with: muster secret rm`);
      store.keepOnly(name, namedVersions(db, name));
      logger.info({ secret: name, version }, "secret set");
      return { secret: viewOf(store.get(name)!, needingReleases(db, name)) };
    }),

    listSecrets: unary(logger, () => {
      const needing = Map.groupBy(needingReleases(db, null), ({ name }) => name);
      return { secrets: store.list().map((secret) => viewOf(secret, needing.get(secret.name) ?? [])) };
    }),

    removeSecret: unary(logger, (request, caller) => {
      const { name, force } = request;
      byOf(request, caller);
      if (store.newest(name) === undefined) throw missing(`there is no secret ${name.slice(0, 80)}`);
      const neededBy = needingReleases(db, name).map(({ release }) => release);
      if (neededBy.length > 0 && !force) {
        valueOf(conflict(`${name} is needed by ${firstAndMore(neededBy, RELEASES_SHOWN_MAX)}: deploy without it first; --force removes it all the same, and no further machine gets those releases`));
      }
      store.remove(name);
      logger.info({ secret: name }, "secret removed");
      return { neededBy };
    }),
  };
}

function areApps(text: string): boolean {
  const globs = globsOf(text);
  return globs.length > 0 && globs.length <= GLOBS_MAX && globs.every(isGlob);
}

function viewOf({ name, apps, versions }: KnownSecret, needing: readonly NeedingRelease[]): Secret {
  return {
    name,
    apps,
    versions: versions.map((version) => ({ ...version, neededBy: needing.filter((each) => each.version === version.version).map(({ release }) => release) })),
  };
}
