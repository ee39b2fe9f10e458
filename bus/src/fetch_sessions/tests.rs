//! Sessions as a Java client uses them, without a socket and with a clock of the test's own.

use logmill_bus_protocol::messages::TopicName;
use logmill_bus_protocol::messages::fetch_request::{FetchTopic, ForgottenTopic};

use super::*;

const VERSION: i16 = 12;

fn request(session: i32, epoch: i32, partitions: impl IntoIterator<Item = i32>) -> FetchRequest {
    let partitions: Vec<_> =
        partitions.into_iter().map(|index| FetchPartition::default().with_partition(index)).collect();
    let topics = match partitions.is_empty() {
        true => vec![],
        false => vec![FetchTopic::default().with_topic(TopicName("t".into())).with_partitions(partitions)],
    };
    FetchRequest::default().with_session_id(session).with_session_epoch(epoch).with_topics(topics)
}

fn forgetting(request: FetchRequest, partition: i32) -> FetchRequest {
    let topic = ForgottenTopic::default().with_topic(TopicName("t".into())).with_partitions(vec![partition]);
    request.with_forgotten_topics_data(vec![topic])
}

fn answer(records: usize, high_watermark: i64) -> PartitionAnswer<()> {
    PartitionAnswer {
        high_watermark,
        log_start: 0,
        records: (records > 0).then_some(()),
        records_bytes: records,
        ..PartitionAnswer::default()
    }
}

/// Answers a request: the partitions in their turn, and those that were told.
fn serve(
    sessions: &Sessions,
    request: &FetchRequest,
    now: Instant,
    of: impl Fn(i32) -> PartitionAnswer<()>,
) -> Result<(i32, Vec<i32>, Vec<i32>), i16> {
    let context = sessions.begin(request, VERSION, now)?;
    let answers: Vec<_> = context.asked.iter().map(|asked| (asked, of(asked.partition))).collect();
    sessions.answered(&context, answers.iter().map(|(asked, answer)| (*asked, answer)));
    let news = answers.iter().filter(|(asked, answer)| context.is_news(asked, answer));
    let turns = answers.iter().map(|(asked, _)| asked.partition).collect();
    Ok((context.session, turns, news.map(|(asked, _)| asked.partition).collect()))
}

#[test]
fn a_session_is_told_what_is_new() {
    let (sessions, now) = (Sessions::default(), Instant::now());
    let quiet = |_| answer(0, 5);
    let (id, turns, told) = serve(&sessions, &request(0, 0, 0..3), now, quiet).unwrap();
    assert!(id > 0);
    assert_eq!((turns, told), (vec![0, 1, 2], vec![0, 1, 2]), "the first answer is whole");
    assert_eq!(serve(&sessions, &request(id, 1, []), now, quiet), Ok((id, vec![0, 1, 2], vec![])));
    let moved = |partition| answer(0, if partition == 1 { 6 } else { 5 });
    assert_eq!(serve(&sessions, &request(id, 2, []), now, moved).unwrap().2, [1], "its end has moved");
    let broken = |partition| PartitionAnswer { error_code: i16::from(partition == 2), ..moved(partition) };
    assert_eq!(serve(&sessions, &request(id, 3, []), now, broken).unwrap().2, [2]);
    assert_eq!(serve(&sessions, &request(id, 4, []), now, broken).unwrap().2, [2], "errors are told again");
    assert_eq!(serve(&sessions, &request(id, 5, []), now, moved).unwrap().2, [2], "and that it is over");
}

#[test]
fn who_was_given_records_waits_for_the_others() {
    let (sessions, now) = (Sessions::default(), Instant::now());
    let busy = |partition| answer(if partition == 0 { 100 } else { 0 }, 9);
    let (id, ..) = serve(&sessions, &request(0, 0, 0..3), now, busy).unwrap();
    let (_, turns, told) = serve(&sessions, &request(id, 1, []), now, busy).unwrap();
    assert_eq!((turns, told), (vec![1, 2, 0], vec![0]));
    // A new offset keeps its turn.
    assert_eq!(serve(&sessions, &request(id, 2, [1]), now, busy).unwrap().1, [1, 2, 0]);
}

#[test]
fn partitions_come_and_go() {
    let (sessions, now) = (Sessions::default(), Instant::now());
    let quiet = |_| answer(0, 5);
    let (id, ..) = serve(&sessions, &request(0, 0, 0..2), now, quiet).unwrap();
    let change = forgetting(request(id, 1, [7]), 0);
    assert_eq!(serve(&sessions, &change, now, quiet), Ok((id, vec![1, 7], vec![7])));
    assert_eq!(sessions.counts(), (1, 2, 0));
    let rest = forgetting(forgetting(request(id, 2, []), 1), 7);
    assert_eq!(serve(&sessions, &rest, now, quiet).unwrap().0, id);
    let last = forgetting(request(id, 3, []), 1);
    assert_eq!(serve(&sessions, &last, now, quiet), Ok((0, vec![], vec![])), "nothing is left to remember");
    assert_eq!(sessions.counts(), (0, 0, 0));
}

#[test]
fn requests_that_are_not_the_next_are_refused() {
    let (sessions, now) = (Sessions::default(), Instant::now());
    let quiet = |_| answer(0, 5);
    let (id, ..) = serve(&sessions, &request(0, 0, 0..2), now, quiet).unwrap();
    let wrong = Err(ResponseError::InvalidFetchSessionEpoch.code());
    assert_eq!(serve(&sessions, &request(id, 2, []), now, quiet), wrong);
    assert!(serve(&sessions, &request(id, 1, []), now, quiet).is_ok());
    assert_eq!(serve(&sessions, &request(id, 1, []), now, quiet), wrong);
    let unknown = Err(ResponseError::FetchSessionIdNotFound.code());
    assert_eq!(serve(&sessions, &request(id.wrapping_add(1), 1, []), now, quiet), unknown);
    let by_id = sessions.begin(&request(id, 2, []), IDS_SINCE, now).unwrap_err();
    assert_eq!(by_id, ResponseError::FetchSessionTopicIdError.code());
    // A session ends with a request of the final epoch, and is made anew with one of the first.
    assert_eq!(serve(&sessions, &request(id, FINAL, 0..2), now, quiet).unwrap().0, 0);
    assert_eq!(serve(&sessions, &request(id, 2, []), now, quiet), unknown);
}

#[test]
fn there_is_no_room_for_ever_more_and_the_unused_give_way() {
    let (sessions, now) = (Sessions::default(), Instant::now());
    let quiet = |_| answer(0, 5);
    let ids: Vec<_> = (0..SESSIONS_MAX).map(|_| serve(&sessions, &request(0, 0, [1]), now, quiet).unwrap().0).collect();
    assert!(ids.iter().all(|id| *id > 0));
    assert_eq!(serve(&sessions, &request(0, 0, [1]), now, quiet), Ok((0, vec![1], vec![1])), "served all the same");
    let later = now + UNUSED;
    assert!(serve(&sessions, &request(ids[0], 1, []), later, quiet).is_ok());
    assert!(serve(&sessions, &request(0, 0, [1]), later, quiet).unwrap().0 > 0);
    assert!(serve(&sessions, &request(ids[0], 2, []), later, quiet).is_ok(), "what is used stays");
    assert_eq!(sessions.counts(), (SESSIONS_MAX, SESSIONS_MAX, 1));
    let (id, ..) = serve(&sessions, &request(0, 0, 0..300_000), later, quiet).unwrap();
    assert_eq!(id, 0, "too much to be remembered");
}
