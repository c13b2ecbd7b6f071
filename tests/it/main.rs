//! Everything that is tested from the outside, in one binary: one link, one list of tests.
#![forbid(unsafe_code)]

mod auth;
mod backend;
mod cookies;
mod copies;
mod equality;
mod health;
mod journeys;
mod keep_audit;
#[cfg(feature = "aws")]
mod notifications;
mod openapi;
mod problems;
mod profile;
mod promises;
mod round_trips;
mod send_mail;
#[path = "../servers/lib.rs"]
mod servers;
mod support;
mod sweep;
mod volleys;
