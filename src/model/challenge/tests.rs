//! The challenge against a model that says the same rules in another way: as a list of what happened.

use super::*;
use crate::model::user::{PasswordHash, Profile};
use proptest::prelude::*;

const RULES: CodeRules = CodeRules {
    lifetime: Duration::from_secs(900),
    tries_max: 5,
};

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + seconds).unwrap()
}

fn client(last: u8) -> IpAddr {
    IpAddr::from([192, 0, 2, last])
}

/// A secret whose right code is `check([n; 32])`.
fn secret(n: u8) -> Secret {
    Secret {
        seed: Seed([n; 16]),
        key_id: "k1".into(),
        check: Check([n; 32]),
        long_check: Check([n ^ 0xff; 32]),
    }
}

fn ask(n: u8) -> Ask {
    Ask {
        id: ChallengeId([n; 16]),
        secret: secret(n),
        registration: None,
    }
}

fn form(n: u8) -> Ask {
    let profile = Profile {
        full_name: "Ada".into(),
        language: None,
        gender: None,
        birth_year: None,
    };
    let registration = Registration {
        user_id: Uuid::from_bytes([n; 16]),
        spelling: "ada@example.org".into(),
        profile,
        password: PasswordHash(String::new()),
    };
    Ask {
        registration: Some(registration),
        ..ask(n)
    }
}

fn guess(n: u8) -> Guess {
    Guess {
        challenge: None,
        checks: vec![("k0".into(), Check([0; 32])), ("k1".into(), Check([n; 32]))],
        is_long: false,
        yields: false,
        admits: Admits::Owner,
        client: client(1),
    }
}

fn long(n: u8) -> Guess {
    Guess {
        is_long: true,
        checks: vec![("k1".into(), Check([n ^ 0xff; 32]))],
        ..guess(n)
    }
}

fn wrong(tries_left: u8) -> Outcome {
    Outcome::Wrong {
        tries_left,
        counts: true,
    }
}

#[test]
fn a_code_works_once_and_then_answers_as_if_it_never_had() {
    let mut used = Challenge::asked(None, ask(1), RULES, at(0));
    let mut untouched = used.clone();
    assert_eq!(used.guessed(&guess(1), RULES, at(1)), Outcome::Accepted);
    for left in (0..5).rev() {
        assert_eq!(used.guessed(&guess(1), RULES, at(2)), wrong(left));
        assert_eq!(untouched.guessed(&guess(9), RULES, at(2)), wrong(left));
    }
    assert_eq!(used.guessed(&guess(1), RULES, at(3)), Outcome::Gone);
    assert_eq!(untouched.guessed(&guess(9), RULES, at(3)), Outcome::Gone);
}

#[test]
fn wrong_guesses_close_the_short_code_but_never_the_long_one() {
    let mut challenge = Challenge::asked(None, ask(1), RULES, at(0));
    for _ in 0..5 {
        challenge.guessed(&guess(9), RULES, at(1));
    }
    assert_eq!(challenge.guessed(&guess(1), RULES, at(1)), Outcome::Gone);
    assert_eq!(
        challenge.guessed(&long(9), RULES, at(1)),
        Outcome::Wrong {
            tries_left: 0,
            counts: false
        }
    );
    assert_eq!(challenge.guessed(&long(1), RULES, at(1)), Outcome::Accepted);
}

#[test]
fn the_short_check_is_not_the_long_one() {
    let mut challenge = Challenge::asked(None, ask(1), RULES, at(0));
    let short_as_long = Guess {
        is_long: true,
        ..guess(1)
    };
    assert_eq!(
        challenge.guessed(&short_as_long, RULES, at(1)),
        Outcome::Wrong {
            tries_left: 5,
            counts: false
        }
    );
}

#[test]
fn asking_again_sends_the_same_code_and_gives_no_more_guesses() {
    let mut challenge = Challenge::asked(None, ask(1), RULES, at(0));
    challenge.guessed(&guess(9), RULES, at(1));
    let mut again = Challenge::asked(Some(challenge.clone()), ask(2), RULES, at(720));
    assert_eq!(again, challenge);
    assert_eq!(again.guessed(&guess(8), RULES, at(721)), wrong(3));
    // Less than three minutes before its end a code is not worth sending again.
    let late = Challenge::asked(Some(challenge.clone()), ask(2), RULES, at(721));
    assert_eq!(
        (late.id, late.tries, late.expires_at),
        (ChallengeId([2; 16]), 0, at(721 + 900))
    );
    // Nor is one that has no tries left.
    challenge.tries = 5;
    assert_eq!(
        Challenge::asked(Some(challenge), ask(3), RULES, at(10)).id,
        ChallengeId([3; 16])
    );
}

