/** An outcome never says more than is known. */
import { expect, test } from "vitest";
import { emptyCounts, type EndedPhase, type TargetCounts } from "../rollout/state.ts";
import { type Ended, type KeptSince, letGoTarget, NOBODY_OUTSTANDING, NOBODY_OVERTAKEN, outcomeText, outstandingAmong, type OutstandingTarget, overtakenKind, overtakenSentences, type OvertakenTarget, type StillWhat } from "./outcome.ts";
import { tallied } from "./tally.ts";

const target = (machine: string, state: OutstandingTarget["state"], over: Partial<OutstandingTarget> = {}): OutstandingTarget => ({ machine, state, purpose: "update", attempts: 1, ...over });
const text = (phase: EndedPhase, counts: Partial<TargetCounts>, outstanding: readonly OutstandingTarget[], beganBack = false): string =>
  outcomeText({ phase, beganBack, version: "3.0", counts: { ...emptyCounts(), ...counts }, outstanding: outstandingAmong({ phase, beganBack }, outstanding) });

const names = (n: number): readonly string[] => Array.from({ length: n }, (_, index) => `web-${index + 1}`);

test("where all is as asked for, the outcome is one plain word", () => {
  expect(text("succeeded", { healthy: 8 }, [])).toBe("succeeded");
  expect(text("rolled_back", { reverted: 8 }, [])).toBe("rolled back");
  expect(text("aborted", {}, [])).toBe("aborted");
  expect(text("failed", {}, [])).toBe("failed");
  expect(text("superseded", {}, [])).toBe("superseded");
});

test("a rollback that a newer deployment took the place of names the machines that are still to go back", () => {
  expect(text("superseded", {}, [], true)).toBe("superseded");
  const left = [target("web-1", "skipped", { purpose: null, reason: "superseded" }), target("web-2", "healthy"), target("web-3", "reverting", { purpose: "revert" }), target("web-4", "unreachable")];
  expect(text("superseded", { healthy: 1 }, left, true)).toBe(
    "superseded before all had gone back; web-1 may still run 3.0: a newer deployment has it, and it goes back if that ends without telling it anything; web-2 may still run 3.0, and goes back in its turn; web-3 is on its way back; web-4 may still run 3.0, and goes back when it is heard",
  );
});

test("a rollback names the machines that may still run the release", () => {
  expect(text("rolled_back", { reverted: 7, unreachable: 1 }, [target("web-3", "unreachable", { purpose: "revert" })])).toBe(
    "rolled back, except 1 unreachable: web-3 may still run 3.0, and goes back when it is heard",
  );
  expect(text("rolled_back", { reverted: 5, unreachable: 2, reverting: 1 }, [target("web-3", "unreachable"), target("web-4", "unreachable"), target("web-5", "reverting")])).toBe(
    "rolled back, except 2 unreachable and 1 under way: web-3 and web-4 may still run 3.0, and go back when they are heard; web-5 is on its way back",
  );
  expect(text("rolled_back", { reverted: 7, removed: 1 }, [target("web-3", "removed")])).toBe("rolled back, except 1 removed: web-3 was removed from the fleet, and may still run 3.0");
});

test("of very many it names some, and says how many more", () => {
  const all = names(400).map((machine) => target(machine, "unreachable"));
  expect(text("rolled_back", { unreachable: 400 }, all)).toBe(
    "rolled back, except 400 unreachable: web-1, web-2, web-3 and 397 more may still run 3.0, and go back when they are heard",
  );
});

test("whoever is other than many before it is named, and counted as what it is", () => {
  const lost = names(20).map((machine) => target(machine, "unreachable"));
  const stuck = target("web-21", "failed", { purpose: "revert", message: "exited with code 1" });
  expect(text("rolled_back", { unreachable: 20, failed: 1 }, [...lost, stuck])).toBe(
    "rolled back, except 20 unreachable and 1 failed: web-1, web-2, web-3 and 17 more may still run 3.0, and go back when they are heard; web-21 could not go back: exited with code 1",
  );
  expect(text("succeeded", { healthy: 3, unreachable: 20, failed: 1 }, [...lost, target("web-21", "failed")])).toBe(
    "succeeded on 3 of 24; web-1, web-2, web-3 and 17 more took it and are unreachable since; web-21 failed",
  );
});

