/** A machine is not heard any more, and what follows from that. */
import { durationText } from "@muster/proto/duration.ts";
import type { MachineId } from "@muster/proto/ids.ts";
import type { Seen } from "./attendance.ts";
import type { Loop } from "./loop.ts";
import type { Append } from "./rollouts.ts";

export function declareLost({ world, rollouts }: Pick<Loop, "world" | "rollouts">, machine: MachineId, forMs: number, append: Append, now: Seen): void {
  const message = `nothing heard for ${durationText(forMs)}`;
  append({ kind: "machine_silent", machine });
  world.fleet.markSilent(machine, now.at);
  world.lost(machine);
  for (const state of rollouts.all()) {
    const target = state.targets.get(machine);
    if (target === undefined || world.isExcused(machine, state.app)) continue;
    const reason = world.hasAssignment(machine, state.app, target.generation)
      ? ({ code: "silent", message } as const)
      : ({ code: "not_taken", message: `${message}, and it had not said before that it has the assignment` } as const);
    rollouts.drive(state, { kind: "fell_silent", machine, reason }, append, now);
  }
}
