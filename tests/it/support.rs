//! What the stories' tests stand on: a world of their own each.

pub mod answer;
pub mod call;
pub mod inbox;
pub mod smtp_server;
pub mod steps;
pub mod stores;
#[cfg(feature = "aws")]
pub mod topic;
pub mod world;
