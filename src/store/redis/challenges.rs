//! `Challenges` on Redis: each promise is one step of Lua, in `challenges/`, on the keys of one partition.
//!
//! The steps speak the arithmetic of `model/limit.rs` and the state machine of `model/challenge.rs`;
//! that they agree with them is a test. What is left for here: which keys, which words, and what the
//! answer means.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use serde::Serialize;
use uuid::Uuid;

use super::keys::{AddressKeys, client_keys};
use super::outbox::{self, Outbox};
use super::record::{self, Fields};
use super::step::{Step, step};
use super::terms::Terms;
use super::{Redis, json};
use crate::model::challenge::{Admits, ChallengeId, Check, Guess, Purpose, Secret};
use crate::model::email_address::EmailAddress;
use crate::model::limit::{Pace, after};
use crate::model::outbox::{DueCode, DueLetter, LEASE};
use crate::store::{Admitted, Challenges, Error, Open, Opened, Redeemed, Want};

// Each after the files whose words it uses.
static ADMIT: Step = step!(
    "",
    "challenges/start.lua",
    "challenges/rate.lua",
    "challenges/admit.lua"
);
static WOULD_WAIT: Step = step!(
    "",
    "challenges/start.lua",
    "challenges/budget.lua",
    "challenges/rate.lua",
    "challenges/record.lua",
    "challenges/sends.lua",
    "challenges/would_wait.lua"
);
static CONTEST: Step = step!(
    "",
    "challenges/start.lua",
    "challenges/record.lua",
    "challenges/contest.lua"
);
static RESERVE_PASSWORD_TRY: Step = step!(
    "",
    "challenges/start.lua",
    "challenges/budget.lua",
    "challenges/reserve_password_try.lua"
);
static OPEN: Step = step!(
    "",
    "challenges/start.lua",
    "challenges/budget.lua",
    "challenges/rate.lua",
    "challenges/record.lua",
    "challenges/sends.lua",
    "challenges/open.lua"
);
static REDEEM: Step = step!(
    "",
    "challenges/start.lua",
    "challenges/budget.lua",
    "challenges/rate.lua",
    "challenges/record.lua",
    "challenges/redeem.lua"
);
static FINISH_CLAIM: Step = step!(
    "",
    "challenges/start.lua",
    "challenges/record.lua",
    "challenges/finish_claim.lua"
);
/// Makes room, so it is done where there is none.
static FORGET: Step = step!("allow-oom", "challenges/forget.lua");

/// What is asked of a step, in the words of its Lua.
#[derive(Serialize)]
struct Asked<T> {
    now: i64,
    #[serde(flatten)]
    what: T,
}

#[derive(Serialize)]
struct Admission {
    paces: Vec<Pace>,
}

#[derive(Serialize)]
struct Waiting {
    client: IpAddr,
    contests: bool,
}

#[derive(Serialize)]
struct Opening<'a> {
    client: IpAddr,
    yields: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    right_password_at: Option<i64>,
    id: ChallengeId,
    secret: &'a Secret,
    /// Opaque to Lua, whose numbers and tables would not give back the same JSON.
    #[serde(skip_serializing_if = "Option::is_none")]
    form: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<Uuid>,
    letter_id: Uuid,
    letter: String,
    leased_until: i64,
}

#[derive(Serialize)]
struct Guessing<'a> {
    client: IpAddr,
    #[serde(skip_serializing_if = "Option::is_none")]
    challenge: Option<ChallengeId>,
    checks: HashMap<&'a str, Check>,
    is_long: bool,
    yields: bool,
    admits: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    account: Option<Uuid>,
}

#[derive(Serialize)]
struct Finishing {
    client: IpAddr,
    id: ChallengeId,
}

