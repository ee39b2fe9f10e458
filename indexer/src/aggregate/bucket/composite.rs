//! `composite`: combinations of several sources in order, page by page.

mod place;

use std::cmp::Ordering;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use jiff::tz::TimeZone;
use serde_json::{Map, Value};
use tantivy::DocId;

use crate::aggregate::aggregator::{Aggregator, Holds};
use crate::aggregate::format::Format;
use crate::aggregate::key::Key;
use crate::aggregate::keys::each_combination;
use crate::aggregate::partial::{Bucket, Partial, add_keyed};
use crate::aggregate::request::Aggregation;
use crate::aggregate::rounding::Interval;
use crate::aggregate::shown::{Answer, Shown};
use crate::aggregate::{Collect, Opened, Place, Siblings, read};
use crate::query::error::EsError;
use crate::query::limits::BUCKETS_MAX;
use crate::query::pattern::Bits;
use crate::query::strict::Members;
use place::PartSource;

/// Sources of one aggregation: each multiplies the buckets.
const SOURCES_MAX: usize = 32;

#[derive(Debug)]
pub(super) struct Composite {
    sources: Vec<Source>,
    size: usize,
    /// One key for each source.
    after: Option<Vec<Key>>,
}

#[derive(Debug)]
struct Source {
    name: String,
    field: String,
    kind: SourceKind,
    descending: bool,
    /// Documents without a value have a bucket too.
    missing_bucket: bool,
    missing_first: bool,
    format: Option<Format>,
}

#[derive(Debug)]
enum SourceKind {
    Terms,
    Histogram { interval: f64 },
    DateHistogram { interval: Interval, zone: TimeZone, offset_ms: i64 },
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

impl Source {
    fn read(item: Value) -> Result<Self, EsError> {
        let mut named = Members::new(item, "[sources]")?;
        let Some((name, body)) = named.take_one() else {
            return Err(EsError::parsing("[sources] needs a name for each source"));
        };
        named.end()?;
        let mut kinds = Members::new(body, format!("the source [{name}]"))?;
        let Some((kind_name, body)) = kinds.take_one() else {
            return Err(EsError::parsing(format!("the source [{name}] needs a type")));
        };
        kinds.end()?;
        let mut members = Members::new(body, format!("[{kind_name}] source [{name}]"))?;
        members.ignore(&["value_type"]);
        let kind = match kind_name.as_str() {
            "terms" => SourceKind::Terms,
            "histogram" => {
                let interval = members.float("interval")?.filter(|interval| *interval > 0.0);
                let refused = || EsError::argument("[interval] must be greater than 0 for a [histogram] source");
                SourceKind::Histogram { interval: interval.ok_or_else(refused)? }
            }
            "date_histogram" => {
                let zone = read::zone(&mut members)?;
                SourceKind::DateHistogram {
                    interval: read::interval(&mut members)?,
                    zone,
                    offset_ms: read::offset(&mut members)?,
                }
            }
            other => {
                let reason =
                    format!("the source type [{other}] is not supported: use terms, histogram or date_histogram");
                return Err(EsError::parsing(reason));
            }
        };
        let descending = match members.string("order")?.map(|order| order.to_ascii_lowercase()).as_deref() {
            None | Some("asc") => false,
            Some("desc") => true,
            Some(other) => return Err(EsError::argument(format!("[order] must be asc or desc, not [{other}]"))),
        };
        let missing_bucket = members.boolean("missing_bucket")?.unwrap_or(false);
        let missing_first = match members.string("missing_order")?.as_deref() {
            Some(_) if !missing_bucket => {
                return Err(EsError::argument("missingOrder can only be set if missingBucket is true"));
            }
            None | Some("default") => !descending,
            Some("first") => true,
            Some("last") => false,
            Some(other) => {
                return Err(EsError::argument(format!(
                    "[missing_order] must be first, last or default, not [{other}]"
                )));
            }
        };
        let field = read::field(&mut members)?;
        let format = read::format(&mut members)?;
        members.end()?;
        Ok(Self { name, field, kind, descending, missing_bucket, missing_first, format })
    }

    fn order(&self, a: &Key, b: &Key) -> Ordering {
        match (a, b) {
            (Key::Null, Key::Null) => Ordering::Equal,
            (Key::Null, _) if self.missing_first => Ordering::Less,
            (Key::Null, _) => Ordering::Greater,
            (_, Key::Null) if self.missing_first => Ordering::Greater,
            (_, Key::Null) => Ordering::Less,
            _ => {
                let order = match (a.as_f64(), b.as_f64()) {
                    // Whole numbers of one index beside fractions of another.
                    (Some(one), Some(other)) if std::mem::discriminant(a) != std::mem::discriminant(b) => {
                        one.total_cmp(&other)
                    }
                    _ => a.cmp(b),
                };
                if self.descending { order.reverse() } else { order }
            }
        }
    }

    /// A member of `after`.
    fn read_key(&self, value: &Value) -> Result<Key, EsError> {
        let zone = match &self.kind {
            SourceKind::DateHistogram { zone, .. } => zone.clone(),
            _ => TimeZone::UTC,
        };
        Ok(match (&self.kind, value) {
            (_, Value::Null) if self.missing_bucket => Key::Null,
            (_, Value::Null) => {
                return Err(EsError::argument(format!(
                    "[after.{}] is null, but [missing_bucket] is not true",
                    self.name
                )));
            }
            (SourceKind::DateHistogram { .. }, value) => {
                Key::Date(read::date_ms(value, &zone, "[after]")?.saturating_mul(1_000_000))
            }
            (SourceKind::Histogram { .. }, value) => {
                let number = value.as_f64().or_else(|| value.as_str().and_then(|text| text.parse().ok()));
                Key::double(number.ok_or_else(|| EsError::argument(format!("[after.{}] must be a number", self.name)))?)
            }
            (SourceKind::Terms, Value::Bool(flag)) => Key::Boolean(*flag),
            (SourceKind::Terms, Value::String(text)) => Key::Text(text.clone()),
            (SourceKind::Terms, Value::Number(number)) => match (number.as_i64(), number.as_u64()) {
                (Some(long), _) => Key::Long(long),
                (_, Some(unsigned)) => Key::Unsigned(unsigned),
                _ => Key::double(number.as_f64().unwrap_or_default()),
            },
            _ => return Err(EsError::argument(format!("[after.{}] must be a plain value", self.name))),
        })
    }

    fn shown(&self, key: &Key) -> Value {
        match (key, &self.kind) {
            (Key::Boolean(flag), _) => (*flag).into(),
            (Key::Date(nanos), SourceKind::DateHistogram { zone, .. }) if self.format.is_some() => {
                Format::zoned(self.format.as_ref(), *nanos, zone).into()
            }
            (Key::Date(_), _) if self.format.is_none() => key.to_json(),
            _ => key.as_string(self.format.as_ref()).map_or_else(|| key.to_json(), Value::String),
        }
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
