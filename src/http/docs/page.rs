//! `GET /docs`: the description as a page to try it out on. All its files are in the binary.

use std::sync::Arc;

use axum::Router;
use axum::extract::Path;
use axum::extract::rejection::PathRejection;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use rust_embed::{EmbeddedFile, RustEmbed};

use crate::app::App;
use crate::error::Error;

/// The page, our few lines of script, and Scalar as npm has it (`@scalar/api-reference`), with its licence.
#[derive(RustEmbed)]
#[folder = "assets/docs"]
struct Files;

const PAGE: &str = "index.html";

/// Only this service is loaded from or called. Scalar writes its styles into the page, hence `unsafe-inline` there;
/// scripts are files of ours, with neither `unsafe-inline` nor `unsafe-eval`.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; \
    font-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// `/docs` and the files that it loads.
pub fn routes() -> Router<Arc<App>> {
    Router::new()
        .route(
            "/docs",
            get(async |headers: HeaderMap| file(PAGE, &headers)),
        )
        .route(
            "/docs/{file}",
            get(async |name: Result<Path<String>, _>, headers: HeaderMap| named(name, &headers)),
        )
}

/// Bytes that are no text (`/docs/%ff`) name no file either.
fn named(
    name: Result<Path<String>, PathRejection>,
    headers: &HeaderMap,
) -> Result<Response, Error> {
    let Path(name) = name.map_err(|_| Error::NotFound)?;
    file(&name, headers)
}

fn file(name: &str, headers: &HeaderMap) -> Result<Response, Error> {
    let file = Files::get(name).ok_or(Error::NotFound)?;
    let tag = tag(&file);
    let always = [
        (header::ETAG, tag.as_str()),
        (header::CACHE_CONTROL, freshness(name)),
        (header::CONTENT_SECURITY_POLICY, POLICY),
    ];
    let known = headers
        .get(header::IF_NONE_MATCH)
        .and_then(|known| known.to_str().ok())
        .unwrap_or_default();
    if known.split(',').any(|known| known.trim() == tag) {
        return Ok((StatusCode::NOT_MODIFIED, always).into_response());
    }
    let kind = [(header::CONTENT_TYPE, kind(name))];
    Ok((always, kind, file.data).into_response())
}

fn tag(file: &EmbeddedFile) -> String {
    let hash = file.metadata.sha256_hash();
    let hash: String = hash[..16]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    format!("\"{hash}\"")
}

/// A file that carries its version in its name never changes; the others are asked for each time.
fn freshness(name: &str) -> &'static str {
    if name.starts_with("scalar-") {
        "public, max-age=31536000, immutable"
    } else {
        "no-cache"
    }
}

fn kind(name: &str) -> &'static str {
    match name.rsplit_once('.').map(|(_, extension)| extension) {
        Some("html") => "text/html; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        _ => "text/plain; charset=utf-8",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;
    use http_body_util::BodyExt as _;

    fn asked(name: &str, known: Option<&str>) -> Response {
        let mut headers = HeaderMap::new();
        if let Some(known) = known {
            headers.insert(header::IF_NONE_MATCH, HeaderValue::from_str(known).unwrap());
        }
        file(name, &headers).unwrap()
    }

    fn value(response: &Response, name: header::HeaderName) -> &str {
        response.headers()[name].to_str().unwrap()
    }

    async fn text(response: Response) -> String {
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        String::from_utf8(bytes.to_vec()).unwrap()
    }

    #[test]
    fn only_its_own_files_are_there() {
        for name in ["", "nothing.js", "../docs.rs", "..%2fx", "/etc/passwd"] {
            let asked = file(name, &HeaderMap::new());
            assert!(matches!(asked, Err(Error::NotFound)), "{name:?}");
        }
    }

    /// The policy allows no script in the page and nothing from elsewhere, so there must be none.
    #[tokio::test]
    async fn the_page_loads_files_of_ours_and_has_no_script_in_it() {
        let page = text(asked(PAGE, None)).await;
        let scripts: Vec<_> = page.split("<script").skip(1).collect();
        assert_eq!(scripts.len(), 2);
        for script in scripts {
            let (_, rest) = script.split_once("src=\"docs/").unwrap();
            let (name, rest) = rest.split_once('"').unwrap();
            assert!(Files::get(name).is_some(), "{name}");
            assert!(rest.starts_with("></script>"), "{rest}");
        }
        assert!(!page.contains("://") && !page.contains("style="), "{page}");
    }

    #[test]
    fn the_policy_names_nobody_else_and_runs_no_script_of_a_string() {
        let page = asked(PAGE, None);
        let policy = value(&page, header::CONTENT_SECURITY_POLICY);
        let scripts = policy
            .split("; ")
            .find(|rule| rule.starts_with("script-src"));
        assert_eq!(scripts, Some("script-src 'self'"));
        assert!(policy.starts_with("default-src 'none'; "));
        assert!(!policy.contains("http") && !policy.contains('*'));
    }

    #[tokio::test]
    async fn a_known_file_is_not_sent_again() {
        for name in Files::iter() {
            let first = asked(&name, None);
            assert_eq!(first.status(), 200);
            let tag = value(&first, header::ETAG);
            let again = asked(&name, Some(&format!("\"other\", {tag}")));
            assert_eq!(again.status(), 304, "{name}");
            assert_eq!(value(&again, header::ETAG), tag);
            assert!(text(again).await.is_empty());
            assert_eq!(asked(&name, Some("\"other\"")).status(), 200);
        }
    }

    #[test]
    fn only_what_names_its_version_is_kept_for_good() {
        for name in Files::iter() {
            let kept = value(&asked(&name, None), header::CACHE_CONTROL).contains("immutable");
            let names_version = name.contains(|c: char| c.is_ascii_digit());
            assert_eq!(kept, names_version, "{name}");
        }
    }
}
