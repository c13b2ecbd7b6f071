-- Instants are microseconds since 1970 in UTC; ids are 16 bytes.

CREATE TABLE users (
    id            BLOB PRIMARY KEY,
    email         TEXT NOT NULL,    -- the normal form
    spelling      TEXT NOT NULL,    -- what mail goes to
    full_name     TEXT NOT NULL,
    password_hash TEXT,
    language      TEXT,
    gender        TEXT,
    birth_year    INTEGER,
    status        TEXT NOT NULL,
    generation    INTEGER NOT NULL,
    created_at    INTEGER NOT NULL,
    updated_at    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX users_email ON users (email) WHERE status <> 'pending_deletion';
CREATE INDEX users_status ON users (status);
CREATE INDEX users_created_at ON users (created_at);

CREATE TABLE follow_ups (
    id         BLOB PRIMARY KEY,
    user_id    BLOB NOT NULL,
    task       TEXT NOT NULL,
    created_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE audit (
    id         BLOB PRIMARY KEY,
    at         INTEGER NOT NULL,
    event      TEXT NOT NULL,
    outcome    TEXT NOT NULL,
    user_id    BLOB,
    subject    TEXT,
    client     TEXT,
    request_id TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX audit_at ON audit (at);
CREATE INDEX audit_user_id ON audit (user_id, at);

-- From here on: what expires.

CREATE TABLE challenges (
    address    TEXT NOT NULL,
    purpose    TEXT NOT NULL,
    record     TEXT NOT NULL,
    expires_at INTEGER NOT NULL,
    PRIMARY KEY (address, purpose)
) STRICT, WITHOUT ROWID;
CREATE INDEX challenges_expires_at ON challenges (expires_at);

CREATE TABLE budgets (
    name       TEXT PRIMARY KEY,
    instants   BLOB NOT NULL,       -- 8 bytes each, big-endian, oldest first
    expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX budgets_expires_at ON budgets (expires_at);

CREATE TABLE limits (
    name       TEXT PRIMARY KEY,
    arrival    INTEGER NOT NULL,    -- GCRA's theoretical arrival time
    expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX limits_expires_at ON limits (expires_at);

CREATE TABLE outbox (
    id        BLOB PRIMARY KEY,
    address   TEXT NOT NULL,
    purpose   TEXT NOT NULL,
    challenge BLOB NOT NULL,
    version   INTEGER NOT NULL,
    letter    TEXT NOT NULL,
    attempts  INTEGER NOT NULL,
    due_at    INTEGER NOT NULL      -- the lease's end, or the next attempt
) STRICT, WITHOUT ROWID;
CREATE INDEX outbox_due_at ON outbox (due_at);

CREATE TABLE sessions (
    digest     BLOB PRIMARY KEY,
    user_id    BLOB NOT NULL,
    id         BLOB NOT NULL,
    generation INTEGER NOT NULL,
    record     TEXT NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX sessions_user_id ON sessions (user_id);
CREATE INDEX sessions_expires_at ON sessions (expires_at);

CREATE TABLE predecessors (
    digest      BLOB PRIMARY KEY,
    session_id  BLOB NOT NULL,
    user_id     BLOB NOT NULL,
    replaced_at INTEGER NOT NULL,
    expires_at  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX predecessors_user_id ON predecessors (user_id, session_id, replaced_at);
CREATE INDEX predecessors_expires_at ON predecessors (expires_at);

CREATE TABLE fences (
    user_id    BLOB PRIMARY KEY,
    generation INTEGER NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX fences_expires_at ON fences (expires_at);
