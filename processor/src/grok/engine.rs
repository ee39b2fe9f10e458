//! Compiled grok patterns and how they are run.
//!
//! A match at the first byte is tried first, with the one-pass engine where the pattern allows it: nearly every
//! log pattern matches there or nowhere, and it is the leftmost match by definition.

use std::collections::BTreeMap;

use regex_automata::meta::Regex;
use regex_automata::nfa::thompson::WhichCaptures;
use regex_automata::util::primitives::NonMaxUsize;
use regex_automata::util::syntax;
use regex_automata::{Anchored, Input};

use super::patterns::Definitions;
use super::translate::{Translated, expand};
use super::{Capture, GrokError};

/// The automaton of one pattern may take this much memory: the largest standard one takes a twentieth.
const AUTOMATON_BYTES_MAX: usize = 20 << 20;
/// One-pass tables up to this size are built; access logs need about 200 KiB.
const ONE_PASS_BYTES_MAX: usize = 2 << 20;
/// Steps the backtracking engine may take on one text before it is a failure.
const BACKTRACKS_MAX: usize = 100_000;

/// Several patterns, tried in their order.
#[derive(Debug)]
pub(crate) struct Grok {
    patterns: Vec<Pattern>,
    lints: Vec<String>,
}

/// Room for positions, used again for each text.
#[derive(Debug, Default)]
pub(crate) struct Scratch(Vec<Option<NonMaxUsize>>);

#[derive(Debug)]
struct Pattern {
    /// A twin that knows only the usual shape of a line and is faster; what it does not match the other one may.
    fast: Option<Linear>,
    full: Engine,
}

#[derive(Debug)]
enum Engine {
    Linear(Linear),
    Backtracking(Box<fancy_regex::Regex>, Vec<Capture>),
}

#[derive(Debug)]
struct Linear {
    regex: Regex,
    captures: Vec<Capture>,
    line_start: bool,
}

/// What a match found: the captures and, in the same order, their texts.
#[derive(Debug)]
pub(crate) struct Found<'g, 't> {
    captures: &'g [Capture],
    texts: Texts<'g, 't>,
}

#[derive(Debug)]
enum Texts<'g, 't> {
    Slots(&'t str, &'g [Option<NonMaxUsize>]),
    Groups(fancy_regex::Captures<'t, str>),
}

impl<'g, 't> Found<'g, 't> {
    /// The captures that took part in the match, with their texts.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&'g Capture, &'t str)> {
        self.captures.iter().enumerate().filter_map(|(index, capture)| Some((capture, self.text(index + 1)?)))
    }

    #[cfg(test)]
    pub(super) fn all(&self) -> Vec<Option<String>> {
        (1..=self.captures.len()).map(|group| self.text(group).map(str::to_owned)).collect()
    }

    fn text(&self, group: usize) -> Option<&'t str> {
        match &self.texts {
            Texts::Slots(text, slots) => {
                let slot = |index: usize| slots.get(index).copied().flatten().map(NonMaxUsize::get);
                text.get(slot(2 * group)?..slot(2 * group + 1)?)
            }
            Texts::Groups(groups) => groups.get(group).map(|found| found.as_str()),
        }
    }
}

impl Grok {
    /// Compiles `patterns`; `own` adds to the standard definitions or replaces them. The error names the pattern
    /// by its index.
    pub(crate) fn compile(patterns: &[String], own: &BTreeMap<String, String>) -> Result<Self, (usize, GrokError)> {
        let definitions = Definitions::with(own);
        let mut grok = Self { patterns: Vec::new(), lints: Vec::new() };
        for (index, text) in patterns.iter().enumerate() {
            let pattern = grok.pattern(text, &definitions).map_err(|error| (index, error))?;
            grok.patterns.push(pattern);
        }
        Ok(grok)
    }

