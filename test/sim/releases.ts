/**
 * What releases do to the machines that run them. A release is good, or bad in one of the ways in which releases are: always, sometimes, on some
 * machines, after a while, or just slow. What one start of it comes to is decided when it starts.
 */
import type { Release } from "@muster/proto/gen/muster/v1/release.ts";
import type { Random } from "./random.ts";

type Ailment = "exits" | "never_healthy" | "start_failed" | "corrupt";

/** What a release does to its host: the power goes, it boots again, nothing runs on though its connections stay open, the network is gone. */
export type Affliction = "dies" | "reboots" | "freezes" | "is_cut_off";

export type Character =
  | { readonly kind: "good"; readonly readyMs: number }
  | { readonly kind: "broken"; readonly how: Ailment }
  | { readonly kind: "sometimes"; readonly how: Ailment; readonly chance: number }
  | { readonly kind: "on_some_machines"; readonly how: Ailment; readonly share: number }
  | { readonly kind: "on_machines"; readonly how: Ailment; readonly machines: readonly string[] }
  /** Its first start on `first` goes badly; on `later` it is well for a while, and then it or its host is gone. */
  | { readonly kind: "two_canaries"; readonly first: string; readonly later: string; readonly how: "exits" | "freezes" | "stays"; readonly afterMs: number }
  /** Its first start on each machine goes well, and no other. */
  | { readonly kind: "starts_once" }
  /** `on`: a share of the machines, or these; on all of them when it is absent. */
  | { readonly kind: "after_a_while"; readonly how: "exits" | "turns"; readonly afterMs: number; readonly on?: number | readonly string[] }
  | { readonly kind: "flaps"; readonly everyMs: number }
  /** It takes the host with it, after it was well there. */
  | { readonly kind: "takes_host"; readonly how: Affliction; readonly afterMs: number };

/** How one start goes; times count from it. */
export interface Course {
  readonly startsAtAll: boolean;
  readonly exitsAfterMs: number | undefined;
  readonly afflicts?: { readonly how: Affliction; readonly afterMs: number };
  /** What a probe sees from then on; ordered, the first at 0. */
  readonly health: readonly { readonly fromMs: number; readonly isHealthy: boolean }[];
}

const FLAPS_MAX = 6;

export class Releases {
  /** In the end: what a release did to its host it does no more. */
  isTame = false;
  readonly #random: Random;
  readonly #characters = new Map<string, Character>();
  readonly #releases = new Map<string, Release>();
  readonly #files = new Set<string>();
  readonly #started = new Set<string>();

  constructor(random: Random) {
    this.#random = random;
  }

  /** A process whose ways are known; the same name is the same release again. */
  define(app: string, version: string, character: Character): Release {
    const known = this.#releases.get(`${app}@${version}`);
    if (known !== undefined) return known;
    const driver: Release["driver"] = { $case: "process", value: { command: ["serve"], env: {}, stopTimeoutMs: 1_000 } };
    const release: Release = { app, version, artifact: artifactOf(app, version), driver, ports: {}, health: [], secrets: undefined };
    this.#releases.set(`${app}@${version}`, release);
    this.#characters.set(release.artifact, character);
    return release;
  }

