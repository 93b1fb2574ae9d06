//! A client of both services.

use crate::proto::{HelloReply, HelloRequest, ListReply, ListRequest, path};
use http::uri::PathAndQuery;
use tonic::{
    Request, Status, client::Grpc, codegen::tokio_stream::Stream, metadata::MetadataValue, transport::Channel,
};
use tonic_prost::ProstCodec;

/// Calls the services with one token, or without. Cheap to clone.
#[derive(Clone)]
pub struct Client {
    grpc: Grpc<Channel>,
    token: Option<String>,
}

impl Client {
    /// A client without a token.
    pub fn new(channel: Channel) -> Self {
        Self { grpc: Grpc::new(channel), token: None }
    }

    /// The same client with this token.
    #[must_use]
    pub fn token(&self, token: impl Into<String>) -> Self {
        Self { grpc: self.grpc.clone(), token: Some(token.into()) }
    }

    /// `example.Greeter.Hello`
    ///
    /// # Errors
    /// The status of the answer.
    pub async fn hello(&mut self, name: &str) -> Result<HelloReply, Status> {
        let request = self.request(HelloRequest { name: name.to_owned() })?;
        self.ready().await?;
        let path = PathAndQuery::from_static(path::HELLO);
        Ok(self.grpc.unary(request, path, ProstCodec::default()).await?.into_inner())
    }

    /// `example.Greeter.HelloAll`
    ///
    /// # Errors
    /// The status of the answer.
    pub async fn hello_all(
        &mut self,
        names: impl Stream<Item = HelloRequest> + Send + 'static,
    ) -> Result<HelloReply, Status> {
        let request = self.request(names)?;
        self.ready().await?;
        let path = PathAndQuery::from_static(path::HELLO_ALL);
        Ok(self.grpc.client_streaming(request, path, ProstCodec::default()).await?.into_inner())
    }

    /// `example.Orders.List`
    ///
    /// # Errors
    /// The status of the answer.
    pub async fn list(&mut self) -> Result<ListReply, Status> {
        let request = self.request(ListRequest {})?;
        self.ready().await?;
        let path = PathAndQuery::from_static(path::LIST);
        Ok(self.grpc.unary(request, path, ProstCodec::default()).await?.into_inner())
    }

    fn request<T>(&self, message: T) -> Result<Request<T>, Status> {
        let mut request = Request::new(message);
        if let Some(token) = &self.token {
            let value = MetadataValue::try_from(format!("Bearer {token}"));
            let value = value.map_err(|_| Status::invalid_argument("the token is no header value"))?;
            request.metadata_mut().insert("authorization", value);
        }
        Ok(request)
    }

    async fn ready(&mut self) -> Result<(), Status> {
        self.grpc.ready().await.map_err(|error| Status::unavailable(error.to_string()))
    }
}

/// Without the token.
impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").field("has_token", &self.token.is_some()).finish_non_exhaustive()
    }
}
