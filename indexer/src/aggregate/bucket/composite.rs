//! `composite`: combinations of several sources in order, page by page.

mod place;
mod source;

use std::cmp::Ordering;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use serde_json::{Map, Value};
use tantivy::DocId;

use crate::aggregate::aggregator::{Aggregation, Aggregator, Holds};
use crate::aggregate::collect::{Collect, Opened, Place, Siblings};
use crate::aggregate::key::Key;
use crate::aggregate::keys::each_combination;
use crate::aggregate::partial::{Bucket, Partial, add_keyed};
use crate::aggregate::read;
use crate::aggregate::shown::{Answer, Shown};
use crate::query::error::EsError;
use crate::query::limits::BUCKETS_MAX;
use crate::query::pattern::Bits;
use crate::query::strict::Members;
use place::PartSource;
use source::Source;

/// Sources of one aggregation: each multiplies the buckets.
const SOURCES_MAX: usize = 32;

#[derive(Debug)]
pub(super) struct Composite {
    sources: Vec<Source>,
    size: usize,
    /// One key for each source.
    after: Option<Vec<Key>>,
}

impl Composite {
    pub(super) fn read(mut members: Members) -> Result<Arc<dyn Aggregator>, EsError> {
        let items = match members.required("sources")? {
            Value::Array(items) => items,
            single @ Value::Object(_) => vec![single],
            other => return Err(members.wrong("sources", "an array", &other)),
        };
        let sources = items.into_iter().map(Source::read).collect::<Result<Vec<_>, _>>()?;
        if sources.is_empty() || sources.len() > SOURCES_MAX {
            let reason = format!("[composite] takes between 1 and {SOURCES_MAX} [sources], not {}", sources.len());
            return Err(EsError::argument(reason));
        }
        for (at, source) in sources.iter().enumerate() {
            if sources.iter().take(at).any(|before| before.name == source.name) {
                return Err(EsError::argument(format!(
                    "Composite source names must be unique, found duplicates: [{}]",
                    source.name
                )));
            }
        }
        let size = read::size(&mut members, "size", 10, BUCKETS_MAX)?;
        let after = members.take("after").map(|after| read_after(after, &sources)).transpose()?;
        members.end()?;
        Ok(Arc::new(Self { sources, size, after }))
    }

    fn order(&self, a: &Key, b: &Key) -> Ordering {
        let (Key::Many(a), Key::Many(b)) = (a, b) else { return Ordering::Equal };
        for ((a, b), source) in a.iter().zip(b).zip(&self.sources) {
            let order = source.order(a, b);
            if order != Ordering::Equal {
                return order;
            }
        }
        Ordering::Equal
    }
}

fn read_after(after: Value, sources: &[Source]) -> Result<Vec<Key>, EsError> {
    let Value::Object(mut map) = after else { return Err(EsError::parsing("[after] must be an object")) };
    let mut keys = Vec::new();
    for source in sources {
        let Some(value) = map.shift_remove(&source.name) else {
            let reason = format!("Missing value for [after.{}]", source.name);
            return Err(EsError::argument(reason));
        };
        keys.push(source.read_key(&value)?);
    }
    match map.keys().next() {
        None => Ok(keys),
        Some(odd) => Err(EsError::argument(format!("[after] has [{odd}], which is none of the [sources]"))),
    }
}

impl Aggregator for Composite {
    fn name(&self) -> &'static str {
        "composite"
    }

    fn holds(&self) -> Holds {
        Holds::Many
    }

    fn open<'a>(&'a self, place: Place<'a>, children: Siblings<'a>) -> Opened<'a> {
        let sources =
            self.sources.iter().map(|source| PartSource::open(source, place)).collect::<Result<Vec<_>, _>>()?;
        let after = match &self.after {
            None => None,
            Some(keys) => {
                let places = sources.iter().zip(keys).map(|(source, key)| source.place_of(key));
                Some(places.collect::<Result<Vec<_>, _>>()?)
            }
        };
        let docs = Bits::new(if children.is_empty() { 0 } else { place.part.reader.max_doc() });
        let lists = vec![Vec::new(); sources.len()];
        let found = BTreeMap::new();
        Ok(Box::new(CompositeCollector { request: self, sources, lists, after, found, docs, children, place }))
    }

    fn empty(&self) -> Partial {
        Partial::Keyed(HashMap::new())
    }

    fn show(&self, children: &[Aggregation], partial: Partial, shown: &mut Shown) -> Result<Answer, EsError> {
        let Partial::Keyed(buckets) = partial else { return Err(EsError::internal("a composite without keys")) };
        let mut sorted: Vec<(Key, Bucket)> = buckets.into_iter().collect();
        sorted.sort_by(|a, b| self.order(&a.0, &b.0));
        sorted.truncate(self.size);
        let mut members = Map::new();
        let mut rows = Vec::with_capacity(sorted.len());
        for (key, bucket) in sorted {
            let Key::Many(keys) = key else { continue };
            let key: Map<String, Value> =
                self.sources.iter().zip(&keys).map(|(source, key)| (source.name.clone(), source.shown(key))).collect();
            let key = Value::Object(key);
            members.insert("after_key".to_owned(), key.clone());
            rows.push(shown.row(children, bucket, String::new(), [("key", Some(key))])?);
        }
        Ok(Answer::Buckets { members, rows, keyed: false })
    }

    fn check(&self, _name: &str, around: &[&'static str], _children: &[Aggregation]) -> Result<(), EsError> {
        match around.iter().find(|name| **name != "filter") {
            None => Ok(()),
            Some(other) => Err(EsError::argument(format!(
                "[composite] aggregation cannot be used with a parentAggregation of type: [{other}]"
            ))),
        }
    }
}

