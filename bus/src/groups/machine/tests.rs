//! Groups without a socket and with a clock of the test's own.

mod clients;

use super::super::messages::Join;
use super::*;
use bytes::Bytes;
use oneshot::Receiver;
use oneshot::error::TryRecvError;
use proptest::prelude::*;

const SESSION: Duration = Duration::from_secs(10);
const REBALANCE: Duration = Duration::from_secs(60);
const NO_ERROR: i16 = 0;

fn code(error: ResponseError) -> i16 {
    error.code()
}

fn join(member_id: &str) -> Join {
    Join {
        member_id: member_id.to_owned(),
        instance_id: None,
        client_id: "client".into(),
        client_host: "/127.0.0.1".into(),
        protocol_type: "consumer".into(),
        protocols: vec![("range".into(), Bytes::from_static(b"meta"))],
        session: SESSION,
        rebalance: REBALANCE,
        takes_id: false,
        may_skip_assignment: false,
    }
}

fn named(instance: &str) -> Join {
    Join { instance_id: Some(instance.into()), ..join("") }
}

fn who(member_id: &str, generation: i32) -> Who {
    Who { member_id: member_id.into(), instance_id: None, generation }
}

/// A group, its clock, and ids given out in order: `m1`, `m2`, ...
struct Play {
    group: Group,
    now: Instant,
    ids: usize,
    written: Option<GroupEntry>,
}

impl Play {
    fn new() -> Self {
        Self { group: Group::new(), now: Instant::now(), ids: 0, written: None }
    }

    /// As the coordinator does after every step: state first, then answers.
    fn settle(&mut self) {
        let (replies, changed) = self.group.take_outbox();
        if changed {
            self.written = Some(self.group.entry());
        }
        replies.into_iter().for_each(Reply::send);
    }

    fn join(&mut self, join: &Join) -> Receiver<Joined> {
        let (sender, receiver) = oneshot::channel();
        self.ids += 1;
        self.group.join(join, format!("m{}", self.ids), self.now, sender);
        self.settle();
        receiver
    }

