//! Opening the embedded store: what it refuses, in one clear line each, and what outlives it.

use std::path::Path;

use aidlc_auth::store::Store;
use aidlc_auth::store::Users;
use aidlc_auth::store::sqlite::{Sqlite, Use};
use tempfile::TempDir;

use super::world::{ada, at, born, rules, user};

fn folder() -> TempDir {
    TempDir::new().unwrap()
}

fn refusal(path: &Path, usage: Use) -> String {
    let Err(why) = Sqlite::open(path, usage, rules()) else {
        panic!("{} was opened", path.display());
    };
    assert_eq!(why.lines().count(), 1, "{why}");
    assert!(why.contains(&path.parent().unwrap().display().to_string()));
    why
}

fn serve(path: &Path) -> Sqlite {
    Sqlite::open(path, Use::Serve, rules()).unwrap()
}

#[test]
fn a_folder_that_cannot_be_made_is_named_with_the_remedy() {
    let folder = folder();
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    // Below a file there can be no folder, whoever asks.
    let why = refusal(&file.join("auth.db"), Use::Serve);
    assert!(why.starts_with("cannot write to "), "{why}");
    assert!(why.contains("DATABASE_URL=sqlite://"), "{why}");
}

#[test]
fn a_second_server_on_the_same_file_is_refused() {
    let folder = folder();
    let path = folder.path().join("auth.db");
    let first = serve(&path);
    let why = refusal(&path, Use::Serve);
    assert!(why.starts_with("another aidlc-auth is serving "), "{why}");
    drop(first);
    serve(&path);
}

#[test]
fn an_operator_is_told_when_there_is_no_database() {
    let folder = folder();
    let path = folder.path().join("auth.db");
    let why = refusal(&path, Use::Operate);
    assert!(why.contains("is not there"), "{why}");
    assert!(!path.exists(), "nor is one made");
}

#[test]
fn a_file_that_is_no_database_is_left_alone() {
    let folder = folder();
    let path = folder.path().join("notes.txt");
    let text = "This is a list of things to do. ".repeat(100);
    std::fs::write(&path, &text).unwrap();
    for usage in [Use::Serve, Use::Operate] {
        let why = refusal(&path, usage);
        assert!(why.contains("not a database"), "{why}");
    }
    assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
}

#[tokio::test]
async fn an_operator_works_beside_the_server() {
    let folder = folder();
    let path = folder.path().join("auth.db");
    let server = serve(&path);
    let ada = user(1, &ada(), at(0));
    server.create(&ada, &born(&ada)).await.unwrap();

    let operator = Sqlite::open(&path, Use::Operate, rules()).unwrap();
    assert_eq!(operator.find(&ada.email).await.unwrap(), Some(ada.clone()));
    let eve = user(2, &super::world::address("eve@example.org"), at(1));
    operator.create(&eve, &born(&eve)).await.unwrap();
    assert_eq!(server.get(eve.id).await.unwrap(), Some(eve));
    server.check().await.unwrap();
}

#[tokio::test]
async fn what_was_answered_outlives_the_process() {
    let folder = folder();
    let path = folder.path().join("data/deeper/auth.db");
    let ada = user(1, &ada(), at(0));
    serve(&path).create(&ada, &born(&ada)).await.unwrap();
    assert_eq!(serve(&path).get(ada.id).await.unwrap(), Some(ada));
}

#[tokio::test]
async fn a_store_says_what_and_where_it_is() {
    let folder = folder();
    let path = folder.path().join("auth.db");
    let (file, memory) = (serve(&path), Sqlite::memory(rules()).unwrap());
    assert_eq!(file.place(), format!("sqlite://{}", path.display()));
    assert_eq!((file.kind(), memory.kind()), ("sqlite", "memory"));
    assert_eq!(memory.place(), "memory:");
    for store in [file, memory] {
        let first = store.check().await.unwrap();
        assert!(store.check().await.unwrap() >= first);
    }
}

#[test]
fn the_file_is_for_its_user_only() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = folder();
    let path = folder.path().join("auth.db");
    let _server = serve(&path);
    for name in ["auth.db", "auth.db-wal"] {
        let mode = folder
            .path()
            .join(name)
            .metadata()
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
}
