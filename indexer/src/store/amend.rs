//! Changes of what was said about indexes: mappings, settings, aliases, templates, policies. Each is one record of the
//! manifest; when it is answered, a crash no longer undoes it, and the next documents are indexed by it.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::catalog::{Catalog, IndexState, WriteTarget};
use super::directory::{Body, Directory, FactsError};
use super::facts::Facts;
use super::manifest::{Amended, Edit};
use super::mapping::Declared;
use super::names::Expand;
use super::order::Order;
use super::{ChangeError, Store, meta_of, names};

/// What is known of an index without its documents.
#[derive(Clone, Debug)]
pub(crate) struct IndexFacts {
    pub(crate) name: Arc<str>,
    pub(crate) uuid: Arc<str>,
    pub(crate) created_ms: i64,
    pub(crate) facts: Arc<Facts>,
}

impl Store {
    /// Templates and policies.
    pub(crate) fn directory(&self) -> Arc<Directory> {
        self.catalog.load().directory.clone()
    }

    /// What is known of the indexes that an expression names.
    ///
    /// # Errors
    /// When the expression names an index that does not exist.
    pub(crate) fn facts(&self, expression: &str) -> Result<Vec<IndexFacts>, super::NoSuchIndex> {
        self.facts_expanding(expression, Expand::All)
    }

    /// As [`facts`](Self::facts), with wildcards that stand for some of the indexes only.
    ///
    /// # Errors
    /// When the expression names an index that does not exist.
    pub(crate) fn facts_expanding(
        &self,
        expression: &str,
        expand: Expand,
    ) -> Result<Vec<IndexFacts>, super::NoSuchIndex> {
        let catalog = self.catalog.load();
        let chosen = catalog.resolve_expanding(expression, expand)?;
        Ok(chosen.into_iter().filter_map(|name| Some(facts_of(name, catalog.indexes.get(name)?))).collect())
    }

