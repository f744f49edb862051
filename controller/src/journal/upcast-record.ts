/**
 * Records of a snapshot that an older version wrote, in today's shape: as upcast.ts does for rows. Snapshots are made anew each day, so these live as long as somebody may
 * upgrade from there.
 */
type Fields = Readonly<Record<string, unknown>>;

export type SnapshotRecord = Fields & { readonly of: string };

/**
 * Values of fields that records lack since the tables did not keep them, by table: those that hold where nothing was written. A column that may not be null and came after
 * the first version of snapshots must be here.
 */
const MISSING: Readonly<Record<string, Fields>> = {
  deployments: { unchangedArchived: 0 },
  machines: { joinedSeq: 0 },
  machine_apps: { saidAttended: 0 },
  waves: { goneFailed: 0, goneLost: 0, goneKnown: 0, foldedNew: 0 },
  targets: { firstTold: 0, wasHealthy: 0, isKnown: 0, previousAsLate: 0 },
  assignments: { asLate: 0 },
};

/** `version`: of the snapshot. There is one so far. */
export function upcastRecord(version: number, record: SnapshotRecord): SnapshotRecord {
  if (version !== 1) throw new Error(`records of version ${version} are not known`);
  return { ...MISSING[record.of], ...record };
}
