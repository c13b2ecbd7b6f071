//! Groups that go wrong: what is rolled back, what is answered, and that the thread lives on.

use super::*;

/// A writer on a file of its own with a table, and the connection that it writes with.
struct World {
    writer: Arc<Writer>,
    connection: Arc<Mutex<Connection>>,
    folder: tempfile::TempDir,
}

impl World {
    fn new() -> Self {
        let folder = tempfile::TempDir::new().unwrap();
        let connection = super::super::connect(&folder.path().join("auth.db")).unwrap();
        let table = "CREATE TABLE kept (n INTEGER PRIMARY KEY, text TEXT NOT NULL) STRICT";
        connection.execute_batch(table).unwrap();
        let connection = Arc::new(Mutex::new(connection));
        Self {
            writer: Arc::new(Writer::start(Arc::clone(&connection)).unwrap()),
            connection,
            folder,
        }
    }

    fn kept(&self) -> Vec<i64> {
        let connection = self.connection.lock().unwrap();
        let mut select = connection.prepare("SELECT n FROM kept ORDER BY n").unwrap();
        let rows = select.query_map([], |row| row.get(0)).unwrap();
        rows.map(Result::unwrap).collect()
    }

    /// Leaves room for so many pages more than there are; `None`: for all.
    fn leave_room(&self, pages: Option<i64>) {
        let connection = self.connection.lock().unwrap();
        let count: i64 = connection
            .query_row("PRAGMA page_count", [], |row| row.get(0))
            .unwrap();
        let most = pages.map_or(i64::from(u32::MAX) - 1, |pages| count + pages);
        connection
            .pragma_update_and_check(None, "max_page_count", most, |_| Ok(()))
            .unwrap();
    }
}

type Answer = tokio::sync::oneshot::Receiver<Result<(), Error>>;

/// A job for a group put together by hand.
fn job<F>(work: F) -> (Box<dyn Job>, Answer)
where
    F: FnOnce(&Connection) -> rusqlite::Result<()> + Send + 'static,
{
    let (asker, answer) = oneshot::channel();
    let work = Work {
        work: Some(work),
        made: None,
        asker,
    };
    (Box::new(work), answer)
}

fn keep(n: i64, bytes: usize) -> impl FnOnce(&Connection) -> rusqlite::Result<()> + Send {
    move |c| {
        c.execute("INSERT INTO kept VALUES (?1, ?2)", (n, "x".repeat(bytes)))
            .map(drop)
    }
}

fn broken(c: &Connection) -> rusqlite::Result<()> {
    c.execute("INSERT INTO kept VALUES (98, '')", [])?;
    c.execute("INSERT INTO nowhere VALUES (1)", []).map(drop)
}

fn panicking(c: &Connection) -> rusqlite::Result<()> {
    c.execute("INSERT INTO kept VALUES (99, '')", [])?;
    panic!("a bug");
}

/// Commits one group of these, and returns what each was answered.
fn group(world: &World, jobs: Vec<(Box<dyn Job>, Answer)>) -> Vec<Result<(), Error>> {
    let (jobs, answers): (Vec<_>, Vec<_>) = jobs.into_iter().unzip();
    commit(&world.connection.lock().unwrap(), jobs);
    let answered = answers.into_iter().map(|mut answer| answer.try_recv());
    answered.map(Result::unwrap).collect()
}

fn is_unavailable(answer: &Result<(), Error>) -> bool {
    matches!(answer, Err(Error::Unavailable(_)))
}

#[test]
fn a_failing_job_rolls_back_alone() {
    let world = World::new();
    let jobs = vec![job(keep(1, 1)), job(broken), job(keep(2, 1))];
    let answers = group(&world, jobs);
    assert!(answers[0].is_ok() && answers[2].is_ok());
    assert!(matches!(answers[1], Err(Error::Broken(_))));
    assert_eq!(world.kept(), [1, 2]);
}

#[test]
fn a_panicking_job_rolls_back_alone() {
    let world = World::new();
    let jobs = vec![job(keep(1, 1)), job(panicking), job(keep(2, 1))];
    let answers = group(&world, jobs);
    assert!(answers[0].is_ok() && answers[2].is_ok());
    assert!(matches!(answers[1], Err(Error::Broken(_))));
    assert_eq!(world.kept(), [1, 2]);
}

