//! Rebuilds damaged splits from the bus: exactly the records that they held and that still count, each once, as far as
//! the bus has them yet. Blocks.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use logmill_bus_client::{Admin, ClientError, Connection, Message, Read, ReadRecord, Reader};
use logmill_core::origin::ID_HEADER;
use serde::Serialize;

use super::indexing::{ID_BYTES_MAX, facts_of, seq_of};
use super::parse;
use crate::store::building::{Building, Purpose};
use crate::store::registry::Registry;
use crate::store::{Damage, FlushError, Part, Rebuilt, Store};

/// Round trips to the bus beyond this mean that it is away.
const BUS_TIMEOUT: Duration = Duration::from_secs(10);
const READ_WAIT: Duration = Duration::from_millis(200);
/// A bus that is there and says nothing for so long will not.
const SILENCE_MAX: Duration = Duration::from_secs(30);
/// Offsets between two stretches that are read over: cheaper than beginning anew behind them.
const GAP_MAX: u64 = 20_000;
/// A segment in memory ends at this size, as while indexing.
const SEGMENT_BYTES: u64 = 16 << 20;
/// Segments become a split at this size: bounds the memory of a repair.
const SPLIT_BYTES: u64 = 96 << 20;
/// The bits of a number that are the offset.
const OFFSET_BITS: u32 = 48;

/// What became of a damaged split.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Repaired {
    pub(crate) split: String,
    pub(crate) index: String,
    /// What was wrong with it.
    pub(crate) reason: String,
    /// Documents that it held and that counted.
    pub(crate) documents: u64,
    /// Documents that can be searched again.
    pub(crate) restored: u64,
    /// Documents that are there already, or gave way to a later one of the same id.
    pub(crate) superseded: u64,
    /// Documents that the bus no longer has.
    pub(crate) lost: u64,
}

