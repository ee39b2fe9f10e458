//! The rules one by one; then random requests, crashes at every step and restarts against a model of what a reader
//! may see.

use proptest::prelude::*;

use super::*;

const HOUR_MS: u64 = 3_600_000;

fn producer(id: i64, epoch: i16) -> Producer {
    Producer { id, epoch }
}

fn written(verdict: Result<Verdict, Refusal>) -> Transaction {
    match verdict {
        Ok(Verdict::Write(next) | Verdict::EndFirst(next)) => next,
        other => panic!("{other:?}"),
    }
}

fn ongoing(epoch: i16) -> Transaction {
    let fresh = Transaction { epoch, ..Transaction::new(7, 60_000, 0) };
    written(fresh.add(producer(7, epoch), &[("t".into(), 0)], Some("g"), 10))
}

#[test]
fn it_goes_from_state_to_state() {
    let open = ongoing(0);
    assert_eq!((open.state, open.began_ms), (State::Ongoing, 10));
    assert_eq!(open.may_write(producer(7, 0), "t", 0), Ok(()));
    assert_eq!(open.may_write(producer(7, 0), "t", 1), Err(Refusal::State));
    assert_eq!(open.may_write(producer(8, 0), "t", 0), Err(Refusal::UnknownProducer));
    assert_eq!(open.may_commit(producer(7, 0), "g"), Ok(()));
    assert_eq!(open.may_commit(producer(7, 0), "h"), Err(Refusal::State));
    assert_eq!(open.add(producer(7, 0), &[("t".into(), 0)], None, 99), Ok(Verdict::Already));
    let prepared = written(open.end(producer(7, 0), true, 20));
    assert_eq!(prepared.state, State::PrepareCommit);
    assert_eq!(prepared.may_write(producer(7, 0), "t", 0), Err(Refusal::State));
    assert_eq!(prepared.add(producer(7, 0), &[], Some("g"), 21), Err(Refusal::Busy));
    assert_eq!(prepared.end(producer(7, 0), true, 21), Err(Refusal::Busy));
    assert_eq!(prepared.end(producer(7, 0), false, 21), Err(Refusal::State));
    let done = prepared.completed(30).unwrap();
    assert_eq!((done.state, done.partitions.len(), done.groups.len()), (State::CompleteCommit, 0, 0));
    assert_eq!(done.end(producer(7, 0), true, 31), Ok(Verdict::Already), "the answer may have been lost");
    assert_eq!(done.end(producer(7, 0), false, 31), Err(Refusal::State));
    assert_eq!((done.completed(31), open.completed(31)), (None, None));
    let again = written(done.add(producer(7, 0), &[("u".into(), 3)], None, 40));
    assert_eq!((again.began_ms, again.partitions.len(), again.partitions.contains_key("t")), (40, 1, false));
}

#[test]
fn the_groups_of_a_transaction_are_bounded() {
    let mut open = ongoing(0);
    for number in 1..GROUPS_MAX {
        open = written(open.add(producer(7, 0), &[], Some(&format!("g{number}")), 11));
    }
    assert_eq!(open.add(producer(7, 0), &[], Some("one more"), 12), Err(Refusal::State));
    assert_eq!(open.add(producer(7, 0), &[], Some("g1"), 12), Ok(Verdict::Already));
}

#[test]
fn a_new_instance_fences_the_one_before_and_ends_its_transaction() {
    let Ok(Verdict::EndFirst(fencing)) = ongoing(4).init(None, 60_000, None, 20) else { panic!() };
    assert_eq!((fencing.state, fencing.epoch), (State::PrepareAbort, 5));
    assert_eq!(fencing.init(None, 60_000, None, 21), Err(Refusal::Busy));
    let begun = written(fencing.completed(22).unwrap().init(None, 30_000, None, 23));
    assert_eq!((begun.state, begun.epoch, begun.timeout_ms), (State::Empty, 6, 30_000));
    for late in [begun.add(producer(7, 4), &[], Some("g"), 24), begun.end(producer(7, 4), true, 24)] {
        assert_eq!(late, Err(Refusal::Fenced));
    }
    assert_eq!(begun.end(producer(7, 6), true, 24), Err(Refusal::State), "nothing has begun");
    assert_eq!(Refusal::Fenced.code(true), ResponseError::ProducerFenced.code());
    assert_eq!(Refusal::Fenced.code(false), ResponseError::InvalidProducerEpoch.code());
}

