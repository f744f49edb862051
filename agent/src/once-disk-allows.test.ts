import { expect, test } from "vitest";
import { onceDiskAllows } from "./once-disk-allows.ts";

const refused = (code: string): Error => Object.assign(new Error(`${code}: refused`), { code, path: "/srv/agent" });

test("what the disk refuses is tried again, ever more rarely, and said once for each kind of trouble", async () => {
  const answers = ["ENOSPC", "ENOSPC", "EROFS", "EROFS", "EROFS", "EROFS", "EROFS"].map(refused);
  const said: string[] = [];
  const waited: number[] = [];
  const start = async (): Promise<string> => {
    const answer = answers.shift();
    if (answer !== undefined) throw answer;
    return "started";
  };
  expect(await onceDiskAllows(start, (line) => said.push(line), async (ms) => void waited.push(ms))).toBe("started");
  expect(waited).toEqual([500, 1_000, 2_000, 4_000, 8_000, 10_000, 10_000]);
  expect(said).toEqual([
    "cannot start yet: no space left on the disk of /srv/agent; free some space there, and the agent starts by itself",
    "cannot start yet: the disk of /srv/agent is mounted read-only; see that the agent can write there, and the agent starts by itself",
  ]);
});

test("what is not of the disk is not tried again", async () => {
  let tries = 0;
  const start = async (): Promise<void> => {
    tries += 1;
    throw refused("EACCES");
  };
  await expect(onceDiskAllows(start, () => {}, async () => {})).rejects.toThrow("EACCES");
  expect(tries).toBe(1);
});
