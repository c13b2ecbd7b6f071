//! aidlc-auth: authentication by e-mailed codes, in one binary.
//!
//! `ARCHITECTURE.md` is the map; this file only lists what there is.
#![forbid(unsafe_code)]

pub mod app;
pub mod audit;
pub mod auth;
#[cfg(feature = "aws")]
pub mod aws;
pub mod clock;
pub mod command;
pub mod config;
pub mod doctor;
pub mod entropy;
pub mod error;
pub mod hashing;
pub mod health;
pub mod http;
pub mod mail;
pub mod messages;
pub mod model;
pub mod notifications;
pub mod profile;
pub mod secret;
pub mod store;
pub mod telemetry;
pub mod tls;
pub mod view;
pub mod work;
