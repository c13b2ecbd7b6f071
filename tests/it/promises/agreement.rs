//! Two stores that are told the same say the same: the Lua of Redis against the Rust of the embedded
//! store, over random rules, steps, and clocks that also run backwards.

use std::net::IpAddr;
use std::time::Duration;

use aidlc_auth::model::challenge::{Admits, CLAIM, ChallengeId, Guess, Purpose};
use aidlc_auth::model::email_address::EmailAddress;
use aidlc_auth::model::limit::{Budget, Rate};
use aidlc_auth::model::outbox::{DueLetter, LEASE};
use aidlc_auth::store::{Open, Opened, Redeemed, Rules, Want};
use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use uuid::Uuid;

use super::Backend;
use super::world::{World, address, again, at, guess, later, login, long, registration, rules};

/// One step, with small numbers that stand for whom it is about.
#[derive(Debug, Clone)]
enum Act {
    /// In microseconds.
    Wait(i64),
    /// By one of the rules' own spans, forwards or backwards, to the microsecond or just beside it:
    /// there the answers change.
    WaitSpan(usize, i64, i64),
    Admit(usize, bool),
    WouldWait(Whose, bool),
    Contest(Whose),
    ReservePasswordTry(Whose),
    Open {
        whose: Whose,
        n: u8,
        is_form: bool,
        yields: bool,
        /// How long before the last try, in microseconds.
        right_password: Option<i64>,
    },
    Redeem {
        whose: Whose,
        n: u8,
        is_long: bool,
        names_record: bool,
        admits: u8,
        yields: bool,
    },
    /// With the code that was mailed last, by the client with this number.
    RedeemMailed {
        is_long: bool,
        by: usize,
    },
    FinishClaim(Whose),
    /// Of the code that was accepted last.
    FinishAccepted(usize),
    End(Whose),
    Forgive(Whose),
    TakeLetters,
    LetterDone(usize),
    LetterFailed(usize, i64),
}

/// An address, a purpose and a client, by their places in the lists below.
#[derive(Debug, Clone, Copy)]
struct Whose(usize, usize, usize);

/// Of one mailbox: what bounds the whole service is counted with them in one partition.
const ADDRESSES: [&str; 3] = [
    "ada@example.org",
    "Ada+news@example.org",
    "a.da@example.org",
];
const PURPOSES: [Purpose; 3] = [
    Purpose::Registration,
    Purpose::Login,
    Purpose::ResetPassword,
];
const CLIENTS: [&str; 4] = [
    "192.0.2.1",
    "2001:db8::1",
    "2001:db8:0:0:1::1",
    "2001:db8:0:100::1",
];

impl Whose {
    fn address(self) -> EmailAddress {
        address(ADDRESSES[self.0])
    }

    fn purpose(self) -> Purpose {
        PURPOSES[self.1]
    }

    fn client(self) -> IpAddr {
        client(self.2)
    }
}

fn client(n: usize) -> IpAddr {
    CLIENTS[n].parse().unwrap()
}

fn whose() -> impl Strategy<Value = Whose> {
    // Mostly the same one: steps have to meet.
    let mostly_first = |count| prop_oneof![3 => Just(0), 1 => 0..count];
    (mostly_first(ADDRESSES.len()), 0..PURPOSES.len(), 0..2_usize)
        .prop_map(|(address, purpose, client)| Whose(address, purpose, client))
}

