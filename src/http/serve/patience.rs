//! How long a connection may keep us waiting, as a state machine without I/O or a clock.
//!
//! hyper's own header time-out also runs while a kept-alive connection rests, so one number would have to serve
//! both; here each kind of waiting has its own.

use std::time::Duration;

use tokio::time::Instant;

use super::Limits;

/// How long a client that was answered before it stopped sending may go on, so that it reads the answer.
pub const LINGER: Duration = Duration::from_secs(1);

/// What a connection is waiting for, and since when.
#[derive(Debug)]
pub struct Patience {
    phase: Phase,
    since: Instant,
    /// Since when the client has taken nothing of what we write.
    stalled: Option<Instant>,
    /// Bytes of a body that nobody read may still be on their way.
    unread: bool,
}

/// Why a connection was cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// The client took too long to send a request's head, or a new one never sent any.
    Head,
    /// The client took too long to send a request's body.
    Body,
    /// The client had no further request.
    Idle,
    /// The client stopped taking the answer.
    Write,
    /// The client went on sending after its answer.
    Linger,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Connected; nothing came yet.
    Fresh,
    /// A part of a request's head came.
    Head,
    /// A handler is at work: the client waits for us.
    Handler,
    /// A handler waits for the rest of the body.
    Body,
    /// Answered; the next request may come.
    Idle,
    /// Closed on our side; reading what the client still sends.
    Linger,
}

impl Patience {
    /// For a connection accepted now.
    pub fn new(now: Instant) -> Self {
        Self {
            phase: Phase::Fresh,
            since: now,
            stalled: None,
            unread: false,
        }
    }

    /// Bytes came.
    pub fn received(&mut self, now: Instant) {
        match self.phase {
            // The rest of a body that nobody read: not yet a new request.
            Phase::Idle if self.unread => self.unread = false,
            Phase::Fresh | Phase::Idle => self.enter(Phase::Head, now),
            // Neither a head nor a body gets more time by coming in drips.
            Phase::Head | Phase::Body | Phase::Handler | Phase::Linger => {}
        }
    }

    /// A head is complete and its handler starts.
    pub fn began(&mut self, now: Instant) {
        self.unread = false;
        self.enter(Phase::Handler, now);
    }

    /// The handler wants bytes of the body that are not there. The clock runs from the head's end, whatever
    /// came in between.
    pub fn wants_body(&mut self) {
        if self.phase == Phase::Handler {
            self.phase = Phase::Body;
        }
    }

    /// The handler is done with the body, which may be before its end.
    pub fn left_body(&mut self, is_complete: bool) {
        self.unread = !is_complete;
        if self.phase == Phase::Body {
            self.phase = Phase::Handler;
        }
    }

    /// The answer is complete.
    pub fn answered(&mut self, now: Instant) {
        self.enter(Phase::Idle, now);
    }

    /// The client takes nothing of what we write.
    pub fn stalled(&mut self, now: Instant) {
        self.stalled.get_or_insert(now);
    }

    /// The client took something.
    pub fn wrote(&mut self, now: Instant) {
        // The time it spent on reading is not time it spent on idling.
        if self.stalled.take().is_some() && matches!(self.phase, Phase::Idle | Phase::Head) {
            self.since = now;
        }
    }

    /// Our side is closed. Answers whether the client may still be sending: closing the socket then would
    /// reset the connection, and the reset can overtake the answer.
    pub fn closed(&mut self, now: Instant) -> bool {
        if self.phase == Phase::Linger {
            return true;
        }
        let may_still_send = self.unread || self.phase == Phase::Head;
        if may_still_send {
            self.enter(Phase::Linger, now);
        }
        may_still_send
    }

    /// When patience ends, and why; `None` while the client waits for us.
    pub fn ends(&self, limits: &Limits) -> Option<(Instant, Cut)> {
        if let Some(since) = self.stalled {
            return Some((since + limits.write_timeout, Cut::Write));
        }
        let (patience, cut) = match self.phase {
            Phase::Fresh | Phase::Head => (limits.header_timeout, Cut::Head),
            Phase::Body => (limits.body_timeout, Cut::Body),
            Phase::Idle => (limits.idle_timeout, Cut::Idle),
            Phase::Linger => (LINGER, Cut::Linger),
            Phase::Handler => return None,
        };
        Some((self.since + patience, cut))
    }

