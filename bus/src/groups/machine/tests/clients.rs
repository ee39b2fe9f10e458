//! Whole clients, dynamic and static ones, that crash, hang, leave and come back at random while the broker restarts
//! now and then: what a leader assigns reaches its member and nobody else, and in the end everybody reads.

use super::*;
use crate::groups::JoinedMember;

enum State {
    Out,
    Joining(Receiver<Joined>),
    Syncing(i32, Receiver<Synced>),
    Reads(i32),
}

struct Client {
    number: u8,
    id: String,
    is_static: bool,
    state: State,
}

impl Client {
    fn new(number: u8) -> Self {
        // Every other one keeps its place over its own restarts.
        Self { number, id: String::new(), is_static: number % 2 == 1, state: State::Out }
    }

    fn instance(&self) -> Option<String> {
        self.is_static.then(|| format!("i{}", self.number))
    }

    fn who(&self, generation: i32) -> Who {
        Who { member_id: self.id.clone(), instance_id: self.instance(), generation }
    }

    /// Takes what has come, and asks the next question.
    fn step(&mut self, play: &mut Play) {
        let state = std::mem::replace(&mut self.state, State::Out);
        self.state = match state {
            State::Out => {
                let join = Join {
                    instance_id: self.instance(),
                    protocols: vec![("range".into(), Bytes::copy_from_slice(&[self.number]))],
                    takes_id: true,
                    may_skip_assignment: true,
                    ..join(&self.id)
                };
                State::Joining(play.join(&join))
            }
            State::Joining(mut answer) => match answer.try_recv() {
                Err(TryRecvError::Empty) => State::Joining(answer),
                Err(TryRecvError::Closed) => State::Out,
                Ok(joined) => self.joined(joined, play),
            },
            State::Syncing(generation, mut answer) => match answer.try_recv() {
                Err(TryRecvError::Empty) => State::Syncing(generation, answer),
                Err(TryRecvError::Closed) => State::Out,
                Ok(synced) if synced.error == NO_ERROR => {
                    let mine = assignment(generation, self.number);
                    assert_eq!(synced.assignment, mine, "client {} in generation {generation}", self.number);
                    State::Reads(generation)
                }
                Ok(synced) => self.refused(synced.error),
            },
            State::Reads(generation) => {
                let outcome = play.group.heartbeat(&self.who(generation), play.now);
                play.settle();
                match outcome {
                    Ok(()) => State::Reads(generation),
                    Err(error) => self.refused(error),
                }
            }
        };
    }

    fn joined(&mut self, joined: Joined, play: &mut Play) -> State {
        if joined.error == code(ResponseError::MemberIdRequired) {
            self.id = joined.member_id;
            return State::Out;
        }
        if joined.error != NO_ERROR {
            return self.refused(joined.error);
        }
        self.id = joined.member_id;
        let leads = joined.leader == self.id && !joined.skip_assignment;
        assert_eq!(leads, !joined.members.is_empty() && !joined.skip_assignment);
        let of = |member: &JoinedMember| {
            (member.member_id.clone(), assignment(joined.generation, member.metadata.first().copied().unwrap()))
        };
        let assignments = if leads { joined.members.iter().map(of).collect() } else { Vec::new() };
        let (sender, receiver) = oneshot::channel();
        let sync = Sync { who: self.who(joined.generation), assignments, ..Sync::default() };
        play.group.sync(sync, play.now, sender);
        play.settle();
        State::Syncing(joined.generation, receiver)
    }

    fn refused(&mut self, error: i16) -> State {
        let known = [
            ResponseError::RebalanceInProgress,
            ResponseError::IllegalGeneration,
            ResponseError::UnknownMemberId,
            ResponseError::FencedInstanceId,
        ];
        assert!(known.iter().any(|known| known.code() == error), "{error}");
        if error == code(ResponseError::UnknownMemberId) || error == code(ResponseError::FencedInstanceId) {
            self.id.clear();
        }
        State::Out
    }
}

/// What a leader gives a client: no two are the same.
fn assignment(generation: i32, number: u8) -> Bytes {
    Bytes::from(format!("{generation}/{number}"))
}

/// The broker ends without a word and comes back: what waited hears nothing.
fn restart(play: &mut Play) {
    play.group = match play.written.clone() {
        Some(entry) => Group::restore(entry, play.now),
        None => Group::new(),
    };
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn assignments_reach_their_members_and_everybody_reads_in_the_end(
        steps in proptest::collection::vec((0u8..20, 0usize..5, 1u64..4000), 1..120),
    ) {
        let mut play = Play::new();
        let mut clients: Vec<_> = (0..5).map(Client::new).collect();
        for (step, index, millis) in steps {
            let client = &mut clients[index];
            match step {
                // It crashes: its id is lost, its answers are not taken.
                0 => *client = Client::new(client.number),
                // It hangs up and asks again.
                1 => client.state = State::Out,
                2 => {
                    let _ = play.group.leave(&client.id, client.instance().as_deref(), play.now);
                    play.settle();
                    *client = Client::new(client.number);
                }
                3 => restart(&mut play),
                4..=8 => play.pass(Duration::from_millis(millis)),
                _ => client.step(&mut play),
            }
        }
        // Long enough for rebalances to run into their time; everybody behaves now.
        for _ in 0..400 {
            for client in &mut clients {
                client.step(&mut play);
            }
            play.pass(Duration::from_millis(500));
        }
        prop_assert_eq!(play.group.phase(), Phase::Stable);
        let generation = play.group.generation;
        for client in &clients {
            prop_assert!(matches!(client.state, State::Reads(theirs) if theirs == generation), "{}", client.number);
        }
        prop_assert_eq!(play.group.members().count(), clients.len());
    }
}
