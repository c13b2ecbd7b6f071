//! Derivations: codes, their checks, challenge handles, session tokens. No I/O, no store.
//!
//! Everything here is HMAC-SHA-256 or AES-256-GCM under a subkey of one entry of `SECRET_KEYS`,
//! one HKDF-SHA-256 subkey per use. `docs/derivations.md` has the formulas and test vectors.

use std::fmt;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::{digest, hkdf, hmac};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use subtle::ConstantTimeEq;
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::model::challenge::{ChallengeId, Check, Purpose, Secret, Seed};
use crate::model::session::Digest;
use crate::model::user::UserId;

/// No vowels, so that a long code spells no word; 16 letters, so that each is exactly 4 bits.
const LETTERS: &[u8; 16] = b"bcdfghjklmnpqrst";
/// 28 letters of 4 bits: 112 bits, beyond guessing.
const LONG_CODE_LETTERS: usize = 28;

/// The service's keys, newest first: the first makes, all verify.
pub struct Keys(Vec<Key>);

/// A key id that no key of ours has: made by a process with newer keys, or by one long gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyUnknown;

struct Key {
    id: String,
    code: hmac::Key,
    long_code: hmac::Key,
    check: hmac::Key,
    handle: LessSafeKey,
    successor: hmac::Key,
    pseudonym: hmac::Key,
}

/// A code as its owner types it. It has no `Display`, and its `Debug` is silent.
#[derive(Clone, PartialEq, Eq)]
pub struct Code(Zeroizing<String>);

/// What somebody typed, if it has the shape of a code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TypedCode {
    code: Code,
    /// Whether it is the long kind.
    pub is_long: bool,
}

/// What a `challenge_id` says when it comes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Handle {
    /// The record that the request met.
    pub challenge: ChallengeId,
    /// Of its code then.
    pub version: u32,
    /// Whether that very request carried the account's password (login) or the form (registration).
    pub vouched: bool,
}

impl Handle {
    /// Whether the request that it was made for vouched for this very code: not for an earlier one
    /// of the same record.
    pub fn vouches_for(&self, challenge: ChallengeId, version: u32) -> bool {
        self.vouched && self.challenge == challenge && self.version == version
    }
}

/// Why a `challenge_id` says nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoHandle {
    /// It never was one.
    Malformed,
    /// It does not belong to this purpose and address, or was tampered with.
    Foreign,
    /// It was sealed under a key that this process does not have.
    KeyUnknown,
}

/// A session token as its holder sends it. It has no `Display`, and its `Debug` is silent.
#[derive(Clone, PartialEq, Eq)]
pub struct Token {
    text: Zeroizing<String>,
    /// What its second part says, read once.
    user: UserId,
}

