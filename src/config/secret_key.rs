//! One of the keys that codes and handles are derived from, as `SECRET_KEYS` spells it.

use std::collections::BTreeSet;

use aws_lc_rs::digest::{Context, SHA256};
use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use secrecy::SecretSlice;

use super::problem::Refused;

/// With or without padding: both forms are what tools print.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Keeps a name apart from whatever else is a SHA-256 of a key.
const NAMING: &[u8] = b"aidlc-auth/1 key id";

/// A key with the name that records carry, so that a record finds its key after a change of keys.
#[derive(Debug)]
pub struct SecretKey {
    /// 1 to 16 of `A-Z a-z 0-9 _ -`; of a key that came without one, a fingerprint of the key.
    pub id: String,
    /// At least 32 random bytes.
    pub bytes: SecretSlice<u8>,
}

impl SecretKey {
    /// Reads `id:base64` or `base64`. What is refused is never quoted.
    pub fn parse(text: &str) -> Result<Self, Refused> {
        let refused = |wrong: &str| {
            Refused::new(
                wrong,
                "Write `id:base64`, or the base64 alone; `openssl rand -base64 32` makes it",
            )
        };
        let (id, encoded) = match text.split_once(':') {
            Some((id, encoded)) => (Some(id), encoded),
            None => (None, text),
        };
        let is_id = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
        if id.is_some_and(|id| !(1..=16).contains(&id.len()) || !id.bytes().all(is_id)) {
            return Err(refused("has an id that is not 1 to 16 of A-Z a-z 0-9 _ -"));
        }
        let bytes = BASE64
            .decode(encoded)
            .map_err(|_| refused("is not base64"))?;
        if bytes.len() < 32 {
            return Err(refused("is shorter than 32 bytes"));
        }
        // 32 random bytes repeat this much once in 10^40 tries; a placeholder always does.
        if bytes.iter().collect::<BTreeSet<_>>().len() < 8 {
            return Err(refused("is not random"));
        }
        Ok(Self {
            id: id.map_or_else(|| fingerprint(&bytes), str::to_owned),
            bytes: bytes.into(),
        })
    }
}

/// The name of a key that nobody named, such as one that a secrets manager made: the same in every
/// copy and after every start, wherever the key stands in the list.
///
/// Handles show it to whoever asks for a code. It gives nothing away: from a SHA-256 there is no way
/// back but to guess all of a key of 32 random bytes, and 48 bits of it tell no more than that two
/// records have the same key, which a name is for.
fn fingerprint(key: &[u8]) -> String {
    let mut context = Context::new(&SHA256);
    context.update(NAMING);
    context.update(key);
    let digest = context.finish();
    let digits = digest.as_ref().iter().take(6);
    let digits: String = digits.map(|byte| format!("{byte:02x}")).collect();
    format!("x{digits}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use secrecy::ExposeSecret as _;

    #[test]
    fn what_is_no_key_is_refused() {
        let long = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";
        for text in [
            "",
            "hunter2",
            "change-me",
            &"A".repeat(64),
            &long[..40],
            &format!(":{long}"),
            &format!("seventeen-letters:{long}"),
            &format!("키:{long}"),
            "k1:MDEyMzQ1Njc4OWFiY2RlZg==",
            "k1:!!!!",
            "k1:",
            &format!("k1:{}=", "A".repeat(43)),
        ] {
            assert!(SecretKey::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_key_is_read_with_and_without_padding() {
        for text in [
            "k-1_A:MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=",
            "k-1_A:MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY",
        ] {
            let key = SecretKey::parse(text).unwrap();
            assert_eq!(key.id, "k-1_A");
            assert_eq!(
                key.bytes.expose_secret(),
                b"0123456789abcdef0123456789abcdef"
            );
            assert!(!format!("{key:?}").contains("48"));
        }
    }

    /// As AWS Secrets Manager makes them: 64 letters and digits, 48 bytes.
    #[test]
    fn a_key_without_a_name_is_named_after_itself() {
        let made = "q8ZrT1uYw0XbN5vKc3LmP7dHs2GfJ9aEq8ZrT1uYw0XbN5vKc3LmP7dHs2GfJ9aE";
        let id = |text: &str| SecretKey::parse(text).unwrap().id;
        // printf 'aidlc-auth/1 key id' | cat - <(echo $made | base64 -d) | sha256sum
        assert_eq!(id(made), "x4bbe83ef7e8e");
        assert_eq!(
            SecretKey::parse(made).unwrap().bytes.expose_secret().len(),
            48
        );
        assert_eq!(
            id(&format!("k1:{made}")),
            "k1",
            "a name that was given stays"
        );
        let other = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY";
        assert_ne!(id(other), id(made));
        assert_eq!(
            id(other),
            id(&format!("{other}=")),
            "padding is not the key"
        );
    }
}