#[tokio::test]
async fn the_thread_outlives_a_panic() {
    let world = World::new();
    let panicked = world.writer.run(panicking).await;
    assert!(matches!(panicked, Err(Error::Broken(_))));
    world.writer.run(keep(1, 1)).await.unwrap();
    assert_eq!(world.kept(), [1]);
}

#[test]
fn a_full_disk_answers_a_whole_group_and_loses_nothing_acknowledged() {
    let world = World::new();
    assert!(group(&world, vec![job(keep(1, 1))])[0].is_ok());
    world.leave_room(Some(4));
    let jobs = vec![job(keep(2, 1)), job(keep(3, 100_000)), job(keep(4, 1))];
    let answers = group(&world, jobs);
    assert!(answers.iter().all(is_unavailable), "{answers:?}");
    assert_eq!(world.kept(), [1]);

    // Every later group is answered too, as long as there is no room.
    assert!(is_unavailable(
        &group(&world, vec![job(keep(3, 100_000))])[0]
    ));
    world.leave_room(None);
    let jobs = vec![job(keep(2, 1)), job(keep(3, 100_000)), job(keep(4, 1))];
    assert!(group(&world, jobs).iter().all(Result::is_ok));
    assert_eq!(world.kept(), [1, 2, 3, 4]);
}

#[test]
fn a_group_after_a_bug_and_a_full_disk_is_told_which_was_whose() {
    let world = World::new();
    world.leave_room(Some(4));
    let jobs = vec![job(broken), job(keep(3, 100_000)), job(panicking)];
    let answers = group(&world, jobs);
    assert!(matches!(answers[0], Err(Error::Broken(_))));
    assert!(is_unavailable(&answers[1]));
    assert!(is_unavailable(&answers[2]), "it was never run");
    assert!(world.kept().is_empty());
}

#[test]
fn a_file_that_another_process_holds_is_unavailable_and_not_broken() {
    let world = World::new();
    let operator = super::super::connect(&world.folder.path().join("auth.db")).unwrap();
    let patience = Duration::ZERO;
    world
        .connection
        .lock()
        .unwrap()
        .busy_timeout(patience)
        .unwrap();
    operator.execute_batch("BEGIN IMMEDIATE").unwrap();
    assert!(is_unavailable(&group(&world, vec![job(keep(1, 1))])[0]));
    operator.execute_batch("ROLLBACK").unwrap();
    assert!(group(&world, vec![job(keep(1, 1))])[0].is_ok());
}

#[test]
fn nobody_is_answered_before_the_commit() {
    let world = World::new();
    let (first, mut answer) = job(keep(1, 1));
    let (probe, mut probed) = job(move |_| {
        assert!(answer.try_recv().is_err(), "answered before its commit");
        Ok(())
    });
    commit(&world.connection.lock().unwrap(), vec![first, probe]);
    // A failed assertion would have been a panic, answered as broken.
    assert!(probed.try_recv().unwrap().is_ok());
}

#[tokio::test]
async fn a_queue_that_is_full_refuses_and_works_itself_off() {
    let world = World::new();
    let most = i64::try_from(QUEUE_MAX + GROUP_MAX).unwrap();
    let mut waiting = Vec::new();
    for n in 0..=most {
        let writer = Arc::clone(&world.writer);
        waiting.push(Box::pin(async move { writer.run(keep(n, 1)).await }));
    }
    let (mut accepted, mut refused) = (Vec::new(), 0);
    {
        // A disk that has stalled: the thread waits for the connection.
        let _stalled = world.connection.lock().unwrap();
        for mut job in waiting {
            match poll_once(job.as_mut()) {
                Some(answer) => {
                    assert!(is_unavailable(&answer));
                    refused += 1;
                }
                None => accepted.push(job),
            }
        }
    }
    assert!(refused >= 1);
    assert!(accepted.len() >= QUEUE_MAX);
    let count = accepted.len();
    for job in accepted {
        job.await.unwrap();
    }
    assert_eq!(world.kept().len(), count);
}

/// What a future has to say at once.
fn poll_once<F: Future>(future: std::pin::Pin<&mut F>) -> Option<F::Output> {
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    match future.poll(&mut context) {
        std::task::Poll::Ready(output) => Some(output),
        std::task::Poll::Pending => None,
    }
}
