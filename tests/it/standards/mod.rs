//! What the standards ask of a resource server, row by row: the number in a test's name is that of the rule.

mod algorithms;
mod challenges;
mod claims;
mod coverage;
mod grpc;
mod http;
mod jws;
mod request;
mod resource;
mod scope;
