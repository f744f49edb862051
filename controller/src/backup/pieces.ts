/**
 * Bytes that come in pieces of any size, taken in the sizes that a format wants.
 */
export class Pieces {
  /** What the bytes are of, for messages. */
  readonly label: string;
  readonly #source: AsyncIterator<Uint8Array>;
  #held: Buffer = Buffer.alloc(0);
  #position = 0;

  constructor(label: string, source: AsyncIterable<Uint8Array>) {
    this.label = label;
    this.#source = source[Symbol.asyncIterator]();
  }

  /** How many bytes were taken. */
  get position(): number {
    return this.#position;
  }

  /** Exactly so many, or fewer at the end. */
  async take(sizeBytes: number): Promise<Buffer> {
    const bytes = await this.peek(sizeBytes);
    this.#drop(bytes.length);
    return bytes;
  }

  /** The same without taking them. */
  async peek(sizeBytes: number): Promise<Buffer> {
    const gathered = [this.#held];
    let count = this.#held.length;
    while (count < sizeBytes) {
      const piece = await this.#next();
      if (piece === undefined) break;
      gathered.push(piece);
      count += piece.length;
    }
    if (gathered.length > 1) this.#held = Buffer.concat(gathered, count);
    return this.#held.subarray(0, sizeBytes);
  }

  /** From one byte to `most`, as they come; none at the end. */
  async some(most: number): Promise<Buffer> {
    while (this.#held.length === 0) {
      const piece = await this.#next();
      if (piece === undefined) break;
      this.#held = piece;
    }
    const bytes = this.#held.subarray(0, most);
    this.#drop(bytes.length);
    return bytes;
  }

  /** Lets go of the source before its end. */
  async close(): Promise<void> {
    await this.#source.return?.();
  }

  #drop(count: number): void {
    this.#held = this.#held.subarray(count);
    this.#position += count;
  }

  async #next(): Promise<Buffer | undefined> {
    const { done, value } = await this.#source.next();
    return done === true ? undefined : Buffer.from(value.buffer, value.byteOffset, value.byteLength);
  }
}