    fn enter(&mut self, phase: Phase, now: Instant) {
        self.phase = phase;
        self.since = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The instant so many seconds after the start of the test.
    struct Clock(Instant);

    impl Clock {
        fn start() -> Self {
            Self(Instant::now())
        }

        fn at(&self, secs: u64) -> Instant {
            self.0 + Duration::from_secs(secs)
        }

        /// When patience ends, in seconds after the start, and why.
        fn end_of(&self, patience: &Patience) -> Option<(u64, Cut)> {
            let (end, cut) = patience.ends(&Limits::default())?;
            Some(((end - self.0).as_secs(), cut))
        }
    }

    /// A connection whose first request came at second 0 and whose handler has just begun.
    fn asked(clock: &Clock) -> Patience {
        let mut patience = Patience::new(clock.at(0));
        patience.received(clock.at(0));
        patience.began(clock.at(0));
        patience
    }

    #[test]
    fn a_head_in_drips_gets_no_more_time() {
        let clock = Clock::start();
        let mut patience = Patience::new(clock.at(0));
        assert_eq!(clock.end_of(&patience), Some((10, Cut::Head)));
        patience.received(clock.at(6));
        patience.received(clock.at(9));
        assert_eq!(clock.end_of(&patience), Some((16, Cut::Head)));
    }

    #[test]
    fn a_body_in_drips_gets_no_more_time() {
        let clock = Clock::start();
        let mut patience = asked(&clock);
        patience.wants_body();
        patience.received(clock.at(8));
        patience.wants_body();
        assert_eq!(clock.end_of(&patience), Some((10, Cut::Body)));
    }

    #[test]
    fn a_handler_at_work_is_never_the_clients_fault() {
        let clock = Clock::start();
        let mut patience = asked(&clock);
        patience.wants_body();
        patience.left_body(true);
        assert_eq!(clock.end_of(&patience), None);
    }

    #[test]
    fn idling_is_longer_than_a_head_and_ends_with_its_first_byte() {
        let clock = Clock::start();
        let mut patience = asked(&clock);
        patience.answered(clock.at(1));
        assert_eq!(clock.end_of(&patience), Some((76, Cut::Idle)));
        patience.received(clock.at(70));
        assert_eq!(clock.end_of(&patience), Some((80, Cut::Head)));
    }

    #[test]
    fn what_is_left_of_an_unread_body_is_not_the_next_head() {
        let clock = Clock::start();
        let mut patience = asked(&clock);
        patience.left_body(false);
        patience.answered(clock.at(0));
        patience.received(clock.at(1));
        assert_eq!(clock.end_of(&patience), Some((75, Cut::Idle)));
        patience.received(clock.at(2));
        assert_eq!(clock.end_of(&patience), Some((12, Cut::Head)));
    }

    #[test]
    fn an_answer_nobody_takes_is_cut_even_when_it_is_complete() {
        let clock = Clock::start();
        let mut patience = asked(&clock);
        patience.stalled(clock.at(0));
        patience.answered(clock.at(1));
        patience.stalled(clock.at(20));
        assert_eq!(clock.end_of(&patience), Some((30, Cut::Write)));
        patience.wrote(clock.at(25));
        assert_eq!(clock.end_of(&patience), Some((100, Cut::Idle)));
    }

    #[test]
    fn only_a_client_that_may_still_send_is_waited_for_at_the_end() {
        let clock = Clock::start();
        let mut resting = asked(&clock);
        resting.left_body(true);
        resting.answered(clock.at(1));
        assert!(!resting.closed(clock.at(2)));

        let mut refused_mid_body = asked(&clock);
        refused_mid_body.left_body(false);
        refused_mid_body.answered(clock.at(1));
        assert!(refused_mid_body.closed(clock.at(2)));

        let mut refused_mid_head = Patience::new(clock.at(0));
        refused_mid_head.received(clock.at(0));
        assert!(refused_mid_head.closed(clock.at(2)));
        assert!(
            refused_mid_head.closed(clock.at(3)),
            "asked again, still lingering"
        );
        assert_eq!(clock.end_of(&refused_mid_head), Some((3, Cut::Linger)));
    }
}
