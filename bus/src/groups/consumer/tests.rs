//! Groups of the newer protocol without a socket, with a clock of the test's own.

use proptest::prelude::*;

use super::*;

const REBALANCE: Duration = Duration::from_secs(30);

fn topic(number: u128) -> Uuid {
    Uuid::from_u128(number + 1)
}

fn catalogue(version: u64, topics: &[(&str, i32)]) -> Catalogue {
    let known = (0..).zip(topics).map(|(number, (name, count))| ((*name).into(), (topic(number), *count)));
    Catalogue { version, topics: known.collect() }
}

/// A group, its topics, its clock, and what is on disk.
struct Play {
    group: Group,
    topics: Catalogue,
    now: Instant,
    written: Option<GroupEntry>,
}

impl Play {
    fn new(partitions: i32) -> Self {
        Self { group: Group::default(), topics: catalogue(1, &[("t", partitions)]), now: Instant::now(), written: None }
    }

    fn send(&mut self, beat: &Beat) -> Result<Told, ResponseError> {
        let outcome = self.group.beat(beat, &self.topics, &|name| name != "secret", self.now);
        if self.group.take_changed() {
            self.written = Some(self.group.entry());
        }
        outcome.map_err(|(error, _)| error)
    }

    fn pass(&mut self, period: Duration) {
        self.now += period;
        while self.group.next_deadline().is_some_and(|due| due <= self.now) {
            self.group.expire(self.now);
        }
    }
}

/// A client as librdkafka is one: gives up what it is told to, takes what it is given.
#[derive(Clone, Debug)]
struct Client {
    id: String,
    instance: Option<String>,
    epoch: i32,
    owned: BTreeSet<Part>,
    /// It did not hear the last answer, and says everything again.
    unheard: bool,
}

impl Client {
    fn new(id: &str) -> Self {
        Self { id: id.to_owned(), instance: None, epoch: JOINS, owned: BTreeSet::new(), unheard: false }
    }

    fn placed(id: &str, instance: &str) -> Self {
        Self { instance: Some(instance.to_owned()), ..Self::new(id) }
    }

    fn request(&self) -> Beat {
        let joins = self.epoch == JOINS || self.unheard;
        Beat {
            member_id: self.id.clone(),
            epoch: self.epoch,
            instance_id: self.instance.clone(),
            rebalance: joins.then_some(REBALANCE),
            names: joins.then(|| BTreeSet::from(["t".to_owned()])),
            owned: Some(self.owned.clone()),
            ..Beat::default()
        }
    }

    fn take(&mut self, outcome: Result<Told, ResponseError>) {
        self.unheard = false;
        match outcome {
            Ok(told) => {
                self.epoch = told.epoch;
                if let Some(assignment) = told.assignment {
                    let parts = assignment.into_iter();
                    self.owned = parts.flat_map(|(id, list)| list.into_iter().map(move |part| (id, part))).collect();
                }
            }
            Err(ResponseError::FencedMemberEpoch | ResponseError::UnknownMemberId) => {
                self.epoch = JOINS;
                self.owned.clear();
            }
            Err(ResponseError::UnreleasedInstanceId) => {}
            Err(other) => panic!("{other:?}"),
        }
    }

    fn beat(&mut self, play: &mut Play) {
        let outcome = play.send(&self.request());
        self.take(outcome);
    }
}

fn settle(play: &mut Play, clients: &mut [Client]) {
    for _ in 0..6 {
        clients.iter_mut().for_each(|client| client.beat(play));
    }
}

#[test]
fn who_joins_alone_has_everything_at_once() {
    let mut play = Play::new(4);
    let mut client = Client::new("a");
    client.beat(&mut play);
    assert_eq!((client.epoch, client.owned.len(), play.group.state()), (1, 4, "Stable"));
    let quiet = play.send(&client.request()).unwrap();
    assert_eq!(quiet.assignment, None, "nothing is new");
}

#[test]
fn nobody_gets_what_another_has_not_given_up() {
    let mut play = Play::new(4);
    let (mut a, mut b) = (Client::new("a"), Client::new("b"));
    a.beat(&mut play);
    b.beat(&mut play);
    assert_eq!((b.epoch, b.owned.len()), (2, 0), "it waits");
    assert_eq!(play.group.state(), "Reconciling");
    let told = play.send(&a.request()).unwrap();
    let kept: usize = told.assignment.as_ref().unwrap().values().map(Vec::len).sum();
    assert_eq!((told.epoch, kept), (1, 2), "it keeps its epoch until it has given up");
    b.beat(&mut play);
    assert_eq!(b.owned.len(), 0, "it still waits");
    // A heartbeat that doesn't say what is owned gives nothing up.
    assert_eq!(play.send(&Beat { owned: None, ..a.request() }).unwrap().epoch, 1);
    a.take(Ok(told));
    a.beat(&mut play);
    assert_eq!((a.epoch, a.owned.len()), (2, 2));
    b.beat(&mut play);
    assert_eq!((b.owned.len(), play.group.state()), (2, "Stable"));
    assert!(a.owned.is_disjoint(&b.owned));
}

