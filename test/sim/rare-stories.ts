/**
 * Stories of what falls due but rarely where people and faults come by chance: a time that must pass while a machine is lost or says nothing, an outside that never answers, a release that fails while a
 * person has paused it, a program that ends long after it was confirmed. They have a random stream of their own, and are told in some worlds alone, so that all others stay as they were for each seed.
 */
import type { DeploymentId, MachineId } from "@muster/proto/ids.ts";
import type { Alarm, Gate, Strategy } from "@muster/controller/src/plan/strategy.ts";
import { NOBODY_URL } from "./controller.ts";
import type { Character } from "./releases.ts";
import type { Narrator, Step } from "./stories.ts";
import { plainStrategy, waveOf } from "./strategies.ts";

/** Of all seeds, in so many these stories are told. */
export const RARE_SHARE = 0.34;

/** What happens to machines in a story. */
export interface Fate {
  /** Nothing can be written there for so long; its agent is heard, and can report nothing. */
  readonly fillDisk: (machine: MachineId, forMs: number) => void;
  readonly cutOff: (machine: MachineId, forMs: number) => void;
  readonly reboot: (machine: MachineId) => void;
}

interface Story {
  readonly steps: Step[];
  readonly pauseMs: readonly [number, number];
}

const HALF = { kind: "percent", percent: 50 } as const;
const ALL = { kind: "percent", percent: 100 } as const;
const NONE = { kind: "count", count: 0 } as const;
const EVERYWHERE = { maxUnavailable: ALL };

class Teller {
  readonly narrator: Narrator;
  readonly fate: Fate;
  readonly app: string;
  readonly good: Character;
  readonly machine: MachineId;
  readonly wait: Step = () => "wait";

  constructor(narrator: Narrator, fate: Fate) {
    const { random } = narrator;
    this.narrator = narrator;
    this.fate = fate;
    this.app = random.pick(narrator.apps);
    this.good = { kind: "good", readyMs: random.whole(0, 500) };
    this.machine = random.pick(narrator.machines);
  }

  readonly last = (): DeploymentId => `d-${this.narrator.submitted()}` as DeploymentId;

  deploy(version: string, character: Character, changes: Partial<Strategy> = {}): Step {
    return () => {
      const { desk, releases, name } = this.narrator;
      const answer = desk.deploy(this.app, releases.define(this.app, `${name}-${version}`, character), { ...plainStrategy(), ...changes });
      if (answer?.ok === true) this.narrator.submitted(Number(answer.value.deployment.slice(2)));
      return `deploy ${this.app}@${name}-${version}: ${answer?.ok === true ? answer.value.deployment : (answer?.refusal.message ?? "no answer")}`;
    };
  }

  command(kind: "pause" | "resume"): Step {
    return () => `${kind} ${this.last()}: ${this.narrator.desk.command(this.last(), { kind })?.ok ?? "no answer"}`;
  }

  /** It is one of those that the story is about. */
  use(machine: MachineId, labels: Readonly<Record<string, string>>): Step {
    const { desk } = this.narrator;
    return () => `use ${machine}: ${desk.uncordon(machine)?.ok ?? "no answer"}, ${desk.label(machine, labels)?.ok ?? "no answer"}`;
  }

  happens(what: string, act: () => void): Step {
    return () => {
      act();
      return what;
    };
  }
}

export function rareStory(narrator: Narrator, fate: Fate): Story {
  const teller = new Teller(narrator, fate);
  switch (narrator.random.pick(["nobody answers", "promoted", "says nothing", "awaited", "fails in a pause", "fails after a resume", "ends"] as const)) {
    case "nobody answers":
      return nobodyAnswers(teller);
    case "promoted":
      return promoted(teller);
    case "says nothing":
      return saysNothing(teller);
    case "awaited":
      return awaited(teller);
    case "fails in a pause":
      return failsInAPause(teller);
    case "fails after a resume":
      return failsAfterAResume(teller);
    case "ends":
      return ends(teller);
  }
}

/** Those that a gate or an alarm asks say nothing at all. */
function nobodyAnswers(teller: Teller): Story {
  const { narrator: { random }, machine, good, wait } = teller;
  const asked = { url: NOBODY_URL, timeoutMs: 2_000, retries: random.whole(0, 2), onSilence: random.pick(["stop", "stop", "go", "wait"] as const) };
  const kind = random.pick(["webhook", "prometheus", "alarm"] as const);
  const gates: readonly Gate[] = kind === "alarm" ? [{ kind: "soak", forMs: 60_000 }] : [kind === "webhook" ? { kind, ...asked, retryIntervalMs: 5_000 } : { kind, ...asked, query: "errors", max: 1, min: null, intervalMs: 5_000, count: 2, failureLimit: 0 }];
  const alarm: Alarm = { check: { kind: "prometheus", url: NOBODY_URL, query: "errors", max: 1, min: null, timeoutMs: 2_000 }, intervalMs: 5_000, failureLimit: 0, retries: asked.retries, onSilence: asked.onSilence === "go" ? "go" : "stop" };
  const strategy = { ...EVERYWHERE, waves: [waveOf(HALF, gates), waveOf(ALL)], alarms: kind === "alarm" ? [alarm] : [], onFailure: random.pick(["rollback", "pause", "abort"] as const) };
  return { steps: [teller.use(machine, { role: "web" }), teller.deploy("1", good, strategy), wait, wait], pauseMs: [15_000, 25_000] };
}

