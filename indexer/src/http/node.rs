//! The one node that there is: what it is called, where it is reached, and how it is.

use logmill_indexer_api::text::Wildcard;

use super::Api;

/// The node's name and id.
pub(super) const NODE: &str = "logmill";
pub(super) const ROLES: [&str; 3] = ["data", "ingest", "master"];
/// How many nodes were asked, and how many answered.
pub(super) const ONE: Nodes = Nodes { total: 1, successful: 1, failed: 0 };

#[derive(serde::Serialize)]
pub(super) struct Nodes {
    total: u32,
    successful: u32,
    failed: u32,
}

/// Green once the bus is being read: there are no copies that could be missing.
pub(super) const fn color(is_ready: bool) -> &'static str {
    if is_ready { "green" } else { "yellow" }
}

/// Where the API is reached.
pub(super) fn address(api: &Api) -> String {
    api.board.snapshot().addresses.remove("http").unwrap_or_default()
}

/// Which of these names an expression means: `a,b*`, or all.
pub(super) fn means(expression: &str, name: &str) -> bool {
    expression.split(',').any(|item| matches!(item, "_all" | "") || Wildcard::new(item).matches(name))
}

/// Whether a list of nodes means this one.
pub(super) fn is_meant(nodes: &str) -> bool {
    let is_us = |node: &str| {
        matches!(node, "_all" | "_local" | "_master" | "master:true" | "data:true" | "ingest:true") || means(node, NODE)
    };
    nodes.split(',').map(str::trim).any(is_us)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_node_is_meant_by_many_names() {
        for meant in ["_all", "_local", "logmill", "other,log*", "master:true"] {
            assert!(is_meant(meant), "{meant}");
        }
        assert!(!is_meant("other") && !is_meant("data:false"));
    }
}
