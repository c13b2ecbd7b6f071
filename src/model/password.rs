//! Which passwords may be chosen.

use unicode_normalization::UnicodeNormalization;
use zeroize::Zeroizing;

/// One per line, lower-case, sorted: what attackers try first.
static COMMON: &str = include_str!("common_passwords.txt");

/// Longer input is refused before it is hashed, in bytes.
const BYTES_MAX: usize = 512;

/// A password as it was typed, in NFC. It has no `Display`, and its `Debug` is silent.
#[derive(Clone)]
pub struct Password(Zeroizing<String>);

/// What a new password must be.
#[derive(Debug, Clone, Copy)]
pub struct PasswordRules {
    /// In characters.
    pub length_min: usize,
    /// Whether the common ones are refused.
    pub refuses_common: bool,
}

/// Why a password cannot be chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum BadPassword {
    TooShort { length_min: usize },
    TooLong,
    Common,
}

impl Password {
    /// Takes what was typed; keyboards that compose differently give the same password.
    pub fn typed(text: &str) -> Result<Self, BadPassword> {
        if text.len() > 3 * BYTES_MAX {
            return Err(BadPassword::TooLong);
        }
        let composed = Zeroizing::new(text.nfc().collect::<String>());
        if composed.len() > BYTES_MAX {
            Err(BadPassword::TooLong)
        } else {
            Ok(Self(composed))
        }
    }

    /// Whether it may become an account's password.
    pub fn check(&self, rules: PasswordRules) -> Result<(), BadPassword> {
        if self.0.chars().count() < rules.length_min {
            return Err(BadPassword::TooShort {
                length_min: rules.length_min,
            });
        }
        if rules.refuses_common && is_common(&self.0) {
            return Err(BadPassword::Common);
        }
        Ok(())
    }

    /// The bytes to hash.
    pub fn bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl std::fmt::Debug for Password {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Password(…)")
    }
}

fn is_common(password: &str) -> bool {
    let lowered = password.to_lowercase();
    // A scan of some 100 KB costs microseconds beside a hash of 19 milliseconds.
    COMMON.lines().any(|line| line == lowered)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PRODUCTION: PasswordRules = PasswordRules {
        length_min: 8,
        refuses_common: true,
    };

    fn check(text: &str) -> Result<(), BadPassword> {
        Password::typed(text).and_then(|password| password.check(PRODUCTION))
    }

    #[test]
    fn common_and_short_ones_are_refused_and_nothing_else() {
        assert_eq!(
            check("pass123"),
            Err(BadPassword::TooShort { length_min: 8 })
        );
        assert_eq!(check("Password1"), Err(BadPassword::Common));
        assert_eq!(check("qwertyuiop"), Err(BadPassword::Common));
        assert_eq!(check(&"x".repeat(513)), Err(BadPassword::TooLong));
        assert_eq!(check("비밀번호는길게쓰자"), Ok(()));
        assert_eq!(check("correct horse battery"), Ok(()));
    }

    #[test]
    fn keyboards_that_compose_differently_agree() {
        let composed = Password::typed("caf\u{e9} \u{ac00}").unwrap();
        let apart = Password::typed("cafe\u{301} \u{1100}\u{1161}").unwrap();
        assert_eq!(composed.bytes(), apart.bytes());
    }
}
