//! The Elasticsearch REST API over the store. Handlers read a request, ask the store, show the answer; what they can't
//! do they refuse by name, and nothing here writes to the store: documents go to the bus.

mod aliases;
mod analyze;
mod answer;
pub(crate) mod body;
mod bulk;
mod cat;
mod choice;
mod cluster;
mod contexts;
mod data_streams;
mod delete_by_query;
mod document;
mod field_caps;
mod forcemerge;
mod human;
mod identity;
mod ilm;
mod indices;
mod ingest;
mod lanes;
mod mapping;
mod media;
mod named;
mod node;
mod nodes;
mod params;
mod refused;
mod search;
mod settings;
mod shape;
mod snapshot;
mod stats;
mod tasks;
mod templates;
mod upkeep;
mod work;

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::routing::{delete, get, post, put};
use logmill_bus_client::Connection;
use logmill_core::StatusBoard;
use logmill_core::telemetry::Metrics;
use tower_http::compression::CompressionLayer;
use tower_http::decompression::RequestDecompressionLayer;

use self::answer::Answer;
use crate::access::Logins;
use crate::access::guard::{self, Guard};
use crate::config::{Config, Identity};
use crate::query::error::EsError;
use crate::store::names::Expand;
use crate::store::{IndexFacts, Store};

/// A time that no event has, for requests that want the types of indexes and no documents.
const NO_PARTS: std::ops::RangeInclusive<i64> = i64::MAX..=i64::MAX;

/// What the handlers work on.
#[derive(Clone)]
pub(crate) struct AppState {
    pub(crate) store: Arc<Store>,
    pub(crate) bus: Connection,
    pub(crate) config: Arc<Config>,
    pub(crate) metrics: Metrics,
    pub(crate) board: Arc<StatusBoard>,
    /// Everybody who may come in; nobody is asked where there is none.
    pub(crate) logins: Option<Arc<Logins>>,
}

/// What every handler is given.
#[derive(Clone)]
struct Api(Arc<Shared>);

struct Shared {
    store: Arc<Store>,
    bus: Connection,
    config: Arc<Config>,
    board: Arc<StatusBoard>,
    identity: Identity,
    /// Who asks must say who they are.
    is_login_needed: bool,
    writer: bulk::Writer,
    bodies: body::Room,
    searches: work::Searches,
    tasks: Arc<tasks::Tasks>,
    contexts: contexts::Contexts,
    async_searches: search::async_search::AsyncSearches,
}

impl std::ops::Deref for Api {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.0
    }
}

/// The routes of the API, `/metrics` and `/healthz`.
pub(crate) fn routes(state: AppState) -> Router {
    let admin = logmill_core::telemetry::admin_routes(vec![state.board.clone()], state.metrics);
    let identity = state.config.identity;
    let guard = state.logins.map(Guard::new);
    let api = Api(Arc::new(Shared {
        store: state.store,
        board: state.board,
        identity,
        is_login_needed: guard.is_some(),
        writer: bulk::Writer::new(state.bus.clone(), state.config.topic.clone()),
        bus: state.bus,
        config: state.config,
        bodies: body::Room::new(),
        searches: work::Searches::new(),
        tasks: Arc::default(),
        contexts: contexts::Contexts::default(),
        async_searches: search::async_search::AsyncSearches::default(),
    }));
    tokio::spawn(sweep(Arc::downgrade(&api.0)));
    let served = searching()
        .merge(writing())
        .merge(managing())
        .merge(cluster::routes())
        .merge(nodes::routes())
        .merge(stats::routes())
        .merge(cat::routes())
        .merge(analyze::routes())
        .merge(ingest::routes())
        .merge(describing())
        .merge(templating())
        .merge(refused::routes())
        .fallback(refused::no_handler)
        .method_not_allowed_fallback(refused::no_method)
        .with_state(api)
        // Bodies are bounded where they are read: by what they are, and by what all together take.
        .layer(DefaultBodyLimit::disable());
    let served = guarded(served, guard.as_ref())
        .layer(axum::middleware::from_fn_with_state(identity, shape::shape))
        .layer(RequestDecompressionLayer::new().gzip(true).zstd(true).pass_through_unaccepted(true))
        .layer(CompressionLayer::new().gzip(true).zstd(true))
        .layer(axum::middleware::map_request(shape::plain_head));
    guarded(admin, guard.as_ref()).merge(served)
}

