//! What follows from a change of a user's row, in the stores beside it.

use jiff::Timestamp;

use crate::model::session::Snapshot;
use crate::model::user::{FollowUp, FollowUpTask};
use crate::store::{End, Error, Stores};

/// Does it and strikes it out. Doing it twice is doing it once.
///
/// Called before the change is answered, and by the sweep of any node where that one died.
pub async fn perform(stores: &Stores, follow_up: &FollowUp, now: Timestamp) -> Result<(), Error> {
    let user = &follow_up.user;
    match follow_up.task {
        FollowUpTask::RenewSessions => stores.sessions.renew(&Snapshot::from(user)).await?,
        FollowUpTask::EndEverything => {
            // Both, whatever becomes of the first: sessions that cannot be ended keep no code alive.
            let below = End::Below(user.generation);
            let sessions = stores.sessions.end(user.id, below, now).await;
            stores.challenges.end(&user.email).await?;
            sessions?;
        }
    }
    stores.users.follow_up_done(follow_up.id).await
}
