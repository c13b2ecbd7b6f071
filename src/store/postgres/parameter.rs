//! What a statement can be given. Each value knows its PostgreSQL type, so that a statement needs no
//! earlier round trip to ask for types and runs unnamed behind a pooler too.

use std::net::IpAddr;

use tokio_postgres::types::{ToSql, Type};
use uuid::Uuid;

/// A value for a statement.
pub(super) trait Parameter: ToSql + Sync {
    /// What the server takes it as.
    fn kind(&self) -> Type;

    /// The value, as the driver takes it.
    fn value(&self) -> &(dyn ToSql + Sync);
}

/// A type with a name in PostgreSQL, alone and in arrays.
pub(super) trait Known {
    /// One of it.
    const KIND: Type;
    /// Any number of it.
    const KINDS: Type;
}

impl<T: Known + ToSql + Sync> Parameter for T {
    fn kind(&self) -> Type {
        T::KIND
    }

    fn value(&self) -> &(dyn ToSql + Sync) {
        self
    }
}

impl<T: Known + ToSql + Sync> Parameter for Vec<T> {
    fn kind(&self) -> Type {
        T::KINDS
    }

    fn value(&self) -> &(dyn ToSql + Sync) {
        self
    }
}

impl<T: Known> Known for Option<T> {
    const KIND: Type = T::KIND;
    const KINDS: Type = T::KINDS;
}

macro_rules! known {
    ($($rust:ty => $kind:ident, $kinds:ident;)*) => {
        $(impl Known for $rust {
            const KIND: Type = Type::$kind;
            const KINDS: Type = Type::$kinds;
        })*
    };
}

known! {
    bool => BOOL, BOOL_ARRAY;
    i16 => INT2, INT2_ARRAY;
    i32 => INT4, INT4_ARRAY;
    i64 => INT8, INT8_ARRAY;
    &str => TEXT, TEXT_ARRAY;
    String => TEXT, TEXT_ARRAY;
    Uuid => UUID, UUID_ARRAY;
    IpAddr => INET, INET_ARRAY;
}
