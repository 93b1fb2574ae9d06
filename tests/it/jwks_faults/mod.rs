//! What a client of a JWKS endpoint meets in the wild, scenario by scenario, over real sockets: each test's name
//! starts with the scenario's number. `J` is what the endpoint does, `K` what is around it.
//!
//! The [schedule](bearer_jwks::Schedule) is scaled down to milliseconds. Where time itself is what is tested, the
//! proof is on paused time in `bearer-jwks` ([`coverage`] says which), and here stands its thin counterpart.

mod answers;
mod by_hand;
mod caching;
mod coverage;
mod discovery;
mod keys;
mod lifecycle;
mod misses;
mod odd_keys;
mod oversize;
mod rig;
mod rotation;
mod start;
mod steady;
mod tls;
mod transport;
