//! Whether the search that a thread runs is to stop: for those to whom nothing can be handed, because the search library
//! stands between, such as its scorers and what reads its files.

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

type Search = (Instant, Arc<AtomicBool>);

thread_local! {
    static CURRENT: RefCell<Option<Search>> = const { RefCell::new(None) };
}

/// Whether the search that this thread runs is past its deadline or was cancelled. Never where there is none.
pub(crate) fn interrupted() -> bool {
    CURRENT.with_borrow(|current| {
        let is_over = |(deadline, cancelled): &Search| cancelled.load(Ordering::Relaxed) || Instant::now() >= *deadline;
        current.as_ref().is_some_and(is_over)
    })
}

/// From now on [`interrupted`] answers for this search.
pub(crate) fn enter(deadline: Instant, cancelled: Arc<AtomicBool>) -> Entered {
    Entered(CURRENT.replace(Some((deadline, cancelled))))
}

/// While this lives, [`interrupted`] answers for the search that was entered; then again for the one around it.
pub(crate) struct Entered(Option<Search>);

impl Drop for Entered {
    fn drop(&mut self) {
        CURRENT.set(self.0.take());
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_innermost_search_counts_and_then_the_one_around_it() {
        let (outer, inner) = (Arc::<AtomicBool>::default(), Arc::<AtomicBool>::default());
        let later = Instant::now() + Duration::from_secs(3600);
        assert!(!interrupted());
        let entered = enter(later, outer.clone());
        {
            let _entered = enter(later, inner.clone());
            inner.store(true, Ordering::Relaxed);
            assert!(interrupted());
        }
        assert!(!interrupted());
        outer.store(true, Ordering::Relaxed);
        assert!(interrupted());
        drop(entered);
        assert!(!interrupted());
        let _over = enter(Instant::now(), Arc::default());
        assert!(interrupted());
    }
}
