//! How long a story may take: whatever its stores do, the caller has an answer in time.

use std::sync::Arc;
use std::time::Duration;

use axum::body::HttpBody as _;
use axum::extract::Request;
use tokio::sync::Notify;
use tokio::time::sleep;

/// From the last byte of a request to its answer. Load balancers and people give up at about ten seconds;
/// until then they are told to come back.
const ANSWERED_WITHIN: Duration = Duration::from_secs(8);

/// Rides with a request, so that the time its body takes is not the story's.
#[derive(Clone, Default)]
pub struct BodyRead(Arc<Notify>);

impl BodyRead {
    /// The whole body is there: the story's own time begins.
    pub fn done(&self) {
        self.0.notify_one();
    }
}

/// How long a request may take: its body, if it has one that must still arrive, and then its story.
pub fn of(request: &Request, body_timeout: Duration) -> Duration {
    if request.body().is_end_stream() {
        ANSWERED_WITHIN
    } else {
        body_timeout + ANSWERED_WITHIN
    }
}

/// The story's outcome; `None` if it takes longer than `left`, counted anew once the body is there.
pub async fn in_time<T>(
    story: impl Future<Output = T>,
    body: &BodyRead,
    mut left: Duration,
) -> Option<T> {
    let mut story = std::pin::pin!(story);
    loop {
        tokio::select! {
            biased;
            outcome = &mut story => return Some(outcome),
            () = body.0.notified() => left = ANSWERED_WITHIN,
            () = sleep(left) => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::Instant;

    #[tokio::test(start_paused = true)]
    async fn a_story_that_hangs_is_given_up_after_its_own_time() {
        let (body, began) = (BodyRead::default(), Instant::now());
        let story = async {
            sleep(Duration::from_secs(9)).await;
            body.done();
            std::future::pending::<()>().await;
        };
        let left = Duration::from_secs(10) + ANSWERED_WITHIN;
        assert_eq!(in_time(story, &body, left).await, None);
        assert_eq!(began.elapsed().as_secs(), 9 + 8);
    }

    #[tokio::test(start_paused = true)]
    async fn a_story_that_ends_is_answered() {
        let body = BodyRead::default();
        let story = async {
            body.done();
            sleep(Duration::from_secs(7)).await;
            7
        };
        assert_eq!(in_time(story, &body, ANSWERED_WITHIN).await, Some(7));
        let hanging = std::future::pending::<()>();
        assert_eq!(in_time(hanging, &body, ANSWERED_WITHIN).await, None);
    }
}
