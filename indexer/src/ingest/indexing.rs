//! Takes up records in their order and ends a segment an index at every tick. It knows neither bus nor clock:
//! records and instants are handed in, so that every path can be tested.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use logmill_bus_client::Message;
use logmill_core::Origin;
use logmill_core::origin::{
    ID_HEADER, INDEX_HEADER, OP_HEADER, ORIGIN_HEADER, SOURCE_BYTES_MAX, SOURCE_HEADER, VERSION_HEADER,
};

use super::pace;
use super::parse::{self, RecordFacts};
use super::watermark::Watermarks;
use crate::store::building::{Building, Purpose};
use crate::store::catalog::IndexState;
use crate::store::order::Order;
use crate::store::registry::Registry;
use crate::store::{Batch, Store, names};

/// Where events go that name no index, or one that can't be.
pub(crate) const FALLBACK_INDEX: &str = "logs-generic-default";
/// Segments that are built end early when their documents take so much, in all indexes together: memory in the builder
/// is not searchable and not counted as hot. While the indexer catches up it may be half of what is allowed for all.
const BUILDING_BYTES_MAX: u64 = 16 << 20;
/// Deletions that one tick may hold: each is looked up in every part while others wait.
const REPLACED_MAX: usize = 10_000;
/// The operation that has no value.
const DELETE: &[u8] = b"delete";
/// Elasticsearch's bound.
pub(crate) const ID_BYTES_MAX: usize = 512;

/// What was done with records, for the counters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    /// Documents that were added.
    pub(crate) events: u64,
    /// Bytes of their values.
    pub(crate) bytes: u64,
    /// Records that were stored before.
    pub(crate) duplicates: u64,
    /// Records to be created under an id that there is.
    pub(crate) id_conflicts: u64,
    /// Records that were not JSON objects.
    pub(crate) not_json: u64,
    /// Values that were not indexed because there are too many paths.
    pub(crate) paths_refused: u64,
    /// Documents that were deleted by their id.
    pub(crate) deletes: u64,
    /// Records without a value.
    pub(crate) empty: u64,
}

struct OpenIndex {
    /// Of the index that the types are of; `None` before it is published for the first time.
    uuid: Option<Arc<str>>,
    name: Arc<str>,
    registry: Registry,
    order: Order,
    building: Option<Building>,
}

/// Builds documents and publishes them tick by tick.
pub(crate) struct Indexing {
    store: Arc<Store>,
    paths_max: usize,
    indices_max: usize,
    watermarks: Watermarks,
    next: BTreeMap<i32, i64>,
    moved: bool,
    indexes: HashMap<Arc<str>, OpenIndex>,
    /// Ids of which nothing that was published before counts any more.
    replaced: HashSet<(Arc<str>, Box<str>)>,
    /// When the oldest record that is not published was taken up.
    since: Option<Instant>,
    /// So many records were seen on the bus that were not taken up.
    waiting: u64,
    /// For so long there was nothing to take up, since the oldest that is not published.
    idle: Duration,
    /// Segments that are begun go straight to the disk.
    is_straight: bool,
    /// What was said about indexes is known as of then.
    epoch: u64,
    tally: Tally,
}

impl Indexing {
    /// Goes on from what the store has on disk.
    pub(crate) fn new(store: Arc<Store>, paths_max: u32, indices_max: u32) -> Self {
        Self {
            watermarks: Watermarks::new(store.durable_marks().into_iter()),
            next: store.durable_offsets(),
            store,
            paths_max: paths_max as usize,
            indices_max: indices_max as usize,
            moved: false,
            indexes: HashMap::new(),
            replaced: HashSet::new(),
            since: None,
            waiting: 0,
            idle: Duration::ZERO,
            is_straight: false,
            epoch: 0,
            tally: Tally::default(),
        }
    }

    /// Forgets where it was in a partition: the bus was replaced by another one.
    pub(crate) fn restart(&mut self, partition: i32, offset: i64) {
        self.next.insert(partition, offset);
        self.moved = true;
    }

    /// Takes up records, in order within each partition.
    ///
    /// # Errors
    /// When the store can't take a document: nothing after it was taken up.
    pub(crate) fn take(&mut self, messages: &[Message], now: Instant, day: u32) -> tantivy::Result<()> {
        let epoch = self.store.epoch();
        if epoch != self.epoch {
            self.epoch = epoch;
            self.declare();
        }
        for message in messages {
            let next = self.next.entry(message.partition).or_insert(0);
            if message.offset < *next {
                self.tally.duplicates += 1;
                continue;
            }
            self.take_one(message, day)?;
            self.next.insert(message.partition, message.offset + 1);
            self.moved = true;
            self.since.get_or_insert(now);
        }
        self.waiting = self.store.waiting(&self.next);
        Ok(())
    }

