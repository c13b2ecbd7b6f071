//! The refusals that stories share, for the API description. What they mean is `error.rs`.

use std::collections::BTreeMap;

use utoipa::IntoResponses;
use utoipa::openapi::header::HeaderBuilder;
use utoipa::openapi::response::{Response, ResponseBuilder};
use utoipa::openapi::schema::Type;
use utoipa::openapi::{ContentBuilder, ObjectBuilder, Ref, RefOr};

macro_rules! problems {
    ($($(#[$doc:meta])* $name:ident: $($status:literal $words:literal),+;)*) => {$(
        $(#[$doc])*
        pub struct $name;

        impl IntoResponses for $name {
            fn responses() -> BTreeMap<String, RefOr<Response>> {
                [$(problem($status, $words)),+].into()
            }
        }
    )*};
}

problems! {
    /// What a body can be refused for.
    BodyProblems:
        "400" "The body is no JSON object (`malformed_json`), or the code is refused (`code_refused`, `code_wrong`).",
        "408" "The body did not arrive in time: `body_too_slow`.",
        "413" "The body is larger than 64 KiB: `body_too_large`.",
        "415" "The body is not declared as `application/json`: `unsupported_media_type`.",
        "422" "Some fields are not right; `errors` names them all: `invalid_fields`.",
        "500" "Our fault: `internal`.",
        "503" "A store is away (`unavailable`, `key_unknown`) or there is too much to do (`busy`).";
    /// What calls without a body can end in.
    Outages:
        "500" "Our fault: `internal`.",
        "503" "A store is away: `unavailable`.";
    /// What a limit refuses.
    Limited:
        "429" "Too often: `too_many_requests`, or too many wrong attempts: `too_many_guesses`.";
    /// A code that is over.
    CodeProblems:
        "410" "The challenge that `challenge_id` names is over, used or replaced: `code_gone`.";
    /// A password that is wrong.
    CredentialsProblem:
        "401" "The password is wrong or there is no such account: `credentials_refused`.";
    /// A cookie from elsewhere.
    OriginProblem:
        "403" "A cookie may not be used or set from where this call came from: `origin_refused`.";
    /// No live session.
    SessionProblem:
        "401" "There is no live session: `session_required`.";
    /// No such session of this account.
    NoSuchSessionProblem:
        "404" "The account has no such session: `session_not_found`.";
}

fn problem(status: &str, words: &str) -> (String, RefOr<Response>) {
    let schema = Ref::from_schema_name("Problem");
    let content = ContentBuilder::new().schema(Some(schema)).build();
    let mut response = ResponseBuilder::new()
        .description(words)
        .content("application/problem+json", content);
    if matches!(status, "429" | "503") {
        let seconds = ObjectBuilder::new().schema_type(Type::Integer).build();
        let header = HeaderBuilder::new()
            .schema(Some(seconds))
            .description(Some("Seconds to wait."));
        response = response.header("Retry-After", header.build());
    }
    (status.to_owned(), response.build().into())
}
