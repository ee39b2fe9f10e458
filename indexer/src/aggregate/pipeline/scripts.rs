//! `bucket_script` and `bucket_selector`: an expression over numbers of each bucket adds a number, or says whether the
//! bucket stays.

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::Value;

use super::common::{Gap, simple};
use super::expression::{Expression, Outcome, Scope};
use super::path::Path;
use super::stage::{Pipeline, Stands};
use crate::aggregate::format::Format;
use crate::aggregate::read;
use crate::aggregate::shown::Row;
use crate::query::error::EsError;
use crate::query::strict::Members;

/// A script's own parameters.
pub(super) type Params = Vec<(String, Outcome)>;

/// Numbers that one script may read.
const PATHS_MAX: usize = 100;

/// Reads `script`: a text, or an object with its language and parameters.
pub(super) fn read_script(members: &mut Members) -> Result<(Expression, Params), EsError> {
    let (source, language, params) = match members.required("script")? {
        Value::String(source) => (source, None, None),
        object @ Value::Object(_) => {
            let mut script = Members::new(object, "[script]")?;
            let source = script.string("source")?.or(script.string("inline")?);
            let source =
                source.ok_or_else(|| EsError::parsing("[script] needs [source]: stored scripts are not supported"))?;
            let found = (source, script.string("lang")?, script.take("params"));
            script.end()?;
            found
        }
        other => return Err(members.wrong("script", "a script", &other)),
    };
    let bare_names = match language.as_deref() {
        None | Some("painless") => false,
        Some("expression") => true,
        Some(other) => return Err(EsError::argument(format!("script_lang not supported [{other}]"))),
    };
    let mut read = Vec::new();
    if let Some(params) = params {
        let mut params = Members::new(params, "[params]")?;
        while let Some((name, value)) = params.take_one() {
            let value = match &value {
                Value::Bool(flag) => Outcome::Flag(*flag),
                Value::Number(number) => match number.as_i64() {
                    Some(whole) => Outcome::Whole(whole),
                    None => Outcome::Number(number.as_f64().unwrap_or(f64::NAN)),
                },
                _ => {
                    return Err(EsError::argument(format!(
                        "[params.{name}] of a script must be a number or a truth value"
                    )));
                }
            };
            read.push((name, value));
        }
    }
    Ok((Expression::read(&source, bare_names)?, read))
}

#[derive(Debug)]
struct Script {
    expression: Expression,
    params: Params,
    paths: Vec<(String, Path)>,
    gap: Gap,
}

impl Script {
    fn read(members: &mut Members) -> Result<Self, EsError> {
        let mut paths = Vec::new();
        match members.required("buckets_path")? {
            Value::String(path) => paths.push(("_value".to_owned(), Path::read(&path)?)),
            Value::Array(items) => {
                for (place, item) in items.iter().enumerate() {
                    let path = item.as_str().ok_or_else(|| EsError::parsing("[buckets_path] needs paths"))?;
                    paths.push((format!("_value{place}"), Path::read(path)?));
                }
            }
            object => {
                let mut named = Members::new(object, "[buckets_path]")?;
                while let Some((name, path)) = named.take_one() {
                    let path = path.as_str().ok_or_else(|| EsError::parsing("[buckets_path] needs paths"))?;
                    paths.push((name, Path::read(path)?));
                }
            }
        }
        if paths.len() > PATHS_MAX {
            return Err(EsError::argument(format!("[buckets_path] takes at most {PATHS_MAX} paths")));
        }
        let (expression, params) = read_script(members)?;
        Ok(Self { expression, params, paths, gap: Gap::read(members)? })
    }

    /// The numbers of a bucket beside the script's own parameters.
    fn scope(&self, row: &Row) -> Result<Scope<'_>, EsError> {
        let mut params: HashMap<&str, Outcome> =
            self.params.iter().map(|(name, value)| (name.as_str(), *value)).collect();
        for (name, path) in &self.paths {
            let number = self.gap.number(path, &row.members)?;
            params.insert(name.as_str(), number.map_or(Outcome::Nothing, Outcome::Number));
        }
        Ok(Scope { params, values: &[] })
    }

    fn has_gap(&self, scope: &Scope<'_>) -> bool {
        self.paths.iter().any(|(name, _)| match scope.params.get(name.as_str()) {
            Some(Outcome::Number(number)) => number.is_nan(),
            _ => true,
        })
    }

    fn paths(&self) -> Vec<&Path> {
        self.paths.iter().map(|(_, path)| path).collect()
    }
}

#[derive(Debug)]
pub(super) struct BucketScript {
    script: Script,
    format: Option<Format>,
}

impl BucketScript {
    pub(super) fn read(mut members: Members) -> Result<Arc<dyn Pipeline>, EsError> {
        let found = Self { script: Script::read(&mut members)?, format: read::format(&mut members)? };
        members.end()?;
        Ok(Arc::new(found))
    }
}

impl Pipeline for BucketScript {
    fn name(&self) -> &'static str {
        "bucket_script"
    }

    fn stands(&self) -> Stands {
        Stands::InBuckets
    }

    fn paths(&self) -> Vec<&Path> {
        self.script.paths()
    }

    fn over(&self, name: &str, rows: &mut Vec<Row>) -> Result<(), EsError> {
        for row in rows {
            let scope = self.script.scope(row)?;
            if self.script.gap == Gap::Skip && self.script.has_gap(&scope) {
                continue;
            }
            match self.script.expression.evaluate(&scope)? {
                Outcome::Nothing => {}
                Outcome::Flag(_) => {
                    return Err(EsError::new(
                        400,
                        "script_exception",
                        format!("the script of [{name}] must make a number"),
                    ));
                }
                outcome => {
                    let number = outcome.as_f64().unwrap_or(f64::NAN);
                    row.members.insert(name.to_owned(), simple(number, self.format.as_ref()).into());
                }
            }
        }
        Ok(())
    }
}

#[derive(Debug)]
pub(super) struct BucketSelector(Script);

impl BucketSelector {
    pub(super) fn read(mut members: Members) -> Result<Arc<dyn Pipeline>, EsError> {
        let found = Self(Script::read(&mut members)?);
        members.end()?;
        Ok(Arc::new(found))
    }
}

impl Pipeline for BucketSelector {
    fn name(&self) -> &'static str {
        "bucket_selector"
    }

    fn stands(&self) -> Stands {
        Stands::InBuckets
    }

    fn paths(&self) -> Vec<&Path> {
        self.0.paths()
    }

    fn over(&self, _: &str, rows: &mut Vec<Row>) -> Result<(), EsError> {
        let mut kept = Vec::with_capacity(rows.len());
        for row in std::mem::take(rows) {
            if self.0.expression.flag(&self.0.scope(&row)?)? {
                kept.push(row);
            }
        }
        *rows = kept;
        Ok(())
    }
}