test("all kinds of machines that a rollback excepts are counted, however many kinds there are", () => {
  const left = [
    target("web-1", "unreachable"),
    target("web-2", "removed"),
    target("web-3", "failed", { purpose: "revert" }),
    target("web-4", "reverting", { isHeard: true, isOverdue: true }),
    target("web-5", "healthy"),
  ];
  expect(text("rolled_back", {}, left)).toMatch(/^rolled back, except 1 unreachable, 1 removed, 1 failed, 1 without an answer and 1 under way: /);
});

test("one that was drained and lost is not said to be under way", () => {
  const drained = target("web-1", "skipped", { leftAs: "lost", isHeard: false });
  expect(text("rolled_back", { skipped: 1 }, [drained])).toBe("rolled back, except 1 unreachable: web-1 may run 3.0: it was assigned it, and is not heard");
  expect(text("rolled_back", { skipped: 1 }, [{ ...drained, isRevoked: true }])).toMatch(/^rolled back, except 1 unreachable: web-1 was revoked/);
});

test("a rollback that failed says that all have gone back since, when they have", () => {
  const failed = { phase: "failed", beganBack: true, version: "3.0", outstanding: NOBODY_OUTSTANDING } as const;
  const of = (counts: Partial<Ended["counts"]>): string => outcomeText({ ...failed, counts: { ...emptyCounts(), ...counts } });
  expect(of({ reverted: 3, pending: 2 })).toBe("failed; all 3 machines have gone back since");
  expect(of({ reverted: 1 })).toBe("failed; its machine has gone back since");
  for (const other of ["failed", "reverting", "unreachable", "updating", "removed", "skipped"] as const) expect(of({ reverted: 3, [other]: 1 })).not.toContain("since");
  expect(outcomeText({ ...failed, beganBack: false, counts: { ...emptyCounts(), reverted: 3 } })).toBe("failed");
});

test("a success of which many failed counts those that it names and those in the archive, each once", () => {
  const failed = names(15).map((machine) => target(machine, "failed"));
  expect(text("succeeded", { healthy: 5, failed: 18 }, failed)).toBe("succeeded on 5 of 23; 3 failed; web-1, web-2, web-3 and 12 more failed");
  expect(text("succeeded", { healthy: 5, failed: 15 }, failed)).toBe("succeeded on 5 of 20; web-1, web-2, web-3 and 12 more failed");
});

test("a success names some of those that newer deployments have by now, and counts all", () => {
  const by = (machine: string, id: string | null, over: Partial<OvertakenTarget> = {}): OvertakenTarget => ({ machine, state: "failed", attempts: 1, by: id, ...over });
  const said = (targets: readonly OvertakenTarget[]): readonly string[] => overtakenSentences({ ...NOBODY_OVERTAKEN, ...tallied(targets, overtakenKind) });
  expect(said([...names(20).map((name) => by(name, "d-8")), by("web-21", "d-9"), by("web-22", null, { state: "unreachable", attempts: 0 })])).toEqual([
    "web-1, web-2, web-3 and 17 more failed, and d-8 has decided about them since",
    "web-21 failed, and d-9 has decided about it since",
    "web-22 did not get it, and a newer deployment has decided about it since",
  ]);
  expect(said(names(9).map((name, index) => by(name, `d-${index}`))).slice(3)).toEqual([
    "web-4 failed, and d-3 has decided about it since",
    "5 more failed or did not get it, and other newer deployments have decided about them since",
  ]);
});

test("a success names those that do not have it", () => {
  expect(text("succeeded", { healthy: 7, unreachable: 1 }, [target("web-3", "unreachable", { purpose: null, attempts: 0 })])).toBe(
    "succeeded on 7 of 8; web-3 is unreachable and gets it when it is heard",
  );
  expect(text("succeeded", { healthy: 6, unreachable: 1, skipped: 1 }, [target("web-3", "unreachable"), target("web-4", "skipped", { purpose: null, attempts: 0 })])).toBe(
    "succeeded on 6 of 8; web-3 took it and is unreachable since; web-4 is cordoned and gets it after muster uncordon web-4",
  );
  const skipped = { purpose: null, attempts: 0 } as const;
  expect(text("succeeded", { healthy: 7, skipped: 1 }, [target("web-4", "skipped", { ...skipped, isCordoned: true })])).toBe("succeeded on 7 of 8; web-4 is cordoned and gets it after muster uncordon web-4");
  expect(text("succeeded", { healthy: 7, skipped: 1 }, [target("web-4", "skipped", { ...skipped, isCordoned: false })])).toBe("succeeded on 7 of 8; web-4 was cordoned when the others got it, and has not got it since");
  expect(text("succeeded", { healthy: 7, unreachable: 1 }, [target("web-3", "unreachable", { reason: "not_taken" })])).toBe("succeeded on 7 of 8; web-3 was told to take it, and is unreachable since");
  expect(text("succeeded", { healthy: 7, failed: 1 }, [])).toBe("succeeded on 7 of 8; 1 failed");
});

