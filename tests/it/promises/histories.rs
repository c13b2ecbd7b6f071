//! Random histories against a model that remembers what happened as plain lists.

use std::collections::HashSet;

use aidlc_auth::model::challenge::ChallengeId;
use aidlc_auth::store::{End, Found, Opened, Redeemed, Refresh, Refreshed};
use proptest::prelude::*;

use super::Backend;
use super::world::{
    DAY, World, ada, at, by, client, digest, guess, login, long, new_session, user_id,
};

/// One thing that somebody does. Indexes are taken modulo what there is by then.
#[derive(Debug, Clone)]
enum Act {
    Wait(i64),
    Open { by: u8 },
    Redeem { code: usize, is_long: bool, by: u8 },
    SignIn,
    EndOne(usize),
    EndOthers(usize),
    Refresh(usize),
    Sweep,
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        3 => prop_oneof![0..15_i64, 0..1000_i64, 0..DAY].prop_map(Act::Wait),
        3 => (1..4_u8).prop_map(|by| Act::Open { by }),
        6 => (any::<usize>(), any::<bool>(), 1..4_u8)
            .prop_map(|(code, is_long, by)| Act::Redeem { code, is_long, by }),
        3 => Just(Act::SignIn),
        2 => any::<usize>().prop_map(Act::EndOne),
        1 => any::<usize>().prop_map(Act::EndOthers),
        6 => any::<usize>().prop_map(Act::Refresh),
        1 => Just(Act::Sweep),
    ]
}

/// What the world has to agree with.
#[derive(Default)]
struct Model {
    now: i64,
    /// The code that was mailed last, and when it stops working.
    mailed: Option<(u8, i64)>,
    /// The record that it belongs to.
    record: Option<ChallengeId>,
    /// How many 6-digit guesses that has met.
    tries: u8,
    used: HashSet<u8>,
    sessions: Vec<Known>,
    next: u8,
}

struct Known {
    /// Its tokens with the time each was given, oldest first; the last one is current.
    tokens: Vec<(u8, i64)>,
    signed_in_at: i64,
    is_ended: bool,
}

impl Known {
    fn expires_at(&self) -> i64 {
        let (_, used_at) = self.tokens[self.tokens.len() - 1];
        (used_at + DAY).min(self.signed_in_at + 30 * DAY)
    }

    fn is_live(&self, now: i64) -> bool {
        !self.is_ended && now < self.expires_at()
    }
}

impl Model {
    fn fresh(&mut self) -> u8 {
        self.next += 1;
        self.next
    }

    /// The session and the place of a token in it, if there is any token at all.
    fn token(&self, index: usize) -> Option<(usize, usize)> {
        let all: Vec<_> = (0..self.sessions.len())
            .flat_map(|s| (0..self.sessions[s].tokens.len()).map(move |t| (s, t)))
            .collect();
        (!all.is_empty()).then(|| all[index % all.len()])
    }
}

/// So many histories. A failure prints its smallest one: that becomes a test of its own.
fn histories(cases: u32) -> ProptestConfig {
    ProptestConfig {
        cases,
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(histories(300))]
    #[test]
    fn codes_work_once_and_ended_sessions_stay_ended_in_memory(
        acts in proptest::collection::vec(act(), 1..60),
    ) {
        run(Backend::Memory, acts)?;
    }
}

proptest! {
    #![proptest_config(histories(40))]
    #[test]
    fn codes_work_once_and_ended_sessions_stay_ended_on_servers(
        acts in proptest::collection::vec(act(), 1..60),
    ) {
        run(Backend::Servers, acts)?;
    }
}

proptest! {
    #![proptest_config(histories(20))]
    #[test]
    fn codes_work_once_and_ended_sessions_stay_ended_on_a_cluster(
        acts in proptest::collection::vec(act(), 1..60),
    ) {
        run(Backend::Cluster, acts)?;
    }
}

