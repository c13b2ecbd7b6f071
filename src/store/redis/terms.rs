//! The numbers that the steps on challenges go by, as Lua reads them: microseconds.
//!
//! A step is told what it needs and no more: reading the rest would take a third of its time.

use serde::Serialize;

use super::keys::PARTITIONS;
use crate::model::challenge::CLAIM;
use crate::model::limit::{Budget, Pace, Rate, micros_of};
use crate::store::{LimitRules, Rules};

/// Some of the rules, flat: in Lua each is `rules.` and its name.
#[derive(Default, Serialize)]
pub(super) struct Terms {
    enabled: bool,
    #[serde(flatten)]
    codes: Option<Codes>,
    #[serde(flatten)]
    sends: Option<Sends>,
    #[serde(skip_serializing_if = "Option::is_none")]
    password_tries: Option<Allowance>,
    #[serde(skip_serializing_if = "Option::is_none")]
    guesses: Option<Allowance>,
    #[serde(skip_serializing_if = "Option::is_none")]
    service_requests: Option<Ceiling>,
    #[serde(skip_serializing_if = "Option::is_none")]
    service_guesses: Option<Ceiling>,
}

#[derive(Serialize)]
struct Codes {
    lifetime: i64,
    resent_with_at_least: i64,
    tries_max: u8,
    claim: i64,
}

#[derive(Serialize)]
struct Sends {
    sends_apart: Allowance,
    sends: Allowance,
    mailbox_hour: Allowance,
    mailbox_day: Allowance,
}

/// A [`Budget`].
#[derive(Serialize)]
struct Allowance {
    max: u32,
    window: i64,
}

/// One partition's share of a ceiling of the service, and what of it those have who yield to others.
#[derive(Serialize)]
struct Ceiling {
    full: Pace,
    yielding: Pace,
}

impl Terms {
    /// For what becomes of a record.
    pub(super) fn of_records(rules: &Rules) -> Self {
        let codes = rules.codes;
        Self {
            enabled: rules.limits.enabled,
            codes: Some(Codes {
                lifetime: micros_of(codes.lifetime),
                resent_with_at_least: micros_of(codes.resent_with_at_least()),
                tries_max: codes.tries_max,
                claim: micros_of(CLAIM),
            }),
            ..Self::default()
        }
    }

    /// For a request for a code.
    pub(super) fn of_opening(rules: &Rules) -> Self {
        let limits = &rules.limits;
        Self {
            sends: Some(Sends {
                sends_apart: Budget::new(1, limits.sends_apart).into(),
                sends: limits.sends.into(),
                mailbox_hour: limits.mailbox_hour.into(),
                mailbox_day: limits.mailbox_day.into(),
            }),
            // For one that is given back.
            password_tries: Some(limits.password_tries.into()),
            service_requests: Ceiling::of(limits.service_requests, limits),
            ..Self::of_records(rules)
        }
    }

    /// For an attempt to use a code.
    pub(super) fn of_guessing(rules: &Rules) -> Self {
        let limits = &rules.limits;
        Self {
            guesses: Some(limits.guesses.into()),
            service_guesses: Ceiling::of(limits.service_guesses, limits),
            ..Self::of_records(rules)
        }
    }

    /// For a try of a password.
    pub(super) fn of_passwords(rules: &Rules) -> Self {
        Self {
            enabled: rules.limits.enabled,
            password_tries: Some(rules.limits.password_tries.into()),
            ..Self::default()
        }
    }
}

impl From<Budget> for Allowance {
    fn from(budget: Budget) -> Self {
        Self {
            max: budget.max,
            window: micros_of(budget.window),
        }
    }
}

impl Ceiling {
    /// `None` where limits are switched off.
    fn of(rate: Rate, limits: &LimitRules) -> Option<Self> {
        let share = rate.shared_by(PARTITIONS);
        limits.enabled.then(|| Self {
            full: share.pace(share),
            yielding: share.less_a_fifth().pace(share),
        })
    }
}
