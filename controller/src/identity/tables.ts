/** The tables of join tokens, members and their credentials. */

export const IDENTITY_TABLES = [
  `CREATE TABLE join_tokens (
     id          TEXT PRIMARY KEY,
     secret_hash BLOB NOT NULL,
     uses        INTEGER NOT NULL,
     used        INTEGER NOT NULL DEFAULT 0,
     labels      TEXT NOT NULL,
     approve     INTEGER NOT NULL,
     created_at  INTEGER NOT NULL,
     expires_at  INTEGER NOT NULL,
     revoked_at  INTEGER,
     created_by  TEXT NOT NULL
   ) STRICT, WITHOUT ROWID;

   -- AUTOINCREMENT: the number of a membership is never given again, also not after it has been removed.
   CREATE TABLE memberships (membership INTEGER PRIMARY KEY AUTOINCREMENT) STRICT;

   CREATE TABLE members (
     membership    INTEGER PRIMARY KEY,
     machine       TEXT NOT NULL UNIQUE,
     state         TEXT NOT NULL CHECK (state IN ('pending', 'member', 'revoked')),
     token         TEXT NOT NULL,
     fingerprint   TEXT NOT NULL,
     labels        TEXT NOT NULL,
     hostname      TEXT NOT NULL,
     os            TEXT NOT NULL,
     arch          TEXT NOT NULL,
     address       TEXT NOT NULL,
     asked_at      INTEGER NOT NULL,
     joined_at     INTEGER,
     revoked_at    INTEGER
   ) STRICT;

   -- Those that may still be used: the newest of each membership, and older ones until they expire.
   CREATE TABLE credentials (
     membership  INTEGER NOT NULL,
     fingerprint TEXT NOT NULL,
     nats_key    TEXT NOT NULL,
     sealing_key BLOB NOT NULL,
     authority   TEXT NOT NULL,
     certificate BLOB NOT NULL,
     nats_jwt    TEXT NOT NULL,
     issued_at   INTEGER NOT NULL,
     expires_at  INTEGER NOT NULL,
     PRIMARY KEY (membership, fingerprint)
   ) STRICT, WITHOUT ROWID;`,
];
