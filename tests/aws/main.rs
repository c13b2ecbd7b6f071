//! Calls to AWS against a stand-in for it on this machine, which checks every signature.
#![cfg(feature = "aws")]
#![forbid(unsafe_code)]

mod calls;
mod email;
mod email_service;
mod email_stand_in;
mod identity;
mod rotation;
mod secret;
mod service;
mod signature;
mod stand_in;
mod task_role;
mod world;

#[path = "../it/support/letters.rs"]
mod letters;
#[path = "../process/world.rs"]
#[expect(
    dead_code,
    reason = "the tests of processes need more of it than these"
)]
mod process;
#[path = "../servers/lib.rs"]
mod servers;
