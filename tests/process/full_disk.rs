//! A disk that is full: refuses what it cannot keep, keeps what it acknowledged, and goes on reading.

use std::sync::Arc;

use tokio::time::timeout;

use crate::world::{DEADLINE, Folder, RAISED_LIMITS, Server, registration};

/// Enough for the schema and some accounts; the write-ahead log meets it after a few dozen.
const ROOM: u32 = 1 << 20;
/// More registrations than fit by far.
const MORE_THAN_FITS: usize = 2000;

#[tokio::test]
async fn what_does_not_fit_is_refused_and_what_was_acknowledged_stays() {
    let folder = Folder::new();
    let server = folder.server_with_room_for(ROOM, &RAISED_LIMITS).await;
    let token = server.sign_up("ada@example.org").await;

    let mut acknowledged = Vec::new();
    let refused = loop {
        assert!(
            acknowledged.len() < MORE_THAN_FITS,
            "the disk never got full"
        );
        let email = format!("user{}@example.org", acknowledged.len());
        let answer = server
            .post("/api/auth/register", &registration(&email))
            .await;
        if answer.status != 202 {
            break answer;
        }
        acknowledged.push(email);
    };

    // Refused as an outage that may pass, without a word about the disk.
    assert_eq!(refused.status, 503, "{refused:?}");
    assert_eq!(refused.text("code"), "unavailable");
    let wait = refused.headers["retry-after"].to_str().unwrap();
    assert!(
        wait.parse::<u32>().is_ok_and(|seconds| seconds > 0),
        "{wait}"
    );
    assert!(!refused.text("detail").contains("disk"), "{refused:?}");
    // Small writes fill what is left, the looks of /health among them. Then alarms go off, and the
    // load balancer takes nothing away.
    let failing = async {
        while server.get("/health", None).await.status != 503 {
            let another = serde_json::json!({"email": "nobody@example.org"});
            server.post("/api/auth/login", &another).await;
        }
    };
    timeout(DEADLINE, failing).await.expect("/health notices");
    server.get("/health/ready", None).await.is(200);
    assert!(server.is_live(&token).await, "reading goes on");
    assert!(
        !server.log().text().contains("panicked"),
        "{}",
        server.log().text()
    );
    // Whoever ends their session is told that it has not ended.
    let logout = server
        .try_post("/api/auth/logout", Some(&token), None)
        .await;
    logout.unwrap().is(503);
    assert!(server.is_live(&token).await);

    everything_is_there(folder, server, &token, &acknowledged).await;
}

async fn everything_is_there(
    folder: Folder,
    mut full: Server,
    token: &str,
    acknowledged: &[String],
) {
    full.process.kill();
    let before = Arc::clone(&full.process.log);
    let server = folder.server(&RAISED_LIMITS).await;
    assert!(server.is_live(token).await);
    server.get("/health", None).await.is(200);

    let codes = before.mails();
    assert!(!codes.is_empty());
    for email in acknowledged {
        // Mailed before, or by the new process once the old one's lease is over.
        let mail = codes.iter().find(|mail| mail.to == *email).cloned();
        let mail = match mail {
            Some(mail) => mail,
            None => server.log().mail(email, crate::world::REGISTRATION).await,
        };
        let proof = serde_json::json!({"email": email, "verification_code": mail.code});
        server
            .post("/api/auth/verify-registration", &proof)
            .await
            .is(201);
    }
}

#[tokio::test]
async fn a_start_on_a_full_disk_says_so() {
    let folder = Folder::new();
    let ended = folder.serve_with_room_for(16 << 10, &[]).ended().await;
    let line = ended.refused_in_lines(1);
    assert!(
        line.contains("data/aidlc-auth.db") || line.contains("the store cannot be written"),
        "{line}"
    );
}
