//! Every failure that can be told from inside the task has a fixture here that makes it happen.

use crate::patient::catalogue;

/// Where the fixtures are: each a test of the failure's name.
const FIXTURES: [&str; 3] = [
    include_str!("database.rs"),
    include_str!("redis.rs"),
    include_str!("settings.rs"),
];

#[test]
fn every_failure_that_the_doctor_can_see_is_made_to_happen() {
    let catalogue = catalogue();
    let seen = catalogue.iter().filter(|(_, entry)| {
        let places = entry["seen"].as_array().unwrap();
        places.iter().any(|place| place.as_str() == Some("R"))
    });
    let seen: Vec<_> = seen.map(|(code, _)| code.as_str()).collect();
    assert!(seen.len() > 25, "{seen:?}");
    let missing: Vec<_> = seen.into_iter().filter(|code| !has_fixture(code)).collect();
    assert_eq!(missing, [""; 0], "nothing makes these happen");
    assert!(!has_fixture("export_in_use"), "the search itself");
}

/// A test of this name that expects this very code.
fn has_fixture(code: &str) -> bool {
    let test = format!("async fn {code}() {{");
    FIXTURES.iter().any(|source| {
        let Some((_, rest)) = source.split_once(&test) else {
            return false;
        };
        let body = rest.split("\n}\n").next().unwrap();
        ["fails", "warns"]
            .iter()
            .any(|expects| body.contains(&format!("{expects}(\"{code}\"")))
    })
}
