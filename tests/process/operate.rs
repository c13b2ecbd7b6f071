//! What an operator does beside a running service.

use serde_json::json;

use crate::world::{Folder, REGISTRATION, SIGN_IN, registration};

#[tokio::test]
async fn a_backup_has_the_accounts_and_nothing_to_sign_in_with() {
    let folder = Folder::new();
    let server = folder.server(&[]).await;
    let token = server.sign_up("ada@example.org").await;
    let asked = json!({"email": "ada@example.org"});
    server.post("/api/auth/login", &asked).await.is(202);
    let code = server.log().mail("ada@example.org", SIGN_IN).await.code;

    let copy = Folder::new();
    std::fs::create_dir(copy.path().join("data")).unwrap();
    let file = copy.database();
    let file = file.to_str().unwrap();
    let backup = folder.run(&["backup", file], &[]).await;
    assert!(
        backup.succeeded().contains("holds the accounts"),
        "{backup:?}"
    );
    // A second one does not overwrite it.
    let again = folder.run(&["backup", file], &[]).await;
    assert!(again.refused_in_lines(1).contains("exists"), "{again:?}");

    let restored = copy.server(&[]).await;
    assert!(server.is_live(&token).await, "the service went on");
    assert!(!restored.is_live(&token).await);
    let proof = json!({"email": "ada@example.org", "verification_code": code});
    restored
        .post("/api/auth/verify-login", &proof)
        .await
        .is(400);
    // The account is there: its owner signs in with a new code.
    restored.post("/api/auth/login", &asked).await.is(202);
    let code = restored.log().mail("ada@example.org", SIGN_IN).await.code;
    let proof = json!({"email": "ada@example.org", "verification_code": code});
    let signed_in = restored
        .post("/api/auth/verify-login", &proof)
        .await
        .is(200);
    assert_eq!(signed_in.body["user"]["full_name"], "Test User");
}

#[tokio::test]
async fn a_backup_of_nothing_is_refused() {
    let folder = Folder::new();
    let backup = folder.run(&["backup", "copy.db"], &[]).await;
    assert!(
        backup.refused_in_lines(1).contains("is not there"),
        "{backup:?}"
    );
    assert!(!folder.path().join("copy.db").exists());
}

#[tokio::test]
async fn deactivating_ends_sessions_at_the_next_request() {
    let folder = Folder::new();
    let server = folder.server(&[("RESEND_AFTER_SECONDS", "0")]).await;
    let token = server.sign_up("ada@example.org").await;
    let asked = json!({"email": "ada@example.org"});
    server.post("/api/auth/login", &asked).await.is(202);
    let code = server.log().mail("ada@example.org", SIGN_IN).await.code;
    let proof = json!({"email": "ada@example.org", "verification_code": code});
    let users = async |verb| folder.run(&["users", verb, "ada@example.org"], &[]).await;

    let shown = users("show").await;
    assert!(
        shown.succeeded().contains("status      active"),
        "{shown:?}"
    );
    assert!(!shown.out.contains("$argon2"), "{shown:?}");

    let changed = users("deactivate").await;
    assert!(
        changed.succeeded().contains("status      deactivated"),
        "{changed:?}"
    );
    assert!(!server.is_live(&token).await);
    let refused = server.post("/api/auth/verify-login", &proof).await.is(400);
    assert_eq!(refused.text("code"), "code_refused");

    let changed = users("activate").await;
    assert!(
        changed.succeeded().contains("status      active"),
        "{changed:?}"
    );
    assert!(!server.is_live(&token).await, "what ended stays ended");
    server.post("/api/auth/verify-login", &proof).await.is(400);
    server.post("/api/auth/login", &asked).await.is(202);
}

#[tokio::test]
async fn forgiving_gives_an_address_its_budgets_back() {
    let folder = Folder::new();
    let server = folder.server(&[]).await;
    let form = registration("ada@example.org");
    server.post("/api/auth/register", &form).await.is(202);
    server.log().mail("ada@example.org", REGISTRATION).await;
    let too_soon = server.post("/api/auth/register", &form).await.is(429);
    assert!(too_soon.headers.contains_key("retry-after"));

    let forgiven = folder
        .run(&["users", "forgive", "ada@example.org"], &[])
        .await;
    forgiven.succeeded();
    server.post("/api/auth/register", &form).await.is(202);
}

#[tokio::test]
async fn an_address_without_an_account_is_said_in_one_line() {
    let folder = Folder::new();
    let _server = folder.server(&[]).await;
    for verb in ["show", "deactivate", "activate"] {
        let ended = folder
            .run(&["users", verb, "nobody@example.org"], &[])
            .await;
        assert!(
            ended
                .refused_in_lines(1)
                .contains("no account has this address")
        );
        let ended = folder.run(&["users", verb, "no address"], &[]).await;
        assert!(ended.refused_in_lines(1).contains("is no e-mail address"));
    }
}

#[tokio::test]
async fn config_shows_what_is_set_and_hides_secrets() {
    let settings = [
        ("MAX_SESSIONS", "7"),
        ("SMTP_URL", "smtp://ada:hunter2@mail.example.org"),
    ];
    let shown = Folder::new().run(&["config"], &settings).await;
    let out = shown.succeeded();
    assert!(
        out.lines()
            .any(|line| line.starts_with("max_sessions") && line.ends_with("= 7  [environment]"))
    );
    assert!(!out.contains("hunter2"), "{out}");
}
