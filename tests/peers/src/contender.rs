//! What every row can do, whatever the shape of the crate behind it: answer requests, observed.

use crate::world::Case;
use aws_lc_rs::signature::ParsedPublicKey;
use http::{HeaderValue, Request, Response, StatusCode, header::AUTHORIZATION};
use std::{
    convert::Infallible,
    future::poll_fn,
    hint::black_box,
    marker::PhantomData,
    time::{Duration, Instant},
};
use tokio::runtime::Runtime;
use tower::Service;

/// What is looked at while requests are answered: one or the other, since counting takes time.
#[derive(Clone, Copy)]
pub enum Look {
    Time,
    Allocations,
}

/// What was seen, of all requests together.
#[derive(Default)]
pub struct Seen {
    pub elapsed: Duration,
    pub allocations: u64,
    pub bytes: u64,
    /// One for each request; 200 and 401 for what answers yes and no.
    pub answers: Vec<StatusCode>,
}

pub trait Contender {
    /// Answers one request after the other, each with the next credential.
    fn answer(&mut self, runtime: &Runtime, credentials: &[Option<HeaderValue>], look: Look) -> Seen;

    /// Whether the case means anything to it.
    fn knows(&self, _case: Case) -> bool {
        true
    }
}

/// A Tower service, such as an axum router with the crate's layer or extractor.
pub struct Served<S, B> {
    service: S,
    body: PhantomData<fn(B)>,
}

impl<S, B> Served<S, B> {
    pub fn boxed<R>(service: S) -> Box<dyn Contender>
    where
        S: Service<Request<B>, Response = Response<R>, Error = Infallible> + 'static,
        B: Default + 'static,
    {
        Box::new(Self { service, body: PhantomData })
    }
}

impl<S, B, R> Contender for Served<S, B>
where
    S: Service<Request<B>, Response = Response<R>, Error = Infallible>,
    B: Default,
{
    fn answer(&mut self, runtime: &Runtime, credentials: &[Option<HeaderValue>], look: Look) -> Seen {
        let requests: Vec<_> =
            credentials.iter().map(|credential| request::<B>(credential.as_ref())).collect();
        let mut answers = Vec::with_capacity(requests.len());
        let mut seen = observe(look, || {
            runtime.block_on(async {
                for request in requests {
                    let Ok(()) = poll_fn(|context| self.service.poll_ready(context)).await;
                    let Ok(response) = self.service.call(request).await;
                    answers.push(response.status());
                }
            });
        });
        seen.answers = answers;
        seen
    }
}

/// A function of the request's head: how a verifier is called that brings no layer.
pub struct Called<F>(F);

impl<F: AsyncFn(&Request<()>) -> bool + 'static> Called<F> {
    pub fn boxed(verify: F) -> Box<dyn Contender> {
        Box::new(Self(verify))
    }
}

impl<F: AsyncFn(&Request<()>) -> bool> Contender for Called<F> {
    fn answer(&mut self, runtime: &Runtime, credentials: &[Option<HeaderValue>], look: Look) -> Seen {
        let requests: Vec<_> =
            credentials.iter().map(|credential| request::<()>(credential.as_ref())).collect();
        let mut answers = Vec::with_capacity(requests.len());
        let mut seen = observe(look, || {
            runtime.block_on(async {
                for request in requests {
                    let accepted = (self.0)(&request).await;
                    answers.push(if accepted { StatusCode::OK } else { StatusCode::UNAUTHORIZED });
                }
            });
        });
        seen.answers = answers;
        seen
    }
}

/// The token in the header, for verifiers that want nothing else.
pub fn token(request: &Request<()>) -> Option<&str> {
    request.headers().get(AUTHORIZATION)?.to_str().ok()?.strip_prefix("Bearer ")
}

/// The signature alone, over and over: what no verifier can be faster than.
pub struct Floor {
    pub key: ParsedPublicKey,
    pub message: String,
    pub signature: Vec<u8>,
}

impl Contender for Floor {
    fn answer(&mut self, _: &Runtime, credentials: &[Option<HeaderValue>], look: Look) -> Seen {
        let mut seen = observe(look, || {
            for _ in credentials {
                let (message, signature) = (black_box(self.message.as_bytes()), black_box(&self.signature));
                self.key.verify_sig(message, signature).expect("a good signature");
            }
        });
        seen.answers = vec![StatusCode::OK; credentials.len()];
        seen
    }

    fn knows(&self, case: Case) -> bool {
        case.is_good()
    }
}

/// For what looks at no credential: only that a good one is let through means anything.
pub struct Open(pub Box<dyn Contender>);

impl Contender for Open {
    fn answer(&mut self, runtime: &Runtime, credentials: &[Option<HeaderValue>], look: Look) -> Seen {
        self.0.answer(runtime, credentials, look)
    }

    fn knows(&self, case: Case) -> bool {
        case.is_good()
    }
}

fn request<B: Default>(credential: Option<&HeaderValue>) -> Request<B> {
    let mut request = Request::builder().uri("/me");
    if let Some(credential) = credential {
        request = request.header(AUTHORIZATION, credential);
    }
    request.body(B::default()).expect("a request")
}

fn observe(look: Look, work: impl FnOnce()) -> Seen {
    match look {
        Look::Time => {
            let mut elapsed = Duration::ZERO;
            uncounted(|| {
                let start = Instant::now();
                work();
                elapsed = start.elapsed();
            });
            Seen { elapsed, ..Seen::default() }
        }
        Look::Allocations => counted(work),
    }
}

#[cfg(feature = "allocations")]
fn uncounted(work: impl FnOnce()) {
    allocation_counter::opt_out(work);
}

#[cfg(feature = "allocations")]
fn counted(work: impl FnOnce()) -> Seen {
    let counted = allocation_counter::measure(work);
    Seen { allocations: counted.count_total, bytes: counted.bytes_total, ..Seen::default() }
}

#[cfg(not(feature = "allocations"))]
fn uncounted(work: impl FnOnce()) {
    work();
}

#[cfg(not(feature = "allocations"))]
fn counted(work: impl FnOnce()) -> Seen {
    work();
    Seen::default()
}
