//! The API that the dashboard calls, and the count of refreshes beside it.

use crate::pages::About;
use axum::{Json, extract::State};
use axum_bearer::AuthUser;
use bearer_session::CurrentSession;
use serde_json::{Value, json};

/// Anything that needs a user. It also says with which of the session's tokens it was called: the first is 0.
/// Who brings a token of their own has no session.
pub(crate) async fn me(user: AuthUser, session: Option<CurrentSession>) -> Json<Value> {
    Json(json!({ "user": user.sub, "token": session.map(|session| session.generation()) }))
}

/// For everybody, since a number gives nobody away.
pub(crate) async fn refreshes(State(about): State<About>) -> Json<Value> {
    Json(json!({ "refreshes": about.refreshes.count() }))
}
