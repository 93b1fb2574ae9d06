//! How a browser keeps its session.

pub mod ssr;