/// A repair was broken off; nothing has changed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RepairError {
    #[error("the bus can't be read: {0}")]
    Bus(#[from] ClientError),
    #[error("the bus says nothing; start it, or see what keeps it")]
    Silence,
    #[error(transparent)]
    Store(#[from] FlushError),
    #[error("the index can't be read: {0}")]
    Index(#[from] tantivy::TantivyError),
    #[error("the manifest can't be written: {0}")]
    Manifest(#[from] std::io::Error),
}

/// Repairs every damaged split. What was repaired before a failure stays repaired.
///
/// # Errors
/// When the bus is away or the disk refuses.
pub(crate) fn repair(
    store: &Arc<Store>,
    bus: &Connection,
    topic: &str,
    paths_max: u32,
) -> Result<Vec<Repaired>, RepairError> {
    let damages = store.damages();
    let mut done = Vec::with_capacity(damages.len());
    if damages.is_empty() {
        return Ok(done);
    }
    let admin = Admin::reach(bus, BUS_TIMEOUT)?;
    let ends: Vec<(i32, i64, i64)> =
        admin.partitions(topic)?.into_iter().map(|each| (each.partition, each.low, each.high)).collect();
    for damage in damages {
        let mut work = Work::new(store, &damage, paths_max)?;
        let read = work.read(bus, topic, &ends).and_then(|()| work.end());
        if let Err(error) = read {
            store.abandon(&work.rebuilt);
            return Err(error);
        }
        let repaired = work.settle()?;
        tracing::info!(?repaired, "a damaged split was repaired");
        done.push(repaired);
    }
    Ok(done)
}

/// The rebuilding of one split.
struct Work<'w> {
    store: &'w Arc<Store>,
    damage: &'w Damage,
    present: BTreeSet<u64>,
    registry: Registry,
    building: Option<Building>,
    parts: Vec<Arc<Part>>,
    rebuilt: Rebuilt,
    restored: u64,
    superseded: u64,
}

impl<'w> Work<'w> {
    fn new(store: &'w Arc<Store>, damage: &'w Damage, paths_max: u32) -> Result<Self, RepairError> {
        let present = match &damage.held {
            Some(held) => store.present(&damage.index, held)?,
            None => BTreeSet::new(),
        };
        let mapping = store.index_types(&damage.index).map(|(_, mapping)| mapping).unwrap_or_default();
        Ok(Self {
            store,
            damage,
            superseded: present.len() as u64,
            present,
            registry: Registry::new(mapping, paths_max as usize),
            building: None,
            parts: Vec::new(),
            rebuilt: Rebuilt::default(),
            restored: 0,
        })
    }

    /// Reads what the split held, stretch by stretch.
    fn read(&mut self, bus: &Connection, topic: &str, ends: &[(i32, i64, i64)]) -> Result<(), RepairError> {
        let Some(held) = &self.damage.held else { return Ok(()) };
        for (partition, first, last) in stretches(held.runs()) {
            let Some((_, low, high)) = ends.iter().find(|(known, ..)| *known == partition) else { continue };
            // A bus that ends before what was read from it is another one: its records are others, too.
            if last >= *high || last < *low {
                continue;
            }
            self.read_stretch(bus, topic, partition, first.max(*low), last)?;
        }
        Ok(())
    }

    fn read_stretch(
        &mut self,
        bus: &Connection,
        topic: &str,
        partition: i32,
        first: i64,
        last: i64,
    ) -> Result<(), RepairError> {
        let reader = Reader::new(bus, topic, &[(partition, first)], true)?;
        let mut heard = Instant::now();
        loop {
            match reader.next(READ_WAIT)? {
                Read::Record(record) => {
                    heard = Instant::now();
                    let offset = record.offset;
                    if offset <= last {
                        self.take(record)?;
                    }
                    if offset >= last {
                        return Ok(());
                    }
                }
                Read::End(_) => return Ok(()),
                Read::Nothing | Read::Away(_) if heard.elapsed() < SILENCE_MAX => {}
                Read::Nothing | Read::Away(_) => return Err(RepairError::Silence),
            }
        }
    }

    fn take(&mut self, record: ReadRecord) -> Result<(), RepairError> {
        let seq = seq_of(record.partition, record.offset);
        let is_wanted = self.damage.held.as_ref().is_some_and(|held| held.contains(seq));
        if !is_wanted || self.present.contains(&seq) {
            return Ok(());
        }
        let message = Message {
            topic: "".into(),
            partition: record.partition,
            offset: record.offset,
            timestamp_ms: record.timestamp_ms,
            key: None,
            value: record.value.unwrap_or_default(),
            headers: record
                .headers
                .into_iter()
                .map(|(name, value)| (name.into_boxed_str(), value.unwrap_or_default()))
                .collect(),
        };
        let id = message.header_str(ID_HEADER).filter(|id| !id.is_empty() && id.len() <= ID_BYTES_MAX);
        if let Some(id) = id
            && self.store.has_id(&self.damage.index, id)?
        {
            // Written anew while the split was away.
            self.superseded += 1;
            return Ok(());
        }
        let facts = facts_of(&message, id);
        let (document, _) = parse::document(&message.value, facts, &mut self.registry);
        let building = match &mut self.building {
            Some(building) => building,
            none => {
                let order = self.store.order_of(&self.damage.index);
                none.insert(Building::new(self.damage.index.clone(), Purpose::Memory, order)?)
            }
        };
        building.add(document)?;
        self.restored += 1;
        if building.bytes() > SEGMENT_BYTES {
            self.end_segment()?;
        }
        Ok(())
    }

    fn end_segment(&mut self) -> Result<(), RepairError> {
        if let Some(building) = self.building.take() {
            self.parts.push(Arc::new(building.finish(self.store.next_part())?));
        }
        if self.parts.iter().map(|part| part.bytes).sum::<u64>() > SPLIT_BYTES {
            self.end_split()?;
        }
        Ok(())
    }

    fn end_split(&mut self) -> Result<(), RepairError> {
        let parts = std::mem::take(&mut self.parts);
        Ok(self.store.rebuild(&mut self.rebuilt, &parts)?)
    }

    fn end(&mut self) -> Result<(), RepairError> {
        self.end_segment()?;
        self.end_split()
    }

    /// Makes it count, and says what became of it.
    fn settle(self) -> Result<Repaired, RepairError> {
        let Self { store, damage, rebuilt, restored, superseded, .. } = self;
        let lost = damage.docs.saturating_sub(restored + superseded);
        store.settle_repair(damage, rebuilt)?;
        if lost == 0 {
            // Nothing is left in it that anybody could want; and what was erased must not lie there for ever.
            store.remove_quarantined(damage.split);
        }
        Ok(Repaired {
            split: format!("{:016x}", damage.split),
            index: damage.index.to_string(),
            reason: damage.reason.clone(),
            documents: damage.docs,
            restored,
            superseded,
            lost,
        })
    }
}

/// Runs of numbers as stretches of partitions: partition, first and last offset. Runs that are near become one.
fn stretches(runs: &[(u64, u64)]) -> Vec<(i32, i64, i64)> {
    let mut near: Vec<(u64, u64)> = Vec::new();
    for (first, last) in runs.iter().copied() {
        match near.last_mut() {
            Some((_, end)) if *end >> OFFSET_BITS == first >> OFFSET_BITS && first - *end <= GAP_MAX => *end = last,
            _ => near.push((first, last)),
        }
    }
    let offset = |seq: u64| i64::try_from(seq & ((1 << OFFSET_BITS) - 1)).unwrap_or(i64::MAX);
    let partition = |seq: u64| i32::try_from(seq >> OFFSET_BITS).unwrap_or(i32::MAX);
    near.into_iter().map(|(first, last)| (partition(first), offset(first), offset(last))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_runs_are_read_in_one_go_and_partitions_apart() {
        let at = |partition: u64, offset: u64| partition << OFFSET_BITS | offset;
        let runs =
            [(at(0, 3), at(0, 5)), (at(0, 100), at(0, 100)), (at(0, 50_000), at(0, 50_001)), (at(1, 0), at(1, 9))];
        assert_eq!(stretches(&runs), [(0, 3, 100), (0, 50_000, 50_001), (1, 0, 9)]);
        assert_eq!(stretches(&[]), []);
    }
}
