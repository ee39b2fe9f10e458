//! Consumer groups: who is in them, how far they have come, and moving that.

use rdkafka::TopicPartitionList;

use super::{Admin, plain};
use crate::raw_admin;
use crate::{ClientError, TopicPartition};

/// A group in the list of all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupListing {
    /// Its name.
    pub name: String,
    /// `Stable`, `Empty`, `PreparingRebalance`, ...
    pub state: String,
    /// `Classic`, or `Consumer` for the protocol of KIP-848; `Unknown` where the cluster does not tell.
    pub protocol: String,
}

/// A group and its members.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupDetails {
    /// Its name.
    pub name: String,
    /// As in [`GroupListing`]; `Dead` for a group that is not there.
    pub state: String,
    /// As in [`GroupListing`].
    pub protocol: String,
    /// How partitions are shared out, `range` for instance.
    pub assignor: String,
    /// The broker that looks after it, `host:port`.
    pub coordinator: String,
    /// Who is in it.
    pub members: Vec<GroupMember>,
}

/// A member of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupMember {
    /// The id that the coordinator knows it by.
    pub id: String,
    /// The instance id of a static member.
    pub instance: Option<String>,
    /// How the client names itself.
    pub client: String,
    /// Where it connects from.
    pub host: String,
    /// What it reads.
    pub partitions: Vec<TopicPartition>,
}

impl Admin {
    /// All consumer groups by name. Blocks.
    ///
    /// # Errors
    /// When the cluster is away longer than the timeout, or a broker did not tell its groups.
    pub fn groups(&self) -> Result<Vec<GroupListing>, ClientError> {
        const ACTION: &str = "can't list the groups";
        let (mut groups, errors) = raw_admin::list_groups(&self.raw()).map_err(ClientError::refused(ACTION))?;
        if let Some(error) = errors.into_iter().next() {
            return Err(ClientError::refused(ACTION)(error));
        }
        groups.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(groups)
    }

    /// One group; its state is `Dead` when there is none of this name. Blocks.
    ///
    /// # Errors
    /// When the cluster is away longer than the timeout, or refuses.
    pub fn group(&self, name: &str) -> Result<GroupDetails, ClientError> {
        let action = format!("can't ask about the group {name}");
        raw_admin::describe_group(&self.raw(), name).map_err(ClientError::refused(action))
    }

    /// The offsets that a group will read next, for the partitions where it committed one. Blocks.
    ///
    /// # Errors
    /// When the cluster is away longer than the timeout, or refuses.
    pub fn committed(&self, group: &str) -> Result<Vec<(TopicPartition, i64)>, ClientError> {
        let action = || format!("can't ask how far {group} has come");
        let answered = raw_admin::committed_offsets(&self.raw(), group).map_err(ClientError::refused(action()))?;
        let mut committed = settled(answered, action())?;
        committed.retain(|(_, offset)| *offset >= 0);
        committed.sort();
        Ok(committed)
    }

    /// Moves a group that nobody is in: these are the offsets that it will read next. Blocks.
    ///
    /// # Errors
    /// When somebody is in the group, when the cluster is away longer than the timeout, or refuses.
    pub fn move_group(&self, group: &str, offsets: &[(TopicPartition, i64)]) -> Result<(), ClientError> {
        let action = || format!("can't move the group {group}");
        let mut list = TopicPartitionList::with_capacity(offsets.len());
        for (at, offset) in offsets {
            list.add_partition_offset(&at.topic, at.partition, rdkafka::Offset::Offset(*offset))
                .map_err(ClientError::during(action()))?;
        }
        let answered = raw_admin::set_offsets(&self.raw(), group, &list).map_err(ClientError::refused(action()))?;
        settled(answered, action()).map(drop)
    }

    /// Forgets what a group committed in these partitions. Blocks.
    ///
    /// # Errors
    /// When the group reads the topic now, when the cluster is away longer than the timeout, or refuses.
    pub fn forget_offsets(&self, group: &str, partitions: &[TopicPartition]) -> Result<(), ClientError> {
        let action = || format!("can't delete offsets of the group {group}");
        let mut list = TopicPartitionList::with_capacity(partitions.len());
        for at in partitions {
            list.add_partition(&at.topic, at.partition);
        }
        let answered = raw_admin::delete_offsets(&self.raw(), group, &list).map_err(ClientError::refused(action()))?;
        settled(answered, action()).map(drop)
    }

    /// Deletes a group that nobody is in, with its offsets.
    ///
    /// # Errors
    /// When somebody is in the group, when the cluster is away longer than the timeout, or refuses.
    pub async fn delete_group(&self, group: &str) -> Result<(), ClientError> {
        let action = format!("can't delete the group {group}");
        let answers = self.admin.delete_groups(&[group], &self.options()).await;
        match answers.map_err(self.failed(action.clone()))?.into_iter().next() {
            Some(Err((_, code))) => Err(ClientError::refused(action)(plain(code))),
            _ => Ok(()),
        }
    }
}

/// All offsets, or why the first partition that failed did.
fn settled(
    answered: Vec<(TopicPartition, Result<i64, String>)>,
    action: String,
) -> Result<Vec<(TopicPartition, i64)>, ClientError> {
    let one = |(at, outcome): (TopicPartition, Result<i64, String>)| match outcome {
        Ok(offset) => Ok((at, offset)),
        Err(reason) => Err(format!("{}/{}: {reason}", at.topic, at.partition)),
    };
    answered.into_iter().map(one).collect::<Result<_, String>>().map_err(ClientError::refused(action))
}