/** The same release, once it has stood for a while where it came first; it does not where it ends again and again. */
function promoted(teller: Teller): Story {
  const { narrator: { random }, machine, good, wait, app } = teller;
  const soakMs = random.pick([40_000, 60_000]);
  const first = "role=web,zone=a";
  const ends: Character = { kind: "after_a_while", how: "exits", afterMs: random.whole(15_000, 20_000) };
  const character = random.chance(0.7) ? good : ends;
  const after = { deploymentOf: app as never, targets: first, soakMs };
  const begin = { ...EVERYWHERE, targets: first, maxFailures: NONE };
  return { steps: [teller.use(machine, { role: "web", zone: "a" }), teller.deploy("1", character, begin), teller.deploy("1", character, { ...EVERYWHERE, onConflict: "queue", after }), wait, wait, wait], pauseMs: [12_000, 30_000] };
}

/** A machine is heard, and does not say how the release goes there. */
function saysNothing(teller: Teller): Story {
  const { narrator: { random }, machine, good, wait, fate } = teller;
  const forMs = random.whole(110_000, 160_000);
  const strategy = { ...EVERYWHERE, healthyDeadlineMs: 20_000, maxFailures: random.pick([NONE, ALL]), onFailure: random.pick(["rollback", "pause", "abort"] as const) };
  return { steps: [teller.use(machine, { role: "web" }), teller.happens(`the disk of ${machine} is full for ${forMs} ms`, () => fate.fillDisk(machine, forMs)), teller.deploy("1", good, strategy), wait, wait, wait], pauseMs: [20_000, 30_000] };
}

/** A machine that has the release is lost, and the file says for how long it is waited for. */
function awaited(teller: Teller): Story {
  const { narrator: { random }, machine, good, wait, fate } = teller;
  const offline = { kind: "wait", forMs: random.chance(0.6) ? 60_000 : null } as const;
  const strategy: Partial<Strategy> = { ...EVERYWHERE, offline, waves: [waveOf(random.pick([HALF, ALL]), [{ kind: "soak", forMs: 40_000 }]), waveOf(ALL)], order: [{ kind: "label", label: "canary", reversed: false }], maxUnreachable: random.pick([null, null, NONE]), onFailure: random.pick(["rollback", "pause", "abort"] as const) };
  return { steps: [teller.use(machine, { role: "web", canary: "true" }), teller.deploy("1", good, strategy), teller.happens(`${machine} is cut off`, () => fate.cutOff(machine, 200_000)), wait, wait, wait, wait, wait, wait], pauseMs: [24_000, 32_000] };
}

/** It fails on one machine after another, of which its wave allows none, and a person goes on in spite of the first. */
function failsAfterAResume(teller: Teller): Story {
  const { narrator: { random, machines }, machine, wait } = teller;
  const [first, second] = [machine, random.pick(machines.filter((each) => each !== machine))];
  const fails: Character = { kind: "on_machines", how: "start_failed", machines: [first, second ?? first] };
  const strategy: Partial<Strategy> = { waves: [{ ...waveOf(ALL, [{ kind: "soak", forMs: 90_000 }]), maxFailures: NONE }], order: [{ kind: "label", label: "canary", reversed: false }], maxFailures: ALL, onFailure: "pause" };
  return { steps: [teller.use(first, { role: "web", canary: "true" }), teller.use(second ?? first, { role: "web" }), teller.deploy("1", fails, strategy), wait, teller.command("resume"), wait, teller.command("resume"), wait, wait, wait], pauseMs: [14_000, 20_000] };
}

/** A person pauses it, and while it stands still it fails, or its machine is lost; then the person goes on. */
function failsInAPause(teller: Teller): Story {
  const { narrator: { random }, machine, good, wait, fate } = teller;
  const isLost = random.chance(0.25);
  const fails: Character = { kind: "after_a_while", how: "turns", afterMs: random.whole(14_000, 20_000), on: [machine] };
  const waves = [waveOf(HALF, [{ kind: "soak", forMs: 60_000 }]), waveOf(ALL)];
  const strategy: Partial<Strategy> = { ...EVERYWHERE, waves, order: [{ kind: "label", label: "canary", reversed: false }], maxFailures: NONE, maxUnreachable: NONE, onFailure: random.pick(["rollback", "pause", "abort"] as const) };
  const meanwhile = isLost ? [teller.happens(`${machine} is cut off`, () => fate.cutOff(machine, 150_000)), wait, wait, wait, wait] : [wait, wait];
  return { steps: [teller.use(machine, { role: "web", canary: "true" }), teller.deploy("0", good, EVERYWHERE), wait, teller.deploy("1", isLost ? good : fails, strategy), teller.command("pause"), ...meanwhile, teller.command("resume"), wait, wait], pauseMs: [8_000, 14_000] };
}

/** A program ends, or its machine starts anew, after all were well with it. */
function ends(teller: Teller): Story {
  const { narrator: { random }, machine, good, wait, fate } = teller;
  const exits: Character = { kind: "after_a_while", how: "exits", afterMs: random.whole(20_000, 60_000) };
  const what = random.pick(["nothing", "reboots", "goes back"] as const);
  const meanwhile: readonly Step[] = {
    nothing: [],
    reboots: [teller.happens(`${machine} reboots`, () => fate.reboot(machine))],
    "goes back": [teller.deploy("2", { kind: "broken", how: "start_failed" }, { ...EVERYWHERE, onFailure: "abort", maxFailures: NONE })],
  }[what];
  return { steps: [teller.use(machine, { role: "web" }), teller.deploy("1", what === "reboots" ? good : exits, EVERYWHERE), wait, ...meanwhile, wait, wait, wait], pauseMs: [20_000, 30_000] };
}
