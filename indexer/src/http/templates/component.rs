//! `_component_template`: parts that index templates are composed of.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::super::params::Params;
use super::family::Family;
use super::said::{read_body, shown_body};
use crate::query::error::EsError;
use crate::query::strict::Members;
use crate::store::catalog::Catalog;
use crate::store::directory::{ComponentTemplate, Directory};
use crate::store::order::Order;

pub(super) struct Component;

impl Family for Component {
    type Template = ComponentTemplate;

    const PATH: &'static str = "/_component_template";
    const KIND: &'static str = "component template";

    fn of(directory: &Directory) -> &BTreeMap<String, ComponentTemplate> {
        &directory.component_templates
    }

    fn of_mut(directory: &mut Directory) -> &mut BTreeMap<String, ComponentTemplate> {
        &mut directory.component_templates
    }

    fn read(body: Value, _: &mut Params) -> Result<ComponentTemplate, EsError> {
        let mut members = Members::new(body, "[component_template]")?;
        let mut inner = Members::new(members.required("template")?, "[template]")?;
        let template = read_body(&mut inner)?;
        inner.ignore(&["data_stream_options"]);
        inner.end()?;
        let component = ComponentTemplate { template, version: members.whole("version")?, meta: members.take("_meta") };
        members.ignore(&["deprecated", "allow_auto_create"]);
        members.end()?;
        Ok(component)
    }

    fn show(found: Vec<(&String, &ComponentTemplate)>) -> Value {
        let one = |(name, component): (&String, &ComponentTemplate)| {
            let mut shown = json!({ "template": shown_body(&component.template) });
            if let Some(map) = shown.as_object_mut() {
                map.extend(component.version.map(|version| ("version".to_owned(), version.into())));
                map.extend(component.meta.clone().map(|meta| ("_meta".to_owned(), meta)));
            }
            json!({ "name": name, "component_template": shown })
        };
        json!({ "component_templates": found.into_iter().map(one).collect::<Vec<_>>() })
    }

    /// Whatever is composed of it must still come to something.
    fn check_put(directory: &Directory, name: &str) -> Result<(), EsError> {
        for user in directory.users_of(name) {
            if let Some(template) = directory.index_templates.get(user) {
                Order::of(&directory.composed(template)?.settings)?;
            }
        }
        Ok(())
    }

    fn check_delete(directory: &Directory, _: &Catalog, name: &str) -> Result<(), EsError> {
        let users = directory.users_of(name);
        if users.is_empty() {
            return Ok(());
        }
        Err(EsError::argument(format!(
            "component templates [{name}] cannot be removed as they are still in use by index templates [{}]",
            users.join(", ")
        )))
    }
}