#[test]
fn a_producer_goes_on_after_an_error_and_may_repeat_that() {
    let idle = Transaction { epoch: 4, ..Transaction::new(7, 60_000, 0) };
    let next = written(idle.init(Some(producer(7, 4)), 60_000, None, 1));
    assert_eq!(next.epoch, 5);
    assert_eq!(next.init(Some(producer(7, 4)), 60_000, None, 2), Ok(Verdict::Already));
    assert_eq!(next.init(Some(producer(7, 3)), 60_000, None, 2), Err(Refusal::Fenced));
    assert_eq!(next.init(Some(producer(8, 5)), 60_000, None, 2), Err(Refusal::Fenced));
    let ended = written(ongoing(4).init(Some(producer(7, 4)), 60_000, None, 2)).completed(3).unwrap();
    assert_eq!((ended.state, ended.epoch), (State::CompleteAbort, 5));
    assert_eq!(ended.init(Some(producer(7, 4)), 60_000, None, 4), Ok(Verdict::Already), "it goes on with epoch 5");
    assert_eq!(ongoing(4).init(Some(producer(7, 3)), 60_000, None, 2), Err(Refusal::Fenced));
}

#[test]
fn used_up_epochs_lead_to_a_new_id() {
    let last = Transaction { epoch: EPOCH_LAST, ..Transaction::new(7, 60_000, 0) };
    let mine = producer(7, EPOCH_LAST);
    assert!(last.needs_id(None) && last.needs_id(Some(mine)) && !last.needs_id(Some(producer(7, 3))));
    let next = written(last.init(Some(mine), 60_000, Some(99), 1));
    assert_eq!((next.producer_id, next.epoch), (99, 0));
    assert_eq!(next.init(Some(mine), 60_000, None, 2), Ok(Verdict::Already), "the answer may have been lost");
    assert_eq!(next.add(mine, &[], Some("g"), 2), Err(Refusal::UnknownProducer));
    // One that was open has the epoch above to be fenced with.
    let fencing = written(ongoing(EPOCH_LAST).init(None, 60_000, None, 1));
    assert_eq!(fencing.epoch, i16::MAX);
    let done = fencing.completed(2).unwrap();
    assert!(done.needs_id(None));
    assert_eq!(written(done.init(None, 60_000, Some(100), 3)).producer_id, 100);
}

#[test]
fn what_takes_too_long_is_given_up_and_what_is_idle_forgotten() {
    let open = ongoing(0);
    assert_eq!((open.deadline_ms(), open.give_up(60_009)), (Some(60_010), None));
    let given_up = open.give_up(60_010).unwrap();
    assert_eq!((given_up.state, given_up.epoch), (State::PrepareAbort, 1));
    assert!(!given_up.is_unused(u64::MAX) && !open.is_unused(u64::MAX));
    let done = given_up.completed(60_020).unwrap();
    assert!(done.is_unused(60_021) && !done.is_unused(60_020));
    assert_eq!((done.deadline_ms(), done.give_up(u64::MAX)), (None, None));
    assert_eq!(done.end(producer(7, 0), true, 60_030), Err(Refusal::Fenced));
}

#[test]
fn it_is_written_as_json_and_comes_back() {
    let open = ongoing(3);
    let text = serde_json::to_string(&open).unwrap();
    assert_eq!(serde_json::from_str::<Transaction>(&text).unwrap(), open);
    assert!(State::is_name("CompleteAbort") && State::is_name("PrepareEpochFence") && !State::is_name("ongoing"));
}

/// A partition with what a reader of committed records may see.
#[derive(Clone, Debug, Default)]
struct Partition {
    /// Of each open transaction, by producer id: its epoch and records.
    open: BTreeMap<i64, (i16, Vec<u64>)>,
    epochs: BTreeMap<i64, i16>,
    committed: BTreeSet<u64>,
}

impl Partition {
    fn append(&mut self, producer: Producer, record: u64) -> bool {
        let epoch = self.epochs.entry(producer.id).or_insert(producer.epoch);
        if producer.epoch < *epoch {
            return false;
        }
        *epoch = producer.epoch;
        self.open.entry(producer.id).or_insert((producer.epoch, Vec::new())).1.push(record);
        true
    }

    fn mark(&mut self, producer: Producer, commit: bool) {
        if let Some((_, records)) = self.open.remove(&producer.id) {
            self.epochs.insert(producer.id, producer.epoch);
            self.committed.extend(records.into_iter().filter(|_| commit));
        }
    }
}

/// What was done in a transaction: records by partition, and an offset.
type Account = (Vec<(usize, u64)>, Option<u64>);

/// The coordinator with its disk: what is written survives a crash, and a crash can come before every effect.
#[derive(Debug, Default)]
struct World {
    disk: Option<Transaction>,
    memory: Option<Transaction>,
    partitions: [Partition; 3],
    /// Offsets handed in with the open transaction (on disk), and the one that counts.
    pending_offset: Option<u64>,
    offset: Option<u64>,
    next_id: i64,
    now_ms: u64,
    /// Effects until the next crash.
    fuse: Option<usize>,
    /// What the client did in its transaction: records by partition, offset.
    acts: Vec<(usize, u64)>,
    handed_in: Option<u64>,
    /// Transactions that the client was told to be committed, or has asked to commit without hearing.
    told: Vec<Account>,
    unsure: Vec<Account>,
    refused: Vec<Account>,
}

