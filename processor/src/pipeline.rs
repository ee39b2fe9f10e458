//! A pipeline: steps in order, what happens when one fails, and where the event goes.

mod compile;
mod config;
mod load;
mod problems;
mod route;
mod test;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use logmill_core::Event;

use crate::expression::Expression;
use crate::step::{Failure, Scene, Step};

pub(crate) use config::{OnError, PipelineConfig};
pub use load::PipelineError;
pub(crate) use load::{files, load};
pub(crate) use problems::Problems;
pub(crate) use route::{Output, Route, Template};
pub use test::{PipelineTests, TestOutcome, test_pipelines};

/// A compiled pipeline.
#[derive(Debug)]
pub(crate) struct Pipeline {
    pub(crate) id: String,
    pub(crate) topic: String,
    pub(crate) group: String,
    /// Tells versions of the configuration apart, in dead letters.
    pub(crate) hash: String,
    pub(crate) lints: Vec<String>,
    /// Every topic that it reads or may write.
    pub(crate) topics: BTreeSet<String>,
    pub(crate) meters: Vec<Meter>,
    block: Vec<Node>,
    outputs: Vec<Output>,
    fallback: Output,
    /// The index is chosen by what the event says before the steps: what a line says must not open indices.
    routes_first: bool,
}

/// A step's name and counters.
#[derive(Debug)]
pub(crate) struct Meter {
    /// Where it stands: `steps.0.grok`.
    pub(crate) key: String,
    /// Its tag, or where it stands.
    pub(crate) name: String,
    pub(crate) entered: AtomicU64,
    pub(crate) left: AtomicU64,
    pub(crate) failed: AtomicU64,
    pub(crate) nanos: AtomicU64,
}

/// Counts of one worker, added to the meters once a batch: shared counters would cost more than the steps.
#[derive(Debug, Default)]
pub(crate) struct Tallies {
    steps: Vec<Tally>,
    events: u64,
    timed: bool,
}

#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    entered: u64,
    left: u64,
    failed: u64,
    nanos: u64,
}

/// One event in so many is timed: reading the clock costs as much as a small step.
const TIMED_EVERY: u64 = 64;

#[derive(Debug)]
struct Node {
    /// Index of its meter.
    meter: usize,
    condition: Option<Expression>,
    action: Action,
    on_error: Handler,
    ignore_missing: bool,
}

#[derive(Debug)]
enum Action {
    Step(Box<dyn Step>),
    Drop,
    Switch(Vec<(Option<Expression>, Vec<Node>)>),
}

#[derive(Debug)]
enum Handler {
    Tag(String),
    DeadLetter(Arc<str>),
    Drop,
    Ignore,
    Steps(Vec<Node>),
}

/// How an event left its pipeline.
#[derive(Debug)]
pub(crate) enum End {
    /// Through all steps.
    Done,
    /// A step dropped it, as the user wished.
    Dropped,
    /// A step failed and the user wants to see it.
    Dead(Dead),
}

/// Why an event became a dead letter.
#[derive(Clone, Debug)]
pub(crate) struct Dead {
    /// The step, where it stands in the pipeline.
    pub(crate) step: String,
    pub(crate) to: Arc<str>,
    pub(crate) reason: String,
}

impl Pipeline {
    /// Runs the steps; the routes are empty unless the end is [`End::Done`].
    pub(crate) fn run(&self, event: &mut Event, scene: &mut Scene, tallies: &mut Tallies) -> (End, Vec<Route>) {
        tallies.steps.resize(self.meters.len(), Tally::default());
        tallies.timed = tallies.events.is_multiple_of(TIMED_EVERY);
        tallies.events += 1;
        let first = self.routes_first.then(|| self.routes(event));
        let end = match self.block(&self.block, event, scene, tallies) {
            Ok(()) => End::Done,
            Err(Stop::Dropped) => End::Dropped,
            Err(Stop::Dead(meter, to, failure)) => End::Dead(Dead {
                step: self.meters.get(meter).map(|meter| meter.name.clone()).unwrap_or_default(),
                to,
                reason: failure.to_string(),
            }),
        };
        let routes = match end {
            End::Done => first.unwrap_or_else(|| self.routes(event)),
            _ => Vec::new(),
        };
        (end, routes)
    }