const still = (ended: Pick<Ended, "phase" | "beganBack">, what: StillWhat, machines: readonly string[]): string =>
  outcomeText({ ...ended, version: "3.0", counts: emptyCounts(), outstanding: NOBODY_OUTSTANDING, stillThere: tallied(machines.map((machine) => ({ machine, what })), (each) => each.what) });

test("a rollback names the machines that had the release before, and keep it", () => {
  const rolledBack = { phase: "rolled_back", beganBack: true } as const;
  expect(still(rolledBack, "had_before", ["web-1"])).toBe("rolled back; web-1 had 3.0 before it, and keeps that");
  expect(still(rolledBack, "not_come_to", ["web-1"])).toBe("rolled back; web-1 had 3.0 before it, and was told nothing by it");
  expect(still(rolledBack, "had_before", names(9))).toBe("rolled back; web-1, web-2, web-3 and 6 more had 3.0 before it, and keep that");
});

test("a rollback names the machines that went back to the very release that it took back, and those that are still to", () => {
  const rolledBack = { phase: "rolled_back", beganBack: true } as const;
  expect(still(rolledBack, "went_back_to_it", ["web-1"])).toBe("rolled back; web-1 still runs 3.0, which is also what it goes back to");
  expect(still({ ...rolledBack, phase: "failed" }, "went_back_to_it", names(2))).toBe("failed; web-1 and web-2 still run 3.0, which is also what they go back to");
  expect(text("rolled_back", { unreachable: 1 }, [target("web-1", "unreachable", { isBackOnIt: true })], true)).toBe("rolled back, except 1 unreachable: web-1 may still run 3.0, which is also what it goes back to");
  expect(text("superseded", { healthy: 1 }, [target("web-1", "healthy", { isBackOnIt: true })], true)).toBe("superseded before all had gone back; web-1 may still run 3.0, which is also what it goes back to");
  expect(text("aborted", {}, [target("web-1", "unreachable", { purpose: "revert", isBackOnIt: true })], true)).toBe("aborted; web-1 may still run 3.0, which is also what it goes back to");
});

test("one that something took the place of, or that was aborted, names the machines that run its release still, unconfirmed, and those that are dead with it", () => {
  const superseded = { phase: "superseded", beganBack: false } as const;
  expect(still(superseded, "on_trial", ["web-1"])).toBe("superseded; web-1 still runs 3.0, which was never confirmed there");
  expect(still(superseded, "on_trial", [])).toBe("superseded");
  expect(still(superseded, "failed", ["web-1"])).toBe("superseded; web-1 failed with 3.0, and did not go back");
  expect(still(superseded, "may_have_gone_back", names(2))).toBe("superseded; web-1 and web-2 failed with 3.0, and have not said that they went back");
  expect(still({ ...superseded, phase: "aborted" }, "could_not_go_back", ["web-1"])).toBe("aborted; web-1 could not go back");
});

test("nobody says that a machine which was revoked is still to be heard", () => {
  const revoked = { isHeard: false, isRevoked: true };
  expect(text("rolled_back", { reverted: 7, unreachable: 1 }, [target("web-3", "unreachable", { purpose: "revert", ...revoked })])).toBe(
    "rolled back, except 1 unreachable: web-3 was revoked, so it is never heard again, and may still run 3.0",
  );
  expect(text("succeeded", { healthy: 6, unreachable: 2 }, [target("web-3", "unreachable", { attempts: 0, ...revoked }), target("web-4", "unreachable", { attempts: 0, ...revoked })])).toBe(
    "succeeded on 6 of 8; web-3 and web-4 were revoked, and do not get it",
  );
  expect(text("aborted", { healthy: 7 }, [target("web-3", "skipped", { leftAs: "lost", ...revoked })])).toBe("aborted; 7 machines kept 3.0; web-3 was revoked, so it is never heard again, and may still run 3.0");
});

test("a machine that is heard, and is still to get the release, is not called unreachable", () => {
  expect(text("succeeded", { healthy: 7, unreachable: 1 }, [target("web-3", "unreachable", { purpose: null, attempts: 0, isHeard: true })])).toBe("succeeded on 7 of 8; web-3 is still to get it");
});

