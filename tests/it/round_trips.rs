//! What a call costs, counted at the servers themselves: commands of Redis, statements of PostgreSQL.

use std::collections::BTreeMap;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;

use crate::backend::{Backend, Place};
use crate::servers::{Postgres, Redis, Wanted, patient, shared};
use crate::support::call::Call;
use crate::support::world::{PASSWORD, World, client};

/// How often each call is measured. Workers take steps of their own at any time; of several
/// measurements the least has none of these.
const SAMPLES: u32 = 7;

/// Servers that tell all that they are asked.
struct Told {
    postgres: Postgres,
    /// What Redis says of each command.
    monitor: BufReader<TcpStream>,
    /// Gives commands that the monitor knows as ours.
    admin: MultiplexedConnection,
    _redis: Redis,
}

impl Told {
    async fn start() -> (Self, Place) {
        let postgres = Postgres::with(Wanted {
            settings: &[("log_statement", "all")],
            ..Wanted::default()
        });
        let redis = Redis::start();
        let place = Place::of_servers(postgres.database().await, &redis.url());
        let mut monitor = TcpStream::connect(("127.0.0.1", redis.port()))
            .await
            .unwrap();
        monitor.write_all(b"MONITOR\r\n").await.unwrap();
        let told = Self {
            postgres,
            monitor: BufReader::new(monitor),
            admin: redis.admin().await,
            _redis: redis,
        };
        (told, place)
    }

    /// Commands and statements between a call and its answer.
    async fn cost(&mut self, call: Call) -> (usize, usize) {
        self.commands().await;
        let before = self.postgres.log().len();
        let answer = call.await;
        assert!(answer.status < 300, "{}", answer.text);
        // A statement is written down before it is answered.
        let log = self.postgres.log();
        let statements = log[before..].lines();
        let statements = statements
            .filter(|line| line.contains("LOG:  execute ") || line.contains("LOG:  statement: "))
            // What is asked when a letter leaves, after the answer or beside it.
            .filter(|line| !line.contains("FROM suppressed_addresses WHERE email = $1"));
        (self.commands().await, statements.count())
    }

    /// How many commands there were since this was asked last.
    async fn commands(&mut self) -> usize {
        let mark = redis::cmd("ECHO").arg("mark").to_owned();
        let _: String = mark.query_async(&mut self.admin).await.unwrap();
        let mut count = 0;
        loop {
            let mut line = String::new();
            assert!(self.monitor.read_line(&mut line).await.unwrap() > 0);
            if line.contains(r#""ECHO" "mark""#) {
                return count;
            }
            // What a script does is one round trip with it; and we have a socket of our own.
            let is_counted = !line.contains(" lua] ") && !line.contains(" unix:");
            count += usize::from(is_counted && line.contains("] \""));
        }
    }
}

/// The least that each call cost.
#[derive(Default)]
struct Costs(BTreeMap<&'static str, (usize, usize)>);

impl Costs {
    fn note(&mut self, what: &'static str, (commands, statements): (usize, usize)) {
        let least = self.0.entry(what).or_insert((commands, statements));
        *least = (least.0.min(commands), least.1.min(statements));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_call_keeps_to_its_round_trips() {
    let (mut told, place) = Told::start().await;
    let world = World::at(place).await;
    let mut costs = Costs::default();
    for n in 0..SAMPLES {
        let (known, unknown) = (&format!("a{n}@example.org"), &format!("b{n}@example.org"));
        let from = client(n);
        world.sign_up(known).await;
        world.clock.advance(Duration::from_mins(2));
        let mut cost = async |what, call: Call| {
            costs.note(what, told.cost(call.from(&from)).await);
        };
        let new = &format!("c{n}@example.org");
        cost("register", world.register(new)).await;
        let code = world.mail_to(new).await.code;
        cost("verify-registration", world.verify_registration(new, &code)).await;
        cost("register, known", world.register(known)).await;
        let login = |email: &str| world.login(email).with("password", PASSWORD);
        cost("login, password", login(known)).await;
        world.clock.advance(Duration::from_mins(2));
        cost("login, known", world.login(known)).await;
        cost("login, unknown", world.login(unknown)).await;
        let code = world.mail_to(known).await.code;
        cost("verify-login", world.verify_login(known, &code)).await;
        world.clock.advance(Duration::from_mins(2));
        let token = world.sign_in(known).await.token();
        cost("session", world.session(&token)).await;
        let other = world.sign_in(new).await.token();
        cost("logout", world.logout(&other)).await;
        cost("refresh-session", world.refresh(&token)).await;
    }
    let expected = [
        ("login, known", (2, 1)),
        ("login, password", (3, 1)),
        ("login, unknown", (2, 1)),
        ("logout", (2, 0)),
        ("refresh-session", (1, 1)),
        ("register", (3, 1)),
        ("register, known", (3, 1)),
        ("session", (1, 0)),
        ("verify-login", (3, 1)),
        // Claimed, proved, written, and only then spent.
        ("verify-registration", (4, 2)),
    ];
    assert_eq!(costs.0, BTreeMap::from(expected), "(Redis, PostgreSQL)");
}

/// How often a cluster was asked for keys that are not together.
async fn scattered() -> u32 {
    let mut count = 0;
    for node in shared::cluster_nodes() {
        let client = redis::Client::open(node).unwrap();
        let mut link = client
            .get_multiplexed_async_connection_with_config(&patient())
            .await
            .unwrap();
        let info = redis::cmd("INFO").arg("errorstats").to_owned();
        let info: String = info.query_async(&mut link).await.unwrap();
        let told = info
            .lines()
            .find_map(|line| line.strip_prefix("errorstat_CROSSSLOT:count="));
        count += told.map_or(0, |told| told.trim().parse::<u32>().unwrap());
    }
    count
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_a_cluster_the_keys_of_each_step_are_together() {
    let (world, email) = (
        World::at(Place::on(Backend::Cluster)).await,
        "ada@example.org",
    );
    let before = scattered().await;
    let first = world.sign_up(email).await.token();
    world.clock.advance(Duration::from_mins(2));
    world.login("eve@example.org").await.is_accepted();
    let wrong = world.verify_login(email, "000000").await;
    wrong.is_refused("code_refused");
    let second = world.sign_in(email).await.token();
    world.clock.advance(Duration::from_mins(2));
    let password = world.login(email).with("password", PASSWORD).await;
    password.is_accepted();
    world.clock.advance(Duration::from_mins(2));
    world.resend(email, "login").await.is_accepted();
    world.session(&first).await.is(200);
    world.sessions(&first).await.is(200);
    let first = world.refresh(&first).await.is(200).token();
    let changed = world
        .call(reqwest::Method::PATCH, "/api/profile")
        .bearer(&first);
    changed
        .json(serde_json::json!({"full_name": "Augusta"}))
        .await
        .is(200);
    world.logout(&second).await.is(204);
    let others = world.call(reqwest::Method::DELETE, "/api/auth/sessions");
    others.bearer(&first).await.is(204);
    world.mails().await;
    world.send_what_is_due().await;
    aidlc_auth::work::sweep::once(&world.app).await;
    assert_eq!(scattered().await, before);

    // Would it have been noticed?
    let node = shared::cluster_nodes().next().unwrap();
    let mut link = redis::Client::open(node)
        .unwrap()
        .get_multiplexed_async_connection_with_config(&patient())
        .await
        .unwrap();
    let scatter = redis::cmd("MGET").arg(&["a", "b"]).to_owned();
    scatter
        .query_async::<Vec<Option<String>>>(&mut link)
        .await
        .unwrap_err();
    assert_eq!(scattered().await, before + 1);
}