/// Asks who comes, where anybody is asked.
pub(crate) fn guarded(routes: Router, guard: Option<&Guard>) -> Router {
    match guard {
        Some(guard) => routes.layer(axum::middleware::from_fn_with_state(guard.clone(), guard::check)),
        None => routes,
    }
}

/// What is kept for clients is looked through this often.
const SWEEP_EVERY: std::time::Duration = std::time::Duration::from_secs(5);

/// Drops scrolls, points in time and answers that nobody came back for.
async fn sweep(api: std::sync::Weak<Shared>) {
    loop {
        tokio::time::sleep(SWEEP_EVERY).await;
        let Some(api) = api.upgrade() else { return };
        api.async_searches.sweep();
        if let Ok(everything) = api.store.view("_all", None) {
            api.contexts.sweep(&everything, api.store.is_room_held_back());
        }
    }
}

fn searching() -> Router<Api> {
    use search::{async_search, count, explain, msearch, pit, scroll, terms_enum, validate};
    Router::new()
        .route("/_search", get(search::search).post(search::search))
        .route("/{index}/_search", get(search::search).post(search::search))
        .route("/_count", get(count::count).post(count::count))
        .route("/{index}/_count", get(count::count).post(count::count))
        .route("/_msearch", get(msearch::msearch).post(msearch::msearch))
        .route("/{index}/_msearch", get(msearch::msearch).post(msearch::msearch))
        .route("/_validate/query", get(validate::validate).post(validate::validate))
        .route("/{index}/_validate/query", get(validate::validate).post(validate::validate))
        .route("/{index}/_explain/{id}", get(explain::explain).post(explain::explain))
        .route("/{index}/_terms_enum", get(terms_enum::terms_enum).post(terms_enum::terms_enum))
        .route("/_search/scroll", get(scroll::next).post(scroll::next).delete(scroll::clear))
        .route("/_search/scroll/{id}", get(scroll::next).post(scroll::next).delete(scroll::clear))
        .route("/_pit", delete(pit::close))
        .route("/{index}/_pit", post(pit::open))
        .route("/_search/point_in_time", delete(pit::close_there))
        .route("/_search/point_in_time/_all", get(pit::list_there).delete(pit::close_all_there))
        .route("/{index}/_search/point_in_time", post(pit::open_there))
        .route("/_async_search", post(async_search::submit))
        .route("/{index}/_async_search", post(async_search::submit))
        .route("/_async_search/{id}", get(async_search::get).delete(async_search::delete))
        .route("/_async_search/status/{id}", get(async_search::status))
        .route("/_tasks", get(tasks::list))
        .route("/_tasks/_cancel", post(tasks::cancel))
}

fn writing() -> Router<Api> {
    Router::new()
        .route("/_bulk", post(bulk::bulk_all).put(bulk::bulk_all))
        .route("/{index}/_bulk", post(bulk::bulk).put(bulk::bulk))
        .route("/{index}/_doc", post(document::add))
        .route("/{index}/_doc/{id}", get(document::get).put(document::put).post(document::put).delete(document::delete))
        .route("/{index}/_update/{id}", post(document::update))
        .route("/{index}/_create/{id}", put(document::create).post(document::create))
        .route("/{index}/_source/{id}", get(document::source))
        .route("/{index}/_delete_by_query", post(delete_by_query::delete_by_query))
        .route("/_tasks/{id}", get(tasks::show))
        .route("/_tasks/{id}/_cancel", post(tasks::cancel))
        .route("/_mget", get(document::mget).post(document::mget))
        .route("/{index}/_mget", get(document::mget).post(document::mget))
}

