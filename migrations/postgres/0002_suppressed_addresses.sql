-- Addresses that get no mail: it bounced there for good, or its reader complained about it. Not of an
-- account: they are kept whether it has one or not.
CREATE TABLE suppressed_addresses (
    email  text COLLATE "C" PRIMARY KEY,        -- the normal form
    reason text NOT NULL,
    detail text NOT NULL,
    at     bigint NOT NULL
);
