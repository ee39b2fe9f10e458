//! The table of templates, composable ones and the older ones alike.

use axum::extract::{RawPathParams, State};
use logmill_indexer_api::text::Wildcard;

use super::super::{Answer, Api};
use super::{Asked, Column, column};

const TEMPLATES: [Column; 5] = [
    column("name", "n", "name of the template"),
    column("index_patterns", "t", "which indexes it is for"),
    column("order", "o,p", "which of several counts"),
    column("version", "v", "its version, as it was told"),
    column("composed_of", "c", "component templates that it is made of"),
];

pub(super) async fn templates(State(api): State<Api>, named: RawPathParams, asked: Asked) -> Answer {
    let name = named.iter().find(|(param, _)| *param == "name").map_or("*", |(_, name)| name);
    let wanted: Vec<Wildcard> = name.split(',').map(Wildcard::new).collect();
    let is_wanted = |name: &str| wanted.iter().any(|pattern| pattern.matches(name));
    let list = |items: &[String]| format!("[{}]", items.join(", "));
    let number = |number: Option<i64>| number.map_or_else(String::new, |number| number.to_string());
    let directory = api.store.directory();
    let composable = directory.index_templates.iter().map(|(name, template)| {
        let order = number(template.priority.or(Some(0)));
        let (patterns, parts) = (list(&template.index_patterns), list(&template.composed_of));
        vec![name.clone(), patterns, order, number(template.version), parts]
    });
    let legacy = directory.legacy_templates.iter().map(|(name, template)| {
        let (patterns, order) = (list(&template.index_patterns), template.order.to_string());
        vec![name.clone(), patterns, order, number(template.version), String::new()]
    });
    let mut rows: Vec<Vec<String>> = composable.chain(legacy).collect();
    rows.retain(|row| row.first().is_some_and(|name| is_wanted(name)));
    rows.sort();
    asked.show(&TEMPLATES, rows)
}
