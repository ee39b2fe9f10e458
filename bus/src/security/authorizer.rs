//! Answers whether a client may do something to a resource.
//!
//! The rules stand in an index that is replaced as a whole, so that asking takes no lock that anybody holds for long
//! and allocates nothing: it is asked for each topic of each Produce and Fetch.

use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::Arc;

use arc_swap::ArcSwap;
use logmill_bus_protocol::ResponseError;
use tokio::sync::Mutex;

use super::acl::{ANYTHING, Binding, Kind, Operation, Pattern, Permission, Resource};
use super::filter::Filter;
use super::principal::{EVERYBODY, Principal};
use crate::config::AclConfig;
use crate::state_file::{NotWritten, StateFile};
use crate::state_key::{Change, StateKey};

/// The rules in force, and who stands above them.
#[derive(Debug)]
pub(crate) struct Authorizer {
    enabled: bool,
    super_users: Vec<String>,
    rules: ArcSwap<Rules>,
    state: StateFile,
    /// Changes come one after the other.
    changing: Mutex<()>,
}

/// Rules at a time; an administrator's mistake in a loop must not fill memory.
const RULES_MAX: usize = 10_000;

/// The protocol's code and a sentence.
type Refusal = (i16, String);

impl Authorizer {
    pub(crate) fn new(config: &AclConfig, bindings: BTreeSet<Binding>, state: StateFile) -> Self {
        Self {
            state,
            changing: Mutex::new(()),
            enabled: config.enabled,
            super_users: config.super_users.clone(),
            rules: ArcSwap::from_pointee(Rules::new(bindings)),
        }
    }

    /// Whether rules are asked at all.
    pub(crate) const fn is_enabled(&self) -> bool {
        self.enabled
    }

    /// The rules in force.
    pub(crate) fn rules(&self) -> Arc<Rules> {
        self.rules.load_full()
    }

    /// Whether `principal`, coming from `host`, may do `operation`.
    pub(crate) fn allows(&self, principal: &Principal, host: IpAddr, operation: Operation, on: Resource<'_>) -> bool {
        self.is_above(principal) || self.rules.load().allow(principal, host, operation, on)
    }

    /// Whether there may be any resource of `kind` that `principal` may do `operation` to.
    pub(crate) fn allows_any(&self, principal: &Principal, host: IpAddr, operation: Operation, kind: Kind) -> bool {
        self.is_above(principal) || self.rules.load().allow_any(principal, host, operation, kind)
    }

    /// Adds rules; they are on disk and in force when it returns.
    pub(crate) async fn add(&self, new: Vec<Binding>) -> Result<(), Refusal> {
        let _one_at_a_time = self.changing.lock().await;
        let mut bindings = self.rules().bindings.clone();
        let new: Vec<_> = new.into_iter().filter(|rule| bindings.insert(rule.clone())).collect();
        if bindings.len() > RULES_MAX {
            let message = format!("there may be {RULES_MAX} access rules");
            return Err((ResponseError::PolicyViolation.code(), message));
        }
        let changes = new.into_iter().map(|rule| Change { key: StateKey::Acl(rule), value: Some(true.into()) });
        self.put(changes.collect(), bindings).await
    }

    /// Removes the rules that `filter` means and returns them.
    pub(crate) async fn remove(&self, filter: &Filter) -> Result<Vec<Binding>, Refusal> {
        let _one_at_a_time = self.changing.lock().await;
        let (gone, bindings): (BTreeSet<_>, _) =
            self.rules().bindings.iter().cloned().partition(|rule| filter.fits(rule));
        let changes = gone.iter().map(|rule| Change::remove(StateKey::Acl(rule.clone())));
        self.put(changes.collect(), bindings).await?;
        Ok(gone.into_iter().collect())
    }

    async fn put(&self, changes: Vec<Change>, bindings: BTreeSet<Binding>) -> Result<(), Refusal> {
        if changes.is_empty() {
            return Ok(());
        }
        let failed = |error: NotWritten| (ResponseError::KafkaStorageError.code(), error.to_string());
        self.state.put(changes).await.map_err(failed)?;
        self.rules.store(Arc::new(Rules::new(bindings)));
        Ok(())
    }

    fn is_above(&self, principal: &Principal) -> bool {
        !self.enabled || principal.is_own() || self.super_users.iter().any(|user| user == principal.as_str())
    }
}

/// All rules, and where those about a resource stand.
#[derive(Debug, Default)]
pub(crate) struct Rules {
    bindings: BTreeSet<Binding>,
    kinds: HashMap<Kind, KindRules>,
}

