use super::offsets::NOTE_BYTES_MAX;
use super::*;

const WEEK: Duration = Duration::from_secs(7 * 86_400);

async fn groups(path: &std::path::Path) -> (Groups, StateFile) {
    let (state, entries) = StateFile::open(path).unwrap();
    (Groups::restore(state.clone(), &entries, WEEK), state)
}

fn committed(offset: i64) -> Committed {
    Committed { offset, leader_epoch: 2, note: "note".into(), at_ms: now_ms() }
}

fn place(partition: i32) -> Place {
    ("topic".to_owned(), partition)
}

fn nobody() -> Who {
    Who { member_id: String::new(), instance_id: None, generation: -1 }
}

#[tokio::test]
async fn commits_are_there_after_a_crash() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state");
    let (before, _) = groups(&path).await;
    let outcome = before.commit("g", &nobody(), vec![(place(0), committed(7)), (place(1), committed(8))]).await;
    assert_eq!(outcome, Ok(vec![(place(0), 0), (place(1), 0)]));
    // The first is not closed: this is what a killed process leaves behind.
    let (after, _) = groups(&path).await;
    let found = after.committed("g", Some(&[place(0), place(5)]));
    assert_eq!(found[0].1.as_ref().map(|known| (known.offset, known.note.as_str())), Some((7, "note")));
    assert_eq!(found[1].1, None);
    assert_eq!(after.committed("g", None).len(), 2);
}

#[tokio::test]
async fn notes_have_a_bound_and_strangers_commit_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (groups, _) = groups(&folder.path().join("state")).await;
    let long = Committed { note: "x".repeat(NOTE_BYTES_MAX + 1), ..committed(1) };
    let outcome = groups.commit("g", &nobody(), vec![(place(0), long), (place(1), committed(1))]).await.unwrap();
    assert_eq!(outcome[0].1, ResponseError::OffsetMetadataTooLarge.code());
    assert_eq!(outcome[1].1, 0);
    let member = Who { member_id: "m".into(), generation: 3, ..nobody() };
    let refused = groups.commit("other", &member, vec![(place(0), committed(1))]).await;
    assert_eq!(refused, Err(ResponseError::UnknownMemberId.code()));
    assert!(groups.describe("other").is_none(), "and leave nothing behind");
}

#[tokio::test]
async fn what_is_forgotten_stays_forgotten() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state");
    let (before, _) = groups(&path).await;
    for group in ["a", "b", "c"] {
        before.commit(group, &nobody(), vec![(place(0), committed(1)), (place(1), committed(1))]).await.unwrap();
    }
    before.forget("a", None).await.unwrap();
    assert_eq!(before.forget("a", None).await, Err(ResponseError::GroupIdNotFound.code()));
    before.forget("b", Some(&[place(0)])).await.unwrap();
    let names = |groups: &Groups| groups.list().into_iter().map(|group| group.name).collect::<Vec<_>>();
    assert_eq!(names(&before), ["b", "c"]);
    let (after, _) = groups(&path).await;
    assert_eq!(names(&after), ["b", "c"]);
    assert_eq!(after.committed("b", None).len(), 1);
    after.forget_topic("topic").await;
    assert_eq!(after.count(), 0);
}

#[tokio::test]
async fn members_come_back_after_a_crash() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state");
    let (before, _) = groups(&path).await;
    let before = std::sync::Arc::new(before);
    let shutdown = Shutdown::new();
    let timer = tokio::spawn({
        let (groups, shutdown) = (std::sync::Arc::clone(&before), shutdown.clone());
        async move { groups.run(&shutdown).await }
    });
    let join = Join {
        member_id: String::new(),
        instance_id: None,
        client_id: "client".into(),
        client_host: "/127.0.0.1".into(),
        protocol_type: "consumer".into(),
        protocols: vec![("range".into(), bytes::Bytes::new())],
        session: Duration::from_secs(10),
        rebalance: Duration::from_secs(10),
        takes_id: false,
        may_skip_assignment: true,
    };
    let joined = before.join("g", join).await;
    assert_eq!(joined.error, 0);
    let who = Who { member_id: joined.member_id.clone(), instance_id: None, generation: joined.generation };
    let assignments = vec![(joined.member_id.clone(), bytes::Bytes::from_static(b"all"))];
    let synced = before.sync("g", Sync { who: who.clone(), assignments, ..Sync::default() }).await;
    assert_eq!((synced.error, &synced.assignment[..]), (0, &b"all"[..]));
    let (after, _) = groups(&path).await;
    assert_eq!(after.heartbeat("g", &who), 0);
    assert_eq!(after.forget("g", None).await, Err(ResponseError::NonEmptyGroup.code()));
    assert_eq!(after.commit("g", &who, vec![(place(0), committed(5))]).await, Ok(vec![(place(0), 0)]));
    shutdown.trigger();
    timer.await.unwrap();
}

