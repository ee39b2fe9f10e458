//! Templates: `_index_template`, `_component_template`, `_template`, and what they would make of a name.

mod component;
mod family;
mod index;
mod legacy;
pub(super) mod said;

use axum::Router;
use axum::routing::post;

use super::Api;
use component::Component;
use family::{on_all, on_named};
use index::Index;
use legacy::Legacy;

pub(super) fn routes() -> Router<Api> {
    Router::new()
        .route("/_index_template", on_all::<Index>())
        .route("/_index_template/{name}", on_named::<Index>())
        .route("/_index_template/_simulate_index/{name}", post(index::simulate_index))
        .route("/_index_template/_simulate", post(index::simulate_new))
        .route("/_index_template/_simulate/{name}", post(index::simulate))
        .route("/_component_template", on_all::<Component>())
        .route("/_component_template/{name}", on_named::<Component>())
        .route("/_template", on_all::<Legacy>())
        .route("/_template/{name}", on_named::<Legacy>())
}
