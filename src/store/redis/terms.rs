//! The numbers that the steps on challenges go by, as Lua reads them: microseconds.

use serde::Serialize;

use super::keys::PLACES;
use crate::model::challenge::CLAIM;
use crate::model::limit::{Budget, Pace, Rate, micros_of};
use crate::store::Rules;

/// [`Rules`], without those of sessions.
#[derive(Serialize)]
pub(super) struct Terms {
    enabled: bool,
    lifetime: i64,
    resent_with_at_least: i64,
    tries_max: u8,
    claim: i64,
    guesses: Allowance,
    password_tries: Allowance,
    sends_apart: Allowance,
    sends: Allowance,
    mailbox_hour: Allowance,
    mailbox_day: Allowance,
    #[serde(skip_serializing_if = "Option::is_none")]
    service_requests: Option<Ceiling>,
    #[serde(skip_serializing_if = "Option::is_none")]
    service_guesses: Option<Ceiling>,
}

/// A [`Budget`].
#[derive(Serialize)]
struct Allowance {
    max: u32,
    window: i64,
}

/// One place's share of a ceiling of the service, and what of it those have who yield to others.
#[derive(Serialize)]
struct Ceiling {
    full: Pace,
    yielding: Pace,
}

impl Terms {
    pub(super) fn of(rules: &Rules) -> Self {
        let (codes, limits) = (rules.codes, rules.limits);
        let ceiling = |rate: Rate| limits.enabled.then(|| Ceiling::of(rate));
        Self {
            enabled: limits.enabled,
            lifetime: micros_of(codes.lifetime),
            resent_with_at_least: micros_of(codes.resent_with_at_least()),
            tries_max: codes.tries_max,
            claim: micros_of(CLAIM),
            guesses: limits.guesses.into(),
            password_tries: limits.password_tries.into(),
            sends_apart: Budget::new(1, limits.sends_apart).into(),
            sends: limits.sends.into(),
            mailbox_hour: limits.mailbox_hour.into(),
            mailbox_day: limits.mailbox_day.into(),
            service_requests: ceiling(limits.service_requests),
            service_guesses: ceiling(limits.service_guesses),
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
    fn of(rate: Rate) -> Self {
        let share = rate.shared_by(PLACES);
        Self {
            full: share.pace(share),
            yielding: share.less_a_fifth().pace(share),
        }
    }
}