#[test]
fn after_use_asking_again_gives_a_new_code_inside_the_old_frame() {
    let mut challenge = Challenge::asked(None, ask(1), RULES, at(0));
    challenge.guessed(&guess(9), RULES, at(1));
    challenge.guessed(&guess(1), RULES, at(2));
    let mut again = Challenge::asked(Some(challenge.clone()), ask(2), RULES, at(70));
    let frame = |c: &Challenge| (c.id, c.expires_at, c.tries);
    assert_eq!(frame(&again), frame(&challenge));
    assert_ne!(again.version, challenge.version);
    assert_eq!(again.guessed(&guess(1), RULES, at(71)), wrong(3));
    assert_eq!(again.guessed(&guess(2), RULES, at(72)), Outcome::Accepted);
}

#[test]
fn a_code_ends_with_its_time_even_if_a_clock_was_set_back() {
    let mut challenge = Challenge::asked(None, ask(1), RULES, at(0));
    assert_eq!(
        challenge.clone().guessed(&guess(1), RULES, at(899)),
        Outcome::Accepted
    );
    assert_eq!(
        challenge.clone().guessed(&guess(1), RULES, at(900)),
        Outcome::Gone
    );
    // Made by a clock a day ahead: it lives no longer than any other from when that is noticed.
    challenge.expires_at = at(86_400);
    assert_eq!(challenge.guessed(&guess(9), RULES, at(0)), wrong(4));
    assert_eq!(challenge.guessed(&guess(1), RULES, at(900)), Outcome::Gone);
}

#[test]
fn a_code_of_another_challenge_or_key_is_not_compared() {
    let mut challenge = Challenge::asked(None, ask(1), RULES, at(0));
    let foreign = Guess {
        challenge: Some(ChallengeId([9; 16])),
        ..guess(1)
    };
    assert_eq!(challenge.guessed(&foreign, RULES, at(1)), Outcome::Gone);
    let keyless = Guess {
        checks: vec![("k0".into(), Check([1; 32]))],
        ..guess(1)
    };
    assert_eq!(
        challenge.guessed(&keyless, RULES, at(1)),
        Outcome::KeyUnknown
    );
    assert_eq!(challenge.tries, 0);
}

#[test]
fn nobody_gets_in_by_a_right_code_without_an_account() {
    let mut challenge = Challenge::asked(None, ask(1), RULES, at(0));
    let refused = Guess {
        admits: Admits::Nobody,
        ..guess(1)
    };
    assert_eq!(challenge.guessed(&refused, RULES, at(1)), wrong(4));
    assert_eq!(
        challenge.guessed(&guess(1), RULES, at(1)),
        Outcome::Accepted
    );
}

#[test]
fn a_registration_is_claimed_and_a_dead_claim_can_be_taken_again() {
    let registering = |account| Guess {
        admits: Admits::Form { account },
        ..guess(1)
    };
    let mut challenge = Challenge::asked(None, form(1), RULES, at(0));
    assert_eq!(
        challenge.guessed(&registering(None), RULES, at(1)),
        Outcome::Accepted
    );
    assert_eq!(
        challenge.guessed(&registering(None), RULES, at(5)),
        wrong(4)
    );
    // The process died after it wrote the row: the form finds its own account.
    let own = Some(Uuid::from_bytes([1; 16]));
    assert_eq!(
        challenge.clone().guessed(&registering(own), RULES, at(11)),
        Outcome::Accepted
    );
    let anothers = Some(Uuid::from_bytes([2; 16]));
    assert_eq!(
        challenge.guessed(&registering(anothers), RULES, at(11)),
        wrong(3)
    );
}

#[test]
fn a_form_without_an_address_or_a_code_without_a_form_registers_nobody() {
    let mut formless = Challenge::asked(None, ask(1), RULES, at(0));
    let registering = Guess {
        admits: Admits::Form { account: None },
        ..guess(1)
    };
    assert_eq!(formless.guessed(&registering, RULES, at(1)), wrong(4));
}

