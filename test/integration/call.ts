/** A call of a generated client, as a promise. */
import type { ServiceError } from "@grpc/grpc-js";

export type Answered<T> = (answer: (error: ServiceError | null, response: T) => void) => unknown;

/** All messages of a stream that ends by itself. */
export async function collect<T>(stream: AsyncIterable<unknown>): Promise<readonly T[]> {
  const messages: T[] = [];
  for await (const message of stream) messages.push(message as T);
  return messages;
}

export function call<T>(ask: Answered<T>): Promise<T> {
  return new Promise((resolve, reject) => ask((error, response) => (error === null ? resolve(response) : reject(error))));
}