#[async_trait]
impl Challenges for Redis {
    async fn admit(&self, client: IpAddr, want: Want, now: Timestamp) -> Result<Admitted, Error> {
        let limits = self.rules.limits;
        if !limits.enabled {
            return Ok(Admitted::Yes { known: true });
        }
        let (what, rate) = match want {
            Want::Code => ("code", limits.client_requests),
            Want::Guess => ("guess", limits.client_guesses),
        };
        let networks = client_keys(&self.prefix, what, client).into_iter();
        let (keys, paces): (Vec<_>, _) = networks
            .map(|(key, factor)| (key, rate.times(factor)))
            .map(|(key, rate)| (key, rate.pace(rate)))
            .unzip();
        let asked = arguments(Terms::default(), now, Admission { paces });
        let (wait, known): (u64, bool) = self.link.run(&ADMIT, &keys, &asked).await?;
        Ok(match wait {
            0 => Admitted::Yes { known },
            wait => Admitted::No {
                wait: Duration::from_micros(wait),
            },
        })
    }

    async fn would_wait(
        &self,
        address: &EmailAddress,
        purpose: Purpose,
        contests: bool,
        client: IpAddr,
        now: Timestamp,
    ) -> Result<Option<Duration>, Error> {
        let keys = AddressKeys::new(&self.prefix, address);
        let keys = [
            keys.challenge(purpose),
            keys.sends(purpose),
            keys.mailbox(),
            keys.partition.service("code"),
        ];
        let asked = arguments(
            Terms::of_opening(&self.rules),
            now,
            Waiting { client, contests },
        );
        let wait: Option<u64> = self.link.run(&WOULD_WAIT, &keys, &asked).await?;
        Ok(wait.map(Duration::from_micros))
    }

    async fn contest(&self, address: &EmailAddress, now: Timestamp) -> Result<(), Error> {
        let keys = [AddressKeys::new(&self.prefix, address).challenge(Purpose::Registration)];
        let asked = arguments(Terms::of_records(&self.rules), now, ());
        self.link.run(&CONTEST, &keys, &asked).await
    }

    async fn reserve_password_try(
        &self,
        address: &EmailAddress,
        now: Timestamp,
    ) -> Result<Option<Duration>, Error> {
        let keys = [AddressKeys::new(&self.prefix, address).passwords()];
        let asked = arguments(Terms::of_passwords(&self.rules), now, ());
        let wait: Option<u64> = self.link.run(&RESERVE_PASSWORD_TRY, &keys, &asked).await?;
        Ok(wait.map(Duration::from_micros))
    }

    async fn open(&self, open: Open, now: Timestamp) -> Result<Opened, Error> {
        let (address, purpose) = (&open.address, open.purpose);
        let keys = AddressKeys::new(&self.prefix, address);
        let keys = [
            keys.challenge(purpose),
            keys.sends(purpose),
            keys.mailbox(),
            keys.passwords(),
            keys.partition.service("code"),
            keys.partition.outbox(),
            keys.partition.letters(),
        ];
        let form = open.ask.registration.as_ref();
        let opening = Opening {
            client: open.client,
            yields: open.yields,
            right_password_at: open.right_password_at.map(Timestamp::as_microsecond),
            id: open.ask.id,
            secret: &open.ask.secret,
            form: form.map(json),
            user: form.map(|form| form.user_id),
            letter_id: open.letter.id,
            letter: outbox::written(&open.letter, address, purpose),
            leased_until: after(now, LEASE).as_microsecond(),
        };
        let asked = arguments(Terms::of_opening(&self.rules), now, opening);
        let answer: (String, u64, Fields) = self.link.run(&OPEN, &keys, &asked).await?;
        let (what, wait, fields) = answer;
        let wait = Duration::from_micros(wait);
        if what == "too_soon" {
            return Ok(Opened::TooSoon { wait });
        }
        let challenge = record::challenge(&fields)?;
        Ok(Opened::Sent {
            id: challenge.id,
            expires_at: challenge.expires_at,
            resend_after: wait,
            letter: Box::new(DueLetter {
                letter: open.letter.for_challenge(&challenge),
                address: address.normal().to_owned(),
                purpose,
                challenge: challenge.id,
                version: challenge.version,
                attempts: 0,
                code: DueCode::of(&challenge, challenge.version, now),
            }),
        })
    }