#[test]
fn who_does_not_give_up_in_time_is_fenced_off() {
    let mut play = Play::new(4);
    let (mut a, mut b) = (Client::new("a"), Client::new("b"));
    a.beat(&mut play);
    b.beat(&mut play);
    play.send(&a.request()).unwrap();
    for _ in 0..7 {
        play.pass(Duration::from_secs(5));
        b.beat(&mut play);
        let _ = play.send(&a.request());
    }
    assert_eq!(play.send(&a.request()).unwrap_err(), ResponseError::UnknownMemberId);
    assert_eq!(b.owned.len(), 4);
}

#[test]
fn who_is_silent_is_dead_and_who_leaves_is_gone_at_once() {
    let mut play = Play::new(4);
    let mut clients = [Client::new("a"), Client::new("b"), Client::new("c")];
    settle(&mut play, &mut clients);
    let leave = Beat { epoch: LEAVES, ..clients[0].request() };
    assert_eq!(play.send(&leave).unwrap().epoch, LEAVES);
    settle(&mut play, &mut clients[1..]);
    assert_eq!(clients[1].owned.len(), 2);
    play.pass(SESSION - Duration::from_secs(1));
    clients[1].beat(&mut play);
    play.pass(Duration::from_secs(2));
    settle(&mut play, &mut clients[1..2]);
    assert_eq!(clients[1].owned.len(), 4);
    play.pass(SESSION);
    assert!(play.group.is_empty());
}

#[test]
fn a_static_member_that_pauses_keeps_its_place() {
    let mut play = Play::new(4);
    let mut clients = [Client::placed("a1", "a"), Client::placed("b1", "b")];
    settle(&mut play, &mut clients);
    let before = (play.group.epochs(), clients[0].owned.clone());
    let early = Client::placed("a2", "a");
    assert_eq!(play.send(&early.request()), Err(ResponseError::UnreleasedInstanceId));
    play.send(&Beat { epoch: PAUSES, ..clients[0].request() }).unwrap();
    clients[1].beat(&mut play);
    assert_eq!(clients[1].owned.len(), 2, "nobody takes it");
    let mut again = Client::placed("a2", "a");
    again.beat(&mut play);
    assert_eq!((play.group.epochs(), again.owned.clone()), before, "and nobody notices");
    assert_eq!(play.send(&clients[0].request()), Err(ResponseError::FencedInstanceId));
    // Who does not come back in its session is gone.
    play.send(&Beat { member_id: "a2".into(), epoch: PAUSES, ..again.request() }).unwrap();
    play.pass(SESSION / 2);
    clients[1].beat(&mut play);
    play.pass(SESSION / 2);
    settle(&mut play, &mut clients[1..]);
    assert_eq!(clients[1].owned.len(), 4);
}

impl Client {
    fn request_of(&self, epoch: i32) -> Beat {
        Beat { epoch, names: None, rebalance: None, ..self.request() }
    }
}

#[test]
fn epochs_fence_and_a_lost_answer_does_not() {
    let mut play = Play::new(4);
    let (mut a, mut b) = (Client::new("a"), Client::new("b"));
    a.beat(&mut play);
    assert_eq!(play.send(&a.request_of(7)), Err(ResponseError::FencedMemberEpoch));
    b.beat(&mut play);
    let told = play.send(&a.request()).unwrap();
    a.take(Ok(told));
    let lost = play.send(&a.request()).unwrap();
    assert_eq!(lost.epoch, 2);
    assert_eq!(play.send(&a.request_of(1)).unwrap().epoch, 2, "it asks again as before");
    assert_eq!(play.send(&a.request_of(0)).unwrap().epoch, 2, "it has lost everything and joins again");
    assert_eq!(play.send(&Client::new("x").request_of(1)), Err(ResponseError::UnknownMemberId));
}

#[test]
fn topics_that_grow_and_go_are_shared_anew() {
    let mut play = Play::new(2);
    let mut clients = [Client::new("a"), Client::new("b")];
    settle(&mut play, &mut clients);
    play.topics = catalogue(2, &[("t", 6)]);
    settle(&mut play, &mut clients);
    assert!(clients.iter().all(|client| client.owned.len() == 3));
    play.topics = catalogue(3, &[]);
    settle(&mut play, &mut clients);
    assert!(clients.iter().all(|client| client.owned.is_empty()));
    assert_eq!(play.group.state(), "Stable");
}

