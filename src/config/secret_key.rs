//! One of the keys that codes and handles are derived from, as `SECRET_KEYS` spells it.

use std::collections::BTreeSet;

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

/// A key with the name that records carry, so that a record finds its key after a change of keys.
#[derive(Debug)]
pub struct SecretKey {
    /// 1 to 16 of `A-Z a-z 0-9 _ -`.
    pub id: String,
    /// At least 32 random bytes.
    pub bytes: SecretSlice<u8>,
}

impl SecretKey {
    /// Reads `id:base64`. What is refused is never quoted.
    pub fn parse(text: &str) -> Result<Self, Refused> {
        let refused = |wrong: &str| {
            Refused::new(
                wrong,
                "Write `id:base64`; `openssl rand -base64 32` makes the second part",
            )
        };
        let (id, encoded) = text
            .split_once(':')
            .ok_or_else(|| refused("has no id before a colon"))?;
        let is_id = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
        if !(1..=16).contains(&id.len()) || !id.bytes().all(is_id) {
            return Err(refused("has an id that is not 1 to 16 of A-Z a-z 0-9 _ -"));
        }
        let bytes = BASE64
            .decode(encoded)
            .map_err(|_| refused("is not base64 after its id"))?;
        if bytes.len() < 32 {
            return Err(refused("is shorter than 32 bytes"));
        }
        // 32 random bytes repeat this much once in 10^40 tries; a placeholder always does.
        if bytes.iter().collect::<BTreeSet<_>>().len() < 8 {
            return Err(refused("is not random"));
        }
        Ok(Self {
            id: id.to_owned(),
            bytes: bytes.into(),
        })
    }
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
            long,
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
}
