//! The callers' side: good and bad tokens, as fast as they go.

use crate::{issuer::Tokens, report::Report};
use http::{Request, Response, header::AUTHORIZATION};
use std::{convert::Infallible, sync::Arc};
use tokio::{sync::watch, task::yield_now};
use tower::{Layer, ServiceExt, service_fn};
use tower_bearer::BearerLayer;

/// Sends every good token four times for each bad one, for ever.
pub(crate) async fn visit(layer: BearerLayer, tokens: watch::Receiver<Arc<Tokens>>, report: Arc<Report>) {
    let service = layer.layer(service_fn(async |_: Request<()>| Ok::<_, Infallible>(Response::new(()))));
    loop {
        let now = Arc::clone(&tokens.borrow());
        for bad in &now.bad {
            for good in now.good.iter().cycle().take(4) {
                report.good(service.clone().oneshot(request(good)).await);
            }
            report.bad(service.clone().oneshot(request(bad)).await);
            // All cores are busy with us; the refresher wants one now and then.
            yield_now().await;
        }
    }
}

fn request(token: &str) -> Request<()> {
    Request::builder()
        .header(AUTHORIZATION, format!("Bearer {token}"))
        .body(())
        .expect("a token is a header value")
}