    async fn redeem(
        &self,
        address: &EmailAddress,
        purpose: Purpose,
        guess: Guess,
        now: Timestamp,
    ) -> Result<Redeemed, Error> {
        let keys = AddressKeys::new(&self.prefix, address);
        let keys = [
            keys.challenge(purpose),
            keys.guesses(),
            keys.partition.service("guess"),
        ];
        let (admits, account) = match guess.admits {
            Admits::Owner => ("owner", None),
            Admits::Form { account } => ("form", account),
            Admits::Nobody => ("nobody", None),
        };
        let checks = guess.checks.iter();
        let guessing = Guessing {
            client: guess.client,
            challenge: guess.challenge,
            checks: checks.map(|(key, check)| (&**key, *check)).collect(),
            is_long: guess.is_long,
            yields: guess.yields,
            admits,
            account,
        };
        let asked = arguments(Terms::of_guessing(&self.rules), now, guessing);
        let answer: (String, u64, Fields) = self.link.run(&REDEEM, &keys, &asked).await?;
        let (what, number, fields) = answer;
        let wait = Duration::from_micros(number);
        Ok(match &*what {
            "accepted" => Redeemed::Accepted(Box::new(record::challenge(&fields)?)),
            "wrong" => Redeemed::Wrong {
                tries_left: u8::try_from(number).unwrap_or(u8::MAX),
            },
            "gone" => Redeemed::Gone,
            "too_many" => Redeemed::TooMany { wait },
            "full" => Redeemed::Full { wait },
            "key_unknown" => Redeemed::KeyUnknown,
            _ => return Err(Error::Broken("redeem.lua said what nobody knows".into())),
        })
    }

    async fn finish_claim(
        &self,
        address: &EmailAddress,
        id: ChallengeId,
        by: IpAddr,
        now: Timestamp,
    ) -> Result<bool, Error> {
        let keys = [AddressKeys::new(&self.prefix, address).challenge(Purpose::Registration)];
        let asked = arguments(
            Terms::of_records(&self.rules),
            now,
            Finishing { client: by, id },
        );
        self.link.run(&FINISH_CLAIM, &keys, &asked).await
    }

    async fn end(&self, address: &EmailAddress) -> Result<(), Error> {
        let keys = AddressKeys::new(&self.prefix, address).challenges();
        self.link.run(&FORGET, &keys, &[]).await
    }

    async fn forgive(&self, address: &EmailAddress) -> Result<(), Error> {
        let keys = AddressKeys::new(&self.prefix, address).budgets();
        self.link.run(&FORGET, &keys, &[]).await
    }

    async fn take_letters(&self, most: u32, now: Timestamp) -> Result<Vec<DueLetter>, Error> {
        self.outbox().take(most, now).await
    }

    async fn letters_done(&self, letters: &[DueLetter]) -> Result<(), Error> {
        self.outbox().done(letters).await
    }

    async fn letter_failed(&self, letter: &DueLetter, due: Timestamp) -> Result<(), Error> {
        self.outbox().failed(letter, due).await
    }

    async fn sweep(&self, now: Timestamp) -> Result<u64, Error> {
        // Everything else ends by itself.
        self.outbox().sweep(now, self.rules.codes.lifetime).await
    }
}

impl Redis {
    fn outbox(&self) -> Outbox<'_> {
        Outbox {
            link: &self.link,
            prefix: &self.prefix,
        }
    }
}

/// What a step on challenges is given: the rules that it goes by, and what is asked.
fn arguments(rules: Terms, now: Timestamp, what: impl Serialize) -> [Vec<u8>; 2] {
    let now = now.as_microsecond();
    [json(&rules).into(), json(&Asked { now, what }).into()]
}
