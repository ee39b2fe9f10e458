//! Runs searches on threads that may block: some at once, some waiting in two lanes, the rest told to wait.

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::oneshot;

pub(super) use super::lanes::Lane;
use super::lanes::Lanes;
use crate::query::error::EsError;

/// Searches that may wait: Elasticsearch's `search` queue is 1,000; a waiting search holds its parts.
const WAITING_MAX: usize = 500;

type Queue = Arc<Mutex<Lanes<oneshot::Sender<Turn>>>>;

/// The room for searches.
#[derive(Debug)]
pub(super) struct Searches(Queue);

impl Searches {
    pub(super) fn new() -> Self {
        let cores = std::thread::available_parallelism().map_or(2, usize::from);
        // One more than cores: one is always left to cheap searches.
        Self(Arc::new(Mutex::new(Lanes::new(cores + 1))))
    }

    /// Runs a computation that is expected to cost little when it is its turn.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, EsError> + Send + 'static,
    ) -> Result<T, EsError> {
        self.run_in(Lane::Cheap, move |_| work()).await
    }

    /// Runs a computation when it is its turn; between its steps it may let others pass.
    pub(super) async fn run_in<T: Send + 'static>(
        &self,
        lane: Lane,
        work: impl FnOnce(&Arc<Turn>) -> Result<T, EsError> + Send + 'static,
    ) -> Result<T, EsError> {
        let turn = Arc::new(self.turn(lane).await?);
        let done = tokio::task::spawn_blocking(move || work(&turn));
        done.await.map_err(|_| EsError::internal("the search failed; the log of the program says why"))?
    }

    async fn turn(&self, lane: Lane) -> Result<Turn, EsError> {
        let waiting = {
            let mut lanes = self.0.lock();
            if lanes.waiting() >= WAITING_MAX {
                let reason = format!("more than {WAITING_MAX} searches are waiting already; try again in a second");
                return Err(EsError::new(429, "es_rejected_execution_exception", reason));
            }
            let (ticket, waiting) = oneshot::channel();
            if lanes.arrive(lane, ticket).is_some() {
                return Ok(Turn { lanes: Some(self.0.clone()), lane });
            }
            waiting
        };
        waiting.await.map_err(EsError::internal)
    }
}

/// A turn; when it is dropped, the next one begins. One that nobody takes any more passes by itself.
#[derive(Debug)]
pub(super) struct Turn {
    lanes: Option<Queue>,
    lane: Lane,
}

impl Turn {
    /// Between the steps of a dear search: lets cheap ones that wait go first.
    pub(super) fn give_way(&self) {
        let Some(queue) = self.lanes.as_ref().filter(|_| self.lane == Lane::Dear) else { return };
        let waiting = {
            let mut lanes = queue.lock();
            if !lanes.should_give_way() {
                return;
            }
            let (ticket, waiting) = oneshot::channel();
            lanes.give_way(ticket);
            waiting
        };
        begin_next(queue);
        if let Ok(mut again) = waiting.blocking_recv() {
            // It is this turn that goes on, and ends once.
            again.lanes = None;
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if let Some(queue) = &self.lanes {
            queue.lock().leave(self.lane);
            begin_next(queue);
        }
    }
}

fn begin_next(queue: &Queue) {
    loop {
        let next = queue.lock().next();
        let Some((lane, ticket)) = next else { return };
        // Who has gone away meanwhile gives the turn back as it is dropped here.
        drop(ticket.send(Turn { lanes: Some(queue.clone()), lane }));
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    async fn cheap_searches_pass_dear_ones() {
        let searches = Arc::new(Searches(Arc::new(Mutex::new(Lanes::new(2)))));
        let (stop, stopped) = std::sync::mpsc::channel::<()>();
        let (begun, has_begun) = oneshot::channel();
        let dear = tokio::spawn({
            let searches = searches.clone();
            async move {
                searches
                    .run_in(Lane::Dear, move |turn| {
                        let _ = begun.send(());
                        while stopped.try_recv().is_err() {
                            turn.give_way();
                            std::thread::sleep(Duration::from_millis(1));
                        }
                        Ok(())
                    })
                    .await
            }
        });
        has_begun.await.unwrap();
        for _ in 0..10 {
            let both = tokio::join!(searches.run(|| Ok(1)), searches.run(|| Ok(2)));
            assert_eq!((both.0.unwrap(), both.1.unwrap()), (1, 2));
        }
        stop.send(()).unwrap();
        assert!(dear.await.unwrap().is_ok());
        assert_eq!(searches.0.lock().waiting(), 0);
    }

    #[tokio::test]
    async fn who_goes_away_while_waiting_gives_the_turn_to_others() {
        let searches = Searches(Arc::new(Mutex::new(Lanes::new(2))));
        let (one, other) = (searches.turn(Lane::Cheap).await.unwrap(), searches.turn(Lane::Cheap).await.unwrap());
        let gone = tokio::time::timeout(Duration::from_millis(20), searches.turn(Lane::Cheap)).await;
        assert!(gone.is_err());
        drop((one, other));
        let (one, other) = (searches.turn(Lane::Cheap).await.unwrap(), searches.turn(Lane::Dear).await.unwrap());
        drop((one, other));
        assert_eq!(searches.0.lock().waiting(), 0);
    }
}
