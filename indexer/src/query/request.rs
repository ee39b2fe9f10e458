//! The body of `_search`, read strictly.

use std::time::Duration;

use logmill_indexer_api::text::Wildcard;
use serde_json::Value;

use super::answer::Continuation;
use super::clause::Clause;
use super::error::EsError;
use super::highlight::Highlight;
use super::limits::WINDOW_MAX;
use super::sort::SortField;
use super::strict::{self, Members};
use crate::aggregate::aggregator::Aggregation;
use crate::dates::Formats;

/// A search.
#[derive(Clone, Debug)]
pub(crate) struct SearchRequest {
    pub(crate) query: Clause,
    pub(crate) from: usize,
    pub(crate) size: usize,
    /// Empty when none was asked for.
    pub(crate) sort: Vec<SortField>,
    pub(crate) search_after: Option<Vec<Value>>,
    pub(crate) source: SourceFilter,
    pub(crate) fields: Vec<FieldFormat>,
    pub(crate) docvalue_fields: Vec<FieldFormat>,
    pub(crate) highlight: Option<Highlight>,
    pub(crate) aggregations: Vec<Aggregation>,
    pub(crate) track_total: TotalHits,
    /// Filters hits, but not what aggregations see.
    pub(crate) post_filter: Option<Clause>,
    pub(crate) min_score: Option<f32>,
    /// Matches of an index after which no more are looked for.
    pub(crate) terminate_after: Option<u64>,
    pub(crate) collapse: Option<Collapse>,
    /// This one of so many slices.
    pub(crate) slice: Option<(u64, u64)>,
    /// The point in time to search, and how long to keep it.
    pub(crate) pit: Option<(String, Option<Duration>)>,
    /// Whether an answer may be of a part of the events when time runs out.
    pub(crate) partial: bool,
    /// Where a scroll goes on.
    pub(crate) continuation: Option<Continuation>,
    pub(crate) track_scores: bool,
    pub(crate) timeout: Option<Duration>,
    pub(crate) version: bool,
    pub(crate) seq_no: bool,
}

/// How exactly matches are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TotalHits {
    No,
    /// At least so many, when there are; beyond, counting may stop.
    UpTo(u64),
    All,
}

/// Which members of the source are shown.
#[derive(Clone, Debug, Default)]
pub(crate) struct SourceFilter {
    pub(crate) hidden: bool,
    pub(crate) includes: Vec<Wildcard>,
    pub(crate) excludes: Vec<Wildcard>,
}

/// A member of `fields` or `docvalue_fields`.
#[derive(Clone, Debug)]
pub(crate) struct FieldFormat {
    pub(crate) pattern: Wildcard,
    pub(crate) format: Option<Formats>,
    /// Also values of fields that the index does not know.
    pub(crate) unmapped: bool,
}

/// What hits are collapsed by; it stands here because what it holds are requests.
#[derive(Clone, Debug)]
pub(crate) struct Collapse {
    pub(crate) field: String,
    /// Names and what is shown of each group.
    pub(crate) inner: Vec<(String, SearchRequest)>,
}

impl Default for SearchRequest {
    fn default() -> Self {
        Self {
            query: Clause::All,
            from: 0,
            size: 10,
            sort: Vec::new(),
            search_after: None,
            source: SourceFilter::default(),
            fields: Vec::new(),
            docvalue_fields: Vec::new(),
            highlight: None,
            aggregations: Vec::new(),
            track_total: TotalHits::All,
            post_filter: None,
            min_score: None,
            terminate_after: None,
            collapse: None,
            slice: None,
            pit: None,
            partial: true,
            continuation: None,
            track_scores: false,
            timeout: None,
            version: false,
            seq_no: false,
        }
    }
}

impl SearchRequest {
    /// Reads a body that is about hits alone.
    pub(crate) fn read_hits(body: Value) -> Result<Self, EsError> {
        Self::read_with(body, |_| Err(EsError::parsing("[aggs] can't stand here")))
    }