    fn take_one(&mut self, message: &Message, day: u32) -> tantivy::Result<()> {
        let op = message.header(OP_HEADER);
        if message.value.is_empty() && op != Some(DELETE) {
            self.tally.empty += 1;
            return Ok(());
        }
        if let Some((source, origin)) = origin_of(message)
            && !self.watermarks.admit(message.partition, source, origin, day)
        {
            self.tally.duplicates += 1;
            return Ok(());
        }
        let id = message.header_str(ID_HEADER).filter(|id| !id.is_empty() && id.len() <= ID_BYTES_MAX);
        if op == Some(DELETE) {
            id.inspect(|id| self.delete(message.header_str(INDEX_HEADER).unwrap_or(FALLBACK_INDEX), id));
            return Ok(());
        }
        let key = self.open_index(message.header_str(INDEX_HEADER).unwrap_or(FALLBACK_INDEX))?;
        let Some(open) = self.indexes.get_mut(&key) else { return Ok(()) };
        let Some(building) = &mut open.building else { return Ok(()) };
        if let Some(id) = id {
            let named = (open.name.clone(), Box::from(id));
            if op == Some(b"index") {
                self.replaced.insert(named);
            } else if building.has_id(id) || !self.replaced.contains(&named) && self.store.has_id(&open.name, id)? {
                self.tally.id_conflicts += 1;
                return Ok(());
            }
        }
        let facts = facts_of(message, id);
        let (document, remarks) = parse::document(&message.value, facts, &mut open.registry);
        self.tally.events += 1;
        self.tally.bytes += message.value.len() as u64;
        self.tally.not_json += u64::from(remarks.not_json);
        self.tally.paths_refused += u64::from(remarks.paths_refused);
        building.add(document)
    }

    /// Takes the document of an id out of its index.
    fn delete(&mut self, index: &str, id: &str) {
        let index = if self.store.index_types(index).is_some() || self.indexes.contains_key(index) {
            index
        } else {
            // Where its documents would have gone for want of room.
            FALLBACK_INDEX
        };
        if let Some(building) = self.indexes.get_mut(index).and_then(|open| open.building.as_mut()) {
            building.remove(id);
        }
        self.replaced.insert((index.into(), id.into()));
        self.tally.deletes += 1;
    }

    /// Lets the indexes that are open know what was said about them since.
    fn declare(&mut self) {
        for (name, open) in &mut self.indexes {
            if let Some((uuid, mapping)) = self.store.index_types(name)
                && (open.uuid.is_none() || open.uuid.as_ref() == Some(&uuid))
            {
                open.registry.declare(mapping.declared());
            }
        }
    }

    /// The name under which an index is open, opened if it was not.
    fn open_index(&mut self, name: &str) -> tantivy::Result<Arc<str>> {
        if let Some((key, open)) = self.indexes.get_key_value(name)
            && open.building.is_some()
        {
            return Ok(key.clone());
        }
        let target = self.store.write_target(name).filter(|target| target.by_alias || target.by_backing);
        if let Some(target) = target.filter(|target| target.index != name) {
            return self.open_index(&target.index);
        }
        let known = self.store.index_types(name);
        let too_many = || self.store.index_count() >= self.indices_max || self.indexes.len() >= 2 * self.indices_max;
        if known.is_none() && name != FALLBACK_INDEX && (!names::is_valid(name) || too_many()) {
            return self.open_index(FALLBACK_INDEX);
        }
        let uuid = known.as_ref().map(|(uuid, _)| uuid.clone());
        let key: Arc<str> = name.into();
        let open = self.indexes.entry(key.clone()).or_insert_with(|| OpenIndex {
            uuid: None,
            name: key.clone(),
            registry: Registry::new(Arc::default(), self.paths_max),
            order: Order::default(),
            building: None,
        });
        if uuid.is_none() || open.uuid != uuid {
            // New here, or deleted and made anew since.
            let born = || IndexState::born(self.store.birth(name)).unwrap_or_default().mapping;
            let mapping = known.map_or_else(born, |(_, mapping)| mapping);
            open.registry = Registry::new(mapping, self.paths_max);
            open.order = self.store.order_of(name);
            open.uuid = uuid;
        }
        let purpose = if self.is_straight { Purpose::Disk } else { Purpose::Memory };
        open.building = Some(Building::new(key.clone(), purpose, open.order.clone())?);
        Ok(key)
    }