#[test]
fn a_later_form_replaces_the_earlier_with_its_code_and_both_are_contested() {
    let first = Challenge::asked(None, form(1), RULES, at(0));
    assert!(!first.contested);
    let second = Challenge::asked(Some(first.clone()), form(2), RULES, at(70));
    assert!(second.contested);
    assert_ne!(second.id, first.id);
    assert_eq!(second.secret, secret(2));
    // One that was over contests nothing.
    assert!(!Challenge::asked(Some(first.clone()), form(2), RULES, at(900)).contested);
    // Asking for the mail again replaces no form and contests none.
    assert_eq!(
        Challenge::asked(Some(first.clone()), ask(3), RULES, at(70)),
        first
    );
}

#[test]
fn a_form_outlives_the_code_that_was_guessed_away_or_grew_old() {
    let registering = |n| Guess {
        admits: Admits::Form { account: None },
        ..guess(n)
    };
    let mut first = Challenge::asked(None, form(1), RULES, at(0));
    first.contested = true;
    let mut guessed = first.clone();
    for _ in 0..5 {
        guessed.guessed(&registering(9), RULES, at(1));
    }
    for (old, now) in [(guessed, at(70)), (first, at(800))] {
        let mut again = Challenge::asked(Some(old.clone()), ask(2), RULES, now);
        assert_eq!((again.id, again.contested), (old.id, true));
        assert_eq!((again.version, again.tries), (old.version + 1, 0));
        assert_eq!(again.registration, old.registration);
        assert_eq!(again.guessed(&registering(1), RULES, now), wrong(4));
        assert_eq!(
            again.guessed(&registering(2), RULES, now),
            Outcome::Accepted
        );
    }
}

/// What may happen to an address, at most a few minutes apart.
#[derive(Debug, Clone)]
enum Step {
    Ask,
    Right { long: bool },
    Old,
    Wrong,
}

fn steps() -> impl Strategy<Value = Vec<(i64, Step)>> {
    let step = prop_oneof![
        3 => Just(Step::Ask),
        2 => any::<bool>().prop_map(|long| Step::Right { long }),
        1 => Just(Step::Old),
        4 => Just(Step::Wrong),
    ];
    proptest::collection::vec((0i64..240, step), 1..60)
}

proptest! {
    /// Whatever the order: each code is accepted at most once, within its time, and no run of wrong
    /// guesses between two records is longer than the tries.
    #[test]
    fn any_history_keeps_single_use_and_the_count(history in steps()) {
        let (mut now, mut next) = (0, 0u8);
        let mut challenge: Option<Challenge> = None;
        // The model: what was issued (n, since when), which were used, wrong guesses per record.
        let mut issued: Vec<(u8, i64)> = Vec::new();
        let mut used: Vec<u8> = Vec::new();
        let mut frame = (0i64, 0u8);
        for (gap, step) in history {
            now += gap;
            match step {
                Step::Ask => {
                    next += 1;
                    let live = challenge.is_some() && now < frame.0 + 900;
                    let resend = live && frame.0 + 900 - now >= 180 && frame.1 < 5;
                    let current = issued.last().map(|(n, _)| *n);
                    if !resend { frame = (now, 0); }
                    if !resend || current.is_some_and(|n| used.contains(&n)) {
                        issued.push((next, now));
                    }
                    challenge = Some(Challenge::asked(challenge, ask(next), RULES, at(now)));
                    let expected = issued.last().unwrap().0;
                    prop_assert_eq!(&challenge.as_ref().unwrap().secret, &secret(expected));
                }
                Step::Right { .. } | Step::Old | Step::Wrong => {
                    let Some(record) = challenge.as_mut() else { continue };
                    let n = match step {
                        Step::Right { .. } => issued.last().unwrap().0,
                        Step::Old => issued[0].0,
                        _ => 255,
                    };
                    let is_long = matches!(step, Step::Right { long: true });
                    let outcome = record.guessed(&if is_long { long(n) } else { guess(n) }, RULES, at(now));
                    let live = now < frame.0 + 900;
                    let right = issued.last().unwrap().0 == n && !used.contains(&n);
                    let expected = if !live || (frame.1 >= 5 && !is_long) {
                        Outcome::Gone
                    } else if right {
                        used.push(n);
                        Outcome::Accepted
                    } else {
                        frame.1 += u8::from(!is_long);
                        Outcome::Wrong { tries_left: 5 - frame.1, counts: !is_long }
                    };
                    prop_assert_eq!(outcome, expected);
                }
            }
        }
    }
}