/// The rules about one kind of resource.
#[derive(Debug, Default)]
struct KindRules {
    literal: HashMap<String, Vec<Rule>>,
    prefixed: HashMap<String, Vec<Rule>>,
    /// The lengths that prefixes have, so that only those are looked up.
    prefix_lengths: BTreeSet<usize>,
}

/// A rule apart from the resources that it names.
#[derive(Debug)]
struct Rule {
    principal: String,
    host: Host,
    operation: Operation,
    permission: Permission,
}

#[derive(Debug)]
enum Host {
    Any,
    One(IpAddr),
    /// A name, which Kafka takes as well: nobody comes from it.
    Never,
}

impl Rule {
    fn of(binding: &Binding) -> Self {
        let one = || binding.host.parse().map_or(Host::Never, Host::One);
        Self {
            principal: binding.principal.clone(),
            host: if binding.host == ANYTHING { Host::Any } else { one() },
            operation: binding.operation,
            permission: binding.permission,
        }
    }

    fn is_about(&self, principal: &Principal, host: IpAddr) -> bool {
        let here = match self.host {
            Host::Any => true,
            Host::One(one) => one == host,
            Host::Never => false,
        };
        here && (self.principal == EVERYBODY || self.principal == principal.as_str())
    }

    fn denies(&self, operation: Operation) -> bool {
        self.permission == Permission::Deny && self.operation.covers(operation)
    }

    fn allows(&self, operation: Operation) -> bool {
        self.permission == Permission::Allow && self.operation.implies(operation)
    }
}

impl Rules {
    pub(crate) fn new(bindings: BTreeSet<Binding>) -> Self {
        let mut kinds: HashMap<Kind, KindRules> = HashMap::new();
        for binding in &bindings {
            let rules = kinds.entry(binding.kind).or_default();
            let named = match binding.pattern {
                Pattern::Literal => &mut rules.literal,
                Pattern::Prefixed => {
                    rules.prefix_lengths.insert(binding.name.len());
                    &mut rules.prefixed
                }
            };
            named.entry(binding.name.clone()).or_default().push(Rule::of(binding));
        }
        Self { bindings, kinds }
    }

    /// All of them, in order.
    pub(crate) const fn bindings(&self) -> &BTreeSet<Binding> {
        &self.bindings
    }

    /// Deny by default; what any rule denies no other allows.
    fn allow(&self, principal: &Principal, host: IpAddr, operation: Operation, on: Resource<'_>) -> bool {
        let Some(rules) = self.kinds.get(&on.kind()) else { return false };
        let mut allowed = false;
        for rule in rules.about(on.name()).filter(|rule| rule.is_about(principal, host)) {
            if rule.denies(operation) {
                return false;
            }
            allowed |= rule.allows(operation);
        }
        allowed
    }

    /// Whether some rule allows it for names that no other rule denies altogether.
    fn allow_any(&self, principal: &Principal, host: IpAddr, operation: Operation, kind: Kind) -> bool {
        let Some(rules) = self.kinds.get(&kind) else { return false };
        let denied = |rule: &Rule| rule.is_about(principal, host) && rule.denies(operation);
        let allowed =
            |rules: &[Rule]| rules.iter().any(|rule| rule.is_about(principal, host) && rule.allows(operation));
        if rules.literal.get(ANYTHING).is_some_and(|rules| rules.iter().any(denied)) {
            return false;
        }
        let literal = rules.literal.iter().filter(|(_, of)| allowed(of)).any(|(name, _)| {
            // "Everything" is more than the prefixes that are denied.
            name == ANYTHING || !rules.about(name).any(denied)
        });
        literal
            || rules.prefixed.iter().filter(|(_, of)| allowed(of)).any(|(name, _)| !rules.prefixes(name).any(denied))
    }
}

impl KindRules {
    /// The rules whose names include `name`.
    fn about<'r>(&'r self, name: &'r str) -> impl Iterator<Item = &'r Rule> {
        let literal = [self.literal.get(name), self.literal.get(ANYTHING)];
        literal.into_iter().flatten().flatten().chain(self.prefixes(name))
    }

    fn prefixes<'r>(&'r self, name: &'r str) -> impl Iterator<Item = &'r Rule> {
        let lengths = self.prefix_lengths.iter().take_while(|length| **length <= name.len());
        lengths.filter_map(|length| self.prefixed.get(name.get(..*length)?)).flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn any_of<T: Copy + std::fmt::Debug + 'static>(all: &'static [T]) -> impl Strategy<Value = T> {
        proptest::sample::select(all)
    }

