//! `terms`: a bucket for each value of a field.

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::{Map, Value};
use tantivy::DocId;

use crate::aggregate::aggregator::{Aggregation, Aggregator, Holds};
use crate::aggregate::buckets::Buckets;
use crate::aggregate::collect::{Collect, Opened, Place, Siblings};
use crate::aggregate::distinct;
use crate::aggregate::format::Format;
use crate::aggregate::key::Key;
use crate::aggregate::keys::KeyColumn;
use crate::aggregate::order::{self, Order, OrderBy};
use crate::aggregate::partial::{Bucket, Partial, add_keyed};
use crate::aggregate::read;
use crate::aggregate::shown::{Answer, Row, Shown};
use crate::query::columns::Values;
use crate::query::error::EsError;
use crate::query::limits::{Allowance, BUCKETS_MAX};
use crate::query::strict::{Members, kind};

#[derive(Debug)]
pub(super) struct Terms {
    field: String,
    sizing: Sizing,
    choice: Choices,
    missing: Option<Value>,
    format: Option<Format>,
}

/// Which buckets are shown, and in which order.
#[derive(Debug)]
pub(super) struct Sizing {
    size: usize,
    order: Order,
    pub(super) min_doc_count: u64,
    show_error: bool,
}

/// Which keys are wanted.
#[derive(Debug, Default)]
pub(super) struct Choices {
    include: Option<Choice>,
    exclude: Option<Choice>,
}

#[derive(Debug)]
enum Choice {
    Values(Vec<String>),
    Pattern(regex::Regex),
    /// The keys are dealt out to so many partitions; this one's are wanted.
    Partition {
        number: u64,
        of: u64,
    },
}

impl Terms {
    pub(super) fn read(mut members: Members) -> Result<Arc<dyn Aggregator>, EsError> {
        // How values are looked up changes nothing about them; the type of a field is known.
        members.ignore(&["execution_hint", "collect_mode", "value_type"]);
        let terms = Self {
            field: read::field(&mut members)?,
            sizing: Sizing::read(&mut members)?,
            choice: Choices::read(&mut members)?,
            missing: members.take("missing"),
            format: read::format(&mut members)?,
        };
        members.end()?;
        Ok(Arc::new(terms))
    }
}

impl Sizing {
    pub(super) fn read(members: &mut Members) -> Result<Self, EsError> {
        // How shards share the work: there is one.
        members.ignore(&["shard_size", "shard_min_doc_count"]);
        Ok(Self {
            size: read::size(members, "size", 10, BUCKETS_MAX)?,
            order: order::read(members.take("order"))?.unwrap_or_else(|| vec![(OrderBy::Count, true)]),
            min_doc_count: read::least_count(members, 1)?,
            show_error: members.boolean("show_term_doc_count_error")?.unwrap_or(false),
        })
    }

    pub(super) fn check(&self, name: &str, children: &[Aggregation]) -> Result<(), EsError> {
        order::check(&self.order, name, children)
    }

    /// The answer's buckets.
    pub(super) fn show(
        &self,
        children: &[Aggregation],
        buckets: HashMap<Key, Bucket>,
        format: Option<&Format>,
        shown: &mut Shown,
    ) -> Result<Answer, EsError> {
        let all: u64 = buckets.values().map(|bucket| bucket.count).sum();
        let mut sorted: Vec<(Key, Bucket)> =
            buckets.into_iter().filter(|(_, bucket)| bucket.count >= self.min_doc_count).collect();
        sorted.sort_by(|a, b| order::compare(&self.order, children, (&a.1, &b.1), || a.0.cmp(&b.0)));
        sorted.truncate(self.size);
        let listed: u64 = sorted.iter().map(|(_, bucket)| bucket.count).sum();
        let error = self.show_error.then(|| 0.into());
        let mut rows = Vec::with_capacity(sorted.len());
        for (key, bucket) in sorted {
            let mut row = row(&key, bucket, format, children, shown)?;
            if let Some(error) = &error {
                row.members.insert("doc_count_error_upper_bound".to_owned(), Value::clone(error));
            }
            rows.push(row);
        }
        let mut members = Map::new();
        members.insert("doc_count_error_upper_bound".to_owned(), 0.into());
        members.insert("sum_other_doc_count".to_owned(), all.saturating_sub(listed).into());
        Ok(Answer::Buckets { members, rows, keyed: false })
    }
}

/// A bucket with a key.
pub(super) fn row(
    key: &Key,
    bucket: Bucket,
    format: Option<&Format>,
    children: &[Aggregation],
    shown: &mut Shown,
) -> Result<Row, EsError> {
    let text = key.as_string(format);
    let name = text.clone().unwrap_or_else(|| key.text(format));
    let members = [("key", Some(key.to_json())), ("key_as_string", text.map(Value::String))];
    shown.row(children, bucket, name, members)
}