  /** The same name is always the same release. */
  release(app: string, version: string): Release {
    const name = `${app}@${version}`;
    const known = this.#releases.get(name);
    if (known !== undefined) return known;
    const driver: Release["driver"] = this.#random.chance(0.85)
      ? { $case: "process", value: { command: ["serve"], env: {}, stopTimeoutMs: this.#random.pick([0, 1_000, 10_000]) } }
      : { $case: "files", value: {} };
    const release: Release = { app, version, artifact: artifactOf(app, version), driver, ports: {}, health: [], secrets: undefined };
    this.#releases.set(name, release);
    if (driver.$case === "files") this.#files.add(release.artifact);
    this.#characters.set(release.artifact, this.#character(driver.$case === "files"));
    return release;
  }

  versionOf(artifact: string): string | undefined {
    return [...this.#releases.values()].find((release) => release.artifact === artifact)?.version;
  }

  characterOf(artifact: string): Character | undefined {
    return this.#characters.get(artifact);
  }

  isFiles(artifact: string): boolean {
    return this.#files.has(artifact);
  }

  isCorrupt(artifact: string, machine: string): boolean {
    const character = this.#characters.get(artifact);
    return character !== undefined && "how" in character && character.how === "corrupt" && this.#strikes(character, artifact, machine);
  }

  /** One start, or, for files, one switch. */
  course(artifact: string, machine: string): Course {
    const character = this.#characters.get(artifact) ?? { kind: "good", readyMs: 100 };
    switch (character.kind) {
      case "good":
        return ready(character.readyMs);
      case "starts_once": {
        const key = `${artifact}/${machine}`;
        if (this.#started.has(key)) return this.#ill("never_healthy");
        this.#started.add(key);
        return ready(200);
      }
      case "two_canaries": {
        const key = `${artifact}/${machine}`;
        const isFirst = !this.#started.has(key);
        this.#started.add(key);
        if (machine === character.first && isFirst) return this.#ill("start_failed");
        if (machine !== character.later || !isFirst || this.isTame || character.how === "stays") return ready(300);
        return character.how === "exits" ? { ...ready(300), exitsAfterMs: character.afterMs } : { ...ready(300), afflicts: { how: character.how, afterMs: character.afterMs } };
      }
      case "broken":
      case "sometimes":
      case "on_some_machines":
      case "on_machines":
        return this.#strikes(character, artifact, machine) ? this.#ill(character.how) : ready(200);
      case "after_a_while":
        if (!isAmong(character.on ?? 1, artifact, machine)) return ready(300);
        if (character.how === "exits") return { ...ready(300), exitsAfterMs: character.afterMs };
        return { ...ready(300), health: [...ready(300).health, { fromMs: character.afterMs, isHealthy: false }] };
      case "takes_host":
        return this.isTame ? ready(300) : { ...ready(300), afflicts: character };
      case "flaps": {
        const health = Array.from({ length: FLAPS_MAX }, (_, index) => ({ fromMs: index * character.everyMs, isHealthy: index % 2 === 1 }));
        return { startsAtAll: true, exitsAfterMs: undefined, health };
      }
    }
  }

  #strikes(character: Character, artifact: string, machine: string): boolean {
    if (character.kind === "broken") return true;
    if (character.kind === "sometimes") return this.#random.chance(character.chance);
    if (character.kind === "on_machines") return character.machines.includes(machine);
    if (character.kind !== "on_some_machines") return false;
    return isAmong(character.share, artifact, machine);
  }

  #ill(how: Ailment): Course {
    switch (how) {
      case "exits":
        return { startsAtAll: true, exitsAfterMs: this.#random.whole(1, 3_000), health: [{ fromMs: 0, isHealthy: this.#random.chance(0.5) }] };
      case "never_healthy":
        return { startsAtAll: true, exitsAfterMs: undefined, health: [{ fromMs: 0, isHealthy: false }] };
      case "start_failed":
        return { startsAtAll: false, exitsAfterMs: undefined, health: [{ fromMs: 0, isHealthy: false }] };
      case "corrupt":
        return ready(100);
    }
  }

  #character(isFiles: boolean): Character {
    const random = this.#random;
    const how = (): Ailment => (isFiles ? random.pick(["never_healthy", "corrupt"] as const) : random.pick(["exits", "never_healthy", "start_failed", "corrupt"] as const));
    const kind = random.weighted([[10, "good"], [3, "broken"], [2, "sometimes"], [2, "on_some_machines"], [2, "after_a_while"], [1, "leaks"], [1, "flaps"], [4, "slow"], [isFiles ? 0 : 2, "takes_host"]] as const);
    switch (kind) {
      case "good":
        return { kind, readyMs: random.whole(0, 2_000) };
      case "slow":
        return { kind: "good", readyMs: random.whole(5_000, 50_000) };
      case "broken":
        return { kind, how: how() };
      case "sometimes":
        return { kind, how: how(), chance: random.pick([0.1, 0.4, 0.8]) };
      case "on_some_machines":
        return { kind, how: how(), share: random.pick([0.2, 0.5]) };
      case "after_a_while":
        return { kind, how: isFiles ? "turns" : random.pick(["exits", "turns"] as const), afterMs: random.whole(2_000, 120_000) };
      case "leaks":
        // Long after its min_healthy_time, and often after its soak.
        return { kind: "after_a_while", how: isFiles ? "turns" : "exits", afterMs: random.whole(60_000, 600_000) };
      case "takes_host":
        return { kind, how: random.pick(["dies", "reboots", "freezes", "is_cut_off"] as const), afterMs: random.whole(1_000, 60_000) };
      case "flaps":
        return { kind, everyMs: random.whole(500, 20_000) };
    }
  }
}

/** The same machines each time. */
function isAmong(share: number | readonly string[], artifact: string, machine: string): boolean {
  if (typeof share !== "number") return share.includes(machine);
  let hash = 7;
  for (const letter of `${artifact.slice(0, 8)}${machine}`) hash = (Math.imul(hash, 31) + letter.charCodeAt(0)) >>> 0;
  return hash % 100 < share * 100;
}

function ready(afterMs: number): Course {
  return { startsAtAll: true, exitsAfterMs: undefined, health: [{ fromMs: 0, isHealthy: afterMs === 0 }, ...(afterMs === 0 ? [] : [{ fromMs: afterMs, isHealthy: true }])] };
}

/** 64 hex digits that say the name, so that a trace can be read. */
function artifactOf(app: string, version: string): string {
  return Buffer.from(`${app}@${version}`).toString("hex").padEnd(64, "0");
}
