//! Calls to AWS against a stand-in for it on this machine, which checks every signature.
#![cfg(feature = "aws")]
#![forbid(unsafe_code)]

mod calls;
mod identity;
mod secret;
mod signature;
mod stand_in;
mod world;