#[test]
fn patterns_find_whole_names_that_may_be_seen() {
    let mut play = Play::new(1);
    play.topics = catalogue(1, &[("logs.a", 1), ("logs.b", 1), ("xlogs.a", 1), ("secret", 1)]);
    let joins = |pattern: &str| Beat { names: None, pattern: Some(pattern.to_owned()), ..Client::new("a").request() };
    assert_eq!(play.send(&joins("(")), Err(ResponseError::InvalidRegularExpression));
    assert_eq!(play.send(&joins("a{1000}{1000}")), Err(ResponseError::InvalidRegularExpression), "too large");
    assert!(play.group.is_empty(), "and nothing is left of it");
    play.send(&joins("logs.*|secret")).unwrap();
    assert_eq!(play.group.subscribed().into_iter().collect::<Vec<_>>(), ["logs.a", "logs.b"]);
    play.topics = catalogue(2, &[("logs.a", 1), ("x", 1), ("y", 1), ("z", 1), ("logs.c", 1)]);
    let told = play.send(&Beat { owned: None, epoch: 1, member_id: "a".into(), ..Beat::default() }).unwrap();
    assert!(told.assignment.is_some(), "what is gone must be given up");
    assert_eq!(play.group.subscribed().into_iter().collect::<Vec<_>>(), ["logs.a", "logs.c"]);
}

#[test]
fn commits_need_the_members_epoch() {
    let mut play = Play::new(1);
    assert_eq!(play.group.may_commit("", -1), Ok(()), "nobody is there");
    Client::new("a").beat(&mut play);
    assert_eq!(play.group.may_commit("a", 1), Ok(()));
    assert_eq!(play.group.may_commit("a", 0), Err(ResponseError::StaleMemberEpoch.code()));
    assert_eq!(play.group.may_commit("b", 1), Err(ResponseError::UnknownMemberId.code()));
    assert_eq!(play.group.may_commit("", -1), Err(ResponseError::UnknownMemberId.code()));
}

fn restart(play: &mut Play) {
    let text = play.written.as_ref().map(|entry| serde_json::to_string(entry).unwrap());
    play.group =
        text.map_or_else(Group::default, |text| Group::restore(serde_json::from_str(&text).unwrap(), play.now));
}

#[test]
fn a_restart_changes_nothing_for_anybody() {
    let mut play = Play::new(5);
    let mut clients = [Client::new("a"), Client::placed("b", "i")];
    settle(&mut play, &mut clients);
    let owned = |clients: &[Client]| clients.iter().map(|client| client.owned.clone()).collect::<Vec<_>>();
    let before = (play.group.epochs(), owned(&clients));
    restart(&mut play);
    settle(&mut play, &mut clients);
    assert_eq!(before, (play.group.epochs(), owned(&clients)));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Whatever happens, no partition is owned twice by clients that are in the group; and in the end everybody who
    /// beats has an even share of everything.
    #[test]
    fn nothing_is_owned_twice_and_everything_in_the_end(
        steps in proptest::collection::vec((0u8..24, 0usize..5, 1u64..20), 1..150),
    ) {
        let mut play = Play::new(7);
        let fresh = |index: usize, life: usize| match index % 2 {
            0 => Client::new(&format!("m{index}.{life}")),
            _ => Client::placed(&format!("m{index}.{life}"), &format!("i{index}")),
        };
        let mut clients: Vec<_> = (0..5).map(|index| fresh(index, 0)).collect();
        for (life, (step, index, amount)) in steps.into_iter().enumerate() {
            let client = &mut clients[index];
            match step {
                0 => *client = fresh(index, life + 1),
                1 => {
                    let epoch = if client.instance.is_some() { PAUSES } else { LEAVES };
                    let _ = play.send(&Beat { epoch, ..client.request() });
                    *client = fresh(index, life + 1);
                }
                2 => restart(&mut play),
                3 => {
                    let count = i32::try_from(amount).unwrap().max(play.topics.topics["t"].1);
                    play.topics = catalogue(play.topics.version + 1, &[("t", count)]);
                }
                4..=6 => play.pass(Duration::from_secs(amount)),
                // The answer is lost on its way.
                7 => {
                    let _ = play.send(&client.request());
                    client.unheard = true;
                }
                _ => client.beat(&mut play),
            }
            let mut owned = BTreeSet::new();
            let is_in = |client: &&Client| {
                play.group.members().any(|member| member.id == client.id && member.epoch == client.epoch)
            };
            for part in clients.iter().filter(is_in).flat_map(|client| &client.owned) {
                prop_assert!(owned.insert(*part), "{part:?} is owned twice");
            }
        }
        for _ in 0..20 {
            settle(&mut play, &mut clients);
            play.pass(Duration::from_secs(5));
        }
        prop_assert_eq!(play.group.state(), "Stable");
        let count = usize::try_from(play.topics.topics["t"].1).unwrap();
        let owned: BTreeSet<_> = clients.iter().flat_map(|client| client.owned.clone()).collect();
        prop_assert_eq!(owned.len(), count);
        let sizes: Vec<_> = clients.iter().map(|client| client.owned.len()).collect();
        prop_assert!(sizes.iter().max().unwrap() - sizes.iter().min().unwrap() <= 1, "{:?}", sizes);
    }
}