    /// Reads a body; null stands for none.
    pub(super) fn read_with(
        body: Value,
        read_aggregations: impl FnOnce(Value) -> Result<Vec<Aggregation>, EsError>,
    ) -> Result<Self, EsError> {
        let mut request = Self::default();
        if body.is_null() {
            return Ok(request);
        }
        let mut members = Members::new(body, "the search")?;
        // `stats` groups searches for Elasticsearch's own statistics; `ext` is for its plugins, of which there are none.
        // `rest_total_hits_as_int` is a parameter of the address that old clients also put here.
        members.ignore(&["stats", "ext", "rest_total_hits_as_int"]);
        if let Some(query) = members.take("query") {
            request.query = Clause::from_dsl(query)?;
        }
        request.from = count(&mut members, "from")?.unwrap_or(0);
        request.size = count(&mut members, "size")?.unwrap_or(10);
        if let Some(sort) = members.take("sort") {
            request.sort = SortField::read_all(sort)?;
        }
        match members.take("search_after") {
            None => {}
            Some(Value::Array(values)) => request.search_after = Some(values),
            Some(other) => return Err(members.wrong("search_after", "an array", &other)),
        }
        if let Some(source) = members.take("_source") {
            request.source = SourceFilter::read(source)?;
        }
        request.fields = field_formats(members.take("fields"), "[fields]")?;
        request.docvalue_fields = field_formats(members.take("docvalue_fields"), "[docvalue_fields]")?;
        if let Some(stored) = members.strings("stored_fields")? {
            request.read_stored(&stored)?;
        }
        request.highlight = members.take("highlight").map(Highlight::read).transpose()?;
        let aggregations = members.take("aggs").or_else(|| members.take("aggregations"));
        if let Some(aggregations) = aggregations {
            request.aggregations = read_aggregations(aggregations)?;
        }
        if let Some(written) = members.take("track_total_hits") {
            request.track_total = TotalHits::read(&written)
                .ok_or_else(|| members.wrong("track_total_hits", "true, false or a number", &written))?;
        }
        request.read_limits(&mut members)?;
        request.track_scores = members.boolean("track_scores")?.unwrap_or(false);
        request.version = members.boolean("version")?.unwrap_or(false);
        request.seq_no = members.boolean("seq_no_primary_term")?.unwrap_or(false);
        if let Some(timeout) = members.string("timeout")? {
            request.timeout = self::timeout(&timeout)?;
        }
        for empty in
            ["script_fields", "runtime_mappings", "rescore", "suggest", "indices_boost", "knn", "retriever", "rank"]
        {
            if let Some(value) = members.take(empty)
                && !is_empty(&value)
            {
                return Err(EsError::parsing(format!("the search does not support [{empty}]")));
            }
        }
        members.end()?;
        request.check()?;
        Ok(request)
    }

    /// `stored_fields`: nothing is stored but the source, which they hide unless they name it.
    pub(crate) fn read_stored(&mut self, names: &[String]) -> Result<(), EsError> {
        if let Some(other) = names.iter().find(|name| !matches!(name.as_str(), "_source" | "*" | "_none_" | "_id")) {
            return Err(EsError::argument(format!(
                "[stored_fields]: [{other}] is not stored apart from [_source]; use [fields]"
            )));
        }
        self.source.hidden |= !names.iter().any(|name| name == "_source");
        Ok(())
    }

    fn read_limits(&mut self, members: &mut Members) -> Result<(), EsError> {
        self.post_filter = members.take("post_filter").map(Clause::from_dsl).transpose()?;
        self.min_score = members.float("min_score")?.map(|score| score as f32);
        self.terminate_after = count(members, "terminate_after")?.filter(|most| *most > 0).map(|most| most as u64);
        self.collapse = members.take("collapse").map(Collapse::read).transpose()?;
        self.slice = members.take("slice").map(read_slice).transpose()?;
        self.pit = members.take("pit").map(read_pit).transpose()?;
        // `profile` and `explain` say how an answer came about; with false there is nothing to say.
        for key in ["profile", "explain"] {
            if members.boolean(key)?.unwrap_or(false) {
                return Err(EsError::parsing(format!(
                    "the search does not support [{key}]; see [_explain] for one document"
                )));
            }
        }
        Ok(())
    }

