//! The derivations against the published vectors (`docs/derivations.md`), and their properties.

use super::*;
use proptest::prelude::*;

const SEED: Seed = Seed([7; 16]);
const ADDRESS: &str = "ada@example.org";

fn keys() -> Keys {
    Keys::new([("k1", &[1; 32][..])])
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn the_published_vectors_hold() {
    let secret = keys().secret(SEED, Purpose::Login, ADDRESS);
    let (code, long) = keys().codes(&secret, Purpose::Login, ADDRESS).unwrap();
    let token = Token::from_parts(&[9; 32], UserId(Uuid::from_bytes([3; 16])));
    let handle = Handle {
        challenge: ChallengeId([5; 16]),
        version: 6,
        vouched: true,
    };
    let vectors = [
        ("code", code.reveal().to_owned()),
        ("long_code", long.reveal().to_owned()),
        ("check", hex(&secret.check.0)),
        ("long_check", hex(&secret.long_check.0)),
        (
            "handle",
            keys().seal(handle, Purpose::Login, ADDRESS, [4; 12]),
        ),
        ("token", token.reveal().to_owned()),
        ("digest", hex(&token.digest().0)),
        (
            "successor",
            keys().successors(&token)[0].reveal().to_owned(),
        ),
        ("pseudonym", keys().pseudonym(ADDRESS)),
    ];
    let published = include_str!("../../docs/derivations.md");
    for (name, value) in vectors {
        let row = format!("| `{name}` | `{value}` |");
        assert!(
            published.contains(&row),
            "docs/derivations.md should have the row\n{row}"
        );
    }
}

#[test]
fn what_is_typed_is_read_kindly_but_only_in_two_shapes() {
    let parse = |typed: &str| TypedCode::parse(typed).map(|typed| typed.code.reveal().to_owned());
    for typed in ["123456", " 123 456 ", "123-456", "1 2 3 4 5 6"] {
        assert_eq!(parse(typed).as_deref(), Some("123456"), "{typed:?}");
    }
    let letters = "bcdfghjklmnpqrstbcdfghjklmnp";
    assert_eq!(
        parse("BCDFGHJ klmnpqr stbcdfg hjklmnp").as_deref(),
        Some(letters)
    );
    for typed in [
        "",
        "12345",
        "1234567",
        "12-34-56",
        "-123456",
        "123456-",
        "12345a",
        "１２３４５６",
        "123\t456",
        "123456\n",
        "+12345",
        "bcdfghjklmnpqrstbcdfghjklmn",
        "bcdfghjklmnpqrstbcdfghjklmn1",
    ] {
        assert_eq!(parse(typed), None, "{typed:?}");
    }
    assert_eq!(parse(&" ".repeat(1000)), None);
}

#[test]
fn a_handle_opens_only_for_its_purpose_address_and_key() {
    let handle = Handle {
        challenge: ChallengeId([5; 16]),
        version: 6,
        vouched: false,
    };
    let text = keys().seal(handle, Purpose::Login, ADDRESS, [4; 12]);
    assert_eq!(keys().open(&text, Purpose::Login, ADDRESS), Ok(handle));
    assert_eq!(
        keys().open(&text, Purpose::Registration, ADDRESS),
        Err(NoHandle::Foreign)
    );
    assert_eq!(
        keys().open(&text, Purpose::Login, "eve@example.org"),
        Err(NoHandle::Foreign)
    );
    let others = Keys::new([("k2", &[2; 32][..])]);
    assert_eq!(
        others.open(&text, Purpose::Login, ADDRESS),
        Err(NoHandle::KeyUnknown)
    );
    for text in ["", "k1", "k1.", "k1.####", "k1.AAAA"] {
        assert_eq!(
            keys().open(text, Purpose::Login, ADDRESS),
            Err(NoHandle::Malformed),
            "{text}"
        );
    }
}

#[test]
fn a_new_key_makes_while_the_old_one_still_verifies() {
    let old = keys();
    let both = Keys::new([("k2", &[2; 32][..]), ("k1", &[1; 32][..])]);
    let secret = old.secret(SEED, Purpose::Login, ADDRESS);
    let (code, _) = both.codes(&secret, Purpose::Login, ADDRESS).unwrap();
    let typed = TypedCode::parse(code.reveal()).unwrap();
    let checks = both.checks(&typed, Purpose::Login, ADDRESS);
    assert!(
        checks
            .iter()
            .any(|(id, check)| *id == secret.key_id && *check == secret.check)
    );
    assert_eq!(both.secret(SEED, Purpose::Login, ADDRESS).key_id, "k2");
    let new = both.secret(SEED, Purpose::Login, ADDRESS);
    assert_eq!(
        old.codes(&new, Purpose::Login, ADDRESS).err(),
        Some(KeyUnknown)
    );
}

#[test]
fn nothing_secret_prints() {
    let token = Token::from_parts(&[9; 32], UserId(Uuid::nil()));
    let secret = keys().secret(SEED, Purpose::Login, ADDRESS);
    let (code, long) = keys().codes(&secret, Purpose::Login, ADDRESS).unwrap();
    let printed = format!(
        "{token:?} {:?} {secret:?} {code:?} {long:?}",
        token.digest()
    );
    assert_eq!(printed.matches('…').count(), 7, "{printed}");
    assert!(!printed.contains(code.reveal()) && !printed.contains(token.reveal()));
}

proptest! {
    #[test]
    fn every_code_has_its_shape_and_its_own_check(seed in any::<[u8; 16]>(), address in "[a-z]{1,9}@[a-z]{1,9}\\.org") {
        let keys = keys();
        let secret = keys.secret(Seed(seed), Purpose::Login, &address);
        let (code, long) = keys.codes(&secret, Purpose::Login, &address).unwrap();
        let typed = TypedCode::parse(code.reveal()).unwrap();
        prop_assert!(!typed.is_long);
        prop_assert_eq!(&keys.checks(&typed, Purpose::Login, &address)[0].1, &secret.check);
        let typed = TypedCode::parse(long.reveal()).unwrap();
        prop_assert!(typed.is_long);
        prop_assert_eq!(&keys.checks(&typed, Purpose::Login, &address)[0].1, &secret.long_check);
        // Of another purpose or address it is another code.
        let other = keys.secret(Seed(seed), Purpose::Registration, &address);
        prop_assert_ne!(other.long_check, secret.long_check);
    }

    #[test]
    fn tokens_and_handles_survive_the_way_there_and_back(
        secret in any::<[u8; 32]>(), user in any::<[u8; 16]>(), id in any::<[u8; 16]>(),
        nonce in any::<[u8; 12]>(), version in any::<u32>(), vouched in any::<bool>(),
    ) {
        let user = UserId(Uuid::from_bytes(user));
        let token = Token::from_parts(&secret, user);
        let read = Token::parse(token.reveal()).unwrap();
        prop_assert_eq!(read.digest(), token.digest());
        prop_assert_eq!(read.user_id(), user);
        let next = keys().successors(&token).remove(0);
        prop_assert_eq!(Token::parse(next.reveal()).unwrap().user_id(), user);
        prop_assert_ne!(next.digest(), token.digest());
        let handle = Handle { challenge: ChallengeId(id), version, vouched };
        let text = keys().seal(handle, Purpose::Login, ADDRESS, nonce);
        prop_assert_eq!(keys().open(&text, Purpose::Login, ADDRESS), Ok(handle));
    }

    #[test]
    fn reading_tokens_and_handles_never_panics(text in "\\PC{0,120}") {
        let _ = Token::parse(&text);
        let _ = keys().open(&text, Purpose::Login, ADDRESS);
        let _ = TypedCode::parse(&text);
    }
}
