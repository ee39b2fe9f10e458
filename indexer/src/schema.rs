//! The one tantivy schema that every index shares: fields of an event live in two JSON columns, so a new
//! field never changes the schema. What type a path has is the registry's business (`store::registry`).

use std::sync::OnceLock;

use tantivy::schema::{
    BytesOptions, DateOptions, DateTimePrecision, FAST, Field, IndexRecordOption, JsonObjectOptions, Schema,
    TextFieldIndexing, TextOptions,
};
use tantivy::tokenizer::{LowerCaser, RawTokenizer, RemoveLongFilter, SimpleTokenizer, TextAnalyzer, TokenizerManager};

/// The tokenizer of text: letters and digits, lower case.
pub(crate) const TEXT_TOKENIZER: &str = "default";
/// The tokenizer of keywords: the value as it is.
pub(crate) const RAW_TOKENIZER: &str = "raw";
/// Longer words are not indexed: Elasticsearch's own bound, wide enough for hashes and tokens.
pub(crate) const WORD_BYTES_MAX: usize = 255;
/// Longer strings are not indexed as keywords (they stay in the source and count as present). A term must
/// stay under 64 KiB; values beyond this size are texts that nobody compares as a whole.
pub(crate) const KEYWORD_BYTES_MAX: usize = 8 << 10;

/// The name of the event's own time in mappings and queries; it is kept in [`Fields::time`].
pub(crate) const TIMESTAMP: &str = "@timestamp";
/// The name of the event's text in mappings and queries; it is kept in [`Fields::message`].
pub(crate) const MESSAGE: &str = "message";
/// Lists the paths whose value did not fit its type; kept in [`Fields::keyword`].
pub(crate) const IGNORED: &str = "_ignored";

/// The column of [`Fields::seq`].
pub(crate) const SEQ: &str = "seq";
/// The column of [`Fields::time`].
pub(crate) const TIME: &str = "time";
/// The column of [`Fields::order`].
pub(crate) const ORDER: &str = "order";

/// How often a document was written, beyond once; kept in [`Fields::keyword`]. It is no part of the source.
pub(crate) const VERSION: &str = "_version";

/// The fields of the schema.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fields {
    /// `@timestamp` in nanoseconds, or the record's time where an event has none. Fast.
    pub(crate) time: Field,
    /// Where the record lay on the bus: `partition << 48 | offset`. Fast, unique in the store.
    pub(crate) seq: Field,
    /// The id that a client chose; documents without one are known by their `seq`. Fast, so that hits can tell it.
    pub(crate) id: Field,
    /// The event's text: words with positions.
    pub(crate) message: Field,
    /// Strings (up to [`KEYWORD_BYTES_MAX`]), numbers, booleans and dates by path. Indexed and fast.
    pub(crate) keyword: Field,
    /// Other text-typed paths, as `message`.
    pub(crate) text: Field,
    /// The paths that the event has, one term each.
    pub(crate) present: Field,
    /// The record's value, byte for byte.
    pub(crate) source: Field,
    /// What the events of a part are sorted by, where that is more than their time. Fast.
    pub(crate) order: Field,
}

/// The schema and its fields.
pub(crate) fn schema() -> &'static (Schema, Fields) {
    static SCHEMA: OnceLock<(Schema, Fields)> = OnceLock::new();
    SCHEMA.get_or_init(|| {
        let raw = TextFieldIndexing::default()
            .set_tokenizer(RAW_TOKENIZER)
            .set_index_option(IndexRecordOption::Basic)
            .set_fieldnorms(false);
        // Lengths of logs lines say nothing about relevance, so norms would be a byte an event for nothing.
        let words = TextFieldIndexing::default()
            .set_tokenizer(TEXT_TOKENIZER)
            .set_index_option(IndexRecordOption::WithFreqsAndPositions)
            .set_fieldnorms(false);
        let mut builder = Schema::builder();
        let fields = Fields {
            time: builder
                .add_date_field(TIME, DateOptions::default().set_fast().set_precision(DateTimePrecision::Nanoseconds)),
            seq: builder.add_u64_field(SEQ, FAST),
            id: builder
                .add_text_field("id", TextOptions::default().set_indexing_options(raw.clone()).set_fast(RAW_TOKENIZER)),
            message: builder.add_text_field("message", TextOptions::default().set_indexing_options(words.clone())),
            keyword: builder.add_json_field(
                "keyword",
                JsonObjectOptions::default()
                    .set_expand_dots_enabled()
                    .set_indexing_options(raw.clone())
                    .set_fast(RAW_TOKENIZER),
            ),
            text: builder.add_json_field(
                "text",
                JsonObjectOptions::default().set_expand_dots_enabled().set_indexing_options(words),
            ),
            present: builder.add_text_field("present", TextOptions::default().set_indexing_options(raw)),
            source: builder.add_bytes_field("source", BytesOptions::default().set_stored()),
            order: builder.add_bytes_field(ORDER, BytesOptions::default().set_fast()),
        };
        (builder.build(), fields)
    })
}

/// The schema before it had [`Fields::order`]; all other fields are the same.
pub(crate) fn earlier_schema() -> &'static Schema {
    static SCHEMA: OnceLock<Schema> = OnceLock::new();
    SCHEMA.get_or_init(|| {
        let mut builder = Schema::builder();
        for (_, entry) in schema().0.fields().filter(|(_, entry)| entry.name() != ORDER) {
            builder.add_field(entry.clone());
        }
        builder.build()
    })
}

/// The tokenizers that the schema names; every index is opened with these.
pub(crate) fn tokenizers() -> &'static TokenizerManager {
    static TOKENIZERS: OnceLock<TokenizerManager> = OnceLock::new();
    TOKENIZERS.get_or_init(|| {
        let manager = TokenizerManager::new();
        manager.register(RAW_TOKENIZER, RawTokenizer::default());
        manager.register(TEXT_TOKENIZER, text_analyzer());
        manager
    })
}

/// Cuts text into the words that are indexed.
pub(crate) fn text_analyzer() -> TextAnalyzer {
    TextAnalyzer::builder(SimpleTokenizer::default())
        .filter(RemoveLongFilter::limit(WORD_BYTES_MAX))
        .filter(LowerCaser)
        .build()
}
