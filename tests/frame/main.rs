//! The accept loop met with raw sockets.
//!
//! Limits are short here, and every test waits for the server to act rather than for time to pass.

mod confusing;
mod draining;
mod greedy;
mod log;
mod ordinary;
mod slow;
mod world;
