//! Users in PostgreSQL.

pub mod credentials;
