//! kill -9 under load, over and over: nothing that was acknowledged is lost, nothing that ended returns.
//! The service dies, or one of the servers that it keeps everything in.
//!
//! `KILL_ROUNDS` sets how often the service dies; 50 take about a minute.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::sync::Notify;
use tokio::task::JoinSet;

use crate::servers::{self, DURABLE, Postgres, Redis, Wanted};
use crate::world::{
    Answer, Folder, Mail, RAISED_LIMITS, REGISTRATION, SIGN_IN, Server, registration,
};

const CLIENTS: usize = 8;
/// A round is over after so many answers, or fewer.
const ANSWERS_MAX: usize = 60;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_acknowledged_is_lost() {
    let rounds = std::env::var("KILL_ROUNDS").map_or(50, |text| text.parse().unwrap());
    let (folder, mut ledger) = (Folder::new(), Ledger::default());
    let settings = settings();
    for round in 0..rounds {
        let server = Arc::new(folder.server(&settings).await);
        ledger.check_what_was_left(&server).await;
        let kill = || server.process.signal("KILL");
        let left = load_until_killed(&server, round, false, kill).await;
        server.log().whole().await;
        ledger.take_over(&server, left);
    }
    let server = folder.server(&settings).await;
    ledger.settle(&server, rounds).await;
    assert!(
        rounds < 50 || ledger.covers_every_write(),
        "{}",
        ledger.summary()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_acknowledged_is_lost_when_a_copy_on_servers_dies() {
    let servers = Servers::start().await;
    let (folder, mut ledger) = (Folder::new(), Ledger::default());
    let settings = servers.settings();
    let rounds = 12;
    for round in 0..rounds {
        let server = Arc::new(folder.server(&settings).await);
        ledger.check_what_was_left(&server).await;
        let kill = || server.process.signal("KILL");
        let left = load_until_killed(&server, round, false, kill).await;
        server.log().whole().await;
        ledger.take_over(&server, left);
    }
    let server = folder.server(&settings).await;
    ledger.settle(&server, rounds).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nothing_acknowledged_is_lost_when_postgresql_dies() {
    let servers = Servers::start().await;
    lives_through(&servers, &servers.postgres).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nothing_acknowledged_is_lost_when_redis_dies() {
    let servers = Servers::start().await;
    lives_through(&servers, &servers.redis).await;
}

/// The service goes on while one of its servers is killed and comes back, again and again.
async fn lives_through(servers: &Servers, victim: &servers::Server) {
    const ROUNDS: usize = 8;
    let (folder, mut ledger) = (Folder::new(), Ledger::default());
    let server = Arc::new(folder.server(&servers.settings()).await);
    for round in 0..ROUNDS {
        ledger.check_what_was_left(&server).await;
        let left = load_until_killed(&server, round, true, || victim.kill()).await;
        victim.revive();
        let revived = Instant::now();
        // Not by /health, whose last answer stands for a while. This takes both servers.
        let nobody = json!({"email": format!("nobody{round}@example.org")});
        while server.post("/api/auth/login", &nobody).await.status == 503 {
            assert!(revived.elapsed() < BACK_WITHIN, "{}", server.log().text());
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        ledger.take_over(&server, left);
    }
    ledger.settle(&server, ROUNDS).await;
}

/// How soon the service is itself again after its servers are.
const BACK_WITHIN: Duration = Duration::from_secs(20);
/// How soon every call is answered, whatever happens.
const ANSWERED_WITHIN: Duration = Duration::from_secs(10);

fn settings() -> Vec<(&'static str, &'static str)> {
    let mut settings = RAISED_LIMITS.to_vec();
    // A letter of a killed process waits for its lease; long runs must not outlive their codes.
    settings.extend([("CODE_TTL_SECONDS", "3600"), ("PASSWORD_HASH_THREADS", "2")]);
    settings
}

/// What a service past one machine keeps everything in, set up to lose nothing.
struct Servers {
    postgres: Postgres,
    redis: Redis,
    database_url: String,
    redis_url: String,
}

impl Servers {
    async fn start() -> Self {
        let postgres = Postgres::with(Wanted {
            durable: true,
            ..Wanted::default()
        });
        let redis = Redis::with(&DURABLE);
        let (database_url, redis_url) = (postgres.database().await, redis.url());
        Self {
            postgres,
            redis,
            database_url,
            redis_url,
        }
    }

    fn settings(&self) -> Vec<(&str, &str)> {
        let mut settings = settings();
        settings.extend([
            ("DATABASE_URL", &*self.database_url),
            ("REDIS_URL", &self.redis_url),
            // Their fsyncs wait for whatever else the disk of a test machine does.
            ("REDIS_TIMEOUT_SECONDS", "5"),
            ("DATABASE_QUERY_TIMEOUT_SECONDS", "8"),
            (
                "SECRET_KEYS",
                "k1:QmVjYXVzZSBhIHRlc3QgbmVlZHMgc29tZSBrZXkgdG9vLg==",
            ),
        ]);
        settings
    }
}

/// What a client does, in order. `acknowledged` counts the answered ones.
const STEPS: [&str; 7] = [
    "register",
    "verify-registration",
    "session",
    "login",
    "verify-login",
    "refresh",
    "logout",
];
const REGISTERED: usize = 1;
const VERIFIED: usize = 2;
const SIGNED_IN: usize = 5;
const REFRESHED: usize = 6;
const SIGNED_OUT: usize = 7;

/// One address and what its client was told.
#[derive(Debug, Default, Clone)]
struct Account {
    email: String,
    acknowledged: usize,
    /// The next step was sent, and the service died before it answered: it may have happened or not.
    in_doubt: bool,
    registration: Asked,
    sign_in: Asked,
    first_token: String,
    second_token: String,
    refreshed_token: String,
}

/// A code that was asked for and, once it was read, the code.
#[derive(Debug, Default, Clone)]
struct Asked {
    challenge_id: String,
    code: String,
}

/// Clients at work until something is killed, at a moment that falls anywhere in their work.
async fn load_until_killed(
    server: &Arc<Server>,
    round: usize,
    outlives: bool,
    kill: impl FnOnce(),
) -> Vec<Account> {
    let answers_until_death = usize::from(aidlc_auth::entropy::random::<1>()[0]) % ANSWERS_MAX;
    let load = Arc::new(Load {
        answers: AtomicUsize::new(0),
        until_death: answers_until_death,
        death: Notify::new(),
        outlives,
    });
    let mut clients = JoinSet::new();
    for client in 0..CLIENTS {
        let (server, load) = (Arc::clone(server), Arc::clone(&load));
        clients.spawn(async move {
            let mut accounts = Vec::new();
            loop {
                let email = format!("r{round}c{client}n{}@example.org", accounts.len());
                let mut account = Account {
                    email,
                    ..Account::default()
                };
                let went_on = account.go(&server, &load).await;
                accounts.push(account);
                if went_on.is_none() {
                    return accounts;
                }
            }
        });
    }
    load.death.notified().await;
    kill();
    clients.join_all().await.concat()
}

/// How far the load has come.
struct Load {
    answers: AtomicUsize,
    until_death: usize,
    death: Notify,
    /// Whether the service goes on without what dies.
    outlives: bool,
}

impl Load {
    fn count(&self) {
        if self.answers.fetch_add(1, Ordering::Relaxed) >= self.until_death {
            self.death.notify_one();
        }
    }
}

impl Account {
    /// All steps; `None` when the service died on the way.
    async fn go(&mut self, server: &Server, load: &Load) -> Option<()> {
        let form = registration(&self.email);
        let asked = self.step(server, load, 202, None, Some(&form)).await?;
        self.registration.challenge_id = asked.text("challenge_id");
        self.registration.code = read_code(server, &self.email, REGISTRATION).await?;
        let proof = self.proof(&self.registration);
        let verified = self.step(server, load, 201, None, Some(&proof)).await?;
        self.first_token = verified.text("session_token");
        let token = self.first_token.clone();
        self.step(server, load, 200, Some(&token), None).await?;
        let email = json!({"email": self.email});
        let asked = self.step(server, load, 202, None, Some(&email)).await?;
        self.sign_in.challenge_id = asked.text("challenge_id");
        self.sign_in.code = read_code(server, &self.email, SIGN_IN).await?;
        let proof = self.proof(&self.sign_in);
        let verified = self.step(server, load, 200, None, Some(&proof)).await?;
        self.second_token = verified.text("session_token");
        let refreshed = self.step(server, load, 200, Some(&token), None).await?;
        self.refreshed_token = refreshed.text("session_token");
        let token = self.second_token.clone();
        self.step(server, load, 204, Some(&token), None).await?;
        Some(())
    }

    /// The next step, whichever that is.
    async fn step(
        &mut self,
        server: &Server,
        load: &Load,
        status: u16,
        token: Option<&str>,
        body: Option<&Value>,
    ) -> Option<Answer> {
        self.in_doubt = true;
        let began = Instant::now();
        let step = STEPS[self.acknowledged];
        let answered = match step {
            "session" => server.try_get("/api/auth/session", token).await,
            "refresh" => {
                server
                    .try_post("/api/auth/refresh-session", token, body)
                    .await
            }
            step => {
                server
                    .try_post(&format!("/api/auth/{step}"), token, body)
                    .await
            }
        };
        let answer = answered.ok()?;
        assert!(began.elapsed() < ANSWERED_WITHIN, "{answer:?}");
        if answer.status == 503 && load.outlives {
            // A server is away; whether the step happened before, nobody knows.
            assert!(answer.headers.contains_key("retry-after"), "{answer:?}");
            return None;
        }
        let answer = answer.is(status);
        self.in_doubt = false;
        self.acknowledged += 1;
        load.count();
        Some(answer)
    }

    fn proof(&self, asked: &Asked) -> Value {
        json!({
            "email": self.email,
            "verification_code": asked.code,
            "challenge_id": asked.challenge_id,
        })
    }

    fn acknowledged(&self, step: usize) -> bool {
        self.acknowledged >= step
    }

    /// Whether the step before was acknowledged and this one neither was nor may have happened.
    fn rests_before(&self, step: usize) -> bool {
        self.acknowledged == step - 1 && !self.in_doubt
    }
}

/// The code in the log; `None` if the service dies before it gets there.
async fn read_code(server: &Server, email: &str, subject: &str) -> Option<String> {
    let found = server.log().find_mail(email, subject).await;
    found.map(|mail| mail.code)
}

/// A spent code answers as a live one would to a wrong guess.
fn is_refused(answer: &Answer) -> bool {
    matches!(
        answer.body["code"].as_str(),
        Some("code_wrong" | "code_gone")
    )
}

/// All that was acknowledged, what of it has been checked, and what was found missing.
#[derive(Default)]
struct Ledger {
    /// Of the last round, not looked at yet.
    left: Vec<Account>,
    /// Whose letter was acknowledged and has not come yet.
    waiting: Vec<Account>,
    settled: Vec<Account>,
    /// Every mail so far, of every process.
    post: HashMap<String, Vec<Mail>>,
    /// How many accounts were cut off at each step, and how many of these in doubt.
    cut_at: [(usize, usize); STEPS.len() + 1],
    answers: usize,
    lost: Vec<String>,
}

impl Ledger {
    /// Notes what a round was told, after something was killed.
    fn take_over(&mut self, server: &Server, accounts: Vec<Account>) {
        self.read_post(server);
        for account in &accounts {
            let (cut, in_doubt) = &mut self.cut_at[account.acknowledged];
            *cut += 1;
            *in_doubt += usize::from(account.in_doubt);
            self.answers += account.acknowledged;
        }
        self.left = accounts;
    }

    fn read_post(&mut self, server: &Server) {
        for mail in server.log().mails() {
            self.post.entry(mail.to.clone()).or_default().push(mail);
        }
    }

    /// The end: what is still owed comes, and everything is looked at once more.
    async fn settle(&mut self, server: &Server, rounds: usize) {
        self.check_what_was_left(server).await;
        self.wait_for_late_letters(server).await;
        self.check_what_was_settled(server).await;
        println!("{rounds} kills: {}", self.summary());
        assert!(self.lost.is_empty(), "LOST: {:#?}", self.lost);
    }

    /// Checks the accounts of the last round, right after the restart.
    async fn check_what_was_left(&mut self, server: &Server) {
        for account in std::mem::take(&mut self.left) {
            self.check(server, &account).await;
            if account.rests_before(VERIFIED) || account.rests_before(SIGNED_IN) {
                self.waiting.push(account);
            } else {
                self.settled.push(account);
            }
        }
        for account in std::mem::take(&mut self.waiting) {
            let subject = if account.acknowledged(VERIFIED) {
                SIGN_IN
            } else {
                REGISTRATION
            };
            let mails = self.post.get(&account.email);
            let mail =
                mails.and_then(|mails| mails.iter().find(|mail| mail.is(&account.email, subject)));
            match mail.cloned() {
                Some(mail) => self.use_code(server, account, &mail.code).await,
                None => self.waiting.push(account),
            }
        }
    }

    /// What must be so at once.
    async fn check(&mut self, server: &Server, account: &Account) {
        let mut expect = |what: &str, is_so: bool| {
            if !is_so {
                self.lost.push(format!("{what}: {account:?}"));
            }
        };
        if account.acknowledged(VERIFIED) && !account.acknowledged(REFRESHED) {
            // A refresh in doubt may have replaced the token; the old one then still has its grace.
            let in_doubt = account.acknowledged == SIGNED_IN && account.in_doubt;
            let is_live = in_doubt || server.is_live(&account.first_token).await;
            expect("the first session", is_live);
        }
        if account.acknowledged(VERIFIED) {
            let proof = account.proof(&account.registration);
            let again = server.post("/api/auth/verify-registration", &proof).await;
            expect("a spent registration code", is_refused(&again));
        }
        if account.acknowledged(SIGNED_IN) {
            let proof = account.proof(&account.sign_in);
            let again = server.post("/api/auth/verify-login", &proof).await;
            expect("a spent sign-in code", is_refused(&again));
        }
        if account.acknowledged(REFRESHED) {
            let is_live = server.is_live(&account.refreshed_token).await;
            expect("the refreshed session", is_live);
        }
        if account.acknowledged(SIGNED_IN) && !account.acknowledged(SIGNED_OUT) {
            let in_doubt = account.acknowledged == REFRESHED && account.in_doubt;
            let is_live = in_doubt || server.is_live(&account.second_token).await;
            expect("the second session", is_live);
        }
        if account.acknowledged(SIGNED_OUT) {
            let is_out = !server.is_live(&account.second_token).await;
            expect("the end of the second session", is_out);
        }
        if account.acknowledged == REGISTERED && account.in_doubt {
            self.check_doubtful_account(server, account).await;
        }
    }

    /// The registration was verified, or was not, or is claimed by the dead process for a moment:
    /// the code opens the account, or the account is there, or the claim still runs.
    async fn check_doubtful_account(&mut self, server: &Server, account: &Account) {
        let proof = account.proof(&account.registration);
        let answer = server.post("/api/auth/verify-registration", &proof).await;
        if answer.status != 201 && !is_refused(&answer) {
            self.lost
                .push(format!("an account in doubt got {answer:?}: {account:?}"));
        }
    }

    /// A code that was asked for before a kill is accepted after it, once.
    async fn use_code(&mut self, server: &Server, mut account: Account, code: &str) {
        let is_registration = !account.acknowledged(VERIFIED);
        let (asked, path, status) = if is_registration {
            (
                &mut account.registration,
                "/api/auth/verify-registration",
                201,
            )
        } else {
            (&mut account.sign_in, "/api/auth/verify-login", 200)
        };
        asked.code = code.to_owned();
        let proof = account.proof(if is_registration {
            &account.registration
        } else {
            &account.sign_in
        });
        let answer = server.post(path, &proof).await;
        if answer.status != status {
            self.lost
                .push(format!("a code, refused with {answer:?}: {account:?}"));
            return;
        }
        let token = answer.text("session_token");
        if is_registration {
            (account.first_token, account.acknowledged) = (token, VERIFIED);
        } else {
            (account.second_token, account.acknowledged) = (token, SIGNED_IN);
        }
        self.settled.push(account);
    }

    /// Letters of killed processes, sent by the last one when their leases are over.
    async fn wait_for_late_letters(&mut self, server: &Server) {
        for account in std::mem::take(&mut self.waiting) {
            let subject = if account.acknowledged(VERIFIED) {
                SIGN_IN
            } else {
                REGISTRATION
            };
            let mail = server.log().mail(&account.email, subject).await;
            self.use_code(server, account, &mail.code).await;
        }
    }

    /// Everything once more, at the end: what was there is there, what was over is over.
    async fn check_what_was_settled(&mut self, server: &Server) {
        for account in self.settled.clone() {
            self.check(server, &account).await;
        }
    }

    /// Every step that writes was cut off at least once: what else would the kills have shown?
    fn covers_every_write(&self) -> bool {
        let cuts = STEPS.iter().zip(self.cut_at);
        cuts.filter(|(step, _)| **step != "session")
            .all(|(_, (cut, _))| cut > 0)
    }

    fn summary(&self) -> String {
        let mut text = format!(
            "{} answers to {} addresses, {} lost; cut off before",
            self.answers,
            self.settled.len(),
            self.lost.len(),
        );
        for (step, (cut, in_doubt)) in STEPS.iter().zip(self.cut_at) {
            text.push_str(&format!(" {step} {cut} ({in_doubt} in doubt)"));
        }
        text
    }
}
