//! Asking several servers the same at once, and believing most of them.
//!
//! At once, because a dead one must not cost time while everyone waits; and most, because one that
//! was cut off from the others tells what was so before.

use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};

use crate::store::Error;

/// How long the others are waited for once one has answered.
const MOMENT: Duration = Duration::from_millis(250);

/// What most of those say who answer in time. The error, if there was any, is from one who did not.
pub(super) async fn most_say<T: PartialEq + 'static>(
    mut asked: JoinSet<Result<T, Error>>,
    limit: Duration,
) -> Result<T, Option<Error>> {
    let majority = asked.len() / 2 + 1;
    let mut until = Instant::now() + limit;
    let mut said: Vec<(T, usize)> = Vec::new();
    let mut trouble = None;
    while let Ok(Some(answer)) = timeout_at(until, asked.join_next()).await {
        match answer {
            Ok(Ok(answer)) => {
                until = until.min(Instant::now() + MOMENT);
                let votes = match said.iter_mut().find(|(same, _)| *same == answer) {
                    Some((_, votes)) => {
                        *votes += 1;
                        *votes
                    }
                    None => {
                        said.push((answer, 1));
                        1
                    }
                };
                if votes >= majority {
                    break;
                }
            }
            Ok(Err(error)) => trouble = Some(error),
            // Cancelled or panicked: it said nothing.
            Err(_) => {}
        }
    }
    let most = said.into_iter().max_by_key(|(_, votes)| *votes);
    most.map(|(answer, _)| answer).ok_or(trouble)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Answers after so many milliseconds; nothing means never.
    type Voter = (Option<u64>, Result<u8, ()>);

    async fn asked(voters: &[Voter]) -> Result<u8, Option<Error>> {
        let mut asked = JoinSet::new();
        for (after, says) in voters.iter().copied() {
            asked.spawn(async move {
                match after {
                    Some(after) => tokio::time::sleep(Duration::from_millis(after)).await,
                    None => std::future::pending().await,
                }
                says.map_err(|()| Error::Unavailable("away".into()))
            });
        }
        most_say(asked, Duration::from_secs(2)).await
    }

    #[tokio::test]
    async fn most_are_believed_and_the_dead_are_not_waited_for() {
        let begun = Instant::now();
        let cut_off = [(Some(0), Ok(1)), (Some(20), Ok(2)), (Some(20), Ok(2))];
        assert_eq!(asked(&cut_off).await.unwrap(), 2);
        let dead = [(None, Ok(0)), (Some(0), Err(())), (Some(20), Ok(3))];
        assert_eq!(asked(&dead).await.unwrap(), 3);
        assert!(begun.elapsed() < Duration::from_secs(1));
        let refused = asked(&[(Some(0), Err(())), (Some(0), Err(()))]).await;
        assert!(matches!(refused, Err(Some(Error::Unavailable(_)))));
    }
}
