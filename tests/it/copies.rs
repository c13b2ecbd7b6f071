//! Several processes on the same stores: side by side, one dying, one stopped while another goes on.

mod deaths;
mod meetings;
mod together;

use aidlc_auth::clock::Clock as _;
use aidlc_auth::model::session::Session;
use aidlc_auth::model::user::UserId;
use tokio::task::JoinHandle;

use crate::support::answer::Answer;
use crate::support::call::Call;
use crate::support::world::World;

const ADA: &str = "ada@example.org";

/// What became of a call to a process that was to stop.
enum Met {
    /// It stopped; this is what came of the call if it goes on.
    Stopped(JoinHandle<Answer>),
    /// It answered before.
    Answered(Answer),
}

/// Calls a process that stops once its stories took so many more steps.
async fn stopping_after(steps: usize, world: &World, call: Call) -> Met {
    world.steps.stop_after(steps);
    let mut call = tokio::spawn(call.into_future());
    tokio::select! {
        answer = &mut call => Met::Answered(answer.unwrap()),
        () = world.steps.stopped() => Met::Stopped(call),
    }
}

/// The sessions of an account, as they are stored.
async fn sessions_of(user: UserId, world: &World) -> Vec<Session> {
    let listed = world.stores.sessions.list(user, world.clock.now());
    listed.await.unwrap()
}