/// The type of keyed buckets for `typed_keys`.
pub(super) fn typed(shown: &Value, [strings, longs, doubles]: [&'static str; 3]) -> &'static str {
    match shown.pointer("/buckets/0/key") {
        Some(Value::Number(number)) if number.is_f64() => doubles,
        Some(Value::Number(_)) => longs,
        _ => strings,
    }
}

/// Where one index has whole numbers and another fractions, all are fractions.
pub(super) fn unified(buckets: HashMap<Key, Bucket>) -> HashMap<Key, Bucket> {
    let is_double = |key: &Key| matches!(key, Key::Double(_));
    if !buckets.keys().any(is_double) || buckets.keys().all(is_double) {
        return buckets;
    }
    // Numbers that become equal are merged; what they count against was settled when they were collected.
    let allowance = Allowance::new(None, Arc::default());
    let mut unified = HashMap::with_capacity(buckets.len());
    for (key, bucket) in buckets {
        let key = match &key {
            Key::Long(_) | Key::Unsigned(_) => key.as_f64().map_or(key, Key::double),
            _ => key,
        };
        // Both have the same shape, so this can't fail.
        let _ = add_keyed(&mut unified, key, bucket, &allowance);
    }
    unified
}

impl Choices {
    pub(super) fn read(members: &mut Members) -> Result<Self, EsError> {
        let found = Self {
            include: choice(members.take("include"), "include")?,
            exclude: choice(members.take("exclude"), "exclude")?,
        };
        if matches!(found.exclude, Some(Choice::Partition { .. })) {
            return Err(EsError::parsing("Cannot specify [partition] in [exclude]"));
        }
        if matches!(found.include, Some(Choice::Partition { .. })) && found.exclude.is_some() {
            return Err(EsError::argument("Cannot specify any excludes when using a partition-based include"));
        }
        Ok(found)
    }

    /// Regular expressions are for strings only.
    pub(super) fn check(&self, name: &str, column: &KeyColumn) -> Result<(), EsError> {
        let is_pattern = |choice: &Option<Choice>| matches!(choice, Some(Choice::Pattern(_)));
        if matches!(column.values, Values::Numbers(..)) && (is_pattern(&self.include) || is_pattern(&self.exclude)) {
            let reason = format!(
                "Aggregation [{name}] cannot support regular expression style include/exclude settings as they can only be \
                 applied to string fields. Use an array of values for include/exclude clauses"
            );
            return Err(EsError::argument(reason));
        }
        Ok(())
    }

    pub(super) fn wants(&self, key: &Key) -> bool {
        if self.include.is_none() && self.exclude.is_none() {
            return true;
        }
        self.include.as_ref().is_none_or(|choice| choice.has(key))
            && !self.exclude.as_ref().is_some_and(|choice| choice.has(key))
    }
}

impl Choice {
    fn has(&self, key: &Key) -> bool {
        match self {
            Self::Partition { number, of } => distinct::hash_of(0, key.text(None).as_bytes()) % of == *number,
            Self::Pattern(regex) => regex.is_match(&key.text(None)),
            Self::Values(values) => match key {
                Key::Long(_) | Key::Unsigned(_) | Key::Double(_) => {
                    values.iter().any(|value| value.parse().ok() == key.as_f64())
                }
                Key::Date(nanos) => {
                    let ms = nanos.div_euclid(1_000_000).to_string();
                    let text = key.text(None);
                    values.iter().any(|value| *value == ms || *value == text)
                }
                other => values.contains(&other.text(None)),
            },
        }
    }
}

fn choice(value: Option<Value>, key: &str) -> Result<Option<Choice>, EsError> {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    match value {
        None => Ok(None),
        Some(Value::Array(values)) => Ok(Some(Choice::Values(values.iter().map(text).collect()))),
        Some(Value::String(pattern)) => {
            let regex = regex::RegexBuilder::new(&format!("^(?:{pattern})$"))
                .size_limit(1 << 20)
                .dot_matches_new_line(true)
                .build();
            let refused = |_| EsError::argument(format!("[{key}] is not a regular expression: [{pattern}]"));
            regex.map(|regex| Some(Choice::Pattern(regex))).map_err(refused)
        }
        Some(object @ Value::Object(_)) => {
            let mut members = Members::new(object, format!("[{key}]"))?;
            let number = members.whole("partition")?.and_then(|number| u64::try_from(number).ok());
            let of = members.whole("num_partitions")?.and_then(|number| u64::try_from(number).ok());
            members.end()?;
            match (number, of) {
                (Some(number), Some(of)) if number < of => Ok(Some(Choice::Partition { number, of })),
                _ => Err(EsError::argument(format!(
                    "[{key}] needs [partition] and [num_partitions], the first at least 0 and less than the second"
                ))),
            }
        }
        Some(other) => {
            Err(EsError::parsing(format!("[{key}] needs a pattern or an array of values, not {}", kind(&other))))
        }
    }
}

impl Aggregator for Terms {
    fn name(&self) -> &'static str {
        "terms"
    }

    fn holds(&self) -> Holds {
        Holds::Many
    }

    fn open<'a>(&'a self, place: Place<'a>, children: Siblings<'a>) -> Opened<'a> {
        let column = KeyColumn::open(place, &self.field, self.missing.as_ref())?;
        column.check_format(self.format.as_ref(), &self.field)?;
        self.choice.check("terms", &column)?;
        let with_empty = self.sizing.min_doc_count == 0;
        Ok(Box::new(TermsCollector::new(&self.choice, with_empty, column, place, children)))
    }

    fn empty(&self) -> Partial {
        Partial::Keyed(HashMap::new())
    }

    fn show(&self, children: &[Aggregation], partial: Partial, shown: &mut Shown) -> Result<Answer, EsError> {
        let Partial::Keyed(buckets) = partial else { return Err(EsError::internal("terms without keys")) };
        self.sizing.show(children, unified(buckets), self.format.as_ref(), shown)
    }

    fn typed(&self, shown: &Value) -> &'static str {
        typed(shown, ["sterms", "lterms", "dterms"])
    }

    fn check(&self, name: &str, _around: &[&'static str], children: &[Aggregation]) -> Result<(), EsError> {
        self.sizing.check(name, children)
    }

    fn needs_all_parts(&self) -> bool {
        // A bucket that nothing is in is made of what other documents have.
        self.sizing.min_doc_count == 0
    }
}

