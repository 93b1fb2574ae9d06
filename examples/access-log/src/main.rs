//! Runs the service beside a test issuer, and says how to call it.

use axum_bearer::{Connect, Issuer};
use bearer_testing::TestIssuer;
use metrics_exporter_prometheus::PrometheusBuilder;
use std::error::Error;
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    tracing_subscriber::fmt().json().flatten_event(true).init();
    let metrics = PrometheusBuilder::new().install_recorder()?;
    let issuer = TestIssuer::start().await;
    let trusted = Issuer::new(issuer.issuer(), issuer.audience()).jwks_uri(issuer.jwks_uri());
    let app = access_log::service(trusted.connect().await?, metrics);
    let listener = TcpListener::bind("127.0.0.1:0").await?;

    let url = format!("http://{}", listener.local_addr()?);
    for (note, token) in [
        ("200", issuer.token().scope("orders:read").sign()),
        ("403", issuer.token().sign()),
        ("401", issuer.token().expired().sign()),
    ] {
        println!("# {note}\ncurl -i {url}/orders -H 'Authorization: Bearer {token}'\n");
    }
    println!("# what was counted\ncurl {url}/metrics\n\nCtrl-C ends.");
    tokio::select! {
        served = async { axum::serve(listener, app).await } => served?,
        pressed = tokio::signal::ctrl_c() => pressed?,
    }
    Ok(())
}
