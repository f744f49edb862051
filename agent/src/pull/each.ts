/** Work on many things, a few at a time. The limit is what bounds memory and connections. */

/**
 * Calls `work` for each item, at most `limit` at once. After the first failure no other item is begun; resolves or rejects (with that
 * first failure) only when everything begun has ended, so nothing goes on behind the caller's back.
 */
export async function eachAtMost<T>(limit: number, items: readonly T[], work: (item: T) => Promise<void>): Promise<void> {
  const queue = items.values();
  let failure: { readonly error: unknown } | undefined;
  const worker = async (): Promise<void> => {
    for (const item of queue) {
      if (failure !== undefined) return;
      try {
        await work(item);
      } catch (error) {
        failure ??= { error };
      }
    }
  };
  await Promise.all(Array.from({ length: Math.min(limit, items.length) }, worker));
  if (failure !== undefined) throw failure.error;
}