    pub(crate) fn check(&self) -> Result<(), EsError> {
        if self.from.saturating_add(self.size) > WINDOW_MAX {
            return Err(EsError::argument(format!(
                "Result window is too large, from + size must be less than or equal to: [{WINDOW_MAX}] but was [{}]. \
                 Page with [search_after] instead",
                self.from.saturating_add(self.size)
            )));
        }
        if self.search_after.is_some() && self.sort.is_empty() {
            return Err(EsError::argument("Sort must contain at least one field when [search_after] is used"));
        }
        if self.search_after.is_some() && self.from > 0 {
            return Err(EsError::argument("`from` parameter must be set to 0 when `search_after` is used"));
        }
        self.collapse.as_ref().map_or(Ok(()), |collapse| collapse.check(self))
    }
}

impl TotalHits {
    pub(crate) fn read(written: &Value) -> Option<Self> {
        match written {
            Value::Bool(true) => Some(Self::All),
            Value::Bool(false) => Some(Self::No),
            Value::Number(number) => match number.as_i64()? {
                -1 => Some(Self::All),
                number => Some(Self::UpTo(u64::try_from(number).ok()?)),
            },
            Value::String(text) if text == "true" => Some(Self::All),
            Value::String(text) if text == "false" => Some(Self::No),
            Value::String(text) => Self::read(&text.parse::<i64>().ok()?.into()),
            _ => None,
        }
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Object(map) => map.is_empty(),
        Value::Array(items) => items.is_empty(),
        _ => false,
    }
}

/// Slices of a scroll or a point in time: Elasticsearch's `index.max_slices_per_scroll`.
const SLICES_MAX: i64 = 1024;

fn read_slice(value: Value) -> Result<(u64, u64), EsError> {
    let mut members = Members::new(value, "[slice]")?;
    let (id, max) = (members.whole("id")?.unwrap_or(-1), members.whole("max")?.unwrap_or(-1));
    if let Some(field) = members.string("field")?.filter(|field| !matches!(field.as_str(), "_id" | "_doc" | "_seq_no"))
    {
        return Err(EsError::argument(format!("[slice] by [{field}] is not supported; leave [field] out")));
    }
    members.end()?;
    if !(2..=SLICES_MAX).contains(&max) || !(0..max).contains(&id) {
        return Err(EsError::argument(format!(
            "[slice] needs a [max] between 2 and {SLICES_MAX} and an [id] below it, not {id} of {max}"
        )));
    }
    Ok((id.unsigned_abs(), max.unsigned_abs()))
}

fn read_pit(value: Value) -> Result<(String, Option<Duration>), EsError> {
    let mut members = Members::new(value, "[pit]")?;
    let id = members.string("id")?.ok_or_else(|| EsError::argument("point int time id is not provided"))?;
    let keep = members.string("keep_alive")?.map(|text| duration(&text)).transpose()?;
    members.end().map(|()| (id, keep))
}

pub(crate) fn count(members: &mut Members, key: &str) -> Result<Option<usize>, EsError> {
    match members.whole(key)? {
        None => Ok(None),
        Some(number) => usize::try_from(number)
            .map(Some)
            .map_err(|_| EsError::argument(format!("[{key}] parameter cannot be negative, found [{number}]"))),
    }
}

/// How long a search may take; `-1` says that it has no time of its own.
pub(crate) fn timeout(text: &str) -> Result<Option<Duration>, EsError> {
    if text == "-1" { Ok(None) } else { duration(text).map(Some) }
}

