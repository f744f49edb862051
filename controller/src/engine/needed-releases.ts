/** Which releases somebody depends on: said once, for the files and for the secrets of releases. */

/** Table expressions; the last, `needed (id)`, has the releases that run, ran last, are to run, or are what a rollback would go back to. */
export const NEEDED_RELEASES = `
  open AS (SELECT id, release FROM deployments WHERE ended_at IS NULL),
  standing AS (SELECT app, max(start_seq) AS start_seq FROM deployments WHERE phase = 'succeeded' GROUP BY app, selector),
  stands AS (SELECT d.id, d.release FROM standing s JOIN deployments d ON d.app = s.app AND d.start_seq = s.start_seq),
  needed AS (
    SELECT release AS id FROM open
    UNION SELECT t.previous FROM open o JOIN targets t ON t.deployment = o.id
    UNION SELECT release FROM assignments
    UNION SELECT last_good FROM assignments
    UNION SELECT release FROM stands
    UNION SELECT t.previous FROM stands s JOIN targets t ON t.deployment = s.id)`;