fn act() -> impl Strategy<Value = Act> {
    let wait = prop_oneof![
        4 => 0..20_000_000_i64,
        2 => 0..400_000_000_i64,
        1 => -400_000_000..0_i64,
        1 => Just(1),
    ];
    prop_oneof![
        8 => wait.prop_map(Act::Wait),
        4 => (any::<usize>(), prop_oneof![3 => Just(1), 1 => Just(-1)], -1..2_i64)
            .prop_map(|(n, sign, beside)| Act::WaitSpan(n, sign, beside)),
        4 => (0..CLIENTS.len(), any::<bool>()).prop_map(|(n, code)| Act::Admit(n, code)),
        2 => (whose(), any::<bool>()).prop_map(|(whose, contests)| Act::WouldWait(whose, contests)),
        1 => whose().prop_map(Act::Contest),
        4 => whose().prop_map(Act::ReservePasswordTry),
        12 => (whose(), 0..4_u8, any::<bool>(), any::<bool>(), prop::option::of(0..2_i64)).prop_map(
            |(whose, n, is_form, yields, right_password)| Act::Open {
                whose, n, is_form, yields, right_password,
            },
        ),
        12 => (whose(), 0..4_u8, any::<bool>(), any::<bool>(), 0..5_u8, any::<bool>()).prop_map(
            |(whose, n, is_long, names_record, admits, yields)| Act::Redeem {
                whose, n, is_long, names_record, admits, yields,
            },
        ),
        6 => (any::<bool>(), 0..2_usize)
            .prop_map(|(is_long, by)| Act::RedeemMailed { is_long, by }),
        1 => whose().prop_map(Act::FinishClaim),
        4 => (0..2_usize).prop_map(Act::FinishAccepted),
        1 => whose().prop_map(Act::End),
        1 => whose().prop_map(Act::Forgive),
        3 => Just(Act::TakeLetters),
        1 => any::<usize>().prop_map(Act::LetterDone),
        1 => (any::<usize>(), -10_000_000..40_000_000_i64)
            .prop_map(|(n, later)| Act::LetterFailed(n, later)),
    ]
}

