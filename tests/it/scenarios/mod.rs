//! One list of scenarios, asked of axum, hyper and tonic alike.
//!
//! Each test sets up one stack of layers, serves it under all three, and holds every row of its table against each of
//! them: as plain HTTP/1.0, HTTP/1.1 and HTTP/2, and as a gRPC call.

mod answers;
mod credentials;
mod outcome;
mod policies;
mod row;
mod servers;
mod tokens;
mod trust;