fn run(on: Backend, acts: Vec<Act>) -> Result<(), TestCaseError> {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_all().build().unwrap();
    runtime.block_on(live_through(on, acts))
}

async fn live_through(on: Backend, acts: Vec<Act>) -> Result<(), TestCaseError> {
    let (world, mut model) = (World::new(on).await, Model::default());
    for act in acts {
        match act {
            Act::Wait(seconds) => model.now += seconds,
            Act::Open { by } => open(&world, &mut model, by).await?,
            Act::Redeem { code, is_long, by } => {
                redeem(&world, &mut model, code, is_long, by).await?;
            }
            Act::SignIn => sign_in(&world, &mut model).await?,
            Act::EndOne(index) => end_one(&world, &mut model, index).await?,
            Act::EndOthers(index) => end_others(&world, &mut model, index).await,
            Act::Refresh(index) => refresh(&world, &mut model, index).await?,
            Act::Sweep => {
                world.challenges.sweep(at(model.now)).await.unwrap();
                world.sessions.sweep(at(model.now)).await.unwrap();
            }
        }
        every_token_leads_where_it_should(&world, &model).await?;
    }
    Ok(())
}

async fn open(world: &World, model: &mut Model, client: u8) -> Result<(), TestCaseError> {
    let fresh = model.fresh();
    let opened = world
        .open(by(client, login(&ada(), fresh)), at(model.now))
        .await;
    if let Opened::Sent {
        id,
        letter,
        expires_at,
        ..
    } = opened
    {
        let mailed = letter.code.unwrap().secret.seed.0[0];
        let ends = expires_at.as_second() - at(0).as_second();
        prop_assert!(!model.used.contains(&mailed), "a used code was mailed");
        // Only a new record has new tries; one whose code was used keeps its count.
        if model.record.replace(id) != Some(id) {
            model.tries = 0;
        }
        model.mailed = Some((mailed, ends));
    }
    Ok(())
}

async fn redeem(
    world: &World,
    model: &mut Model,
    code: usize,
    is_long: bool,
    by: u8,
) -> Result<(), TestCaseError> {
    // Every second guess is at the code that was mailed last, the others at anything.
    let any = u8::try_from(code / 2 % 255).unwrap_or_default();
    let code = match model.mailed {
        Some((mailed, _)) if code.is_multiple_of(2) => mailed,
        _ => any % (model.next + 1),
    };
    let mut guess = if is_long { long(code) } else { guess(code) };
    guess.client = client(by);
    let redeemed = world.login(&ada(), guess, at(model.now)).await;

    let live = model.mailed.filter(|(_, ends)| model.now < *ends);
    let is_right = live.is_some_and(|(mailed, _)| mailed == code) && !model.used.contains(&code);
    match redeemed {
        Redeemed::Accepted(_) => {
            prop_assert!(is_right, "{code} was accepted");
            prop_assert!(is_long || model.tries < 5);
            model.used.insert(code);
        }
        Redeemed::Wrong { tries_left } => {
            prop_assert!(!is_right && live.is_some());
            model.tries += u8::from(!is_long);
            prop_assert_eq!(tries_left, 5 - model.tries);
        }
        Redeemed::Gone => prop_assert!(live.is_none() || (!is_long && model.tries == 5)),
        Redeemed::TooMany { .. } => prop_assert!(!is_long),
        Redeemed::Full { .. } => prop_assert!(false, "the service is far from its ceiling"),
        Redeemed::KeyUnknown => prop_assert!(false, "there is one key"),
    }
    Ok(())
}