test("a success names those that were removed after they had failed, or were lost", () => {
  const removed = (machine: string, leftAs: OutstandingTarget["leftAs"]): OutstandingTarget => target(machine, "removed", { purpose: null, leftAs });
  expect(text("succeeded", { healthy: 3, removed: 1 }, [removed("web-1", "lost")])).toBe("succeeded on 3 of 4; web-1 took it, was lost, and was removed from the fleet");
  expect(text("succeeded", { healthy: 3, removed: 3 }, [removed("web-1", "failed"), removed("web-2", "failed")])).toBe("succeeded on 3 of 5; web-1 and web-2 failed, and were removed from the fleet");
  expect(text("succeeded", { healthy: 3, removed: 1 }, [])).toBe("succeeded");
});

test("an abort names those that are still on their way, and counts those that keep the release", () => {
  expect(text("aborted", { healthy: 2, updating: 1, unreachable: 1 }, [target("web-3", "updating"), target("web-4", "unreachable")])).toBe(
    "aborted; 2 machines kept 3.0; web-3 is on its way to 3.0; web-4 may run 3.0: it was assigned it, and is not heard",
  );
  expect(text("failed", { unreachable: 1 }, [target("web-4", "unreachable", { purpose: "revert" })])).toBe("failed; web-4 may still run 3.0, and goes back when it is heard");
  expect(text("aborted", { unreachable: 1 }, [target("web-4", "unreachable", { purpose: "revert" })])).toBe("aborted; web-4 may still run 3.0: it was to go back, and is not heard");
});

test("a rollback that has failed keeps nobody on the release: those that it had not come to go back in their turn", () => {
  expect(text("failed", { healthy: 4, reverting: 2 }, [target("web-1", "reverting"), target("web-2", "reverting")])).toBe("failed; 4 machines still run 3.0 and go back in their turn; web-1 and web-2 are on their way back");
  expect(text("failed", { healthy: 1, reverted: 1 }, [])).toBe("failed; 1 machine still runs 3.0 and goes back in its turn");
});

test("machines that were let go are told together, whether they had failed before or had no turn; of those in the archive there is the number alone", () => {
  const succeeded = { phase: "succeeded", beganBack: false } as const;
  const ended = { ...succeeded, version: "3.0", counts: { ...emptyCounts(), healthy: 2, skipped: 3 } };
  const letGo = outstandingAmong(succeeded, [letGoTarget("web-4"), letGoTarget("web-5")]);
  const outstanding = outstandingAmong(succeeded, [target("web-3", "skipped", { purpose: null, reason: "unmatched" })]);
  expect(outcomeText({ ...ended, outstanding, letGo })).toBe("succeeded on 2 of 5; web-3, web-4 and web-5 were let go, since their labels match no more");
  expect(outcomeText({ ...ended, outstanding: NOBODY_OUTSTANDING, letGo: { ...NOBODY_OUTSTANDING, count: 3 } })).toBe("succeeded on 2 of 5; 3 were let go, since their labels match no more");
});

test("no machine is said to keep a release that it runs no more", () => {
  const kept = (healthy: number, keptSince: KeptSince, counts: Partial<TargetCounts> = {}): string =>
    outcomeText({ phase: "failed", beganBack: true, version: "3.0", counts: { ...emptyCounts(), healthy, ...counts }, outstanding: NOBODY_OUTSTANDING, keptSince });
  expect(kept(3, { gone: 2, decided: 0 })).toBe("failed; 3 machines kept 3.0, and 2 of them do not run it any more");
  expect(kept(3, { gone: 0, decided: 3 })).toBe("failed; 3 machines kept 3.0, and newer deployments have decided about them since");
  expect(kept(1, { gone: 0, decided: 1 })).toBe("failed; 1 machine kept 3.0, and newer deployments have decided about it since");
  expect(kept(3, { gone: 1, decided: 1 })).toBe("failed; 3 machines kept 3.0, and 1 of them does not run it any more, and newer deployments have decided about 1 of them since");
  // Those that its rollback had not come to.
  expect(kept(3, { gone: 2, decided: 0 }, { reverted: 4 })).toBe("failed; 1 machine still runs 3.0 and goes back in its turn");
  expect(kept(3, { gone: 3, decided: 0 }, { reverted: 4 })).toBe("failed");
});
