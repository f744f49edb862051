/**
 * The agent's side of the link, by the rules of the real one: a session that is opened again for ever with back-off, one batch of reports under way, a heartbeat
 * whose answer names the newest generation, and `Sync` for what was missed.
 */
import type { AgentEnd, Life } from "./life.ts";
import { Stream } from "./network.ts";

export const HEARTBEAT_MS = 10_000;
const WELCOME_TIMEOUT_MS = 10_000;
const SYNC_TIMEOUT_MS = 10_000;
const MISSED_ACKS_MAX = 3;
const BACK_OFF_MS = { first: 250, most: 5_000 };

export class Link implements AgentEnd {
  readonly #agent: Life;
  #stream: Stream | undefined;
  #isWelcomed = false;
  #failures = 0;
  #sentSeq = 0;
  #acknowledgedSeq = 0;
  /** Up to which report it was acknowledged last, over all sessions. */
  #knownSeq = 0;
  #missedAcks = 0;
  #batchAge = 0;
  #isSyncing = false;
  #mustSyncAgain = false;

  constructor(agent: Life) {
    this.#agent = agent;
  }

  get isIdle(): boolean {
    return this.#isWelcomed && !this.#isSyncing && this.#agent.machine.disk.reports.length === 0;
  }

  open(): void {
    const { machine, network, controller } = this.#agent;
    const stream = new Stream(machine.id);
    this.#stream = stream;
    this.#isWelcomed = false;
    this.#missedAcks = 0;
    this.#batchAge = 0;
    const said = machine.hello();
    const { generation } = this.#agent;
    network.send(stream, "toController", () => (controller.isUp ? controller.hello(stream, this, said, generation, machine.newestPending) : undefined));
    this.#agent.after(WELCOME_TIMEOUT_MS, () => this.#stream === stream && !this.#isWelcomed && this.end(stream));
  }

  /** The agent has died: the controller learns of it, or not. */
  drop(): void {
    if (this.#stream !== undefined) this.#hangUp(this.#stream);
    this.#stream = undefined;
  }

  /** The host is frozen: its connection stays open. */
  forget(): void {
    if (this.#stream !== undefined) this.#stream.isBroken = { toMachine: true, toController: true };
    this.#stream = undefined;
  }

  end(stream: Stream, asSecond = false): void {
    if (this.#stream !== stream || !this.#agent.isAlive) return;
    this.#stream = undefined;
    this.#failures = this.#isWelcomed ? 0 : this.#failures + 1;
    this.#hangUp(stream);
    const bound = Math.min(BACK_OFF_MS.most, BACK_OFF_MS.first * 2 ** Math.min(this.#failures, 16));
    this.#agent.after(asSecond ? BACK_OFF_MS.most : this.#agent.random.fraction() * bound, () => this.open());
  }

  #hangUp(stream: Stream): void {
    const { network, controller } = this.#agent;
    stream.isBroken.toMachine = true;
    network.send(stream, "toController", () => {
      const ended = controller.isUp ? controller.ended(stream) : undefined;
      stream.isBroken.toController = true;
      return ended;
    });
  }

  welcome(stream: Stream, generation: number, acknowledgedSeq: number): void {
    if (!this.#hears(stream) || this.#isWelcomed) return;
    this.#isWelcomed = true;
    const isForgotten = acknowledgedSeq < this.#knownSeq;
    this.#sentSeq = acknowledgedSeq;
    this.#acknowledgedSeq = 0;
    this.#agent.after(HEARTBEAT_MS, () => this.#beat(stream));
    this.#agent.heard(0);
    this.#agent.hasUrl();
    this.#sync();
    this.#onGeneration(generation);
    this.acknowledge(stream, acknowledgedSeq);
    if (isForgotten) this.#agent.sayAgain();
  }

  heartbeatAck(stream: Stream, generation: number): void {
    if (!this.#hears(stream)) return;
    this.#missedAcks = 0;
    this.#agent.heard(HEARTBEAT_MS);
    this.#onGeneration(generation);
  }

  acknowledge(stream: Stream, seq: number): void {
    if (!this.#hears(stream)) return;
    this.#acknowledgedSeq = Math.max(this.#acknowledgedSeq, seq);
    this.#knownSeq = seq;
    this.#agent.machine.acknowledge(seq);
    this.sendReports();
  }

  sendReports(): void {
    const stream = this.#stream;
    if (stream === undefined || !this.#isWelcomed || this.#acknowledgedSeq < this.#sentSeq) return;
    const batch = this.#agent.machine.disk.reports.filter(({ reportSeq }) => reportSeq > this.#sentSeq).slice(0, this.#agent.random.whole(1, 8));
    const last = batch.at(-1);
    if (last === undefined) return;
    this.#sentSeq = last.reportSeq;
    this.#batchAge = 0;
    const { network, controller } = this.#agent;
    network.send(stream, "toController", () => (controller.isUp ? controller.report(stream, batch) : undefined));
  }

  #hears(stream: Stream): boolean {
    return this.#stream === stream && this.#agent.isAlive;
  }

  #onGeneration(generation: number): void {
    if (generation > this.#agent.generation) this.#sync();
  }

  #beat(stream: Stream): void {
    if (!this.#hears(stream)) return;
    this.#batchAge = this.#acknowledgedSeq < this.#sentSeq ? this.#batchAge + 1 : 0;
    if (this.#missedAcks >= MISSED_ACKS_MAX || this.#batchAge > MISSED_ACKS_MAX) return this.end(stream);
    this.#missedAcks += 1;
    const { network, controller, generation, machine } = this.#agent;
    const { newestPending } = machine;
    network.send(stream, "toController", () => (controller.isUp ? controller.heartbeat(stream, generation, newestPending) : undefined));
    this.#agent.after(HEARTBEAT_MS, () => this.#beat(stream));
  }

  #sync(): void {
    this.#mustSyncAgain = true;
    if (this.#isSyncing || this.#stream === undefined) return;
    this.#isSyncing = true;
    this.#mustSyncAgain = false;
    let isAnswered = false;
    const done = (): void => {
      if (isAnswered) return;
      isAnswered = true;
      this.#isSyncing = false;
      if (this.#mustSyncAgain) this.#sync();
    };
    const { network, controller, machine } = this.#agent;
    network.ask(machine.id, () => {
      if (!controller.isUp) return undefined;
      return controller.sync(machine.id, (assignment) =>
        network.tell(machine.id, () => {
          if (!this.#agent.isAlive || isAnswered) return;
          if (assignment !== undefined) this.#agent.offer(assignment);
          done();
        }),
      );
    });
    this.#agent.after(SYNC_TIMEOUT_MS, done);
  }
}
