//! What the commands that speak Kafka's protocol share: finding the brokers, names that are nearly right, places that
//! become offsets.
//!
//! They do one thing after the other and nothing beside it, so they call what blocks as it is.

use std::time::Duration;

use anyhow::{Result, bail};
use logmill_bus_client::{Admin, Connection, PartitionDetails};

use crate::chain;
use crate::cli::Reach;
use crate::config::Config;
use crate::moment::Position;

/// Long enough for a cluster at work, short enough for somebody who waits at a terminal.
const PATIENCE: Duration = Duration::from_secs(10);
/// A name with more letters wrong than a third is another name.
const LETTERS_A_MISTAKE: usize = 3;
/// More proposals than these are a list, and there is a command for that.
const PROPOSALS_MAX: usize = 3;

/// A cluster that answers.
pub(super) struct Cluster {
    pub(super) connection: Connection,
    pub(super) admin: Admin,
    /// Its topics by name, and how many partitions each has.
    pub(super) topics: Vec<(String, i32)>,
}

impl Cluster {
    /// Asks the brokers that were named, or those of the configuration.
    pub(super) fn reach(config: &Config, reach: &Reach) -> Result<Self> {
        let brokers = if reach.brokers.is_empty() { chain::brokers(config)? } else { reach.brokers.clone() };
        let connection = Connection::new(brokers, "logmill-terminal")
            .with_access(config.bus.client.clone())
            .with_properties(reach.client_config.clone());
        let admin = Admin::reach(&connection, PATIENCE)?;
        let mut topics: Vec<_> = admin.topics(None)?.into_iter().map(|info| (info.name, info.partitions)).collect();
        topics.sort();
        Ok(Self { connection, admin, topics })
    }

    /// Fails when there is no topic of this name, and says which are nearest.
    pub(super) fn expect_topic(&self, name: &str) -> Result<()> {
        if self.topics.iter().any(|(known, _)| known == name) {
            return Ok(());
        }
        let near = nearest(name, self.topics.iter().map(|(known, _)| known.as_str()));
        bail!("there is no topic `{name}` at {}{near}", self.connection.brokers.join(", "))
    }

    /// The partitions of a topic that were asked for; all when none were.
    pub(super) fn partitions(&self, topic: &str, wanted: &[i32]) -> Result<Vec<PartitionDetails>> {
        self.expect_topic(topic)?;
        let mut partitions = self.admin.partitions(topic)?;
        if let Some(missing) = wanted.iter().find(|number| !partitions.iter().any(|each| each.partition == **number)) {
            bail!("the topic {topic} has no partition {missing}; it has {}, numbered from 0", partitions.len());
        }
        if !wanted.is_empty() {
            partitions.retain(|each| wanted.contains(&each.partition));
        }
        Ok(partitions)
    }

    /// The offset of a place in each partition, within what the partition holds; `from` says where a shift begins, and
    /// a partition that it does not know is left out.
    pub(super) fn offsets(
        &self,
        topic: &str,
        partitions: &[PartitionDetails],
        place: Position,
        from: impl Fn(i32) -> Option<i64>,
    ) -> Result<Vec<(i32, i64)>> {
        let by_time = match place {
            Position::Time(time_ms) => {
                let numbers: Vec<_> = partitions.iter().map(|each| each.partition).collect();
                self.admin.offsets_since(topic, &numbers, time_ms)?
            }
            _ => Vec::new(),
        };
        let offset = |each: &PartitionDetails| {
            let wanted = match place {
                Position::Start => each.low,
                Position::End => each.high,
                Position::Offset(offset) => offset,
                Position::Shift(by) => from(each.partition)?.saturating_add(by),
                // No record of that time or later: what comes next will be.
                Position::Time(_) => {
                    let found = by_time.iter().find(|(partition, _)| *partition == each.partition);
                    found.and_then(|(_, offset)| *offset).unwrap_or(each.high)
                }
            };
            Some((each.partition, wanted.clamp(each.low, each.high.max(each.low))))
        };
        Ok(partitions.iter().filter_map(offset).collect())
    }
}

/// `; nearest: a, b`, or nothing when no name is near.
pub(super) fn nearest<'n>(name: &str, known: impl Iterator<Item = &'n str>) -> String {
    let letters = name.chars().count().max(1);
    let mut near: Vec<(usize, &str)> = known
        .filter_map(|known| {
            let distance = strsim::damerau_levenshtein(name, known);
            let contained = letters > 2 && known.contains(name);
            (contained || distance <= (letters / LETTERS_A_MISTAKE).max(1)).then_some((distance, known))
        })
        .collect();
    near.sort_unstable();
    let names: Vec<_> = near.into_iter().take(PROPOSALS_MAX).map(|(_, name)| name).collect();
    if names.is_empty() { String::new() } else { format!("; nearest: {}", names.join(", ")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_are_nearly_right() {
        let near = |name| nearest(name, ["logs.raw", "logs.parsed", "x"].into_iter());
        assert_eq!(near("lgos.raw"), "; nearest: logs.raw");
        assert_eq!(near("logs"), "; nearest: logs.raw, logs.parsed");
        assert_eq!(near("orders"), "");
    }
}