/// What was said about indexes.
fn describing() -> Router<Api> {
    let aliases = || get(aliases::of_index_by_name).put(aliases::put).post(aliases::put).delete(aliases::delete);
    let mapping = || get(mapping::of_index).put(mapping::put).post(mapping::put);
    Router::new()
        .route("/_mapping", get(mapping::of_index))
        .route("/_mappings", get(mapping::of_index))
        .route("/{index}/_mapping", mapping())
        .route("/{index}/_mappings", mapping())
        .route("/{index}/_mapping/field/{fields}", get(mapping::of_fields))
        .route("/_field_caps", get(field_caps::of_index).post(field_caps::of_index))
        .route("/{index}/_field_caps", get(field_caps::of_index).post(field_caps::of_index))
        .route("/_alias", get(aliases::all))
        .route("/_aliases", get(aliases::all).post(aliases::change))
        .route("/_alias/{name}", get(aliases::by_name))
        .route("/{index}/_alias", get(aliases::of_index))
        .route("/{index}/_alias/{name}", aliases())
        .route("/{index}/_aliases/{name}", aliases())
        .route("/_settings", get(settings::of_all).put(settings::put))
        .route("/{index}/_settings", get(settings::of_index).put(settings::put))
        .route("/{index}/_settings/{name}", get(settings::of_index_by_name))
        .route("/_data_stream", get(data_streams::get_all))
        .route("/_data_stream/{name}", get(data_streams::get).put(data_streams::create).delete(data_streams::delete))
        .route("/_data_stream/_stats", get(data_streams::stats_all))
        .route("/_data_stream/{name}/_stats", get(data_streams::stats))
        .route(
            "/_data_stream/{name}/_lifecycle",
            get(data_streams::get_lifecycle).put(data_streams::put_lifecycle).delete(data_streams::delete_lifecycle),
        )
        .route("/{index}/_rollover", post(data_streams::rollover))
        .route("/{index}/_ilm/explain", get(ilm::explain))
        .route("/{index}/_ilm/remove", post(ilm::remove))
}

/// What is said about indexes that are yet to come.
fn templating() -> Router<Api> {
    Router::new()
        .merge(templates::routes())
        .route("/_ilm/policy", get(ilm::get_all))
        .route("/_ilm/policy/{name}", get(ilm::get).put(ilm::put).delete(ilm::delete))
        .route("/_ilm/status", get(ilm::status))
}

/// Does what changes the manifest on a thread that may block.
async fn changing<T: Send + 'static>(
    api: &Api,
    change: impl FnOnce(&Store) -> Result<T, EsError> + Send + 'static,
) -> Result<T, EsError> {
    let store = api.store.clone();
    let done = tokio::task::spawn_blocking(move || change(&store)).await;
    done.map_err(|_| EsError::internal("the change failed; the log of the program says why"))?
}

/// What is known of the indexes that an address names; wildcards stand for what the address says, or for `expand`.
fn chosen_facts(
    api: &Api,
    index: &str,
    expand: Expand,
    params: &mut params::Params,
) -> Result<Vec<IndexFacts>, EsError> {
    let (absent, expand) = (choice::Absent::read(params)?, params.expand(expand)?);
    absent.choose(index, |expression| api.store.facts_expanding(expression, expand), Vec::is_empty)
}

fn managing() -> Router<Api> {
    Router::new()
        .route("/", get(identity::info))
        .route("/_license", get(identity::get_license))
        .route("/_xpack", get(identity::xpack))
        .route("/_snapshot", get(snapshot::repositories))
        .route(
            "/_snapshot/{repository}",
            get(snapshot::repositories).put(snapshot::register).post(snapshot::register).delete(snapshot::unregister),
        )
        .route(
            "/_snapshot/{repository}/{snapshot}",
            get(snapshot::show).put(snapshot::create).post(snapshot::create).delete(snapshot::delete),
        )
        .route("/_snapshot/{repository}/{snapshot}/_status", get(snapshot::status))
        .route("/_snapshot/{repository}/{snapshot}/_restore", post(snapshot::restore))
        .route("/_logmill/store", get(upkeep::store))
        .route("/_logmill/store/{index}", get(upkeep::store))
        .route("/_logmill/verify", post(upkeep::verify))
        .route("/_logmill/verify/{index}", post(upkeep::verify))
        .route("/_logmill/repair", post(upkeep::repair))
        .route("/_forcemerge", post(forcemerge::force_merge))
        .route("/{index}/_forcemerge", post(forcemerge::force_merge))
        .route("/_refresh", get(indices::refresh).post(indices::refresh))
        .route("/{index}/_refresh", get(indices::refresh).post(indices::refresh))
        .route("/_resolve/index/{index}", get(indices::resolve))
        .route("/{index}", get(indices::describe).put(indices::create).delete(indices::delete))
}

#[cfg(test)]
mod tests;
