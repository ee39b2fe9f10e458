//! `moving_fn`: a function of the numbers in a window that moves over the buckets.

use std::collections::HashMap;
use std::sync::Arc;

use super::common::{Common, simple};
use super::expression::{Expression, Scope};
use super::path::Path;
use super::scripts;
use super::sketches::window;
use super::stage::Pipeline;
use crate::aggregate::read;
use crate::aggregate::shown::Row;
use crate::query::error::EsError;
use crate::query::limits::BUCKETS_MAX;
use crate::query::strict::Members;

#[derive(Debug)]
pub(super) struct MovingFn {
    common: Common,
    window: usize,
    shift: i64,
    script: Expression,
    params: scripts::Params,
}

impl MovingFn {
    pub(super) fn read(mut members: Members) -> Result<Arc<dyn Pipeline>, EsError> {
        let window = read::size(&mut members, "window", 0, BUCKETS_MAX)?;
        if window == 0 {
            return Err(EsError::argument("[window] must be a positive, non-zero integer."));
        }
        let (script, params) = scripts::read_script(&mut members)?;
        let shift = members.whole("shift")?.unwrap_or_default();
        let found = Self { common: Common::read(&mut members)?, window, shift, script, params };
        members.end()?;
        Ok(Arc::new(found))
    }
}

impl Pipeline for MovingFn {
    fn name(&self) -> &'static str {
        "moving_fn"
    }

    fn path(&self) -> Option<&Path> {
        Some(&self.common.path)
    }

    fn over(&self, name: &str, rows: &mut Vec<Row>) -> Result<(), EsError> {
        let mut numbers = Vec::with_capacity(rows.len());
        for row in rows.iter() {
            numbers.push(self.common.number(&row.members)?.filter(|number| !number.is_nan()));
        }
        // Buckets without a number are neither in a window nor have one.
        let values: Vec<f64> = numbers.iter().copied().flatten().collect();
        let params: HashMap<&str, _> = self.params.iter().map(|(name, value)| (name.as_str(), *value)).collect();
        let mut scope = Scope { params, values: &[] };
        let mut place = 0;
        for (row, number) in rows.iter_mut().zip(&numbers) {
            if number.is_none() {
                continue;
            }
            scope.values = values.get(window(place, self.window, self.shift, values.len())).unwrap_or_default();
            place += 1;
            let outcome = self.script.evaluate(&scope)?.as_f64().unwrap_or(f64::NAN);
            row.members.insert(name.to_owned(), simple(outcome, self.common.format.as_ref()).into());
        }
        Ok(())
    }
}
