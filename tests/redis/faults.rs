//! Servers that fail under load: whoever asks has an answer in time, nothing that was acknowledged is
//! lost, nobody is told a falsehood, and everyone is served again soon after the server is back,
//! without anything being restarted here.

mod failover;
mod network;
mod once;
mod server;
