/** What many tests of the engine begin with: a fleet on release 1, and machines that do what they are told. */
import { ALL, count, wave } from "../rollout/rollout.fixture.ts";
import { World } from "./world.fixture.ts";

/** Everybody at once. */
export const WIDE = { waves: [ALL], maxUnavailable: count(9) };

export const NAMES = ["a", "b", "c", "d"];

export const soak = (forMs: number, size = 1) => ({ ...wave(count(size)), gates: [{ kind: "soak" as const, forMs }] });

/** Everybody does what it is told, so many turns long. */
export async function work(world: World, names: readonly string[], rounds = 6): Promise<void> {
  const answered = new Map<string, number>();
  for (let round = 0; round < rounds; round += 1) {
    for (const name of names) {
      const generation = world.generation(name);
      if (generation <= (answered.get(name) ?? 0)) continue;
      answered.set(name, generation);
      await world.say(name, world.wanted(name) === "remove" ? "removed" : "healthy");
    }
    world.pass(2000, ...names);
  }
}

/** Each does what it is told, and says what runs. */
export async function obey(world: World, ...names: string[]): Promise<void> {
  for (const name of names) await world.say(name, world.wanted(name) === "remove" ? "removed" : "healthy", world.generation(name), "app", world.wanted(name));
  world.pass(3000, ...names);
}

export async function onOne(names: readonly string[] = NAMES): Promise<World> {
  const world = new World();
  await world.join(...names);
  world.deploy("1", WIDE);
  await world.settle(...names);
  world.pass(2000, ...names);
  return world;
}
