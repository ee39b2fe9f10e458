-- Times are milliseconds since 1970. Tokens are kept as SHA-256 hashes only.

CREATE TABLE settings (
    key   TEXT PRIMARY KEY,
    value BLOB NOT NULL
) STRICT;

CREATE TABLE users (
    id         INTEGER PRIMARY KEY,
    name       TEXT NOT NULL UNIQUE COLLATE NOCASE,
    role       TEXT NOT NULL CHECK (role IN ('administrator', 'editor', 'viewer')),
    -- A PHC string (Argon2id); NULL: no password logs in.
    password   TEXT,
    created_at INTEGER NOT NULL
) STRICT;

CREATE TABLE sessions (
    token_hash BLOB PRIMARY KEY,
    user_id    INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE setup_links (
    token_hash BLOB PRIMARY KEY,
    expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE saved_searches (
    id   INTEGER PRIMARY KEY,
    name TEXT NOT NULL,
    body TEXT NOT NULL
) STRICT;

CREATE TABLE rules (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    enabled    INTEGER NOT NULL,
    -- Grows with every change, so that an evaluation of the old rule can't write over the new one's state.
    version    INTEGER NOT NULL,
    definition TEXT NOT NULL,
    secret     TEXT NOT NULL,
    state      TEXT NOT NULL
) STRICT;

CREATE TABLE deliveries (
    -- The order in which they were made.
    seq             INTEGER PRIMARY KEY AUTOINCREMENT,
    -- The webhook-id, the same at every attempt.
    id              TEXT NOT NULL UNIQUE,
    rule_id         INTEGER NOT NULL,
    rule_name       TEXT NOT NULL,
    event           TEXT NOT NULL,
    created_at      INTEGER NOT NULL,
    status          TEXT NOT NULL CHECK (status IN ('pending', 'delivered', 'failed')),
    next_attempt_at INTEGER,
    -- Attempts since it was made or last sent again by hand: where in the schedule the next one stands.
    tried           INTEGER NOT NULL DEFAULT 0,
    body            TEXT NOT NULL
) STRICT;
CREATE INDEX deliveries_due ON deliveries (next_attempt_at) WHERE status = 'pending';
CREATE INDEX deliveries_of_rule ON deliveries (rule_id, seq);

CREATE TABLE attempts (
    delivery INTEGER NOT NULL REFERENCES deliveries (seq) ON DELETE CASCADE,
    at       INTEGER NOT NULL,
    status   INTEGER,
    took_ms  INTEGER NOT NULL,
    error    TEXT,
    response TEXT NOT NULL
) STRICT;
CREATE INDEX attempts_of_delivery ON attempts (delivery, at);
