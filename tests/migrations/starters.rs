//! Any number of copies that start at once, and copies that die while they do.

use crate::database::Database;
use crate::world::Server;

/// What each copy says of the migrations that it applied itself.
const APPLIED: &str = "the database's schema was brought up to date";

#[tokio::test(flavor = "multi_thread")]
async fn eight_starters_on_an_empty_database_are_all_ready_and_migrate_it_once() {
    let database = Database::new().await;
    let mut starting = tokio::task::JoinSet::new();
    for process in (0..8).map(|_| database.start(&[])) {
        starting.spawn(Server::started(process));
    }
    let servers = starting.join_all().await;
    for server in &servers {
        server.get("/health/ready", None).await.is(200);
    }
    let applied = servers
        .iter()
        .flat_map(|server| server.log().lines())
        .filter(|line| line.contains(APPLIED))
        .count();
    let versions = database.number("SELECT count(*) FROM migrations").await;
    assert_eq!(applied, usize::try_from(versions).unwrap());
    // They share what they made.
    servers[0].sign_up("ada@example.org").await;
    let accounts = "SELECT count(*) FROM users WHERE email = 'ada@example.org'";
    assert_eq!(database.number(accounts).await, 1);
}

/// Holds up whatever makes a table or index, the n-th of all attempts, for as long as a row says so.
const HOLD: &str = "
    CREATE TABLE held (at bigint);
    CREATE SEQUENCE made;
    CREATE FUNCTION hold() RETURNS event_trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
        DECLARE n bigint := nextval('made');
        BEGIN
            WHILE EXISTS (SELECT FROM held WHERE at = n) LOOP
                PERFORM pg_sleep(0.01);
            END LOOP;
        END
    $$;
    SELECT nextval('made');
    CREATE EVENT TRIGGER hold ON ddl_command_end EXECUTE FUNCTION hold()";

const SLEEPING: &str = "SELECT count(*) FROM pg_stat_activity
    WHERE datname = current_database() AND wait_event = 'PgSleep'";
const CONNECTED: &str = "SELECT count(*) FROM pg_stat_activity
    WHERE datname = current_database() AND usename = 'auth'";

#[tokio::test(flavor = "multi_thread")]
async fn a_first_start_that_is_killed_four_times_is_made_good_by_the_next() {
    let database = Database::new().await;
    database.execute(HOLD).await;
    for step in [1, 4, 7, 10] {
        let hold = format!("INSERT INTO held SELECT last_value + {step} FROM made");
        database.execute(&hold).await;
        let mut process = database.start(&[]);
        database.until(1, SLEEPING).await;
        process.kill();
        database.execute("DELETE FROM held").await;
        // The server notices, and leaves nothing of it.
        database.until(0, CONNECTED).await;
        assert_eq!(database.tables().await, [""; 0], "killed at {step}");
    }
    let server = database.server().await;
    server.get("/health/ready", None).await.is(200);
    server.sign_up("ada@example.org").await;
    let check = database.run(&["migrate", "--check"]).await;
    check.succeeded();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_starter_that_is_killed_while_it_migrates_holds_up_no_other() {
    let database = Database::new().await;
    database.execute(HOLD).await;
    let hold = "INSERT INTO held SELECT last_value + 5 FROM made";
    database.execute(hold).await;
    let mut first = database.start(&[]);
    database.until(1, SLEEPING).await;
    let second = database.start(&[]);
    let waiting = "SELECT count(*) FROM pg_stat_activity
        WHERE datname = current_database() AND wait_event = 'advisory'";
    database.until(1, waiting).await;
    first.kill();
    database.execute("DELETE FROM held").await;
    let second = Server::started(second).await;
    assert!(second.log().text().contains(APPLIED));
    second.sign_up("ada@example.org").await;
}
