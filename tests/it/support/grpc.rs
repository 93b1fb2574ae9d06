//! A gRPC service without generated code, and a client for it.

use axum::{
    body::Body,
    extract::Request,
    response::{IntoResponse, Response},
};
use prost::Message;
use std::{marker::PhantomData, net::SocketAddr};
use tonic::{
    Status,
    client::Grpc,
    codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder},
    metadata::{Ascii, MetadataValue},
    transport::Endpoint,
};
use tower_bearer::Verified;

/// A line of text.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Text {
    #[prost(string, tag = "1")]
    pub(crate) text: String,
}

/// Protocol Buffers by prost.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Prost<M>(PhantomData<M>);

impl<M> Default for Prost<M> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<M: Message + Default + 'static> Codec for Prost<M> {
    type Encode = M;
    type Decode = M;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self::default()
    }
    fn decoder(&mut self) -> Self {
        Self::default()
    }
}

impl<M: Message> Encoder for Prost<M> {
    type Item = M;
    type Error = Status;

    fn encode(&mut self, message: M, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        message.encode(buffer).map_err(|error| Status::internal(error.to_string()))
    }
}

impl<M: Message + Default> Decoder for Prost<M> {
    type Item = M;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<M>, Status> {
        M::decode(buffer).map(Some).map_err(|error| Status::internal(error.to_string()))
    }
}

/// A unary method that answers with the subject of the caller.
pub(crate) async fn whoami(request: Request) -> Response {
    let method = tower::service_fn(async |request: tonic::Request<Text>| {
        let subject = request.extensions().get::<Verified>().and_then(Verified::subject);
        Ok(tonic::Response::new(Text { text: subject.unwrap_or("nobody").to_owned() }))
    });
    tonic::server::Grpc::new(Prost::<Text>::default())
        .unary(method, request)
        .await
        .map(Body::new)
        .into_response()
}

/// Calls a unary method by tonic's own client, with these `authorization` entries.
pub(crate) async fn call(server: SocketAddr, path: &str, authorization: &[&str]) -> Result<String, Status> {
    let channel = Endpoint::from_shared(format!("http://{server}")).unwrap().connect().await.unwrap();
    let mut client = Grpc::new(channel);
    client.ready().await.unwrap();
    let mut request = tonic::Request::new(Text { text: "who am I?".to_owned() });
    for value in authorization {
        let value: MetadataValue<Ascii> = value.parse().unwrap();
        request.metadata_mut().append("authorization", value);
    }
    let response = client.unary(request, path.parse().unwrap(), Prost::<Text>::default()).await?;
    Ok(response.into_inner().text)
}