    /// A number that changes with everything that was said about indexes.
    pub(crate) fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::Acquire)
    }

    /// Where documents for a name go; `None` when an alias has no index to write to.
    pub(crate) fn write_target(&self, name: &str) -> Option<WriteTarget> {
        self.catalog.load().write_target(name)
    }

    /// What an index of this name would begin with.
    pub(crate) fn birth(&self, name: &str) -> Facts {
        birth(&self.catalog.load().directory, name)
    }

    /// Makes an empty index with what templates and the request say.
    ///
    /// # Errors
    /// When there is one, the name is none, what is asked for is not possible, or the disk refuses.
    pub(crate) fn create_with(&self, name: &str, asked: &Body, as_stream: bool) -> Result<(), ChangeError> {
        if !names::is_valid(name) {
            return Err(ChangeError::Name(name.to_owned()));
        }
        let mut manifest = self.manifest.lock();
        let known = self.catalog.load();
        if known.indexes.contains_key(name) {
            return Err(ChangeError::Exists(name.to_owned()));
        }
        if known.aliased(name).next().is_some() {
            return Err(ChangeError::IsAlias(name.to_owned()));
        }
        if known.indexes.len() >= self.config.indices_max as usize {
            return Err(ChangeError::TooMany(known.indexes.len()));
        }
        let mut facts = known.directory.facts_for(name, asked).map_err(ChangeError::Facts)?;
        if as_stream {
            facts.data_stream.get_or_insert_default();
            facts.retention_age_ms = known.directory.retention_of(&facts);
        }
        known.check_aliases(name, &facts)?;
        let (index, state): (Arc<str>, _) = (name.into(), IndexState::born(facts).map_err(ChangeError::Facts)?);
        let order = Order::of(&state.facts.settings);
        let checked = order.and_then(|order| order.check(&state.facts.settings, &state.mapping));
        checked.map_err(|error| ChangeError::Facts(error.into()))?;
        manifest.append(&Edit::Create { index: index.clone(), meta: meta_of(&state) })?;
        self.change(|catalog, _| drop(catalog.indexes.insert(index, state)));
        self.epoch.fetch_add(1, Ordering::Release);
        Ok(())
    }

    /// Changes templates and policies, and with them how long events are kept.
    ///
    /// # Errors
    /// When `change` refuses, or the disk.
    pub(crate) fn amend_directory<E: From<io::Error>>(
        &self,
        change: impl FnOnce(&mut Directory, &Catalog) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut manifest = self.manifest.lock();
        let known = self.catalog.load();
        let mut directory = Directory::clone(&known.directory);
        change(&mut directory, &known)?;
        if directory == *known.directory {
            return Ok(());
        }
        manifest.append(&Edit::Directory(Box::new(directory.clone())))?;
        let mut amended = BTreeMap::new();
        for (name, state) in &known.indexes {
            let retention_age_ms = directory.retention_of(&state.facts);
            if state.facts.retention_age_ms != retention_age_ms {
                amended.insert(name.clone(), Facts { retention_age_ms, ..Facts::clone(&state.facts) });
            }
        }
        let directory = Arc::new(directory);
        self.change(|catalog, _| catalog.directory = directory.clone());
        self.write_facts(&mut manifest, &known, amended)?;
        Ok(())
    }

    /// Changes what was said about indexes, all in one step. `change` gives the new facts of those that change.
    ///
    /// # Errors
    /// When `change` refuses, or the disk.
    pub(crate) fn amend<E: From<io::Error>>(
        &self,
        change: impl FnOnce(&Catalog) -> Result<BTreeMap<Arc<str>, Facts>, E>,
    ) -> Result<(), E> {
        let mut manifest = self.manifest.lock();
        let known = self.catalog.load();
        let mut amended = change(&known)?;
        for facts in amended.values_mut() {
            facts.retention_age_ms = known.directory.retention_of(facts);
        }
        self.write_facts(&mut manifest, &known, amended)?;
        Ok(())
    }

    fn write_facts(
        &self,
        manifest: &mut super::Manifest,
        known: &Catalog,
        amended: BTreeMap<Arc<str>, Facts>,
    ) -> io::Result<()> {
        let mut indexes = Vec::new();
        let mut changed = Vec::new();
        for (name, facts) in amended {
            let Some(state) = known.indexes.get(&name).filter(|state| *state.facts != facts) else { continue };
            let declared = Arc::new(Declared::read(&facts.mappings).map_err(io::Error::other)?);
            let (uuid, created_ms) = (state.uuid.clone(), state.created_ms);
            indexes.push(Amended { index: name.clone(), uuid, created_ms, facts: facts.clone() });
            changed.push((name, Arc::new(facts), declared));
        }
        if indexes.is_empty() {
            return Ok(());
        }
        manifest.append(&Edit::Amend { indexes })?;
        self.change(|catalog, _| {
            for (name, facts, declared) in changed {
                if let Some(state) = catalog.indexes.get_mut(&name) {
                    if **state.mapping.declared() != *declared {
                        state.mapping = Arc::new(state.mapping.with_declared(declared));
                    }
                    state.facts = facts;
                }
            }
        });
        self.epoch.fetch_add(1, Ordering::Release);
        Ok(())
    }
}

fn facts_of(name: &Arc<str>, state: &IndexState) -> IndexFacts {
    IndexFacts {
        name: name.clone(),
        uuid: state.uuid.clone(),
        created_ms: state.created_ms,
        facts: state.facts.clone(),
    }
}

