/** A call of a generated client, as a promise. */
import type { ServiceError } from "@grpc/grpc-js";

export type Answered<T> = (answer: (error: ServiceError | null, response: T) => void) => unknown;

export function call<T>(ask: Answered<T>): Promise<T> {
  return new Promise((resolve, reject) => ask((error, response) => (error === null ? resolve(response) : reject(error))));
}
