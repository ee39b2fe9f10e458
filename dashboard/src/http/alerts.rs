//! `/api/alerts`: rules, their state, and the log of what they sent.

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use super::error::Body;
use super::{ApiError, App, Shared};
use crate::alert::{self, Delivery, Rule, RuleView};
use crate::auth::{Editor, Viewer};
use crate::database::now_ms;

/// `GET /api/alerts/rules`.
pub(super) async fn rules(State(app): State<Shared>, _: Viewer) -> Result<Json<Vec<RuleView>>, ApiError> {
    Ok(Json(app.db.read(alert::rules).await?))
}

/// `GET /api/alerts/rules/{id}`.
pub(super) async fn rule(
    State(app): State<Shared>,
    _: Viewer,
    Path(id): Path<i64>,
) -> Result<Json<RuleView>, ApiError> {
    app.db.read(move |db| alert::rule(db, id)).await?.map(Json).ok_or_else(|| no_rule(id))
}

/// `POST /api/alerts/rules`: the answer holds the secret, this once.
pub(super) async fn add(
    State(app): State<Shared>,
    _: Editor,
    Body(rule): Body<Rule>,
) -> Result<(StatusCode, Json<Value>), ApiError> {
    check(&app, &rule)?;
    let (rule, secret) = app.db.call(move |db| alert::add_rule(db, rule, now_ms())).await??;
    app.bells.rules_changed.notify_one();
    Ok((StatusCode::CREATED, Json(json!({ "rule": rule, "secret": secret }))))
}

/// `PUT /api/alerts/rules/{id}`: a secret that is left out stays.
pub(super) async fn replace(
    State(app): State<Shared>,
    _: Editor,
    Path(id): Path<i64>,
    Body(rule): Body<Rule>,
) -> Result<Json<RuleView>, ApiError> {
    check(&app, &rule)?;
    let replaced = app.db.call(move |db| alert::replace_rule(db, id, rule, now_ms())).await?;
    app.bells.rules_changed.notify_one();
    replaced.map(Json).ok_or_else(|| no_rule(id))
}

/// `DELETE /api/alerts/rules/{id}`.
pub(super) async fn delete(State(app): State<Shared>, _: Editor, Path(id): Path<i64>) -> Result<StatusCode, ApiError> {
    let deleted = app.db.call(move |db| alert::delete_rule(db, id)).await?;
    app.bells.rules_changed.notify_one();
    if deleted { Ok(StatusCode::NO_CONTENT) } else { Err(no_rule(id)) }
}

/// `POST /api/alerts/rules/{id}/test`: sends a trial message now and answers what came of it.
pub(super) async fn test(
    State(app): State<Shared>,
    _: Editor,
    Path(id): Path<i64>,
) -> Result<Json<Delivery>, ApiError> {
    let base_url = app.base_url.clone();
    let queued = app.db.call(move |db| alert::queue_test(db, id, &base_url, now_ms())).await?;
    send_now(&app, &queued.ok_or_else(|| no_rule(id))?).await
}

#[derive(Deserialize)]
pub(super) struct Asked {
    rule: Option<i64>,
}

/// `GET /api/alerts/deliveries`.
pub(super) async fn deliveries(
    State(app): State<Shared>,
    _: Viewer,
    Query(asked): Query<Asked>,
) -> Result<Json<Vec<Delivery>>, ApiError> {
    Ok(Json(app.db.read(move |db| alert::deliveries(db, asked.rule)).await?))
}

/// `POST /api/alerts/deliveries/{id}/resend`.
pub(super) async fn resend(
    State(app): State<Shared>,
    _: Editor,
    Path(id): Path<String>,
) -> Result<Json<Delivery>, ApiError> {
    let wanted = id.clone();
    if !app.db.call(move |db| alert::queue_again(db, &wanted, now_ms())).await? {
        return Err(ApiError::not_found("there is no such delivery"));
    }
    send_now(&app, &id).await
}

async fn send_now(app: &App, id: &str) -> Result<Json<Delivery>, ApiError> {
    let sent = alert::deliver_one(&app.db, &app.sender, &app.bells, &app.board, id).await?;
    sent.map(Json).ok_or_else(|| ApiError::not_found("there is no such delivery"))
}

fn check(app: &App, rule: &Rule) -> Result<(), ApiError> {
    Ok(rule.check(app.sender.allowed(), &app.config.index)?)
}

fn no_rule(id: i64) -> ApiError {
    ApiError::not_found(format!("there is no alert rule {id}"))
}