/// What an index begins with that comes into being by a document: templates that can't be used must not keep it out.
pub(super) fn birth(directory: &Directory, name: &str) -> Facts {
    directory.facts_for(name, &Body::default()).unwrap_or_else(|error: FactsError| {
        tracing::warn!(%error, index = name, "an index begins without its template");
        Facts::default()
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::config::Config;
    use crate::store::directory::{IndexTemplate, Policy};
    use crate::store::facts::Alias;
    use crate::store::testing;

    fn body(value: Value) -> Body {
        serde_json::from_value(value).unwrap()
    }

    fn template(patterns: &[&str], body: Body) -> IndexTemplate {
        let index_patterns = patterns.iter().map(|pattern| (*pattern).to_owned()).collect();
        IndexTemplate { index_patterns, template: Some(body), ..IndexTemplate::default() }
    }

    /// Everything that was said is there after a process that just ended; nothing is written on the way out.
    #[test]
    fn what_was_said_survives_a_process_that_just_ends() {
        let folder = tempfile::tempdir().unwrap();
        let open = || Arc::new(Store::open(folder.path(), Config::default()).unwrap().0);
        let store = open();
        let said =
            body(json!({"mappings": {"properties": {"a": {"type": "ip"}}}, "settings": {"index.lifecycle.name": "p"}}));
        let amended = store.amend_directory(|directory, _| {
            directory.index_templates.insert("t".into(), template(&["logs-*"], said));
            let policy = Policy { delete_after_ms: Some(1000), policy: json!({}), ..Policy::default() };
            directory.policies.insert("p".into(), policy);
            Ok::<_, io::Error>(())
        });
        amended.unwrap();
        store.create_with("logs-put", &body(json!({"aliases": {"all": {"is_write_index": true}}})), false).unwrap();
        // One that comes into being by a document, is amended while it is in memory, and one that never reaches the disk.
        testing::add(&store, "logs-doc", &[json!({"a": "10.0.0.1", "b": 1})], 1);
        let add_alias = |store: &Store, index: &str| {
            let index = index.to_owned();
            let amended = store.amend(|catalog| {
                let (name, state) = catalog.indexes.get_key_value(index.as_str()).unwrap();
                let mut facts = Facts::clone(&state.facts);
                facts.aliases.insert("all".into(), Alias::default());
                Ok::<_, io::Error>([(name.clone(), facts)].into())
            });
            amended.unwrap();
        };
        add_alias(&store, "logs-doc");
        store.flush().unwrap();
        testing::add(&store, "logs-lost", &[json!({"a": "10.0.0.1"})], 1);
        add_alias(&store, "logs-lost");
        let check = |store: &Store| {
            let facts = store.facts("all").unwrap();
            let names: Vec<&str> = facts.iter().map(|index| index.name.as_ref()).collect();
            assert_eq!(names, ["logs-doc", "logs-lost", "logs-put"]);
            for index in &facts {
                assert_eq!(index.facts.retention_age_ms, Some(1000), "{}", index.name);
                let mapping = store.index_types(&index.name).unwrap().1;
                assert_eq!(mapping.declared().field("a").map(|field| field.es_type.as_str()), Some("ip"));
            }
            let mapping = store.index_types("logs-doc").unwrap().1;
            assert_eq!((mapping.es_name("a"), mapping.es_name("b")), (Some("ip"), Some("long")));
            assert_eq!(store.write_target("all").map(|target| target.index), Some("logs-put".to_owned()));
            assert_eq!(store.directory().index_templates.len(), 1);
        };
        check(&store);
        drop(store);
        let store = open();
        check(&store);
        drop(store);
        check(&open());
    }

    #[test]
    fn names_of_indexes_and_aliases_do_not_meet() {
        let store = testing::empty();
        store.create_with("one", &body(json!({"aliases": {"two": {}}})), false).unwrap();
        assert!(matches!(store.create_with("two", &Body::default(), false), Err(ChangeError::IsAlias(_))));
        let taken = store.create_with("three", &body(json!({"aliases": {"one": {}}})), false);
        assert!(matches!(taken, Err(ChangeError::Facts(_))), "{taken:?}");
        assert!(matches!(store.create_with("one", &Body::default(), false), Err(ChangeError::Exists(_))));
    }
}
