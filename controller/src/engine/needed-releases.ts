/** Which releases somebody depends on: said once, for the files and for the secrets of releases. */

/**
 * Table expressions; the last, `needed (id)`, has the releases that run, ran last, are to run, or are what a rollback would go back to; some of them several times.
 *
 * CROSS JOIN keeps SQLite from reading the targets of every deployment that ever was; DISTINCT leaves a few names of what whole tables say, before they are put together.
 */
export const NEEDED_RELEASES = `
  open AS (SELECT id, release FROM deployments WHERE ended_at IS NULL),
  standing AS (SELECT app, max(start_seq) AS start_seq FROM deployments WHERE phase = 'succeeded' GROUP BY app, selector),
  stands AS (SELECT d.id, d.release FROM standing s CROSS JOIN deployments d ON d.app = s.app AND d.start_seq = s.start_seq),
  needed AS (
    SELECT release AS id FROM open
    UNION ALL SELECT DISTINCT t.previous FROM open o CROSS JOIN targets t ON t.deployment = o.id
    UNION ALL SELECT DISTINCT release FROM assignments
    UNION ALL SELECT DISTINCT last_good FROM assignments
    UNION ALL SELECT release FROM stands
    UNION ALL SELECT DISTINCT t.previous FROM stands s CROSS JOIN targets t ON t.deployment = s.id)`;
