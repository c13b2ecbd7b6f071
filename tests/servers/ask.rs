//! Commands to Redis while servers are put together: they block.

use std::thread::sleep;
use std::time::{Duration, Instant};

use redis::{Connection, FromRedisValue, cmd};

use super::redis::Redis;

const DEADLINE: Duration = Duration::from_secs(60);

/// A connection that may do everything.
pub fn link(node: &Redis) -> Connection {
    connect(&node.admin_url())
}

pub fn connect(url: &str) -> Connection {
    redis::Client::open(url).unwrap().get_connection().unwrap()
}

pub fn ask<T: FromRedisValue>(link: &mut Connection, words: &str) -> T {
    let mut words = words.split(' ');
    let mut command = cmd(words.next().unwrap());
    command.arg(words.collect::<Vec<_>>());
    command.query(link).unwrap()
}

/// Asks until the answer is as wanted.
pub fn until<T: FromRedisValue + std::fmt::Debug>(
    link: &mut Connection,
    words: &str,
    is_it: impl Fn(&T) -> bool,
) {
    let start = Instant::now();
    loop {
        let told = ask(link, words);
        if is_it(&told) {
            return;
        }
        assert!(start.elapsed() < DEADLINE, "{words} still says:\n{told:?}");
        sleep(Duration::from_millis(20));
    }
}
