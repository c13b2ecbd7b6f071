//! An address with an account, one without, one that waits to be proved and one that is switched
//! off: the same status, headers, body, store steps and time, request by request.

mod answers;
mod time;
