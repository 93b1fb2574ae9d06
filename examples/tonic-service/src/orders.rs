//! `example.Orders`: what `tonic-prost-build` would generate, and the method.

use crate::{
    greeter::caller,
    proto::{ListReply, ListRequest, path},
};
use std::{
    convert::Infallible,
    task::{Context, Poll},
};
use tonic::{
    Request, Response, Status,
    body::Body,
    codegen::BoxFuture,
    server::{Grpc, NamedService},
};
use tonic_prost::ProstCodec;
use tower::{Service, service_fn};

/// Lists the orders of the caller. Who may call it is decided [around it](crate::serve).
#[derive(Clone, Copy, Debug)]
pub struct Orders;

async fn list(request: Request<ListRequest>) -> Result<Response<ListReply>, Status> {
    let caller = caller(&request)?;
    Ok(Response::new(ListReply { orders: vec![format!("a book for {caller}")] }))
}

impl NamedService for Orders {
    const NAME: &'static str = "example.Orders";
}

impl Service<http::Request<Body>> for Orders {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<Self::Response, Infallible>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        Box::pin(async move {
            Ok(match request.uri().path() {
                path::LIST => Grpc::new(ProstCodec::default()).unary(service_fn(list), request).await,
                _ => Status::unimplemented("no such method").into_http(),
            })
        })
    }
}
