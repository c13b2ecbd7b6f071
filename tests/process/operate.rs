//! What an operator does beside a running service.

use serde_json::json;

use crate::world::{Folder, REGISTRATION, SIGN_IN, registration};

mod on_servers;

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
async fn what_an_operator_changes_is_in_the_audit_trail() {
    let folder = Folder::new();
    let server = folder.server(&[]).await;
    server.sign_up("ada@example.org").await;
    let ada = "ada@example.org";
    let mut printed = Vec::new();
    for (verb, address) in [
        ("deactivate", ada),
        ("activate", ada),
        ("forgive", ada),
        ("forgive", "nobody@example.org"),
    ] {
        let done = folder.run(&["users", verb, address], &[]).await;
        let line = done.succeeded().lines().last().unwrap().to_owned();
        printed.push(line);
    }
    folder.run(&["users", "show", ada], &[]).await.succeeded();

    let rows = audit_rows(&folder);
    let whats: Vec<_> = rows.iter().map(|row| (&*row.what, row.has_user)).collect();
    let account = [("account deactivated", true), ("account active", true)];
    let budgets = [("budgets forgiven", true), ("budgets forgiven", false)];
    assert_eq!(whats, [account, budgets].concat());
    for (row, line) in rows.iter().zip(&printed) {
        // The pseudonym under which the service's log knows the address.
        let subject = row.subject.as_deref().unwrap();
        assert_eq!(subject.len(), 16);
        assert_eq!(
            *line,
            format!("audit       {}, subject {subject}", row.what)
        );
    }
    assert!(
        server
            .log()
            .text()
            .contains(rows[0].subject.as_deref().unwrap())
    );
    assert_ne!(rows[2].subject, rows[3].subject);
}

#[tokio::test]
async fn without_keys_at_hand_the_row_has_no_pseudonym() {
    let folder = Folder::new();
    drop(folder.server(&[]).await);
    std::fs::remove_file(folder.path().join("data/secret-key")).unwrap();
    let done = folder
        .run(&["users", "forgive", "ada@example.org"], &[])
        .await;
    assert!(done.succeeded().contains("no keys here"), "{done:?}");
    let rows = audit_rows(&folder);
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0].subject, None);
    assert!(!folder.path().join("data/secret-key").exists());
}

#[tokio::test]
async fn an_address_that_gets_no_mail_is_shown_and_let_go() {
    let folder = Folder::new();
    let server = folder.server(&[]).await;
    let ada = "ada@example.org";
    server.sign_up(ada).await;
    let suppress =
        "INSERT INTO suppressed_addresses VALUES ('ada@example.org', 'bounce', 'NoEmail', 1000000)";
    let database = rusqlite::Connection::open(folder.database()).unwrap();
    database.execute(suppress, []).unwrap();

    let sign_in = json!({ "email": ada });
    server.post("/api/auth/login", &sign_in).await.is(202);
    server.log().says("mail suppressed").await;
    let shown = folder.run(&["users", "show", ada], &[]).await;
    let line = "suppressed  bounce NoEmail, since 1970-01-01T00:00:01Z";
    assert!(shown.succeeded().contains(line), "{shown:?}");

    let lifted = folder.run(&["users", "unsuppress", ada], &[]).await;
    assert!(lifted.succeeded().contains("gets mail again"), "{lifted:?}");
    let again = folder.run(&["users", "unsuppress", ada], &[]).await;
    assert!(again.refused_in_lines(1).contains("is not suppressed"));
    let shown = folder.run(&["users", "show", ada], &[]).await;
    assert!(!shown.succeeded().contains("suppressed"), "{shown:?}");
    let rows = audit_rows(&folder);
    let whats: Vec<_> = rows.iter().map(|row| (&*row.what, row.has_user)).collect();
    assert_eq!(whats, [("suppression lifted", true)]);
}

struct Row {
    what: String,
    has_user: bool,
    subject: Option<String>,
}

/// What an operator left in the audit trail, oldest first.
fn audit_rows(folder: &Folder) -> Vec<Row> {
    let database = rusqlite::Connection::open(folder.database()).unwrap();
    let select = "SELECT event || ' ' || outcome, user_id IS NOT NULL, subject FROM audit
                  WHERE request_id = 'operator' ORDER BY at";
    let mut select = database.prepare(select).unwrap();
    let rows = select.query_map([], |row| {
        Ok(Row {
            what: row.get(0)?,
            has_user: row.get(1)?,
            subject: row.get(2)?,
        })
    });
    rows.unwrap().map(Result::unwrap).collect()
}

#[tokio::test]
async fn a_store_in_memory_cannot_be_looked_after() {
    let folder = Folder::new();
    for verb in ["show", "deactivate", "activate", "unsuppress", "forgive"] {
        let settings = [("DATABASE_URL", "memory:")];
        let users = ["users", verb, "ada@example.org"];
        let ended = folder.run(&users, &settings).await;
        let line = ended.refused_in_lines(1);
        assert!(
            line.contains("memory: is in the memory of the service"),
            "{line}"
        );
    }
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
