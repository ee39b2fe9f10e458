//! Which splits of an index become one, and which are sealed. Pure: it is told what there is and what time it is.
//!
//! Hot splits of a window of time are merged by size, ten of a kind, so that an event is rewritten a few times at
//! most. When a window is over and quiet, or its splits have become as large as they may, they are written once
//! more, compressed hard: sealed. What comes late is merged and sealed by itself, and joins its like.

/// Splits of one size that become one: measured best at 8 to 16.
pub(super) const FAN_IN: usize = 10;
/// Sealed splits of one size and window that become one. Few come, and they are not merged again soon.
const SEALED_FAN_IN: usize = 4;
/// Splits that an index should not have more of: each costs a search about a tenth of a millisecond.
const SPLITS_WANTED: usize = 50;
/// Splits below this size are all of the lowest tier.
const TIER_BYTES: u64 = 256 << 10;
/// No split has more documents: keeps a merge's memory (tens of bytes a document) and duration bounded.
pub(super) const SPLIT_DOCS_MAX: u64 = 5_000_000;

/// What the choice depends on besides the splits.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rules {
    /// No split is made larger.
    pub(super) bytes_max: u64,
    /// Length of a window.
    pub(super) window_ns: i64,
    /// A window is sealed this long after its end, and after the last event that came for it.
    pub(super) grace_ns: i64,
    /// Now.
    pub(super) now_ns: i64,
}

/// A split on disk, as far as the choice goes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Candidate {
    /// Names it for the caller.
    pub(super) place: usize,
    pub(super) bytes: u64,
    pub(super) docs: u64,
    pub(super) newest_ns: i64,
    /// When the last of its events was written to disk, nanoseconds since 1970.
    pub(super) arrived_ns: i64,
    pub(super) sealed: bool,
}

impl Candidate {
    /// Bytes once sealed: hard compression takes two fifths of a hot split and more.
    const fn sealed_bytes(&self) -> u64 {
        if self.sealed { self.bytes } else { self.bytes / 5 * 3 }
    }
}

/// A run of splits, at least one.
pub(super) type Run = Vec<Candidate>;

impl Rules {
    fn window_of(&self, split: &Candidate) -> i64 {
        split.newest_ns.div_euclid(self.window_ns.max(1))
    }

    /// Whether nothing is to be expected for this window any more.
    fn is_over(&self, window: &[Candidate]) -> bool {
        let Some(number) = window.first().map(|split| self.window_of(split)) else { return false };
        let end_ns = number.saturating_add(1).saturating_mul(self.window_ns.max(1));
        let last_ns = window.iter().map(|split| split.arrived_ns).max().unwrap_or(end_ns).max(end_ns);
        last_ns.saturating_add(self.grace_ns) <= self.now_ns
    }

    /// Whether the result of merging these is so large that it will not be merged again.
    fn is_final(&self, run: &[Candidate]) -> bool {
        let bytes: u64 = run.iter().map(|split| split.bytes).sum();
        let docs: u64 = run.iter().map(|split| split.docs).sum();
        bytes > self.bytes_max / 2 || docs > SPLIT_DOCS_MAX / 2
    }

    /// As many splits of the run, from its start, as may become one.
    fn fitting(&self, run: &[Candidate], size: impl Fn(&Candidate) -> u64) -> Run {
        let (mut bytes, mut docs) = (0u64, 0u64);
        let fits = |split: &&Candidate| {
            bytes += size(split);
            docs += split.docs;
            bytes <= self.bytes_max && docs <= SPLIT_DOCS_MAX
        };
        run.iter().take_while(fits).copied().collect()
    }

    /// What becomes one sealed split, from the start of the run; never nothing, so that a split that is larger than
    /// allowed (the setting was lowered) is sealed by itself.
    fn sealable(&self, run: &[Candidate]) -> Option<Run> {
        let fitting = self.fitting(run, Candidate::sealed_bytes);
        if fitting.is_empty() { run.first().map(|split| vec![*split]) } else { Some(fitting) }
    }

