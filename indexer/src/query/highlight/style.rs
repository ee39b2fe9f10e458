//! How marks look, and how much of a text is shown around them.

use crate::query::error::EsError;
use crate::query::strict::Members;

#[derive(Clone, Debug)]
pub(super) struct Style {
    pub(super) pre: String,
    pub(super) post: String,
    /// Letters of a fragment, as far as words allow; 0: a whole sentence.
    pub(super) fragment_size: usize,
    /// Fragments begin and end with sentences where those are not too long.
    pub(super) by_sentence: bool,
    /// 0: the whole text.
    pub(super) fragments: usize,
    /// Letters that are shown of a text without marks.
    pub(super) no_match_size: usize,
    /// Whether the text is made safe to stand in HTML.
    pub(super) html: bool,
    /// Fragments with most marks first.
    pub(super) by_score: bool,
    pub(super) require_field_match: bool,
}

impl Default for Style {
    fn default() -> Self {
        Self {
            pre: "<em>".to_owned(),
            post: "</em>".to_owned(),
            fragment_size: 100,
            by_sentence: true,
            fragments: 5,
            no_match_size: 0,
            html: false,
            by_score: false,
            require_field_match: true,
        }
    }
}

impl Style {
    /// The same where a request does not say otherwise.
    pub(super) fn changed(&self, members: &mut Members) -> Result<Self, EsError> {
        // How Elasticsearch finds words again, which makes no difference here: there is one highlighter.
        let one_of_known = |key: &str, known: &[&str], written: Option<String>| match written {
            Some(other) if !known.contains(&other.as_str()) => {
                Err(EsError::argument(format!("[highlight]: there is no [{key}] [{other}], only {}", known.join(", "))))
            }
            written => Ok(written),
        };
        one_of_known("type", &["unified", "plain", "fvh"], members.string("type")?)?;
        one_of_known("fragmenter", &["span", "simple"], members.string("fragmenter")?)?;
        let scanner =
            one_of_known("boundary_scanner", &["sentence", "word", "chars"], members.string("boundary_scanner")?)?;
        members.ignore(&[
            "boundary_scanner_locale",
            "boundary_chars",
            "boundary_max_scan",
            "force_source",
            "phrase_limit",
            "max_analyzed_offset",
        ]);
        let mut style = self.clone();
        style.by_sentence = scanner.map_or(style.by_sentence, |scanner| scanner == "sentence");
        let first = |tags: Option<Vec<String>>| tags.and_then(|tags| tags.into_iter().next());
        style.pre = first(members.strings("pre_tags")?).unwrap_or(style.pre);
        style.post = first(members.strings("post_tags")?).unwrap_or(style.post);
        let size = |number: Option<i64>, default| number.map_or(default, |number| usize::try_from(number).unwrap_or(0));
        style.fragment_size = size(members.whole("fragment_size")?, style.fragment_size);
        style.fragments = size(members.whole("number_of_fragments")?, style.fragments);
        style.no_match_size = size(members.whole("no_match_size")?, style.no_match_size);
        style.require_field_match = members.boolean("require_field_match")?.unwrap_or(style.require_field_match);
        let one_of = |name: &str, written: Option<String>, known: (&str, &str), default: bool| match written.as_deref()
        {
            None => Ok(default),
            Some(text) if text == known.0 => Ok(false),
            Some(text) if text == known.1 => Ok(true),
            Some(other) => Err(EsError::parsing(format!("[highlight] does not support the [{name}] [{other}]"))),
        };
        style.html = one_of("encoder", members.string("encoder")?, ("default", "html"), style.html)?;
        style.by_score = one_of("order", members.string("order")?, ("none", "score"), style.by_score)?;
        if one_of("tags_schema", members.string("tags_schema")?, ("default", "styled"), false)? {
            // The first of Elasticsearch's ten styles.
            style.pre = "<em class=\"hlt1\">".to_owned();
        }
        Ok(style)
    }
}
