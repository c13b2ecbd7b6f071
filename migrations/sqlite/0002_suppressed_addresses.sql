-- Addresses that get no mail: it bounced there for good, or its reader complained about it. Not of an
-- account: they are kept whether it has one or not.
CREATE TABLE suppressed_addresses (
    email  TEXT PRIMARY KEY,        -- the normal form
    reason TEXT NOT NULL,
    detail TEXT NOT NULL,
    at     INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
