//! The messages, written by hand so that the example builds without `protoc`:
//!
//! ```proto
//! syntax = "proto3";
//! package example;
//!
//! service Greeter {
//!   rpc Hello (HelloRequest) returns (HelloReply);
//!   rpc HelloAll (stream HelloRequest) returns (HelloReply);
//! }
//! service Orders {
//!   rpc List (ListRequest) returns (ListReply);
//! }
//! message HelloRequest { string name = 1; }
//! message HelloReply { string text = 1; }
//! message ListRequest {}
//! message ListReply { repeated string orders = 1; }
//! ```

use prost::Message;

/// The paths of the methods.
pub mod path {
    /// `example.Greeter.Hello`
    pub const HELLO: &str = "/example.Greeter/Hello";
    /// `example.Greeter.HelloAll`
    pub const HELLO_ALL: &str = "/example.Greeter/HelloAll";
    /// `example.Orders.List`
    pub const LIST: &str = "/example.Orders/List";
}

/// Whom to greet.
#[derive(Clone, Eq, Hash, Message, PartialEq)]
pub struct HelloRequest {
    /// The name.
    #[prost(string, tag = "1")]
    pub name: String,
}

/// The greeting.
#[derive(Clone, Eq, Hash, Message, PartialEq)]
pub struct HelloReply {
    /// The text.
    #[prost(string, tag = "1")]
    pub text: String,
}

/// Asks for the caller's orders.
#[derive(Clone, Copy, Eq, Hash, Message, PartialEq)]
pub struct ListRequest {}

/// The caller's orders.
#[derive(Clone, Eq, Hash, Message, PartialEq)]
pub struct ListReply {
    /// One line each.
    #[prost(string, repeated, tag = "1")]
    pub orders: Vec<String>,
}
