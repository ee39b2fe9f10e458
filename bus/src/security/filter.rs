//! Which access rules an administrator means: in lists and removals.

use logmill_bus_protocol::messages::DescribeAclsRequest;
use logmill_bus_protocol::messages::delete_acls_request::DeleteAclsFilter;

use super::acl::{ANYTHING, Binding, Kind, Operation, Pattern, Permission};

/// The number of "any" in all of Kafka's lists.
const ANY: i8 = 1;
/// The pattern that means every rule about a resource, however the rule names it.
const MATCH: i8 = 2;

/// Every part that is `None` fits everything.
#[derive(Clone, Debug)]
pub(crate) struct Filter {
    kind: Option<Kind>,
    names: Names,
    name: Option<String>,
    principal: Option<String>,
    host: Option<String>,
    operation: Option<Operation>,
    permission: Option<Permission>,
}

#[derive(Clone, Copy, Debug)]
enum Names {
    /// The rule's own name, whatever its pattern.
    Any,
    /// Whatever names include this one.
    Match,
    /// The rule's own name, with this pattern.
    Of(Pattern),
}

impl Filter {
    /// `None` for numbers that stand for nothing here.
    pub(crate) fn new(asked: &DeleteAclsFilter) -> Option<Self> {
        let text = |text: &Option<logmill_bus_protocol::StrBytes>| text.as_ref().map(ToString::to_string);
        Some(Self {
            kind: part(asked.resource_type_filter, Kind::of)?,
            names: match asked.pattern_type_filter {
                ANY => Names::Any,
                MATCH => Names::Match,
                other => Names::Of(Pattern::of(other)?),
            },
            name: text(&asked.resource_name_filter),
            principal: text(&asked.principal_filter),
            host: text(&asked.host_filter),
            operation: part(asked.operation, Operation::of)?,
            permission: part(asked.permission_type, Permission::of)?,
        })
    }

    /// The same from a list request.
    pub(crate) fn of_list(asked: DescribeAclsRequest) -> Option<Self> {
        let same = DeleteAclsFilter::default()
            .with_resource_type_filter(asked.resource_type_filter)
            .with_resource_name_filter(asked.resource_name_filter)
            .with_pattern_type_filter(asked.pattern_type_filter)
            .with_principal_filter(asked.principal_filter)
            .with_host_filter(asked.host_filter)
            .with_operation(asked.operation)
            .with_permission_type(asked.permission_type);
        Self::new(&same)
    }

    /// Whether it means this rule.
    pub(crate) fn fits(&self, rule: &Binding) -> bool {
        fn same<T: PartialEq>(wanted: Option<&T>, is: &T) -> bool {
            wanted.is_none_or(|wanted| wanted == is)
        }
        same(self.kind.as_ref(), &rule.kind)
            && self.fits_name(rule)
            && same(self.principal.as_ref(), &rule.principal)
            && same(self.host.as_ref(), &rule.host)
            && same(self.operation.as_ref(), &rule.operation)
            && same(self.permission.as_ref(), &rule.permission)
    }

    fn fits_name(&self, rule: &Binding) -> bool {
        if let Names::Of(pattern) = self.names
            && pattern != rule.pattern
        {
            return false;
        }
        let Some(name) = &self.name else { return true };
        match (self.names, rule.pattern) {
            (Names::Match, Pattern::Literal) => rule.name == *name || rule.name == ANYTHING,
            (Names::Match, Pattern::Prefixed) => name.starts_with(&rule.name),
            (Names::Any | Names::Of(_), _) => rule.name == *name,
        }
    }
}

/// "Any" is `Some(None)`, a number that is not known is `None`.
fn part<T>(code: i8, of: impl Fn(i8) -> Option<T>) -> Option<Option<T>> {
    if code == ANY { Some(None) } else { of(code).map(Some) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(pattern: Pattern, name: &str) -> Binding {
        Binding {
            kind: Kind::Topic,
            pattern,
            name: name.to_owned(),
            principal: "User:one".to_owned(),
            host: "*".to_owned(),
            operation: Operation::Read,
            permission: Permission::Allow,
        }
    }

    fn filter(pattern: i8, name: Option<&'static str>) -> Filter {
        let asked = DeleteAclsFilter::default()
            .with_resource_type_filter(ANY)
            .with_resource_name_filter(name.map(Into::into))
            .with_pattern_type_filter(pattern)
            .with_principal_filter(None)
            .with_host_filter(None)
            .with_operation(ANY)
            .with_permission_type(ANY);
        Filter::new(&asked).unwrap()
    }

    #[test]
    fn names_fit_as_kafka_means_them() {
        let rules = [
            rule(Pattern::Literal, "logs"),
            rule(Pattern::Literal, "*"),
            rule(Pattern::Prefixed, "lo"),
            rule(Pattern::Prefixed, "logs"),
        ];
        let fitting = |filter: Filter| rules.iter().map(|rule| filter.fits(rule)).collect::<Vec<_>>();
        assert_eq!(fitting(filter(ANY, None)), [true, true, true, true]);
        assert_eq!(fitting(filter(ANY, Some("logs"))), [true, false, false, true]);
        assert_eq!(fitting(filter(MATCH, Some("logs"))), [true, true, true, true]);
        assert_eq!(fitting(filter(MATCH, Some("loki"))), [false, true, true, false]);
        assert_eq!(fitting(filter(Pattern::Literal.code(), Some("*"))), [false, true, false, false]);
        assert_eq!(fitting(filter(Pattern::Prefixed.code(), None)), [false, false, true, true]);
    }

    #[test]
    fn unknown_numbers_are_no_filter() {
        assert!(Filter::new(&DeleteAclsFilter::default()).is_none());
    }
}