    /// How long the segments that are built may go on to be; `None` when there are none.
    pub(crate) fn rest(&self, refresh: Duration) -> Option<Duration> {
        self.since.map(|since| pace::tick(refresh, self.waiting()).saturating_sub(since.elapsed()))
    }

    /// Says that for so long there was nothing to take up.
    pub(crate) fn idled(&mut self, idle: Duration) {
        if self.since.is_some() {
            self.idle += idle;
        }
    }

    /// How many records wait for this thread to have time. Others may be of transactions that are open or were aborted.
    fn waiting(&self) -> u64 {
        let is_busy = self.since.is_some_and(|since| self.idle * 2 <= since.elapsed());
        if is_busy { self.waiting } else { 0 }
    }

    /// Whether the segments that are built should end now.
    pub(crate) fn is_due(&self, refresh: Duration) -> bool {
        self.rest(refresh).is_some_and(|rest| rest.is_zero()) || self.is_full()
    }

    fn is_full(&self) -> bool {
        let building = || self.indexes.values().filter_map(|index| index.building.as_ref());
        let half = self.store.memory() / 2;
        let wanted = if self.is_straight { half } else { BUILDING_BYTES_MAX };
        let grown: u64 = building().map(Building::grown_bytes).sum();
        // Also many indexes with little in each, and deletions alone.
        grown > wanted || building().map(Building::bytes).sum::<u64>() > 2 * half || self.replaced.len() > REPLACED_MAX
    }

    /// Ends the segments and makes them searchable. Gives what was done since the last tick.
    ///
    /// # Errors
    /// When a segment can't be finished.
    pub(crate) fn tick(&mut self) -> tantivy::Result<Tally> {
        self.is_straight = pace::is_straight(self.waiting());
        (self.since, self.idle) = (None, Duration::ZERO);
        if !std::mem::take(&mut self.moved) {
            return Ok(std::mem::take(&mut self.tally));
        }
        let mut batch = Batch {
            next: self.next.clone(),
            marks: self.watermarks.take_changes(),
            replaced: self.replaced.drain().collect(),
            ..Batch::default()
        };
        for (name, open) in &mut self.indexes {
            let Some(building) = open.building.take_if(|building| building.docs() > 0) else { continue };
            batch.parts.push(building.finish(self.store.next_part())?);
            batch.mappings.insert(name.clone(), open.registry.mapping());
        }
        let published: Vec<Arc<str>> = batch.parts.iter().map(|part| part.index.clone()).collect();
        self.store.publish(batch)?;
        for name in published {
            // A name that was known stands for what it stood for: where it was given to a new index meanwhile, the
            // types are read anew with the next document.
            if let Some(open) = self.indexes.get_mut(&name).filter(|open| open.uuid.is_none()) {
                open.uuid = self.store.index_types(&name).map(|(uuid, _)| uuid);
            }
        }
        Ok(std::mem::take(&mut self.tally))
    }

    /// Forgets sources without news since before a day.
    pub(crate) fn forget_before(&mut self, day: u32) {
        self.watermarks.forget_before(day);
    }

    /// How many watermarks there are.
    pub(crate) fn marks(&self) -> usize {
        self.watermarks.len()
    }
}

/// Where a record lay on the bus, as one number: unique in the store, rising in each partition.
pub(crate) fn seq_of(partition: i32, offset: i64) -> u64 {
    u64::from(partition.unsigned_abs()) << 48 | (offset.unsigned_abs() & 0xffff_ffff_ffff)
}

/// What the bus says of a record besides its value.
pub(super) fn facts_of(message: &Message, id: Option<&str>) -> RecordFacts {
    RecordFacts {
        time_ns: message.timestamp_ms.unwrap_or_default().saturating_mul(1_000_000),
        seq: seq_of(message.partition, message.offset),
        id: id.map(Box::from),
        version: message.header_str(VERSION_HEADER).and_then(|text| text.parse().ok()).unwrap_or(1),
    }
}

/// Source and origin of a record that has both; others (of foreign producers) are told apart by their offset alone.
pub(crate) fn origin_of(message: &Message) -> Option<(&str, Origin)> {
    let source = message.header_str(SOURCE_HEADER).filter(|source| source.len() <= SOURCE_BYTES_MAX)?;
    Some((source, message.header_str(ORIGIN_HEADER)?.parse().ok()?))
}

#[cfg(test)]
mod tests;
