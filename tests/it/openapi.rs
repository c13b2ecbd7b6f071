//! The API's description: kept in `api/openapi.json`, served, and true.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value;

use crate::support::answer::description;
use crate::support::world::World;

const KEPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/api/openapi.json");

#[test]
fn the_kept_description_is_fresh() {
    let fresh = serde_json::to_string_pretty(description()).unwrap() + "\n";
    if std::env::var("UPDATE_API").is_ok_and(|value| value == "1") {
        std::fs::create_dir_all(Path::new(KEPT).parent().unwrap()).unwrap();
        std::fs::write(KEPT, &fresh).unwrap();
    }
    let kept = std::fs::read_to_string(KEPT).unwrap_or_default();
    assert!(
        kept == fresh,
        "api/openapi.json is not what the stories say: UPDATE_API=1 cargo test --test it openapi"
    );
}

#[tokio::test]
async fn it_is_served_unless_switched_off() {
    let world = World::new().await;
    let served = world.get("/openapi.json").await;
    assert_eq!(served.is(200).header("content-type"), "application/json");
    assert_eq!(&served.body, description());
    let world = World::with(&[("DOCS_ENABLED", "false")]).await;
    let served = world.get("/openapi.json").await;
    served.is(404).is_refused("not_found");
    world.get("/docs").await.is(404).is_refused("not_found");
    world
        .get("/docs/page.js")
        .await
        .is(404)
        .is_refused("not_found");
}

#[test]
fn every_route_has_a_file_of_tests() {
    for path in description()["paths"].as_object().unwrap().keys() {
        let path = path.trim_start_matches("/api/").trim_start_matches('/');
        // What follows the story's name is not its own: `sessions/{id}`, `health/live`.
        let story = match path.split_once('/') {
            Some(("mail", rest)) => rest.to_owned(),
            Some(("auth", rest)) => format!("auth/{}", rest.split('/').next().unwrap()),
            Some((first, _)) => first.to_owned(),
            None => path.to_owned(),
        };
        let file = format!("tests/it/{}.rs", story.replace('-', "_"));
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
        assert!(file.exists(), "{} for {path}", file.display());
    }
}

#[test]
fn every_operation_says_what_it_is_and_what_it_answers() {
    for (path, operations) in description()["paths"].as_object().unwrap() {
        for (method, operation) in operations.as_object().unwrap() {
            let named = |field: &str| !operation[field].as_str().unwrap_or_default().is_empty();
            assert!(named("summary"), "{method} {path}");
            let responses = operation["responses"].as_object().unwrap();
            assert!(responses.keys().any(|status| status.starts_with('2')));
            for (status, response) in responses {
                let content = response["content"].as_object();
                let is_problem =
                    content.is_some_and(|content| content.contains_key("application/problem+json"));
                let is_health = path.starts_with("/health");
                assert_eq!(
                    is_problem,
                    status >= &"400".to_owned() && !is_health,
                    "{method} {path} {status}"
                );
            }
        }
    }
}

#[test]
fn every_reference_leads_somewhere() {
    let mut references = BTreeSet::new();
    collect(description(), &mut references);
    assert!(!references.is_empty());
    for reference in references {
        let pointer = reference.strip_prefix('#').unwrap();
        assert!(description().pointer(pointer).is_some(), "{reference}");
    }
}

fn collect<'a>(value: &'a Value, references: &mut BTreeSet<&'a str>) {
    match value {
        Value::Object(fields) => {
            references.extend(fields.get("$ref").and_then(Value::as_str));
            fields.values().for_each(|value| collect(value, references));
        }
        Value::Array(items) => items.iter().for_each(|value| collect(value, references)),
        _ => {}
    }
}