/// `500ms`, `2s`, `1m`; nothing may stand without its unit.
pub(crate) fn duration(text: &str) -> Result<Duration, EsError> {
    let refused = || EsError::argument(format!("[{text}] is not a duration like 500ms, 2s or 1m"));
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    let split = text.find(|letter: char| !letter.is_ascii_digit()).ok_or_else(refused)?;
    let (number, unit) = text.split_at(split);
    let number: u64 = number.parse().map_err(|_| refused())?;
    let millis = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return Err(refused()),
    };
    Ok(Duration::from_millis(number.saturating_mul(millis)))
}

impl SourceFilter {
    /// `false`, `"a.*"`, `["a", "b"]`, `{"includes": [], "excludes": []}`.
    pub(crate) fn read(value: Value) -> Result<Self, EsError> {
        let patterns = |names: Vec<String>| names.iter().map(|name| Wildcard::new(name)).collect();
        match value {
            Value::Bool(shown) => Ok(Self { hidden: !shown, ..Self::default() }),
            Value::Object(_) => {
                let mut members = Members::new(value, "[_source]")?;
                let includes = members.strings("includes")?.or(members.strings("include")?);
                let excludes = members.strings("excludes")?.or(members.strings("exclude")?);
                members.end()?;
                let (includes, excludes) = (includes.unwrap_or_default(), excludes.unwrap_or_default());
                Ok(Self { hidden: false, includes: patterns(includes), excludes: patterns(excludes) })
            }
            other => Ok(Self { includes: patterns(strict::strings(other, "[_source]")?), ..Self::default() }),
        }
    }

    pub(crate) fn is_whole(&self) -> bool {
        self.includes.is_empty() && self.excludes.is_empty()
    }
}

pub(crate) fn field_formats(value: Option<Value>, what: &str) -> Result<Vec<FieldFormat>, EsError> {
    let items = match value {
        None => return Ok(Vec::new()),
        Some(Value::Array(items)) => items,
        Some(single) => vec![single],
    };
    let read = |item: Value| match item {
        Value::String(name) => Ok(FieldFormat { pattern: Wildcard::new(&name), format: None, unmapped: false }),
        other => {
            let mut members = Members::new(other, what)?;
            let unmapped = members.boolean("include_unmapped")?.unwrap_or(false);
            let name = members.string("field")?.ok_or_else(|| EsError::parsing(format!("{what} needs [field]")))?;
            let format = members.string("format")?;
            members.end()?;
            let refused = |error| EsError::argument(format!("{what}: {error}"));
            let format = format.map(|format| Formats::read_to_write(&format).map_err(refused)).transpose()?;
            Ok(FieldFormat { pattern: Wildcard::new(&name), format, unmapped })
        }
    };
    items.into_iter().map(read).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn bodies_are_read_strictly() {
        for (body, named) in [
            (json!({"querry": {}}), "[querry]"),
            (json!({"size": -1}), "negative"),
            (json!({"from": 9_999, "size": 2}), "Result window"),
            (json!({"search_after": [1]}), "at least one field"),
            (json!({"timeout": "soon"}), "duration"),
            (json!({"script_fields": {"a": {}}}), "[script_fields]"),
            (json!({"docvalue_fields": [{"field": "a", "format": "QQQQ"}]}), "QQQQ"),
            (json!([1]), "an object"),
        ] {
            let error = SearchRequest::read(body.clone()).err().unwrap_or_else(|| panic!("{body} was accepted"));
            assert!(error.reason.contains(named), "{body}: {error}");
        }
        let request = SearchRequest::read(json!({
            "size": 500, "query": {"bool": {"filter": [{"range": {"@timestamp": {"gte": 1, "lte": 2, "format": "epoch_millis"}}}]}},
            "sort": {"@timestamp": {"order": "desc", "unmapped_type": "boolean"}, "_doc": {"order": "desc"}},
            "script_fields": {}, "docvalue_fields": ["@timestamp"], "_source": {"excludes": ["a.*"]},
        }));
        let sort = request.map(|request| request.sort);
        let by_time = SortField { unmapped: true, ..SortField::new("@timestamp", true) };
        assert_eq!(sort, Ok(vec![by_time, SortField::new("_doc", true)]));
    }
}
