//! The topics of the bus with the lag of their readers, asked for when somebody looks and kept for a moment.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use logmill_bus_client::{Admin, ClientError, Connection, TopicOverview};
use serde::Serialize;
use tokio::sync::Mutex;

/// Many open status pages cost the bus no more than one.
const KEPT_FOR: Duration = Duration::from_secs(2);
/// A page waits no longer for it.
const TIMEOUT: Duration = Duration::from_secs(3);

/// A topic, as the status page shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct TopicView {
    name: String,
    partitions: Vec<PartitionView>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct PartitionView {
    partition: i32,
    low: i64,
    high: i64,
    /// Group → records that it has not read yet.
    lag: BTreeMap<String, i64>,
}

/// All topics, or why they can't be told.
type Answer = Result<Vec<TopicView>, String>;

/// Asks the bus, at most every other second.
#[derive(Debug)]
pub(crate) struct Topics {
    connection: Connection,
    known: Mutex<Option<(Instant, Answer)>>,
}

impl Topics {
    /// Asks nothing yet.
    pub(crate) fn new(connection: Connection) -> Self {
        Self { connection, known: Mutex::default() }
    }

    /// All topics, or why they can't be told.
    pub(crate) async fn get(&self) -> Answer {
        let mut known = self.known.lock().await;
        if let Some((at, answer)) = known.as_ref()
            && at.elapsed() < KEPT_FOR
        {
            return answer.clone();
        }
        let connection = self.connection.clone();
        let asked = tokio::task::spawn_blocking(move || Admin::new(&connection, TIMEOUT)?.overview());
        let answer = match asked.await {
            Ok(answer) => answer.map(views).map_err(|error: ClientError| error.to_string()),
            Err(error) => Err(error.to_string()),
        };
        *known = Some((Instant::now(), answer.clone()));
        answer
    }
}

fn views(topics: Vec<TopicOverview>) -> Vec<TopicView> {
    let lag = |high: i64, committed: BTreeMap<String, i64>| {
        committed.into_iter().map(|(group, next)| (group, (high - next).max(0))).collect()
    };
    let topic = |topic: TopicOverview| TopicView {
        name: topic.name,
        partitions: topic
            .partitions
            .into_iter()
            .map(|at| PartitionView {
                partition: at.partition,
                low: at.low,
                high: at.high,
                lag: lag(at.high, at.committed),
            })
            .collect(),
    };
    topics.into_iter().map(topic).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use logmill_bus_client::PartitionOverview;

    #[test]
    fn lag_is_what_a_group_has_yet_to_read() {
        let committed = BTreeMap::from([("behind".to_owned(), 40), ("ahead of a cut log".to_owned(), 120)]);
        let partitions = vec![PartitionOverview { partition: 0, low: 0, high: 100, committed }];
        let views = views(vec![TopicOverview { name: "logs.raw".to_owned(), partitions }]);
        assert_eq!(views[0].partitions[0].lag["behind"], 60);
        assert_eq!(views[0].partitions[0].lag["ahead of a cut log"], 0);
    }
}
