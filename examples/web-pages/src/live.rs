//! The WebSocket: `new WebSocket("/live", ["bearer", accessToken])`.

use crate::pages::name_of;
use axum::{
    extract::{
        WebSocketUpgrade,
        ws::{CloseFrame, Message, WebSocket, close_code::POLICY},
    },
    response::Response,
};
use axum_bearer::AuthUser;
use std::time::{Duration, SystemTime};
use tokio::time::timeout;

/// The longest message, in bytes.
const LIMIT: usize = 4096;

/// The gate has taken the token out of the subprotocols; `bearer` is left, and must be selected.
pub(crate) async fn open(user: AuthUser, upgrade: WebSocketUpgrade) -> Response {
    upgrade.max_message_size(LIMIT).protocols(["bearer"]).on_upgrade(async move |mut socket| {
        // The gate looked at the opening alone. A socket would go on for days: it ends when its token does.
        if timeout(time_left(&user), converse(&user, &mut socket)).await.is_err() {
            let over = CloseFrame { code: POLICY, reason: "the access token expired".into() };
            // Who has gone already need not be told.
            let _ = socket.send(Message::Close(Some(over))).await;
        }
    })
}

fn time_left(user: &AuthUser) -> Duration {
    let exp = user.verified().registered().exp;
    exp.and_then(|exp| exp.duration_since(SystemTime::now()).ok()).unwrap_or_default()
}

/// Repeats what it is told, until the other side has gone.
async fn converse(user: &AuthUser, socket: &mut WebSocket) {
    while let Some(Ok(message)) = socket.recv().await {
        let Message::Text(text) = message else { continue };
        let answer = format!("{}: {text}", name_of(user));
        if socket.send(Message::text(answer)).await.is_err() {
            break;
        }
    }
}
