//! What members subscribe to: names, and patterns that are looked up among all topics when those change.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use logmill_bus_protocol::ResponseError;
use regex::{Regex, RegexBuilder};

use super::{Beat, Catalogue, Group, Refusal};

/// A pattern's text, and what it may take when it is compiled: it comes from anybody.
const PATTERN_BYTES_MAX: usize = 4096;
const COMPILED_BYTES_MAX: usize = 1 << 20;
/// Longer waits would make a group stand still for a member that is gone.
const REBALANCE_MOST: Duration = Duration::from_secs(1800);

/// A pattern as Kafka takes it: it stands for whole names.
pub(super) fn compile(pattern: &str) -> Result<Regex, Refusal> {
    let refused = |why: String| (ResponseError::InvalidRegularExpression, why);
    if pattern.len() > PATTERN_BYTES_MAX {
        return Err(refused(format!("a pattern of {} bytes; at most {PATTERN_BYTES_MAX}", pattern.len())));
    }
    RegexBuilder::new(&format!("^(?:{pattern})$"))
        .size_limit(COMPILED_BYTES_MAX)
        .dfa_size_limit(COMPILED_BYTES_MAX)
        .build()
        .map_err(|error| refused(error.to_string()))
}

impl Group {
    /// Takes over what the member says of itself; whether it wants something else than before.
    pub(super) fn subscribe(
        &mut self,
        beat: &Beat,
        topics: &Catalogue,
        may_see: &dyn Fn(&str) -> bool,
        now: Instant,
    ) -> Result<bool, Refusal> {
        let pattern = match beat.pattern.as_deref() {
            None | Some("") => None,
            Some(text) => Some(compile(text)?),
        };
        let Some(member) = self.members.get_mut(&beat.member_id) else { return Ok(false) };
        member.client_id.clone_from(&beat.client_id);
        member.client_host.clone_from(&beat.client_host);
        if let Some(rebalance) = beat.rebalance {
            member.rebalance = rebalance.min(REBALANCE_MOST);
        }
        let mut news = false;
        let mut take = |news_of: bool| news |= news_of;
        if let Some(rack) = beat.rack.as_ref().filter(|rack| member.rack.as_ref() != Some(rack)) {
            member.rack = Some(rack.clone());
            take(true);
        }
        if let Some(names) = beat.names.as_ref().filter(|names| member.names != **names) {
            member.names.clone_from(names);
            member.seen_version = None;
            take(true);
        }
        if let Some(text) = &beat.pattern {
            let wanted = (!text.is_empty()).then(|| text.clone());
            if member.pattern != wanted {
                member.pattern = wanted;
                member.seen_version = None;
                take(true);
            }
        }
        if beat.assignor.is_some() && member.assignor != beat.assignor {
            member.assignor = beat.assignor;
            take(true);
        }
        member.heard = now;
        if member.seen_version != Some(topics.version) {
            let pattern = match (pattern, member.pattern.as_deref()) {
                (None, Some(text)) => Some(compile(text)?),
                (pattern, _) => pattern,
            };
            let found = |name: &str| {
                member.names.contains(name) || pattern.as_ref().is_some_and(|it| it.is_match(name) && may_see(name))
            };
            let resolved = topics.topics.keys().filter(|name| found(name)).map(Arc::clone).collect();
            // Names whose topics are not there yet are kept: the topic may come.
            take(std::mem::replace(&mut member.topics, resolved) != member.topics);
            member.seen_version = Some(topics.version);
        }
        self.changed |= news;
        Ok(news)
    }

    /// Raises the epoch if members want something else, or if what they want is not what it was.
    pub(super) fn look_at_topics(&mut self, topics: &Catalogue, wants_more: bool) {
        if wants_more || self.seen_version != Some(topics.version) {
            let wanted = self.members.values().flat_map(|member| &member.topics);
            let known: BTreeMap<_, _> =
                wanted.filter_map(|name| Some((Arc::clone(name), *topics.topics.get(name)?))).collect();
            let others = std::mem::replace(&mut self.topics, known) != self.topics;
            self.seen_version = Some(topics.version);
            if wants_more || others {
                self.epoch += 1;
                self.changed = true;
            }
        }
    }
}
