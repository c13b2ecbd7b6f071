//! The stories under `/api/auth`, one file each.

mod login;
mod logout;
mod refresh_session;
mod register;
mod resend;
mod session;
mod sessions;
mod verify_login;
mod verify_registration;
