//! The part to copy: what becomes of each decision of the gate.

use axum_bearer::{Accepted, Observe, Refused};

/// Writes a line for each decision, and counts it.
#[derive(Clone, Copy, Debug)]
pub struct AccessLog;

impl Observe for AccessLog {
    fn accepted(&self, request: &Accepted<'_>) {
        let caller = request.verified();
        let issuer = caller.registered().iss.clone().unwrap_or_default();
        metrics::counter!("auth_decisions_total", "outcome" => "accepted", "issuer" => issuer).increment(1);
        // The subject is personal data in many places: this is where to hash it, or to leave it out.
        tracing::info!(
            target: "access",
            { http.request.method = %request.method(),
            url.path = request.path(),
            user.id = caller.subject(),
            client.id = caller.registered().client_id.as_deref() },
            "accepted"
        );
    }

    fn refused(&self, request: &Refused<'_>) {
        let error = request.error();
        // Both are of a fixed set: nothing that a stranger sends becomes a label.
        let reason = error.reason().name();
        let issuer = error.issuer().unwrap_or("none").to_owned();
        metrics::counter!("auth_decisions_total", "outcome" => error.kind().name(), "reason" => reason, "issuer" => issuer)
            .increment(1);
        tracing::info!(
            target: "access",
            { http.request.method = %request.method(),
            url.path = request.path(),
            user.id = request.verified().and_then(|caller| caller.subject()),
            error.type = error.kind().name(),
            reason },
            "refused"
        );
    }
}
