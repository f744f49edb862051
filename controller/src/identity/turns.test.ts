import { expect, test } from "vitest";
import { Turns } from "./turns.ts";

test("a crowd is taken one by one, in its order, and everything else has its turn in between", async () => {
  const turns = new Turns();
  const seen: string[] = [];
  const crowd = ["a", "b", "c"].map(async (name) => {
    await turns.next();
    seen.push(name);
    if (name === "a") void turns.next().then(() => seen.push("a again"));
  });
  const others = (async () => {
    for (let count = 0; count < 3; count += 1) {
      await new Promise(setImmediate);
      seen.push("other");
    }
  })();
  await Promise.all([...crowd, others]);
  await turns.next();
  expect(seen.filter((name) => name !== "other")).toEqual(["a", "b", "c", "a again"]);
  expect(seen.slice(0, 4).filter((name) => name === "other").length).toBeGreaterThan(0);
});