    fn binding() -> impl Strategy<Value = Binding> {
        let names = any_of(&["*", "a", "ab", "abc", "b"]);
        let principals = any_of(&["User:*", "User:one", "User:two"]);
        let hosts = any_of(&["*", "10.0.0.1", "::1", "somewhere"]);
        let rest = (any_of(Operation::ALL), any_of(Permission::ALL), any_of(Kind::ALL), any_of(Pattern::ALL));
        (names, principals, hosts, rest).prop_map(|(name, principal, host, (operation, permission, kind, pattern))| {
            let (name, principal, host) = (name.to_owned(), principal.to_owned(), host.to_owned());
            Binding { kind, pattern, name, principal, host, operation, permission }
        })
    }

    impl Binding {
        /// Whether the resources that it names include `name`.
        fn names(&self, name: &str) -> bool {
            match self.pattern {
                Pattern::Literal => self.name == name || self.name == ANYTHING,
                Pattern::Prefixed => name.starts_with(&self.name),
            }
        }

        /// Whether it is about this client.
        fn is_about(&self, principal: &Principal, host: IpAddr) -> bool {
            (self.principal == principal.as_str() || self.principal == EVERYBODY)
                && (self.host == ANYTHING || self.host.parse() == Ok(host))
        }
    }

    /// The rule as it is told to people.
    fn naive(rules: &[Binding], principal: &Principal, host: IpAddr, asked: Operation, on: Resource<'_>) -> bool {
        let about: Vec<_> = rules
            .iter()
            .filter(|rule| rule.kind == on.kind() && rule.names(on.name()) && rule.is_about(principal, host))
            .collect();
        let mut looks = vec![asked, Operation::All];
        match asked {
            Operation::Describe => {
                looks.extend([Operation::Read, Operation::Write, Operation::Delete, Operation::Alter]);
            }
            Operation::DescribeConfigs => looks.push(Operation::AlterConfigs),
            _ => {}
        }
        let denied = about
            .iter()
            .any(|rule| rule.permission == Permission::Deny && [asked, Operation::All].contains(&rule.operation));
        !denied && about.iter().any(|rule| rule.permission == Permission::Allow && looks.contains(&rule.operation))
    }

    proptest! {
        #[test]
        fn the_index_says_what_the_rules_say(
            rules in proptest::collection::vec(binding(), 0..12),
            name in any_of(&["a", "ab", "abc", "abcd", "b", "ä", ""]),
            user in any_of(&["one", "two", "three"]),
            host in any_of(&["10.0.0.1", "10.0.0.2", "::1"]),
            operation in any_of(Operation::ALL),
        ) {
            let index = Rules::new(rules.iter().cloned().collect());
            let (principal, host) = (Principal::user(user), host.parse().unwrap());
            for on in [Resource::Topic(name), Resource::Group(name), Resource::TransactionalId(name), Resource::Cluster] {
                prop_assert_eq!(
                    index.allow(&principal, host, operation, on), naive(&rules, &principal, host, operation, on)
                );
            }
        }

        #[test]
        fn any_resource_means_that_one_can_be_found(
            rules in proptest::collection::vec(binding(), 0..12), user in any_of(&["one", "two"]),
        ) {
            let index = Rules::new(rules.iter().cloned().collect());
            let (principal, host) = (Principal::user(user), "10.0.0.1".parse().unwrap());
            let may = |name: &str| naive(&rules, &principal, host, Operation::Write, Resource::Topic(name));
            // Every name that tells the rules apart, and one beyond each.
            let names = ["a", "ab", "abc", "abcd", "b", "bz", "az", "abz", "abcz", "z"];
            let found = names.iter().any(|name| may(name));
            let any = index.allow_any(&principal, host, Operation::Write, Kind::Topic);
            // A prefix may be allowed where all that could be named below it is denied one by one.
            prop_assert!(!found || any, "{:?}", rules);
        }
    }

    #[test]
    fn nobody_may_anything_until_a_rule_says_so_and_super_users_may_all() {
        let folder = tempfile::tempdir().unwrap();
        let (state, _) = StateFile::open(&folder.path().join("state")).unwrap();
        let config = AclConfig { enabled: true, super_users: vec!["User:root".to_owned()] };
        let authorizer = Authorizer::new(&config, BTreeSet::new(), state.clone());
        let host = "127.0.0.1".parse().unwrap();
        let may = |user: &str| authorizer.allows(&Principal::user(user), host, Operation::Read, Resource::Topic("t"));
        assert!(may("root") && !may("Root") && !may("ANONYMOUS"));
        let off = Authorizer::new(&AclConfig::default(), BTreeSet::new(), state);
        assert!(off.allows(&Principal::anonymous(), host, Operation::Read, Resource::Topic("t")));
    }
}