async fn sign_in(world: &World, model: &mut Model) -> Result<(), TestCaseError> {
    let (token, now) = (model.fresh(), model.now);
    world.sign_in(user_id(1), token, at(now)).await;
    let listed = world.sessions.list(user_id(1), at(now)).await.unwrap();
    let (stayed, went): (Vec<&mut Known>, _) = model
        .sessions
        .iter_mut()
        .filter(|session| session.is_live(now))
        .partition(|session| listed.iter().any(|l| l.id.0[0] == session.tokens[0].0));
    prop_assert_eq!(listed.len(), stayed.len() + 1);
    // Never more than needed, and those nearest their end.
    prop_assert_eq!(
        went.len(),
        (stayed.len() + went.len() + 1).saturating_sub(3)
    );
    let last_gone = went.iter().map(|session| session.expires_at()).max();
    let first_left = stayed.iter().map(|session| session.expires_at()).min();
    if let (Some(gone), Some(left)) = (last_gone, first_left) {
        prop_assert!(gone <= left);
    }
    for session in went {
        session.is_ended = true;
    }
    model.sessions.push(Known {
        tokens: vec![(token, now)],
        signed_in_at: now,
        is_ended: false,
    });
    Ok(())
}

async fn end_one(world: &World, model: &mut Model, index: usize) -> Result<(), TestCaseError> {
    let Some((session, _)) = model.token(index) else {
        return Ok(());
    };
    let known = &mut model.sessions[session];
    let id = new_session(user_id(1), known.tokens[0].0, at(0)).session.id;
    let now = model.now;
    let ended = world.sessions.end(user_id(1), End::One(id), at(now)).await;
    prop_assert_eq!(ended.unwrap(), u64::from(known.is_live(now)));
    known.is_ended = true;
    Ok(())
}

async fn end_others(world: &World, model: &mut Model, index: usize) {
    let Some((kept, _)) = model.token(index) else {
        return;
    };
    let id = new_session(user_id(1), model.sessions[kept].tokens[0].0, at(0))
        .session
        .id;
    let end = world
        .sessions
        .end(user_id(1), End::AllBut(id), at(model.now))
        .await;
    end.unwrap();
    for (place, session) in model.sessions.iter_mut().enumerate() {
        session.is_ended |= place != kept;
    }
}

async fn refresh(world: &World, model: &mut Model, index: usize) -> Result<(), TestCaseError> {
    let Some((session, place)) = model.token(index) else {
        return Ok(());
    };
    let (successor, now) = (model.fresh(), model.now);
    let known = &mut model.sessions[session];
    // A token has one successor, whoever derives it.
    let successor = known.tokens.get(place + 1).map_or(successor, |next| next.0);
    let refresh = Refresh {
        old: digest(known.tokens[place].0),
        successors: vec![digest(successor)],
        generation: 1,
    };
    let refreshed = world.sessions.refresh(user_id(1), refresh, at(now)).await;
    match refreshed.unwrap() {
        Refreshed::Done { .. } => {
            prop_assert!(known.is_live(now));
            if place + 1 == known.tokens.len() {
                known.tokens.push((successor, now));
            } else {
                prop_assert!(now - known.tokens[place + 1].1 <= 10, "refreshed too late");
            }
        }
        Refreshed::Reused(_) => {
            prop_assert!(known.is_live(now) && now - known.tokens[place + 1].1 > 10);
            known.is_ended = true;
        }
        Refreshed::Nothing => {
            let is_current = place + 1 == known.tokens.len();
            prop_assert!(!(known.is_live(now) && is_current));
        }
        Refreshed::Fenced => prop_assert!(false, "nobody raised a fence"),
    }
    Ok(())
}

async fn every_token_leads_where_it_should(
    world: &World,
    model: &Model,
) -> Result<(), TestCaseError> {
    for session in &model.sessions {
        let is_live = session.is_live(model.now);
        for (place, (token, _)) in session.tokens.iter().enumerate() {
            let is_current = place + 1 == session.tokens.len();
            let found = world
                .sessions
                .find(user_id(1), digest(*token), at(model.now))
                .await
                .unwrap();
            match found {
                Found::Live(_) => prop_assert!(is_live, "an ended session was found again"),
                Found::Reused(_) => prop_assert!(is_live && !is_current),
                Found::Nothing => prop_assert!(!is_live || !is_current),
            }
        }
    }
    Ok(())
}