/// How often each combination of places is there.
type Counts = BTreeMap<Box<[u128]>, u64>;

struct CompositeCollector<'a> {
    request: &'a Composite,
    sources: Vec<PartSource<'a>>,
    lists: Vec<Vec<u128>>,
    after: Option<Vec<u128>>,
    /// The first combinations so far; never more than the page. What is not among a part's first is not among all.
    found: Counts,
    /// Documents that are to be told to the children, when it is known which buckets there are.
    docs: Bits,
    children: Siblings<'a>,
    place: Place<'a>,
}

/// What is done with the found buckets and a combination of places.
type Each<'e> = &'e mut dyn FnMut(&mut Counts, &[u128]) -> Result<(), EsError>;

impl CompositeCollector<'_> {
    fn each_place(&mut self, doc: DocId, each: Each<'_>) -> Result<(), EsError> {
        for (source, list) in self.sources.iter_mut().zip(&mut self.lists) {
            source.places(doc, list);
        }
        let (after, found) = (self.after.as_deref(), &mut self.found);
        each_combination(&self.lists, &mut |tuple| {
            if after.is_some_and(|after| tuple <= after) {
                return Ok(());
            }
            each(found, tuple)
        })
    }
}

impl Collect for CompositeCollector<'_> {
    fn collect(&mut self, docs: &[DocId], _: &[u32]) -> Result<(), EsError> {
        let (size, allowance) = (self.request.size, self.place.allowance);
        for doc in docs {
            let mut kept = false;
            self.each_place(*doc, &mut |found, tuple| {
                if let Some(count) = found.get_mut(tuple) {
                    *count += 1;
                } else if found.len() < size {
                    allowance.take_buckets(1)?;
                    found.insert(tuple.into(), 1);
                } else if found.last_key_value().is_some_and(|(last, _)| *tuple < **last) {
                    found.insert(tuple.into(), 1);
                    found.pop_last();
                } else {
                    return Ok(());
                }
                kept = true;
                Ok(())
            })?;
            if kept && !self.children.is_empty() {
                self.docs.insert(*doc);
            }
        }
        Ok(())
    }

    fn finish(mut self: Box<Self>, owners: usize) -> Result<Vec<Partial>, EsError> {
        let mut numbers: HashMap<Box<[u128]>, u32> = HashMap::new();
        if !self.children.is_empty() {
            numbers = self.found.keys().zip(0..).map(|(tuple, number)| (tuple.clone(), number)).collect();
            let docs = std::mem::replace(&mut self.docs, Bits::new(0));
            for doc in (0..self.place.part.reader.max_doc()).filter(|doc| docs.contains(*doc)) {
                let mut told = Vec::new();
                self.each_place(doc, &mut |_, tuple| {
                    told.extend(numbers.get(tuple).copied());
                    Ok(())
                })?;
                let same = vec![doc; told.len()];
                self.children.collect(&same, &told)?;
            }
        }
        let children = std::mem::replace(&mut self.children, Siblings(Vec::new()));
        let mut below = children.finish(self.found.len())?.into_iter();
        let columns = self.sources.iter().enumerate().map(|(at, source)| {
            let places: Vec<u128> = self.found.keys().filter_map(|tuple| tuple.get(at).copied()).collect();
            source.keys(&places)
        });
        let mut columns = columns.collect::<Result<Vec<_>, _>>()?.into_iter().map(Vec::into_iter).collect::<Vec<_>>();
        let mut keyed = HashMap::with_capacity(self.found.len());
        for count in self.found.values() {
            let key = Key::Many(columns.iter_mut().filter_map(Iterator::next).collect());
            let bucket = Bucket { count: *count, children: below.next().unwrap_or_default() };
            add_keyed(&mut keyed, key, bucket, self.place.allowance)?;
        }
        drop(numbers);
        let mut partials: Vec<Partial> = (0..owners).map(|_| Partial::Keyed(HashMap::new())).collect();
        if let Some(first) = partials.first_mut() {
            *first = Partial::Keyed(keyed);
        }
        Ok(partials)
    }
}
