-- Instants are microseconds since 1970 in UTC.

CREATE TABLE users (
    id            uuid PRIMARY KEY,
    email         text COLLATE "C" NOT NULL,    -- the normal form
    spelling      text NOT NULL,                -- what mail goes to
    full_name     text NOT NULL,
    password_hash text,
    language      text,
    gender        text,
    birth_year    smallint,
    status        text COLLATE "C" NOT NULL,
    generation    bigint NOT NULL,
    created_at    bigint NOT NULL,
    updated_at    bigint NOT NULL
);
CREATE UNIQUE INDEX users_email ON users (email) WHERE status <> 'pending_deletion';
CREATE INDEX users_status ON users (status, updated_at);
CREATE INDEX users_created_at ON users (created_at);

CREATE TABLE follow_ups (
    id         uuid PRIMARY KEY,
    user_id    uuid NOT NULL REFERENCES users ON DELETE CASCADE,
    task       text NOT NULL,
    created_at bigint NOT NULL
);
CREATE INDEX follow_ups_user_id ON follow_ups (user_id);
CREATE INDEX follow_ups_created_at ON follow_ups (created_at);

CREATE TABLE audit (
    id         uuid PRIMARY KEY,
    at         bigint NOT NULL,
    event      text NOT NULL,
    outcome    text NOT NULL,
    user_id    uuid,                            -- outlives the account, as the trail must
    subject    text,
    client     inet,
    request_id text NOT NULL
);
CREATE INDEX audit_at ON audit (at);
CREATE INDEX audit_user_id ON audit (user_id, at);
