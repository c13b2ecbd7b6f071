//! The refusals that stories share, for the API description. What they mean is `error.rs`.

use std::collections::BTreeMap;
use std::time::Duration;

use utoipa::IntoResponses;
use utoipa::openapi::example::ExampleBuilder;
use utoipa::openapi::header::HeaderBuilder;
use utoipa::openapi::response::{Response, ResponseBuilder};
use utoipa::openapi::schema::Type;
use utoipa::openapi::{ContentBuilder, ObjectBuilder, Ref, RefOr};

use crate::error::{Error, Invalid, Why};
use crate::model::language::Language;

macro_rules! problems {
    ($($(#[$doc:meta])* $name:ident: $($status:literal $words:literal [$($error:expr),+]),+;)*) => {$(
        $(#[$doc])*
        pub struct $name;

        impl IntoResponses for $name {
            fn responses() -> BTreeMap<String, RefOr<Response>> {
                [$(problem($status, $words, &[$($error),+])),+].into()
            }
        }
    )*};
}

problems! {
    /// What a body can be refused for.
    BodyProblems:
        "400" "The body is no JSON object: `malformed_json`." [Error::NotJson],
        "408" "The body did not arrive in time: `body_too_slow`." [Error::TooSlow],
        "413" "The body is larger than 64 KiB: `body_too_large`." [Error::TooLarge],
        "415" "The body is not declared as `application/json`: `unsupported_media_type`." [Error::NotDeclaredJson],
        "422" "Some fields are not right; `errors` names them all: `invalid_fields`." [Error::Invalid(two_fields())],
        "500" "Our fault: `internal`." [Error::Internal(String::new())],
        "503" "A store is away (`unavailable`, `key_unknown`) or there is too much to do (`busy`)."
            [Error::Unavailable(String::new()), Error::KeyUnknown, Error::Busy];
    /// What a body can be refused for that need not be declared as anything.
    RawBodyProblems:
        "400" "The body is no JSON: `malformed_json`." [Error::NotJson],
        "408" "The body did not arrive in time: `body_too_slow`." [Error::TooSlow],
        "413" "The body is larger than 64 KiB: `body_too_large`." [Error::TooLarge],
        "500" "Our fault: `internal`." [Error::Internal(String::new())],
        "503" "A store or SNS is away: `unavailable`." [Error::Unavailable(String::new())];
    /// A message that is not the mail service's.
    NotificationProblems:
        "403" "It is not of the topic in `SES_TOPIC_ARN`, or SNS did not sign it: `notification_refused`."
            [Error::NotificationRefused],
        "404" "`SES_TOPIC_ARN` is not set: `not_found`." [Error::NotFound];
    /// What calls without a body can end in.
    Outages:
        "500" "Our fault: `internal`." [Error::Internal(String::new())],
        "503" "A store is away: `unavailable`." [Error::Unavailable(String::new())];
    /// What a limit refuses.
    Limited:
        "429" "Too often: `too_many_requests`, or too many wrong attempts: `too_many_guesses`."
            [Error::TooManyRequests { wait: MINUTE }, Error::TooManyGuesses { wait: 60 * MINUTE }];
    /// What a code can be refused for, beside the body. Comes after [`BodyProblems`], whose 400 it takes in.
    CodeProblems:
        "400" "The code is not right or no longer valid: `code_refused`, or with a `challenge_id` `code_wrong`, which \
            says how many tries are left. Or the body is no JSON object: `malformed_json`."
            [Error::CodeRefused, Error::CodeWrong { tries_left: 4 }, Error::NotJson],
        "410" "The challenge that `challenge_id` names is over, used or replaced: `code_gone`." [Error::CodeGone];
    /// A password that is wrong.
    CredentialsProblem:
        "401" "The password is wrong or there is no such account: `credentials_refused`." [Error::CredentialsRefused];
    /// A cookie from elsewhere.
    OriginProblem:
        "403" "A cookie may not be used or set from where this call came from: `origin_refused`." [Error::OriginRefused];
    /// No live session.
    SessionProblem:
        "401" "There is no live session: `session_required`." [Error::SessionRequired];
    /// No such session of this account.
    NoSuchSessionProblem:
        "404" "The account has no such session: `session_not_found`." [Error::NoSuchSession];
}

const MINUTE: Duration = Duration::from_secs(60);

fn two_fields() -> Vec<Invalid> {
    let (email, full_name) = (Why::NotAnAddress, Why::Required);
    vec![
        Invalid {
            field: "email",
            why: email,
        },
        Invalid {
            field: "full_name",
            why: full_name,
        },
    ]
}

/// A refusal, with what the service really says as its examples.
fn problem(status: &str, words: &str, errors: &[Error]) -> (String, RefOr<Response>) {
    let examples = errors.iter().map(|error| {
        let problem = super::error::problem(error, Language::En, REQUEST_ID.to_owned());
        let example = ExampleBuilder::new().value(serde_json::to_value(problem).ok());
        (error.code(), example.build())
    });
    let schema = Ref::from_schema_name("Problem");
    let content = ContentBuilder::new()
        .schema(Some(schema))
        .examples_from_iter(examples)
        .build();
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

/// As `request_id.rs` makes them.
const REQUEST_ID: &str = "019ab3f0c1d27c4e9f00a1b2c3d4e5f6";