/// The process died.
#[derive(Debug)]
struct Crash;

impl World {
    fn effect(&mut self) -> Result<(), Crash> {
        match &mut self.fuse {
            Some(0) => Err(Crash),
            Some(left) => {
                *left -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }

    fn write(&mut self, next: Transaction) -> Result<(), Crash> {
        self.effect()?;
        self.disk = Some(next.clone());
        // It is on disk, and nobody was told.
        self.effect()?;
        self.memory = Some(next);
        Ok(())
    }

    /// Carries out what is prepared.
    fn finish(&mut self) -> Result<(), Crash> {
        let Some(prepared) = self.memory.clone().filter(|known| known.state.is_prepared()) else { return Ok(()) };
        let producer = producer(prepared.producer_id, prepared.epoch);
        let commit = prepared.state == State::PrepareCommit;
        for number in prepared.partitions.get("t").into_iter().flatten() {
            self.effect()?;
            self.partitions[*number as usize].mark(producer, commit);
        }
        let done = prepared.completed(self.now_ms).unwrap();
        self.effect()?;
        // One write: the end, and the offsets.
        self.disk = Some(done.clone());
        let offset = self.pending_offset.take();
        if commit {
            self.offset = offset.or(self.offset);
        }
        self.effect()?;
        self.memory = Some(done);
        Ok(())
    }

    fn restart(&mut self) {
        self.fuse = None;
        self.memory = self.disk.clone();
        self.finish().unwrap();
    }

    fn init(&mut self, given: Option<Producer>) -> Result<Result<Producer, Refusal>, Crash> {
        loop {
            let Some(known) = self.memory.clone() else {
                self.next_id += 1;
                self.write(Transaction::new(self.next_id, HOUR_MS, self.now_ms))?;
                let begun = self.memory.clone().unwrap();
                return Ok(Ok(producer(begun.producer_id, begun.epoch)));
            };
            let fresh = known.needs_id(given).then(|| {
                self.next_id += 1;
                self.next_id
            });
            let next = match known.init(given, HOUR_MS, fresh, self.now_ms) {
                Err(refusal) => return Ok(Err(refusal)),
                Ok(Verdict::Already) => return Ok(Ok(producer(known.producer_id, known.epoch))),
                Ok(Verdict::EndFirst(next)) => {
                    self.write(next)?;
                    self.finish()?;
                    continue;
                }
                Ok(Verdict::Write(next)) => next,
            };
            let begun = producer(next.producer_id, next.epoch);
            self.write(next)?;
            return Ok(Ok(begun));
        }
    }

    fn end(&mut self, by: Producer, commit: bool) -> Result<Result<(), Refusal>, Crash> {
        let Some(known) = self.memory.clone() else { return Ok(Err(Refusal::UnknownProducer)) };
        match known.end(by, commit, self.now_ms) {
            Err(refusal) => Ok(Err(refusal)),
            Ok(Verdict::Already) => Ok(Ok(())),
            Ok(Verdict::Write(next) | Verdict::EndFirst(next)) => {
                self.write(next)?;
                self.finish()?;
                Ok(Ok(()))
            }
        }
    }

    fn produce(&mut self, by: Producer, number: usize) -> Result<(), Crash> {
        let Some(known) = self.memory.clone() else { return Ok(()) };
        match known.add(by, &[("t".into(), number as i32)], None, self.now_ms) {
            Err(_) => return Ok(()),
            Ok(Verdict::Already) => {}
            Ok(Verdict::Write(next) | Verdict::EndFirst(next)) => self.write(next)?,
        }
        self.now_ms += 1;
        let (known, record) = (self.memory.clone().unwrap(), self.now_ms);
        self.effect()?;
        if known.may_write(by, "t", number as i32).is_ok() && self.partitions[number].append(by, record) {
            self.acts.push((number, record));
        }
        Ok(())
    }

    fn hand_in(&mut self, by: Producer) -> Result<(), Crash> {
        let Some(known) = self.memory.clone() else { return Ok(()) };
        match known.add(by, &[], Some("g"), self.now_ms) {
            Err(_) => return Ok(()),
            Ok(Verdict::Already) => {}
            Ok(Verdict::Write(next) | Verdict::EndFirst(next)) => self.write(next)?,
        }
        self.now_ms += 1;
        self.effect()?;
        if self.memory.as_ref().unwrap().may_commit(by, "g").is_ok() {
            self.pending_offset = Some(self.now_ms);
            self.handed_in = Some(self.now_ms);
        }
        Ok(())
    }

    /// All of each transaction, or nothing of it; and what was promised.
    fn check(&self) {
        let whole = |(acts, offset): &Account| {
            let seen: Vec<bool> =
                acts.iter().map(|(number, record)| self.partitions[*number].committed.contains(record)).collect();
            let some = seen.first().copied();
            assert!(seen.iter().all(|seen| Some(*seen) == some), "half of {acts:?} is committed");
            if let (Some(seen), Some(offset)) = (some, offset) {
                let there = self.offset.is_some_and(|known| known >= *offset);
                assert!(!seen || there, "the offset {offset} stayed behind its records");
                assert!(seen || self.offset != Some(*offset), "the offset {offset} ran ahead of its records");
            }
            some
        };
        assert!(self.told.iter().all(|transaction| whole(transaction) != Some(false)), "a promise was broken");
        assert!(self.refused.iter().all(|transaction| whole(transaction) != Some(true)), "an abort was committed");
        for transaction in &self.unsure {
            whole(transaction);
        }
    }

    fn close_account(&mut self, how: impl FnOnce(&mut Self) -> &mut Vec<Account>) {
        let account = (std::mem::take(&mut self.acts), self.handed_in.take());
        how(self).push(account);
    }
}

#[derive(Clone, Debug)]
enum Ask {
    Produce(usize),
    HandIn,
    End(bool),
    /// By an instance that was fenced, if there is one.
    Zombie(usize, bool),
    NewInstance,
    GoOn,
    TimeOut,
    Restart,
}

fn ask() -> impl Strategy<Value = (Ask, Option<usize>)> {
    let ask = prop_oneof![
        8 => (0..3_usize).prop_map(Ask::Produce),
        3 => Just(Ask::HandIn),
        6 => any::<bool>().prop_map(Ask::End),
        2 => (0..3_usize, any::<bool>()).prop_map(|(number, commit)| Ask::Zombie(number, commit)),
        1 => Just(Ask::NewInstance),
        1 => Just(Ask::GoOn),
        1 => Just(Ask::TimeOut),
        1 => Just(Ask::Restart),
    ];
    (ask, prop::option::weighted(0.3, 0..7_usize))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]
    #[test]
    fn never_half_committed(asks in prop::collection::vec(ask(), 1..60)) {
        let mut world = World { next_id: 100, ..World::default() };
        let mut me = world.init(None).unwrap().unwrap();
        let mut zombie = producer(me.id, me.epoch - 1);
        for (ask, fuse) in asks {
            world.now_ms += 1;
            world.fuse = fuse;
            let outcome = match ask {
                Ask::Produce(number) => world.produce(me, number),
                Ask::HandIn => world.hand_in(me),
                Ask::End(commit) => {
                    let outcome = world.end(me, commit);
                    world.close_account(|world| match (&outcome, commit) {
                        (Ok(Ok(())), true) => &mut world.told,
                        (Err(Crash), _) => &mut world.unsure,
                        _ => &mut world.refused,
                    });
                    outcome.map(drop)
                }
                Ask::Zombie(number, commit) => {
                    let before = world.acts.len();
                    let outcome = world.produce(zombie, number).and_then(|()| world.end(zombie, commit)).map(drop);
                    prop_assert_eq!(world.acts.len(), before, "a zombie wrote");
                    outcome
                }
                Ask::NewInstance => {
                    world.init(None).map(drop)
                }
                Ask::GoOn => {
                    world.init(Some(me)).map(drop)
                }
                Ask::TimeOut => {
                    world.now_ms += 2 * HOUR_MS;
                    match world.memory.as_ref().and_then(|known| known.give_up(world.now_ms)) {
                        Some(next) => {
                            world.write(next).and_then(|()| world.finish())
                        }
                        None => Ok(()),
                    }
                }
                Ask::Restart => Err(Crash),
            };
            if outcome.is_err() {
                world.restart();
            }
            world.fuse = None;
            world.check();
            // A crash of the broker does not end the transaction of a client that goes on; a new instance, its own going
            // on or a timeout does.
            let known = world.memory.clone().unwrap();
            if (known.producer_id, known.epoch) != (me.id, me.epoch) {
                if !world.acts.is_empty() || world.handed_in.is_some() {
                    world.close_account(|world| &mut world.refused);
                }
                zombie = me;
                me = world.init(None).unwrap().unwrap();
            } else if known.state != State::Ongoing && (!world.acts.is_empty() || world.handed_in.is_some()) {
                world.close_account(|world| &mut world.unsure);
            }
            prop_assert!(me != zombie);
        }
        world.end(me, true).unwrap().ok();
        world.check();
        let open: usize = world.partitions.iter().map(|partition| partition.open.len()).sum();
        prop_assert_eq!(open, 0, "no transaction hangs");
    }
}
