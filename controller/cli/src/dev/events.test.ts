import { describe, expect, it } from "vitest";
import { eventJson, eventLine, listed } from "./events.ts";

describe("what muster dev says", () => {
  it("names a child that is started again, how it ended and where its log is", () => {
    const event = { event: "child_restarting", name: "dev-1", ended: "was ended by SIGKILL", delayMs: 500, log: "/tmp/dev-1.log" } as const;
    expect(eventLine(event)).toBe("dev-1 was ended by SIGKILL; starting it again in 500ms (its log: /tmp/dev-1.log)");
    expect(JSON.parse(eventJson(event))).toEqual({ event: "child_restarting", name: "dev-1", ended: "was ended by SIGKILL", delay_ms: 500, log: "/tmp/dev-1.log" });
  });

  it("counts in words that fit one and many", () => {
    expect(eventLine({ event: "agents_off", ids: ["dev-3"] })).toBe("dev-3 from an earlier start stays off; a larger --agents brings it back");
    expect(eventLine({ event: "agents_off", ids: ["dev-3", "dev-4"] })).toMatch(/^dev-3 and dev-4 from an earlier start stay off/);
    expect(eventLine({ event: "workloads_stopped", count: 1 })).toBe("stopped 1 workload whose agent was gone");
  });

  it("cuts a long list of names", () => {
    expect(listed(["a", "b", "c"])).toBe("a, b and c");
    expect(listed(["a", "b", "c", "d", "e", "f", "g"])).toBe("a, b, c, d and 3 more");
  });
});
