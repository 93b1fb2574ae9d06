//! The axum router that the layers stand in, without any.

use super::Row;
use crate::contender::{Open, Served};
use axum::{Router, body::Body, routing::get};

pub const ROW: Row = Row {
    name: "the router alone",
    package: Some("axum"),
    shape: "no layer",
    ours: false,
    note: "axum with a handler that does nothing: a part of every row that is a layer or an extractor.",
    build: |_, _| {
        Box::pin(async {
            let router = Router::new().route("/me", get(async || ())).with_state(());
            Ok(Box::new(Open(Served::<_, Body>::boxed(router))) as _)
        })
    },
};