    fn sync(&mut self, who: Who, assignments: &[(&str, &'static [u8])]) -> Receiver<Synced> {
        let (sender, receiver) = oneshot::channel();
        let assignments = assignments.iter().map(|(id, bytes)| ((*id).to_owned(), Bytes::from_static(bytes))).collect();
        self.group.sync(Sync { who, assignments, ..Sync::default() }, self.now, sender);
        self.settle();
        receiver
    }

    fn heartbeat(&mut self, id: &str, generation: i32) -> i16 {
        let outcome = self.group.heartbeat(&who(id, generation), self.now);
        self.settle();
        outcome.err().unwrap_or(NO_ERROR)
    }

    fn leave(&mut self, id: &str) -> i16 {
        let outcome = self.group.leave(id, None, self.now);
        self.settle();
        outcome.err().unwrap_or(NO_ERROR)
    }

    /// Moves the clock, doing everything on its way when it is due.
    fn pass(&mut self, period: Duration) {
        let end = self.now + period;
        while let Some(due) = self.group.next_deadline().filter(|due| *due <= end) {
            self.now = due.max(self.now);
            self.group.expire(self.now);
            self.settle();
        }
        self.now = end;
    }

    /// A stable group of one, `m1`, in generation 1.
    fn with_one() -> Self {
        let mut play = Self::new();
        let mut joined = play.join(&join(""));
        assert_eq!(joined.try_recv(), Err(TryRecvError::Empty), "others may come");
        play.pass(FIRST_WINDOW);
        let joined = joined.try_recv().unwrap();
        assert_eq!((joined.error, joined.generation, joined.leader.as_str()), (NO_ERROR, 1, "m1"));
        assert_eq!(joined.members.len(), 1);
        let mut synced = play.sync(who("m1", 1), &[("m1", b"all")]);
        assert_eq!(synced.try_recv().unwrap().assignment, "all");
        assert_eq!(play.group.phase(), Phase::Stable);
        play
    }

    /// A stable group of two, `m1` leading and `m2`, in generation 2.
    fn with_two() -> Self {
        let mut play = Self::with_one();
        let mut second = play.join(&join(""));
        assert_eq!(play.heartbeat("m1", 1), code(ResponseError::RebalanceInProgress));
        let mut first = play.join(&join("m1"));
        let (first, second) = (first.try_recv().unwrap(), second.try_recv().unwrap());
        assert_eq!((first.generation, second.generation), (2, 2));
        assert_eq!((first.members.len(), second.members.len()), (2, 0), "the leader alone hears of all");
        assert_eq!((second.leader.as_str(), second.member_id.as_str()), ("m1", "m2"));
        let mut waits = play.sync(who("m2", 2), &[]);
        assert_eq!(waits.try_recv(), Err(TryRecvError::Empty), "the leader has not assigned");
        let mut leads = play.sync(who("m1", 2), &[("m1", b"a"), ("m2", b"b")]);
        assert_eq!(leads.try_recv().unwrap().assignment, "a");
        assert_eq!(waits.try_recv().unwrap().assignment, "b");
        play
    }
}

#[test]
fn members_that_start_together_share_one_generation() {
    let mut play = Play::new();
    let mut waiting: Vec<_> = (0..3).map(|_| play.join(&join(""))).collect();
    play.pass(FIRST_WINDOW);
    let joined: Vec<_> = waiting.iter_mut().map(|waiting| waiting.try_recv().unwrap()).collect();
    assert!(joined.iter().all(|joined| joined.generation == 1));
    assert_eq!(joined.iter().map(|joined| joined.members.len()).collect::<Vec<_>>(), [3, 0, 0]);
}

#[test]
fn a_second_member_makes_the_first_come_again() {
    let mut play = Play::with_two();
    assert_eq!((play.heartbeat("m1", 2), play.heartbeat("m2", 2)), (NO_ERROR, NO_ERROR));
    assert_eq!(play.heartbeat("m1", 1), code(ResponseError::IllegalGeneration));
    assert_eq!(play.heartbeat("m9", 2), code(ResponseError::UnknownMemberId));
}

#[test]
fn who_leaves_is_replaced_and_the_last_leaves_it_empty() {
    let mut play = Play::with_two();
    assert_eq!(play.leave("m1"), NO_ERROR);
    assert_eq!(play.leave("m1"), code(ResponseError::UnknownMemberId));
    assert_eq!(play.heartbeat("m2", 2), code(ResponseError::RebalanceInProgress));
    let joined = play.join(&join("m2")).try_recv().unwrap();
    assert_eq!((joined.generation, joined.leader.as_str()), (3, "m2"));
    play.sync(who("m2", 3), &[("m2", b"all")]);
    assert_eq!(play.leave("m2"), NO_ERROR);
    assert_eq!(play.group.phase(), Phase::Empty);
    assert!(play.written.as_ref().unwrap().members.is_empty());
}

#[test]
fn who_is_silent_for_a_session_is_dead_and_who_beats_is_not() {
    let mut play = Play::with_two();
    for _ in 0..3 {
        play.pass(SESSION / 2);
        play.heartbeat("m2", 2);
    }
    assert_eq!(play.group.members().count(), 1);
    assert_eq!(play.heartbeat("m1", 2), code(ResponseError::UnknownMemberId));
    assert_eq!(play.heartbeat("m2", 2), code(ResponseError::RebalanceInProgress));
}

#[test]
fn who_does_not_come_to_a_rebalance_is_left_behind_when_its_time_is_over() {
    let mut play = Play::with_one();
    let mut second = play.join(&join(""));
    for _ in 0..13 {
        play.heartbeat("m1", 1);
        play.pass(Duration::from_secs(5));
    }
    let second = second.try_recv().unwrap();
    assert_eq!((second.generation, second.leader.as_str(), second.members.len()), (2, "m2", 1));
    assert_eq!(play.heartbeat("m1", 2), code(ResponseError::UnknownMemberId));
}

#[test]
fn a_leader_that_does_not_assign_is_left_behind() {
    let mut play = Play::with_one();
    let mut second = play.join(&join(""));
    play.join(&join("m1"));
    assert_eq!(second.try_recv().unwrap().leader, "m1");
    let mut waits = play.sync(who("m2", 2), &[]);
    for _ in 0..13 {
        play.heartbeat("m1", 2);
        play.pass(Duration::from_secs(5));
    }
    assert_eq!(waits.try_recv().unwrap().error, code(ResponseError::RebalanceInProgress));
    let joined = play.join(&join("m2")).try_recv().unwrap();
    assert_eq!(joined.leader, "m2");
}

#[test]
fn a_client_that_takes_an_id_comes_back_with_it() {
    let mut play = Play::new();
    let first = Join { takes_id: true, ..join("") };
    let told = play.join(&first).try_recv().unwrap();
    assert_eq!((told.error, told.member_id.as_str()), (code(ResponseError::MemberIdRequired), "m1"));
    let mut joined = play.join(&Join { takes_id: true, ..join("m1") });
    play.pass(FIRST_WINDOW);
    assert_eq!(joined.try_recv().unwrap().generation, 1);
    let unknown = play.join(&join("m7")).try_recv().unwrap();
    assert_eq!(unknown.error, code(ResponseError::UnknownMemberId));
}

#[test]
fn an_id_that_nobody_comes_back_with_expires() {
    let mut play = Play::new();
    play.join(&Join { takes_id: true, ..join("") });
    assert!(!play.group.is_deserted());
    play.pass(SESSION);
    assert!(play.group.is_deserted());
}

#[test]
fn followers_that_ask_again_are_told_what_stands_and_leaders_start_anew() {
    let mut play = Play::with_two();
    let follower = play.join(&join("m2")).try_recv().unwrap();
    assert_eq!((follower.generation, play.group.phase()), (2, Phase::Stable));
    let mut leader = play.join(&join("m1"));
    assert_eq!(leader.try_recv(), Err(TryRecvError::Empty));
    assert!(matches!(play.group.phase(), Phase::Joining { .. }));
    play.join(&join("m2"));
    assert_eq!(leader.try_recv().unwrap().generation, 3);
}

#[test]
fn a_static_member_takes_its_place_back_without_a_rebalance() {
    let mut play = Play::new();
    let mut joined = play.join(&named("one"));
    play.pass(FIRST_WINDOW);
    let before = joined.try_recv().unwrap();
    play.sync(who("m1", 1), &[("m1", b"mine")]);
    let again = play.join(&Join { may_skip_assignment: true, ..named("one") }).try_recv().unwrap();
    assert_eq!((before.member_id.as_str(), again.member_id.as_str()), ("m1", "m2"));
    assert_eq!((again.generation, again.skip_assignment, again.leader.as_str()), (1, true, "m2"));
    assert_eq!(play.sync(who("m2", 1), &[]).try_recv().unwrap().assignment, "mine");
    let old = Who { instance_id: Some("one".into()), ..who("m1", 1) };
    assert_eq!(play.group.heartbeat(&old, play.now), Err(code(ResponseError::FencedInstanceId)));
    let old_client = play.join(&named("one")).try_recv().unwrap();
    assert_eq!((old_client.leader.as_str(), old_client.members.len()), ("m2", 0), "it must not believe to lead");
}

#[test]
fn a_static_member_that_is_away_keeps_its_place_until_its_session_ends() {
    let mut play = Play::new();
    let mut one = play.join(&named("one"));
    play.join(&named("two"));
    play.pass(FIRST_WINDOW);
    assert_eq!(one.try_recv().unwrap().members.len(), 2);
    play.sync(who("m1", 1), &[("m1", b"a"), ("m2", b"b")]);
    play.sync(who("m2", 1), &[]);
    play.pass(SESSION / 2);
    assert_eq!(play.heartbeat("m1", 1), NO_ERROR);
    play.pass(SESSION / 2 + Duration::from_millis(1));
    assert_eq!(play.group.members().count(), 1);
    assert_eq!(play.heartbeat("m1", 1), code(ResponseError::RebalanceInProgress));
}

#[test]
fn members_must_share_a_protocol_and_the_most_liked_wins() {
    let mut play = Play::new();
    let with = |protocols: &[&str]| Join {
        protocols: protocols.iter().map(|name| ((*name).to_owned(), Bytes::new())).collect(),
        ..join("")
    };
    let mut joined = play.join(&with(&["range", "sticky"]));
    play.join(&with(&["sticky", "range"]));
    play.join(&with(&["sticky", "range", "other"]));
    let stranger = play.join(&with(&["other"])).try_recv().unwrap();
    assert_eq!(stranger.error, code(ResponseError::InconsistentGroupProtocol));
    let kind = play.join(&Join { protocol_type: "connect".into(), ..with(&["range"]) }).try_recv().unwrap();
    assert_eq!(kind.error, code(ResponseError::InconsistentGroupProtocol));
    play.pass(FIRST_WINDOW);
    assert_eq!(joined.try_recv().unwrap().protocol.as_deref(), Some("sticky"));
}

#[test]
fn sessions_have_bounds() {
    let mut play = Play::new();
    for session in [Duration::ZERO, Duration::from_secs(7200)] {
        let refused = play.join(&Join { session, ..join("") }).try_recv().unwrap();
        assert_eq!(refused.error, code(ResponseError::InvalidSessionTimeout));
    }
}

#[test]
fn commits_are_taken_from_members_of_the_generation() {
    let mut play = Play::with_two();
    let now = play.now;
    let mut may = |id: &str, generation| play.group.may_commit(&who(id, generation), now);
    assert_eq!(may("m1", 2), Ok(()));
    assert_eq!(may("m1", 1), Err(code(ResponseError::IllegalGeneration)));
    assert_eq!(may("m3", 2), Err(code(ResponseError::UnknownMemberId)));
    assert_eq!(may("", -1), Err(code(ResponseError::UnknownMemberId)), "there are members");
    let mut empty = Group::new();
    assert_eq!(empty.may_commit(&who("", -1), now), Ok(()));
    // While a new generation gathers the old one commits what it has read.
    let mut play = Play::with_one();
    play.join(&join(""));
    assert_eq!(play.group.may_commit(&who("m1", 1), play.now), Ok(()));
}

#[test]
fn a_restart_brings_the_members_back_and_they_go_on() {
    let play = Play::with_two();
    let text = serde_json::to_string(play.written.as_ref().unwrap()).unwrap();
    let entry: GroupEntry = serde_json::from_str(&text).unwrap();
    let mut after = Play { group: Group::restore(entry, play.now), ..Play::new() };
    after.now = play.now;
    assert_eq!((after.heartbeat("m1", 2), after.heartbeat("m2", 2)), (NO_ERROR, NO_ERROR));
    assert_eq!(after.sync(who("m2", 2), &[]).try_recv().unwrap().assignment, "b");
    after.pass(SESSION * 2);
    assert!(after.group.is_deserted(), "nobody came back");
}

#[test]
fn a_client_that_hangs_up_while_it_waits_does_not_hold_the_others() {
    let mut play = Play::with_one();
    let gone = play.join(&join(""));
    drop(gone);
    let mut first = play.join(&join("m1"));
    assert_eq!(first.try_recv().unwrap().members.len(), 2, "nobody knows yet that it has gone");
    play.sync(who("m1", 2), &[("m1", b"a"), ("m2", b"b")]);
    for _ in 0..3 {
        play.heartbeat("m1", 2);
        play.pass(SESSION / 2);
    }
    assert_eq!(play.group.members().count(), 1);
}

proptest! {
    /// Whatever clients do in whatever order, nobody waits forever, and a stable group has a leader among its members.
    #[test]
    fn nobody_waits_forever(steps in proptest::collection::vec((0u8..6, 1usize..6, 0u64..8), 1..60)) {
        let mut play = Play::new();
        let mut joining = Vec::new();
        let mut syncing = Vec::new();
        for (step, member, seconds) in steps {
            let id = format!("m{member}");
            let generation = play.group.generation;
            match step {
                0 => joining.push(play.join(&join(""))),
                1 => joining.push(play.join(&join(&id))),
                2 => syncing.push(play.sync(who(&id, generation), &[("m1", b"x")])),
                3 => drop(play.leave(&id)),
                4 => drop(play.heartbeat(&id, generation)),
                _ => play.pass(Duration::from_secs(seconds)),
            }
            if play.group.phase() == Phase::Stable {
                let leader = play.group.leader.clone().unwrap_or_default();
                prop_assert!(play.group.members.contains_key(&leader), "{leader} leads and is not there");
            }
            prop_assert_eq!(play.group.phase() == Phase::Empty, play.group.members.is_empty() && !matches!(play.group.phase(), Phase::Joining { .. }));
        }
        play.pass(REBALANCE * 3 + SESSION * 3);
        for mut waiting in joining {
            prop_assert_ne!(waiting.try_recv().err(), Some(TryRecvError::Empty));
        }
        for mut waiting in syncing {
            prop_assert_ne!(waiting.try_recv().err(), Some(TryRecvError::Empty));
        }
        prop_assert!(play.group.is_deserted());
    }
}