fn consumer_of(topics: &[&str]) -> Vec<(String, bytes::Bytes)> {
    use bytes::BufMut as _;
    let mut metadata = bytes::BytesMut::new();
    metadata.put_i16(0);
    metadata.put_i32(i32::try_from(topics.len()).unwrap());
    for topic in topics {
        metadata.put_i16(i16::try_from(topic.len()).unwrap());
        metadata.put_slice(topic.as_bytes());
    }
    vec![("range".into(), metadata.freeze())]
}

/// A group with one member that reads `topics` and is stable.
async fn live(groups: &Groups, name: &str, protocols: Vec<(String, bytes::Bytes)>) -> Who {
    let join = Join {
        member_id: String::new(),
        instance_id: None,
        client_id: "client".into(),
        client_host: "/127.0.0.1".into(),
        protocol_type: "consumer".into(),
        protocols,
        session: Duration::from_secs(10),
        rebalance: Duration::from_secs(10),
        takes_id: false,
        may_skip_assignment: true,
    };
    let joined = {
        let joining = groups.join(name, join);
        let waking = async {
            tokio::time::sleep(Duration::from_millis(200)).await;
            groups.expire(Instant::now());
            std::future::pending::<()>().await;
        };
        tokio::select! { joined = joining => joined, () = waking => unreachable!() }
    };
    let who = Who { member_id: joined.member_id.clone(), instance_id: None, generation: joined.generation };
    let assignments = vec![(joined.member_id, bytes::Bytes::from_static(b"all"))];
    assert_eq!(groups.sync(name, Sync { who: who.clone(), assignments, ..Sync::default() }).await.error, 0);
    who
}

#[tokio::test]
async fn commits_of_a_live_group_are_kept_and_those_of_a_deserted_one_go_in_time() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state");
    let (before, _) = groups(&path).await;
    let who = live(&before, "g", consumer_of(&["topic"])).await;
    let long_ago = now_ms() - 30 * 86_400_000;
    let old = |topic: &str| ((topic.to_owned(), 0), Committed { at_ms: long_ago, ..committed(3) });
    before.commit("g", &who, vec![old("topic"), old("other")]).await.unwrap();
    before.forget_expired(now_ms()).await;
    let kept: Vec<_> = before.committed("g", None).into_iter().map(|(place, _)| place.0).collect();
    assert_eq!(kept, ["topic"], "what is read stays, what was given up goes");
    assert_eq!(before.leave("g", &who.member_id, None), 0);
    before.forget_expired(now_ms()).await;
    assert_eq!(before.committed("g", None).len(), 1, "it is deserted since a moment only");
    // The moment is remembered over restarts, however many.
    tokio::time::sleep(Duration::from_millis(50)).await;
    let (after, _) = groups(&path).await;
    after.forget_expired(now_ms() + 7 * 86_400_000 - 60_000).await;
    assert_eq!(after.committed("g", None).len(), 1);
    after.forget_expired(now_ms() + 7 * 86_400_000).await;
    assert_eq!(after.count(), 0);
}

#[tokio::test]
async fn commits_without_members_go_one_by_one() {
    let folder = tempfile::tempdir().unwrap();
    let (groups, _) = groups(&folder.path().join("state")).await;
    let old = Committed { at_ms: now_ms() - 8 * 86_400_000, ..committed(1) };
    groups.commit("g", &nobody(), vec![(place(0), old), (place(1), committed(1))]).await.unwrap();
    groups.forget_expired(now_ms()).await;
    assert_eq!(groups.committed("g", None).into_iter().map(|(place, _)| place.1).collect::<Vec<_>>(), [1]);
}

#[tokio::test]
async fn what_members_read_is_known_or_anything() {
    let folder = tempfile::tempdir().unwrap();
    let (groups, _) = groups(&folder.path().join("state")).await;
    assert_eq!(groups.reads("g"), Reads::Nothing);
    live(&groups, "g", consumer_of(&["a", "b"])).await;
    assert_eq!(groups.reads("g"), Reads::Topics(["a".to_owned(), "b".to_owned()].into()));
    live(&groups, "other", vec![("own".into(), bytes::Bytes::from_static(b"?"))]).await;
    assert_eq!(groups.reads("other"), Reads::Anything);
}