impl Keys {
    /// Derives the subkeys of each `(id, bytes)`; newest first.
    ///
    /// # Panics
    /// If there is none: settings make sure that there is.
    pub fn new<'a>(keys: impl IntoIterator<Item = (&'a str, &'a [u8])>) -> Self {
        let keys: Vec<Key> = keys
            .into_iter()
            .map(|(id, bytes)| Key::new(id, bytes))
            .collect();
        assert!(!keys.is_empty(), "settings give at least one key");
        Self(keys)
    }

    /// A seed's codes, as checks, under the newest key: what a new challenge is made of.
    pub fn secret(&self, seed: Seed, purpose: Purpose, address: &str) -> Secret {
        let key = &self.0[0];
        Secret {
            seed,
            key_id: key.id.clone(),
            check: key.check(purpose, address, &key.code(seed, purpose, address)),
            long_check: key.check(purpose, address, &key.long_code(seed, purpose, address)),
        }
    }

    /// The 6-digit code and the long one that a challenge's mail carries.
    pub fn codes(
        &self,
        of: &Secret,
        purpose: Purpose,
        address: &str,
    ) -> Result<(Code, Code), KeyUnknown> {
        let key = self.named(&of.key_id).ok_or(KeyUnknown)?;
        Ok((
            key.code(of.seed, purpose, address),
            key.long_code(of.seed, purpose, address),
        ))
    }

    /// A typed code's check under every key: the store picks by the key id of its record.
    pub fn checks(
        &self,
        typed: &TypedCode,
        purpose: Purpose,
        address: &str,
    ) -> Vec<(String, Check)> {
        self.0
            .iter()
            .map(|key| (key.id.clone(), key.check(purpose, address, &typed.code)))
            .collect()
    }

    /// A handle as `challenge_id`; another text at each call, for a fresh nonce.
    pub fn seal(&self, handle: Handle, purpose: Purpose, address: &str, nonce: [u8; 12]) -> String {
        let key = &self.0[0];
        let mut sealed = handle.challenge.0.to_vec();
        sealed.extend(handle.version.to_be_bytes());
        sealed.push(u8::from(handle.vouched));
        key.handle
            .seal_in_place_append_tag(
                Nonce::assume_unique_for_key(nonce),
                aad(purpose, address),
                &mut sealed,
            )
            .expect("21 bytes are within what AES-GCM seals");
        let text = URL_SAFE_NO_PAD.encode([&nonce[..], &sealed].concat());
        format!("{}.{text}", key.id)
    }

    /// Opens what [`Keys::seal`] made for the same purpose and address.
    pub fn open(&self, text: &str, purpose: Purpose, address: &str) -> Result<Handle, NoHandle> {
        let (id, text) = text.split_once('.').ok_or(NoHandle::Malformed)?;
        let bytes = URL_SAFE_NO_PAD
            .decode(text)
            .map_err(|_| NoHandle::Malformed)?;
        // Nonce; id, version and flag; tag.
        if bytes.len() != 12 + 21 + 16 {
            return Err(NoHandle::Malformed);
        }
        let key = self.named(id).ok_or(NoHandle::KeyUnknown)?;
        let (nonce, sealed) = bytes.split_at(12);
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| NoHandle::Malformed)?;
        let mut sealed = sealed.to_vec();
        let opened = key
            .handle
            .open_in_place(nonce, aad(purpose, address), &mut sealed)
            .map_err(|_| NoHandle::Foreign)?;
        let id = opened[..16].try_into().map_err(|_| NoHandle::Malformed)?;
        let version = opened[16..20].try_into().map_err(|_| NoHandle::Malformed)?;
        Ok(Handle {
            challenge: ChallengeId(id),
            version: u32::from_be_bytes(version),
            vouched: opened[20] == 1,
        })
    }

    /// What a token is refreshed to, under every key, newest first. Derived, so that requests that
    /// refresh one token side by side all get the same.
    pub fn successors(&self, token: &Token) -> Vec<Token> {
        let user = token.user_id();
        let next = |key: &Key| hmac_parts(&key.successor, &[token.text.as_bytes()]);
        self.0
            .iter()
            .map(|key| Token::from_parts(&next(key), user))
            .collect()
    }

    /// Stands for an address in logs and audit: the same address, the same 16 hex digits.
    pub fn pseudonym(&self, address: &str) -> String {
        let tag = hmac_parts(&self.0[0].pseudonym, &[address.as_bytes()]);
        tag[..8].iter().map(|byte| format!("{byte:02x}")).collect()
    }

    fn named(&self, id: &str) -> Option<&Key> {
        self.0.iter().find(|key| key.id == id)
    }
}

impl Key {
    fn new(id: &str, bytes: &[u8]) -> Self {
        let root = hkdf::Salt::new(hkdf::HKDF_SHA256, b"aidlc-auth/1").extract(bytes);
        let mac = |usage| hmac::Key::new(hmac::HMAC_SHA256, &*subkey(&root, usage));
        Self {
            id: id.to_owned(),
            code: mac("code"),
            long_code: mac("long-code"),
            check: mac("check"),
            handle: LessSafeKey::new(
                UnboundKey::new(&AES_256_GCM, &*subkey(&root, "handle"))
                    .expect("32 bytes are its key size"),
            ),
            successor: mac("successor"),
            pseudonym: mac("pseudonym"),
        }
    }

    fn code(&self, seed: Seed, purpose: Purpose, address: &str) -> Code {
        let tag = hmac_parts(
            &self.code,
            &[&seed.0, purpose.as_str().as_bytes(), address.as_bytes()],
        );
        let number = u64::from_be_bytes(tag[..8].try_into().expect("8 of 32 bytes"));
        // The remainder favours no code by more than 10^6 / 2^64.
        Code(Zeroizing::new(format!("{:06}", number % 1_000_000)))
    }

    fn long_code(&self, seed: Seed, purpose: Purpose, address: &str) -> Code {
        let tag = hmac_parts(
            &self.long_code,
            &[&seed.0, purpose.as_str().as_bytes(), address.as_bytes()],
        );
        let letters = tag
            .iter()
            .flat_map(|byte| [byte >> 4, byte & 15])
            .take(LONG_CODE_LETTERS);
        Code(Zeroizing::new(
            letters
                .map(|four| char::from(LETTERS[usize::from(four)]))
                .collect(),
        ))
    }

