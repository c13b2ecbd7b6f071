//! Steps: Lua texts that a server runs whole, and alone.
//!
//! Each begins with `#!lua`, so that a server that would refuse one of its writes (full, read-only,
//! cut off from its disk) refuses it before it starts: none is ever done by half. That asks for
//! Redis 7 or Valkey.

use std::sync::LazyLock;

use redis::{Cmd, Script};

/// One atomic step, known to the servers by the SHA-1 of its text.
pub(super) struct Step(LazyLock<Text>);

/// A step's text, and the name that servers give it.
pub(super) struct Text {
    lua: String,
    sha: String,
}

impl Step {
    /// A step of these pieces of Lua; use [`step!`], which writes this.
    pub const fn new(text: fn() -> Text) -> Self {
        Self(LazyLock::new(text))
    }

    /// Runs it by its name, which is short.
    pub fn by_name(&self, keys: &[String], arguments: &[Vec<u8>]) -> Cmd {
        call("EVALSHA", self.0.sha.as_bytes(), keys, arguments)
    }

    /// Runs it, and has the server learn its name.
    pub fn in_full(&self, keys: &[String], arguments: &[Vec<u8>]) -> Cmd {
        call("EVAL", self.0.lua.as_bytes(), keys, arguments)
    }
}

impl Text {
    /// `flags`: of the `#!lua` line, such as `allow-oom` or `no-writes`; mostly none.
    pub fn new(flags: &str, pieces: &[&str]) -> Self {
        let first = if flags.is_empty() {
            "#!lua\n".to_owned()
        } else {
            format!("#!lua flags={flags}\n")
        };
        let lua = first + &pieces.join("\n");
        let sha = Script::new(&lua).get_hash().to_owned();
        Self { lua, sha }
    }
}

/// A [`Step`] of some files, with the flags of its `#!lua` line.
macro_rules! step {
    ($flags:literal, $($file:literal),+ $(,)?) => {
        $crate::store::redis::step::Step::new(|| {
            $crate::store::redis::step::Text::new($flags, &[$(include_str!($file)),+])
        })
    };
}
pub(super) use step;

fn call(command: &str, step: &[u8], keys: &[String], arguments: &[Vec<u8>]) -> Cmd {
    let mut call = redis::cmd(command);
    call.arg(step).arg(keys.len()).arg(keys).arg(arguments);
    call
}