    fn windows<'c>(&self, sorted: &'c [Candidate]) -> impl Iterator<Item = &'c [Candidate]> {
        sorted.chunk_by(|one, other| self.window_of(one) == self.window_of(other))
    }

    /// Hot splits to be merged into one hot split.
    pub(super) fn merge(&self, all: &[Candidate]) -> Option<Run> {
        let mut hot: Vec<_> = all.iter().filter(|split| !split.sealed).copied().collect();
        hot.sort_by_key(|split| (self.window_of(split), split.bytes));
        for window in self.windows(&hot).filter(|window| !self.is_over(window)) {
            for tier in tiers(window) {
                let run = tier.get(..FAN_IN).filter(|run| !self.is_final(run));
                if let Some(run) = run {
                    return Some(run.to_vec());
                }
            }
        }
        // Too many: the smallest neighbours, whatever their window.
        if all.len() <= SPLITS_WANTED {
            return None;
        }
        hot.sort_by_key(|split| split.newest_ns);
        smallest(&hot, |run| (!self.is_final(run)).then(|| run.to_vec()))
    }

    /// Splits to be written as one sealed split.
    pub(super) fn seal(&self, all: &[Candidate]) -> Option<Run> {
        let mut hot: Vec<_> = all.iter().filter(|split| !split.sealed).copied().collect();
        hot.sort_by_key(|split| (self.window_of(split), split.bytes));
        for window in self.windows(&hot) {
            if self.is_over(window) {
                return self.sealable(&by_time(window));
            }
            for tier in tiers(window) {
                let large = tier.iter().find(|split| self.is_final(&[**split])).map(|split| vec![*split]);
                let run = tier.get(..FAN_IN).filter(|run| self.is_final(run));
                if let Some(run) = run.and_then(|run| self.sealable(&by_time(run))).or(large) {
                    return Some(run);
                }
            }
        }
        let mut sealed: Vec<_> =
            all.iter().filter(|split| split.sealed && !self.is_final(&[**split])).copied().collect();
        sealed.sort_by_key(|split| (self.window_of(split), split.bytes));
        for window in self.windows(&sealed) {
            for tier in tiers(window) {
                if let Some(run) = tier.get(..SEALED_FAN_IN).and_then(|run| self.joinable(&by_time(run))) {
                    return Some(run);
                }
            }
        }
        if all.len() <= SPLITS_WANTED {
            return None;
        }
        sealed.sort_by_key(|split| split.newest_ns);
        smallest(&sealed, |run| self.joinable(run))
    }

    /// What to seal next when everything is to be sealed, over or not, and no more than `splits_max` splits are wanted
    /// as far as their sizes allow.
    pub(super) fn seal_all(&self, all: &[Candidate], splits_max: Option<usize>) -> Option<Run> {
        let mut hot: Vec<_> = all.iter().filter(|split| !split.sealed).copied().collect();
        hot.sort_by_key(|split| (self.window_of(split), split.newest_ns));
        if let Some(window) = self.windows(&hot).next() {
            return self.sealable(window);
        }
        if all.len() <= splits_max? {
            return None;
        }
        let mut sealed = all.to_vec();
        sealed.sort_by_key(|split| split.newest_ns);
        let pairs = sealed.windows(2).filter_map(|pair| self.joinable(pair));
        pairs.min_by_key(|run| run.iter().map(|split| split.bytes).sum::<u64>())
    }

    /// Two or more sealed splits from the start of the run that may become one.
    fn joinable(&self, run: &[Candidate]) -> Option<Run> {
        Some(self.fitting(run, Candidate::sealed_bytes)).filter(|run| run.len() > 1)
    }
}

fn tiers(sorted: &[Candidate]) -> impl Iterator<Item = &[Candidate]> {
    sorted.chunk_by(|one, other| tier_of(one.bytes) == tier_of(other.bytes))
}

fn tier_of(bytes: u64) -> u32 {
    (bytes / TIER_BYTES).max(1).ilog10()
}

fn by_time(run: &[Candidate]) -> Run {
    let mut run = run.to_vec();
    run.sort_by_key(|split| split.newest_ns);
    run
}

/// Of the neighbours that may become one, those of the smallest average size.
fn smallest(sorted: &[Candidate], allowed: impl Fn(&[Candidate]) -> Option<Run>) -> Option<Run> {
    let runs = sorted.windows(FAN_IN.min(sorted.len()).max(1)).filter_map(allowed).filter(|run| run.len() > 1);
    runs.min_by_key(|run| run.iter().map(|split| split.bytes).sum::<u64>() / run.len() as u64)
}

#[cfg(test)]
mod tests;