    fn check(&self, purpose: Purpose, address: &str, code: &Code) -> Check {
        Check(hmac_parts(
            &self.check,
            &[
                purpose.as_str().as_bytes(),
                address.as_bytes(),
                code.0.as_bytes(),
            ],
        ))
    }
}

impl Code {
    /// The code itself. Only the mail calls this.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Code(…)")
    }
}

impl TypedCode {
    /// Reads what was typed: 6 ASCII digits or 28 letters, in either case; spaces and one hyphen
    /// inside are dropped first. `None` is no guess and costs none.
    pub fn parse(typed: &str) -> Option<Self> {
        if typed.len() > 100 {
            return None;
        }
        let hyphens = typed.matches('-').count();
        let kept: String = typed.chars().filter(|c| *c != ' ' && *c != '-').collect();
        let is_short = kept.len() == 6 && kept.bytes().all(|b| b.is_ascii_digit());
        let is_long =
            kept.len() == LONG_CODE_LETTERS && kept.bytes().all(|b| b.is_ascii_alphabetic());
        let inside = !typed.trim().starts_with('-') && !typed.trim().ends_with('-');
        if !inside || hyphens > 1 || !(is_short || is_long) {
            return None;
        }
        Some(Self {
            code: Code(Zeroizing::new(kept.to_ascii_lowercase())),
            is_long,
        })
    }
}

impl Token {
    /// A token for a user from 32 random bytes.
    pub fn from_parts(secret: &[u8; 32], user: UserId) -> Self {
        let (secret, id) = (
            URL_SAFE_NO_PAD.encode(secret),
            URL_SAFE_NO_PAD.encode(user.0.as_bytes()),
        );
        Self {
            text: Zeroizing::new(format!("{secret}.{id}")),
            user,
        }
    }

    /// Reads `<43 base64url>.<22 base64url>`.
    pub fn parse(text: &str) -> Option<Self> {
        let (secret, user) = text.split_once('.')?;
        if secret.len() != 43 || user.len() != 22 {
            return None;
        }
        let mut bytes = Zeroizing::new([0; 32]);
        URL_SAFE_NO_PAD.decode_slice(secret, &mut *bytes).ok()?;
        let mut id = [0; 16];
        URL_SAFE_NO_PAD.decode_slice(user, &mut id).ok()?;
        Some(Self {
            text: Zeroizing::new(text.to_owned()),
            user: UserId(Uuid::from_bytes(id)),
        })
    }

    /// Whose it claims to be: where the stores look for it, believed only once the digest is found.
    pub fn user_id(&self) -> UserId {
        self.user
    }

    /// What the stores keep instead of it.
    pub fn digest(&self) -> Digest {
        let hash = digest::digest(&digest::SHA256, self.text.as_bytes());
        Digest(hash.as_ref().try_into().expect("SHA-256 has 32 bytes"))
    }

    /// The token itself. Only the answer that hands it out calls this.
    pub fn reveal(&self) -> &str {
        &self.text
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

/// Whether two secrets are the same, in a time that does not tell where they differ.
pub fn same(a: &[u8], b: &[u8]) -> bool {
    a.ct_eq(b).into()
}

fn subkey(root: &hkdf::Prk, usage: &str) -> Zeroizing<[u8; 32]> {
    let mut bytes = Zeroizing::new([0; 32]);
    root.expand(&[usage.as_bytes()], hkdf::HKDF_SHA256)
        .and_then(|okm| okm.fill(&mut *bytes))
        .expect("32 bytes are one block of HKDF-SHA-256");
    bytes
}

/// HMAC over parts, each behind its length, so that no two lists of parts are the same message.
fn hmac_parts(key: &hmac::Key, parts: &[&[u8]]) -> [u8; 32] {
    let mut context = hmac::Context::with_key(key);
    for part in parts {
        let length = u32::try_from(part.len()).expect("no part is 4 GiB");
        context.update(&length.to_be_bytes());
        context.update(part);
    }
    context
        .sign()
        .as_ref()
        .try_into()
        .expect("HMAC-SHA-256 has 32 bytes")
}

/// Binds a handle to its purpose and address.
fn aad(purpose: Purpose, address: &str) -> Aad<Vec<u8>> {
    Aad::from([purpose.as_str().as_bytes(), b"\0", address.as_bytes()].concat())
}

#[cfg(test)]
mod tests;
