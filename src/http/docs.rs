//! What the API's description says of the whole. Each story says its own part; `docs/page.rs` shows it all.

use std::sync::Arc;

use axum::Router;
use axum::routing::get;
use utoipa::openapi::security::{ApiKey, ApiKeyValue, Http, HttpAuthScheme, SecurityScheme};
use utoipa::openapi::server::ServerBuilder;
use utoipa::openapi::tag::{Tag, TagBuilder};
use utoipa::openapi::{ComponentsBuilder, InfoBuilder, LicenseBuilder, OpenApi, OpenApiBuilder};

use crate::app::App;
use crate::http::error::{FieldProblem, Problem};

mod page;

/// What a newcomer reads first.
const WELCOME: &str = "\
Sign up with an e-mail address, prove it with a 6-digit code, sign in with a mailed code, and hold a session that \
other services check.

**A first tour.** `register` mails a code; `verify-registration` takes it, makes the account and answers with a \
`session_token`. From then on `login` mails a code and `verify-login` takes it. Send the token as \
`Authorization: Bearer …`; `GET /api/auth/session` says whose it is. In development nothing is mailed: the code \
stands in the service's log, in the line that begins with `📧 이메일 발송 시뮬레이션`.

**Who has an account is nobody else's business.** A known and an unknown address get the same answer everywhere; \
only the mailbox tells.

**When something goes wrong** the answer is an RFC 9457 problem: `code` is for programs and never changes, `detail` \
says in the caller's language (`Accept-Language`: `ko`, `en`) what to do next, `errors` names every field that was \
not right, and `request_id` is what to tell the operator. With 429 and 503 `Retry-After` says how many seconds to wait.

**Pages in a browser** ask with `session_transport: cookie`: the session then lives in a cookie that no script can \
read. Calls that use or set it must come from the service's own origin or an allowed one.

Fields that are not described are ignored. Times are RFC 3339 in UTC.";

/// What the description says before its paths.
pub fn frame() -> OpenApi {
    let info = InfoBuilder::new()
        .title("aidlc-auth")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(WELCOME))
        .license(Some(
            LicenseBuilder::new()
                .name("Apache-2.0")
                .identifier(Some("Apache-2.0"))
                .build(),
        ))
        .build();
    let bearer = SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer));
    let cookie = SecurityScheme::ApiKey(ApiKey::Cookie(ApiKeyValue::with_description(
        "__Host-aidlc_session",
        "`aidlc_session` in development on http://localhost. Accepted only with `Origin` or `Sec-Fetch-Site` of ours.",
    )));
    let components = ComponentsBuilder::new()
        .schema_from::<Problem>()
        .schema_from::<FieldProblem>()
        .security_scheme("bearer", bearer)
        .security_scheme("cookie", cookie)
        .build();
    // Relative: whoever serves the description serves the API.
    let here = ServerBuilder::new().url("/").build();
    OpenApiBuilder::new()
        .info(info)
        .servers(Some([here]))
        .tags(Some([
            tag(
                "auth",
                "Signing up and signing in: ask for a code, send it back.",
            ),
            tag(
                "session",
                "Checking a session, going on with it, ending it, on this device and others.",
            ),
            tag("profile", "What people say of themselves."),
            tag("mail", "What the mail service reports of mails."),
            tag(
                "health",
                "For load balancers, alarms and the people who are woken by them.",
            ),
        ]))
        .components(Some(components))
        .build()
}

fn tag(name: &str, words: &str) -> Tag {
    TagBuilder::new()
        .name(name)
        .description(Some(words))
        .build()
}

/// `/openapi.json`, and the page that shows it.
pub fn routes() -> Router<Arc<App>> {
    let description = crate::http::description().to_json().unwrap_or_default();
    let description: axum::body::Bytes = description.into();
    let json = [(axum::http::header::CONTENT_TYPE, "application/json")];
    Router::new()
        .route("/openapi.json", get(async move || (json, description)))
        .merge(page::routes())
}

#[cfg(test)]
mod tests {
    use serde_json::Value;
    use std::collections::BTreeSet;

    fn description() -> Value {
        serde_json::to_value(crate::http::description()).unwrap()
    }

    fn operations(description: &Value) -> impl Iterator<Item = (String, &Value)> {
        let paths = description["paths"].as_object().unwrap();
        paths.iter().flat_map(|(path, item)| {
            item.as_object()
                .unwrap()
                .iter()
                .map(move |(method, operation)| (format!("{method} {path}"), operation))
        })
    }

    /// The bodies of an operation: what is sent, and every answer.
    fn contents(operation: &Value) -> Vec<&Value> {
        let answers = operation["responses"].as_object().unwrap().values();
        [&operation["requestBody"]]
            .into_iter()
            .chain(answers)
            .filter_map(|body| body["content"].as_object())
            .flat_map(|content| content.values())
            .collect()
    }

    /// An example of a whole body: its own, or its schema's.
    fn has_example(description: &Value, content: &Value) -> bool {
        let schema = content["schema"]["$ref"].as_str().unwrap_or_default();
        let schema = description.pointer(schema.trim_start_matches('#'));
        content["examples"].is_object()
            || content["example"].is_string()
            || schema.is_some_and(|schema| schema["example"].is_object())
    }

    #[test]
    fn every_body_and_answer_has_an_example() {
        let description = description();
        for (name, operation) in operations(&description) {
            for content in contents(operation) {
                assert!(has_example(&description, content), "{name}: {content}");
            }
        }
        // And the test can see one that is missing.
        let bare = serde_json::json!({"schema": {"$ref": "#/components/schemas/FieldProblem"}});
        assert!(!has_example(&description, &bare));
    }

    #[test]
    fn every_operation_has_a_name_of_its_own_a_described_tag_and_words() {
        let description = description();
        let tags: BTreeSet<_> = description["tags"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|tag| !tag["description"].as_str().unwrap().is_empty())
            .map(|tag| tag["name"].as_str().unwrap())
            .collect();
        let mut names = BTreeSet::new();
        for (place, operation) in operations(&description) {
            let name = operation["operationId"].as_str().unwrap();
            assert!(names.insert(name), "{name} stands twice");
            assert!(
                name.bytes().all(|c| c.is_ascii_lowercase() || c == b'_'),
                "{name}"
            );
            assert!(
                tags.contains(operation["tags"][0].as_str().unwrap()),
                "{place}"
            );
            assert!(operation["summary"].is_string(), "{place}");
        }
        assert_eq!(description["servers"][0]["url"], "/");
    }

    #[test]
    fn the_page_is_no_part_of_the_api() {
        let description = description();
        assert!(
            operations(&description)
                .all(|(name, _)| name.contains(" /api/") || name.contains(" /health"))
        );
    }
}