fn some_rules() -> impl Strategy<Value = Rules> {
    let span = || (1..200_000_000_u64).prop_map(Duration::from_micros);
    let budget = move || (0..5_u32, span()).prop_map(|(max, window)| Budget::new(max, window));
    let rate = move || (1..9_u32, span()).prop_map(|(burst, period)| Rate::new(burst, period));
    let codes = (span(), 1..5_u8);
    let budgets = (budget(), budget(), budget(), budget(), budget());
    let rates = (rate(), rate(), rate(), rate());
    (codes, budgets, rates, span(), prop::bool::weighted(0.9)).prop_map(
        |(codes, budgets, rates, apart, enabled)| {
            let mut rules = rules();
            (rules.codes.lifetime, rules.codes.tries_max) = codes;
            let limits = &mut rules.limits;
            (limits.enabled, limits.sends_apart) = (enabled, apart);
            (
                limits.guesses,
                limits.password_tries,
                limits.sends,
                limits.mailbox_hour,
                limits.mailbox_day,
            ) = budgets;
            (
                limits.client_requests,
                limits.client_guesses,
                limits.service_requests,
                limits.service_guesses,
            ) = rates;
            rules
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 200,
        // A failure prints its smallest history: that becomes a test of its own.
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn redis_says_what_the_embedded_store_says(
        rules in some_rules(), acts in proptest::collection::vec(act(), 1..80),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(live_through(rules, acts))?;
    }
}

/// What the steps that come next may refer to.
struct Past {
    spans: Vec<Duration>,
    now: Timestamp,
    tried_at: Timestamp,
    records: Vec<ChallengeId>,
    letters: Vec<DueLetter>,
    accepted: Option<(EmailAddress, ChallengeId)>,
}

async fn live_through(rules: Rules, acts: Vec<Act>) -> Result<(), TestCaseError> {
    let mut shared = rules;
    for rate in [
        &mut shared.limits.service_requests,
        &mut shared.limits.service_guesses,
    ] {
        *rate = rate.times(Backend::Servers.parts());
    }
    let worlds = [
        World::with(Backend::Memory, rules).await,
        World::with(Backend::Servers, shared).await,
    ];
    let (codes, limits) = (rules.codes, rules.limits);
    let mut past = Past {
        spans: vec![
            codes.lifetime,
            codes.resent_with_at_least(),
            codes.lifetime - codes.resent_with_at_least(),
            CLAIM,
            LEASE,
            limits.sends_apart,
            limits.guesses.window,
            limits.password_tries.window,
            limits.sends.window,
            limits.mailbox_hour.window,
            limits.mailbox_day.window,
            limits.client_requests.period,
            limits.client_guesses.period,
            limits.service_requests.period,
            limits.service_guesses.period,
        ],
        now: at(0),
        tried_at: at(0),
        records: Vec::new(),
        letters: Vec::new(),
        accepted: None,
    };
    for act in acts {
        let [one, other] = [
            told(&worlds[0], &act, &past).await,
            told(&worlds[1], &act, &past).await,
        ];
        prop_assert_eq!(&one, &other, "{:?}", act);
        past.note(&act, one);
    }
    Ok(())
}

/// What a store says to a step.
#[derive(Debug, PartialEq)]
enum Said {
    Nothing,
    Wait(Option<Duration>),
    Admitted(aidlc_auth::store::Admitted),
    Opened(Opened),
    Redeemed(Redeemed),
    Finished(bool),
    Letters(Vec<DueLetter>),
}

async fn told(world: &World, act: &Act, past: &Past) -> Said {
    let (store, now) = (&world.challenges, past.now);
    match *act {
        Act::Wait(_) | Act::WaitSpan(..) => Said::Nothing,
        Act::Admit(n, code) => {
            let want = if code { Want::Code } else { Want::Guess };
            Said::Admitted(store.admit(client(n), want, now).await.unwrap())
        }
        Act::WouldWait(whose, contests) => {
            let (address, purpose, client) = (whose.address(), whose.purpose(), whose.client());
            let wait = store
                .would_wait(&address, purpose, contests, client, now)
                .await;
            Said::Wait(wait.unwrap())
        }
        Act::Contest(whose) => {
            store.contest(&whose.address(), now).await.unwrap();
            Said::Nothing
        }
        Act::ReservePasswordTry(whose) => {
            let wait = store.reserve_password_try(&whose.address(), now).await;
            Said::Wait(wait.unwrap())
        }
        Act::Open { .. } => Said::Opened(world.open(opening(act, past), now).await),
        Act::Redeem { whose, .. } => {
            let guess = guessing(act, past);
            let redeemed = world
                .redeem(&whose.address(), whose.purpose(), guess, now)
                .await;
            Said::Redeemed(redeemed)
        }
        Act::RedeemMailed { is_long, by } => {
            // The last of those that had one: none is mailed while a claim is held.
            let mut mailed = past.letters.iter().rev();
            let mailed = mailed.find_map(|letter| Some((letter, letter.code.as_ref()?)));
            let Some((letter, code)) = mailed else {
                return Said::Nothing;
            };
            let n = code.secret.seed.0[0];
            let guess = Guess {
                admits: match letter.purpose {
                    Purpose::Registration => Admits::Form { account: None },
                    _ => Admits::Owner,
                },
                client: client(by),
                ..if is_long { long(n) } else { guess(n) }
            };
            let redeemed = world
                .redeem(&address(&letter.address), letter.purpose, guess, now)
                .await;
            Said::Redeemed(redeemed)
        }
        Act::FinishAccepted(by) => {
            let Some((address, id)) = &past.accepted else {
                return Said::Nothing;
            };
            let finished = store.finish_claim(address, *id, client(by), now).await;
            Said::Finished(finished.unwrap())
        }
        Act::FinishClaim(whose) => {
            let id = past.records.last().copied().unwrap_or(ChallengeId([9; 16]));
            let finished = store
                .finish_claim(&whose.address(), id, whose.client(), now)
                .await;
            Said::Finished(finished.unwrap())
        }
        Act::End(whose) => {
            store.end(&whose.address()).await.unwrap();
            Said::Nothing
        }
        Act::Forgive(whose) => {
            store.forgive(&whose.address()).await.unwrap();
            Said::Nothing
        }
        Act::TakeLetters => {
            let mut letters = world.letters(now).await;
            letters.sort_by_key(|due| due.letter.id);
            for due in &mut letters {
                // One that must not go out is written for nobody.
                if due.code.is_none() {
                    due.letter.to.clear();
                    due.letter.deliver = false;
                }
            }
            Said::Letters(letters)
        }
        Act::LetterDone(n) => {
            if let Some(letter) = past.letter(n) {
                let letters = std::slice::from_ref(letter);
                store.letters_done(letters).await.unwrap();
            }
            Said::Nothing
        }
        Act::LetterFailed(n, micros) => {
            if let Some(letter) = past.letter(n) {
                let due = now
                    .checked_add(SignedDuration::from_micros(micros))
                    .unwrap();
                store.letter_failed(letter, due).await.unwrap();
            }
            Said::Nothing
        }
    }
}

fn opening(act: &Act, past: &Past) -> Open {
    let &Act::Open {
        whose,
        n,
        is_form,
        yields,
        right_password,
    } = act
    else {
        unreachable!()
    };
    let address = whose.address();
    let open = match (whose.purpose(), is_form) {
        (Purpose::Registration, true) => registration(&address, n),
        (Purpose::Registration, false) => again(&address, n),
        (purpose, _) => Open {
            purpose,
            ..login(&address, n)
        },
    };
    let mut open = Open {
        client: whose.client(),
        yields,
        right_password_at: right_password.map(|earlier| {
            let earlier = SignedDuration::from_micros(earlier);
            past.tried_at.checked_sub(earlier).unwrap()
        }),
        ..open
    };
    // Ids are random, and both stores have to be told the same ones.
    let nth = past.records.len() as u128;
    open.letter.id = Uuid::from_u128(nth);
    open.ask.id = ChallengeId(nth.to_be_bytes());
    open
}

fn guessing(act: &Act, past: &Past) -> Guess {
    let &Act::Redeem {
        whose,
        n,
        is_long,
        names_record,
        admits,
        yields,
    } = act
    else {
        unreachable!()
    };
    Guess {
        challenge: past.records.last().copied().filter(|_| names_record),
        admits: match admits {
            0 => Admits::Nobody,
            1 => Admits::Form { account: None },
            2 => Admits::Form {
                account: Some(Uuid::from_bytes([n; 16])),
            },
            _ => Admits::Owner,
        },
        yields,
        client: whose.client(),
        ..if is_long { long(n) } else { guess(n) }
    }
}

impl Past {
    fn wait(&mut self, span: SignedDuration) {
        self.now = self.now.checked_add(span).unwrap();
    }

    fn letter(&self, n: usize) -> Option<&DueLetter> {
        (!self.letters.is_empty()).then(|| &self.letters[n % self.letters.len()])
    }

    fn note(&mut self, act: &Act, said: Said) {
        match (act, said) {
            (Act::Wait(micros), _) => self.wait(SignedDuration::from_micros(*micros)),
            (Act::WaitSpan(n, sign, beside), _) => {
                let span = self.spans[n % self.spans.len()].as_micros() as i64;
                self.wait(SignedDuration::from_micros(sign * span + beside));
            }
            (Act::ReservePasswordTry(_), _) => self.tried_at = self.now,
            (_, Said::Redeemed(Redeemed::Accepted(challenge))) => {
                let mut letters = self.letters.iter();
                let letter = letters.find(|letter| letter.challenge == challenge.id);
                self.accepted = letter.map(|letter| (address(&letter.address), challenge.id));
            }
            (_, Said::Opened(Opened::Sent { id, letter, .. })) => {
                self.records.push(id);
                self.letters.push(*letter);
            }
            // To the end of a wait, and not a moment longer: there the answers change.
            (_, Said::Opened(Opened::TooSoon { wait }) | Said::Wait(Some(wait))) => {
                self.now = later(self.now, wait);
            }
            _ => {}
        }
    }
}
