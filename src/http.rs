//! HTTP: the frame that every request passes through on its way to a story.

pub mod client_address;
pub mod headers;
pub mod request_id;
pub mod serve;
