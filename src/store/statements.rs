//! How the statements of an SQL engine are written down: as constants in one place, each with a name
//! under which a test has the engine prepare it. And the columns that both engines have.

/// The columns of an account, in the order in which they are read.
macro_rules! user {
    () => {
        "id, email, spelling, full_name, password_hash, language, gender, birth_year, status, generation, \
         created_at, updated_at"
    };
}

/// The columns of a row of the audit trail, in the order in which they are given.
macro_rules! audit {
    () => {
        "id, at, event, outcome, user_id, subject, client, request_id"
    };
}

/// Makes a constant of each statement, put together of its parts.
macro_rules! statements {
    ($($(#[$about:meta])* $name:ident = $($part:expr),+;)+) => {
        $($(#[$about])* pub const $name: &str = concat!($($part),+);)+
        /// Every one with its name, for a test that prepares each.
        pub const ALL: &[(&str, &str)] = &[$((stringify!($name), $name)),+];
    };
}

pub(super) use {audit, statements, user};