    fn pattern(&mut self, text: &str, definitions: &Definitions<'_>) -> Result<Pattern, GrokError> {
        let full = expand(text, definitions, false)?;
        if full.lookaround {
            self.lints.push(format!(
                "the pattern {text:?} uses look-around: it is matched by a backtracking engine, many times slower, \
                 and gives up after {BACKTRACKS_MAX} steps"
            ));
            let regex = fancy_regex::RegexBuilder::new(&for_backtracking(&full.regex))
                .backtrack_limit(BACKTRACKS_MAX)
                .delegate_size_limit(AUTOMATON_BYTES_MAX)
                .build()
                .map_err(|error| GrokError::Regex(last_line(&error.to_string())))?;
            return Ok(Pattern { fast: None, full: Engine::Backtracking(regex.into(), full.captures) });
        }
        let fast = if full.has_fast { Some(Linear::compile(expand(text, definitions, true)?)?) } else { None };
        Ok(Pattern { fast, full: Engine::Linear(Linear::compile(full)?) })
    }

    /// What a user should know about the patterns.
    pub(crate) fn lints(&self) -> &[String] {
        &self.lints
    }

    /// The first pattern that matches, and what it captured.
    pub(crate) fn find<'g, 't>(&'g self, text: &'t str, scratch: &'g mut Scratch) -> Option<Found<'g, 't>> {
        for pattern in &self.patterns {
            let linear = match &pattern.full {
                Engine::Linear(linear) => {
                    let fast = pattern.fast.as_ref().filter(|fast| fast.matches_at_start(text, scratch));
                    match fast {
                        Some(fast) => Some(fast),
                        None => linear.matches(text, scratch).then_some(linear),
                    }
                }
                Engine::Backtracking(regex, captures) => {
                    // Giving up counts as not matching: the step's failure says so.
                    if let Ok(Some(groups)) = regex.captures(text) {
                        return Some(Found { captures, texts: Texts::Groups(groups) });
                    }
                    None
                }
            };
            if let Some(linear) = linear {
                return Some(Found { captures: &linear.captures, texts: Texts::Slots(text, &scratch.0) });
            }
        }
        None
    }
}

impl Linear {
    fn compile(pattern: Translated) -> Result<Self, GrokError> {
        let regex = Regex::builder()
            .syntax(syntax::Config::new().multi_line(true))
            .configure(
                Regex::config()
                    .nfa_size_limit(Some(AUTOMATON_BYTES_MAX))
                    .onepass_size_limit(Some(ONE_PASS_BYTES_MAX))
                    .which_captures(WhichCaptures::All),
            )
            .build(&pattern.regex)
            .map_err(|error| {
                let reason = error.syntax_error().map_or_else(|| error.to_string(), ToString::to_string);
                GrokError::Regex(last_line(&reason))
            })?;
        Ok(Self { regex, captures: pattern.captures, line_start: pattern.line_start })
    }

    fn matches_at_start(&self, text: &str, scratch: &mut Scratch) -> bool {
        scratch.0.clear();
        scratch.0.resize(2 * (self.captures.len() + 1), None);
        self.regex.search_slots(&Input::new(text).anchored(Anchored::Yes), &mut scratch.0).is_some()
    }

    fn matches(&self, text: &str, scratch: &mut Scratch) -> bool {
        if self.matches_at_start(text, scratch) {
            return true;
        }
        if self.line_start && memchr::memchr(b'\n', text.as_bytes()).is_none() {
            return false;
        }
        self.regex.search_slots(&Input::new(text), &mut scratch.0).is_some()
    }
}

/// The other engine can't turn Unicode off for a part of a pattern; its word boundaries are then Unicode's.
pub(super) fn for_backtracking(regex: &str) -> String {
    format!("(?m){}", regex.replace("(?-u:\\b)", "\\b").replace("(?-u:\\B)", "\\B"))
}

/// The engines explain over several lines, the reason last.
fn last_line(text: &str) -> String {
    text.lines().last().unwrap_or_default().trim().trim_start_matches("error: ").to_owned()
}
