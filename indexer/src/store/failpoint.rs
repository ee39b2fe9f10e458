//! Places at which a crash is tried: a debug program dies there when `LOGMILL_FAILPOINT=<name>` (or `<name>:<times>`,
//! at the so-many-th pass) says so, and a test unwinds. Release programs have none: nobody's environment can kill them.

/// The places, in the order in which a document meets them.
#[cfg(test)]
pub(crate) const NAMES: [&str; 18] = [
    "ingest.before_publish",
    "flush.before_manifest",
    "flush.after_manifest",
    "merge.before_write",
    "merge.before_manifest",
    "merge.after_manifest",
    "erase.before_settle",
    "retention.before_manifest",
    "retention.after_manifest",
    "snapshot.between_splits",
    "snapshot.before_description",
    "cold.before_upload",
    "objects.between_pieces",
    "cold.after_upload",
    "cold.before_manifest",
    "cold.after_manifest",
    "cold.before_local_delete",
    "cold.before_remove",
];

/// Passes a place.
#[cfg(not(debug_assertions))]
#[inline(always)]
pub(crate) const fn hit(_: &'static str) {}

/// Passes a place.
#[cfg(debug_assertions)]
pub(crate) fn hit(name: &'static str) {
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU64, Ordering};
    static ARMED: OnceLock<Option<(String, AtomicU64)>> = OnceLock::new();
    let armed = ARMED.get_or_init(|| {
        let text = std::env::var("LOGMILL_FAILPOINT").ok()?;
        let (name, times) = text.split_once(':').unwrap_or((&text, "1"));
        Some((name.to_owned(), AtomicU64::new(times.parse().unwrap_or(1))))
    });
    if let Some((wanted, times)) = armed
        && wanted == name
        && times.fetch_sub(1, Ordering::Relaxed) == 1
    {
        // As kill -9 would: nothing is tidied up.
        std::process::abort();
    }
    #[cfg(test)]
    tests::hit(name);
}

#[cfg(test)]
pub(crate) mod tests {
    use std::cell::Cell;

    use super::NAMES;

    thread_local! {
        static ARMED: Cell<Option<&'static str>> = const { Cell::new(None) };
    }

    /// What a test unwinds with.
    pub(crate) struct Crash;

    /// The next pass of the place on this thread unwinds.
    pub(crate) fn arm(place: usize) {
        ARMED.set(Some(NAMES[place % NAMES.len()]));
    }

    pub(crate) fn disarm() {
        ARMED.set(None);
    }

    pub(super) fn hit(name: &'static str) {
        assert!(NAMES.contains(&name), "{name} is in no list");
        if ARMED.get() == Some(name) {
            disarm();
            // Without the hook: hundreds of these are wanted.
            std::panic::resume_unwind(Box::new(Crash));
        }
    }
}