    /// Adds what a worker counted to the meters.
    pub(crate) fn settle(&self, tallies: &mut Tallies) {
        for (meter, tally) in self.meters.iter().zip(&mut tallies.steps) {
            let tally = std::mem::take(tally);
            meter.entered.fetch_add(tally.entered, Ordering::Relaxed);
            meter.left.fetch_add(tally.left, Ordering::Relaxed);
            meter.failed.fetch_add(tally.failed, Ordering::Relaxed);
            meter.nanos.fetch_add(tally.nanos * TIMED_EVERY, Ordering::Relaxed);
        }
    }

    /// Adds a step that panics on the message "poison".
    #[cfg(test)]
    pub(crate) fn poison(&mut self) {
        #[derive(Debug)]
        struct Poison;
        impl Step for Poison {
            fn run(&self, event: &mut Event, _: &mut Scene) -> Result<(), Failure> {
                assert!(event.0.get("message").is_none_or(|message| message != "poison"), "on purpose");
                Ok(())
            }
        }
        self.block.push(Node {
            meter: 0,
            condition: None,
            action: Action::Step(Box::new(Poison)),
            on_error: Handler::Ignore,
            ignore_missing: false,
        });
    }

    fn routes(&self, event: &Event) -> Vec<Route> {
        let mut routes = Vec::with_capacity(1);
        for output in &self.outputs {
            if output.takes(event) {
                routes.push(output.route(event));
                if !output.goes_on {
                    return routes;
                }
            }
        }
        if routes.is_empty() {
            routes.push(self.fallback.route(event));
        }
        routes
    }

    fn block(&self, block: &[Node], event: &mut Event, scene: &mut Scene, tallies: &mut Tallies) -> Result<(), Stop> {
        block.iter().try_for_each(|node| self.node(node, event, scene, tallies))
    }

    fn node(&self, node: &Node, event: &mut Event, scene: &mut Scene, tallies: &mut Tallies) -> Result<(), Stop> {
        if node.condition.as_ref().is_some_and(|condition| !condition.is_true(event)) {
            return Ok(());
        }
        let begun = tallies.timed.then(Instant::now);
        let outcome = match &node.action {
            Action::Step(step) => step.run(event, scene),
            Action::Drop => {
                tallies.count(node.meter, |tally| tally.entered += 1);
                return Err(Stop::Dropped);
            }
            Action::Switch(branches) => {
                tallies.count(node.meter, |tally| (tally.entered, tally.left) = (tally.entered + 1, tally.left + 1));
                let taken = branches
                    .iter()
                    .find(|(condition, _)| condition.as_ref().is_none_or(|condition| condition.is_true(event)));
                return taken.map_or(Ok(()), |(_, block)| self.block(block, event, scene, tallies));
            }
        };
        let outcome = match outcome {
            Err(Failure::Missing(_)) if node.ignore_missing => Ok(()),
            other => other,
        };
        tallies.count(node.meter, |tally| {
            tally.entered += 1;
            tally.left += u64::from(outcome.is_ok());
            tally.failed += u64::from(outcome.is_err());
            tally.nanos += begun.map_or(0, |begun| u64::try_from(begun.elapsed().as_nanos()).unwrap_or(u64::MAX));
        });
        let Err(failure) = outcome else { return Ok(()) };
        match &node.on_error {
            Handler::Tag(tag) => event.add_tag(tag),
            Handler::Ignore => {}
            Handler::Drop => return Err(Stop::Dropped),
            Handler::DeadLetter(topic) => return Err(Stop::Dead(node.meter, topic.clone(), failure)),
            Handler::Steps(block) => return self.block(block, event, scene, tallies),
        }
        Ok(())
    }
}

impl Tallies {
    fn count(&mut self, meter: usize, count: impl FnOnce(&mut Tally)) {
        if let Some(tally) = self.steps.get_mut(meter) {
            count(tally);
        }
    }
}

enum Stop {
    Dropped,
    Dead(usize, Arc<str>, Failure),
}

#[cfg(test)]
mod tests;