/// Collects a bucket for each value of a field.
pub(super) struct TermsCollector<'a> {
    pub(super) choice: &'a Choices,
    /// Also the values that only other documents have.
    pub(super) with_empty: bool,
    pub(super) column: KeyColumn,
    pub(super) buckets: Buckets<'a>,
    pub(super) place: Place<'a>,
    pub(super) seen: Vec<u64>,
}

impl<'a> TermsCollector<'a> {
    /// Counts the values of a column; `with_empty`: also those that only other documents have.
    pub(super) fn new(
        choice: &'a Choices,
        with_empty: bool,
        column: KeyColumn,
        place: Place<'a>,
        children: Siblings<'a>,
    ) -> Self {
        let buckets = Buckets::new(children, place.allowance);
        Self { choice, with_empty, column, buckets, place, seen: Vec::new() }
    }

    /// Adds the values that no counted document has.
    fn add_empty(&self, rows: &mut [Vec<(u64, Bucket)>]) -> Result<(), EsError> {
        let mut all = std::collections::BTreeSet::new();
        let mut seen = Vec::new();
        for doc in self.place.part.reader.doc_ids_alive() {
            self.column.bits(doc, &mut seen);
            for bits in &seen {
                if all.insert(*bits) {
                    self.place.allowance.take_buckets(1)?;
                }
            }
        }
        for row in rows {
            let known: std::collections::HashSet<u64> = row.iter().map(|(bits, _)| *bits).collect();
            let new: Vec<u64> = all.iter().copied().filter(|bits| !known.contains(bits)).collect();
            self.place.allowance.take_buckets(new.len())?;
            row.extend(new.into_iter().map(|bits| (bits, Bucket::default())));
        }
        self.place.allowance.give_back_buckets(all.len());
        Ok(())
    }
}

impl Collect for TermsCollector<'_> {
    fn collect(&mut self, docs: &[DocId], owners: &[u32]) -> Result<(), EsError> {
        for (doc, owner) in docs.iter().zip(owners) {
            self.column.bits(*doc, &mut self.seen);
            for bits in &self.seen {
                self.buckets.add(*doc, *owner, *bits)?;
            }
        }
        self.buckets.flush()
    }

    fn finish(mut self: Box<Self>, owners: usize) -> Result<Vec<Partial>, EsError> {
        let allowance = self.place.allowance;
        let buckets = std::mem::replace(&mut self.buckets, Buckets::new(Siblings(Vec::new()), allowance));
        let mut rows = buckets.finish(owners)?;
        if self.with_empty {
            self.add_empty(&mut rows)?;
        }
        let keys = self.column.keys(rows.iter().flatten().map(|(bits, _)| *bits))?;
        let mut partials = Vec::with_capacity(rows.len());
        for row in rows {
            let mut found: HashMap<Key, Bucket> = HashMap::with_capacity(row.len());
            for (bits, bucket) in row {
                let key = keys.key(bits);
                if self.choice.wants(&key) {
                    // `missing` may name a value that other documents have.
                    add_keyed(&mut found, key, bucket, allowance)?;
                } else {
                    allowance.give_back_buckets(1);
                }
            }
            partials.push(Partial::Keyed(found));
        }
        Ok(partials)
    }
}
