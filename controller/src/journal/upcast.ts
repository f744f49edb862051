/**
 * Rows that an older version wrote, in today's shape. The journal's own rows are never changed: they are read through here.
 *
 * Nothing has been released yet, so there is no older shape. The first one that changes after a release is put right here, by kind, and JOURNAL_VERSION rises with it.
 */
type Data = Readonly<Record<string, unknown>>;

export function upcast(_kind: string, data: Data): Data {
  return data;
}
