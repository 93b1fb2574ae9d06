//! `example.Greeter`: what `tonic-prost-build` would generate, and the methods.

use crate::proto::{HelloReply, HelloRequest, path};
use std::{
    convert::Infallible,
    task::{Context, Poll},
};
use tonic::{
    Request, Response, Status, Streaming,
    body::Body,
    codegen::BoxFuture,
    server::{Grpc, NamedService},
};
use tonic_prost::ProstCodec;
use tower::{Service, service_fn};
use tower_bearer::{
    Refusal, Verified,
    policy::{Policy, scope},
};

/// Greets every caller whose token is good, and several at a time for those with the scope `greet:many`.
#[derive(Clone, Copy, Debug)]
pub struct Greeter;

async fn hello(request: Request<HelloRequest>) -> Result<Response<HelloReply>, Status> {
    let caller = caller(&request)?;
    let name = request.into_inner().name;
    Ok(Response::new(HelloReply { text: format!("{caller} says hello to {name}") }))
}

async fn hello_all(request: Request<Streaming<HelloRequest>>) -> Result<Response<HelloReply>, Status> {
    let caller = caller(&request)?;
    permitted(&scope("greet:many"), &request)?;
    let (mut requests, mut names) = (request.into_inner(), Vec::new());
    while let Some(request) = requests.message().await? {
        names.push(request.name);
    }
    Ok(Response::new(HelloReply { text: format!("{caller} says hello to {}", names.join(", ")) }))
}

/// What the gate proved lies in the extensions; without a gate around it the service is put together wrongly.
pub(crate) fn caller<T>(request: &Request<T>) -> Result<String, Status> {
    let verified = request.extensions().get::<Verified>().ok_or_else(|| Status::internal("no gate"))?;
    Ok(verified.subject().unwrap_or("somebody").to_owned())
}

/// What a single method asks for. A refusal is as the gate's are: its code, its words for the client, and the
/// challenge in the metadata.
fn permitted<T>(policy: &impl Policy, request: &Request<T>) -> Result<(), Status> {
    let verified = request.extensions().get::<Verified>().ok_or_else(|| Status::internal("no gate"))?;
    policy.check(verified).map_err(|error| {
        let answer = Refusal::new(error, request.extensions()).into_response::<()>();
        Status::from_header_map(answer.headers()).unwrap_or_else(|| Status::internal("no gate"))
    })
}

impl NamedService for Greeter {
    const NAME: &'static str = "example.Greeter";
}

impl Service<http::Request<Body>> for Greeter {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<Self::Response, Infallible>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        Box::pin(async move {
            Ok(match request.uri().path() {
                path::HELLO => Grpc::new(ProstCodec::default()).unary(service_fn(hello), request).await,
                path::HELLO_ALL => {
                    Grpc::new(ProstCodec::default()).client_streaming(service_fn(hello_all), request).await
                }
                _ => Status::unimplemented("no such method").into_http(),
            })
        })
    }
}
