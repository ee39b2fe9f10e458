//! `/api/saved`: searches that people keep.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;

use super::error::Body;
use super::{ApiError, Shared};
use crate::auth::{Editor, Viewer};
use crate::saved::{self, SavedSearch};

/// `GET`.
pub(super) async fn list(State(app): State<Shared>, _: Viewer) -> Result<Json<Vec<SavedSearch>>, ApiError> {
    Ok(Json(app.db.read(saved::list).await?))
}

/// `POST`.
pub(super) async fn save(
    State(app): State<Shared>,
    _: Editor,
    Body(search): Body<SavedSearch>,
) -> Result<Json<SavedSearch>, ApiError> {
    let name = search.name.trim().to_owned();
    if name.is_empty() || name.chars().count() > 200 {
        return Err(ApiError::bad_request("a saved search has a name of 1 to 200 characters"));
    }
    search.scope.selection.ast()?;
    let kept = app.db.call(move |db| saved::save(db, SavedSearch { name, ..search })).await?;
    kept.map(Json).ok_or_else(|| ApiError::bad_request("it can't be kept: it was deleted, or there are 1000 already"))
}

/// `DELETE`.
pub(super) async fn delete(State(app): State<Shared>, _: Editor, Path(id): Path<i64>) -> Result<StatusCode, ApiError> {
    match app.db.call(move |db| saved::delete(db, id)).await? {
        true => Ok(StatusCode::NO_CONTENT),
        false => Err(ApiError::not_found(format!("there is no saved search {id}"))),
    }
}
