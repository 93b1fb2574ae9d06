//! What the gate costs on top of the signature, and beside it.
//!
//! * `floor`: aws-lc-rs alone, with a parsed key, over the decoded signature. Nothing that verifies is
//!   cheaper.
//! * `cold`: a request with a Supabase access token through [`BearerLayer`], from `poll_ready` to the
//!   response: header, base64url, JSON, every rule, the keys, the signature, the typed claims, the
//!   extensions, and dropping it all. The cache of tokens is off.
//! * `repeat`: the same with the cache on, and a token that came before.
//! * `bare`: the same request and inner service without the gate.
//! * refusals, all of them without a look at the signature, but for a token of an unknown key.
//!
//! The requests are built outside the measurement. Criterion's figures are taken one after the other, for
//! comparing a change with the state before it. The table at the end compares the rows with each other: they
//! take turns, one call each, thousands of times, and the first percentile of each is shown, so that neither
//! a busy neighbour nor a change of the processor's clock decides. Allocations are those of Rust code, each
//! growth counted as one more; the counting is off while the table's calls are timed.
//!
//! `cargo bench -p tower-bearer --bench verify`, with `-- --quick` for a first look, and with `-- table` (a
//! filter that no benchmark matches) for the table alone.

#![allow(missing_docs, reason = "made by criterion_group")]

use aws_lc_rs::signature::{self, ParsedPublicKey, VerificationAlgorithm};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use bearer_testing::{Algorithm, SigningKey, TokenBuilder};
use criterion::{BatchSize, BenchmarkGroup, Criterion, criterion_group, measurement::WallTime};
use http::{HeaderValue, Request, Response, StatusCode, header::AUTHORIZATION};
use serde_json::json;
use std::{
    convert::Infallible,
    future::{Future, Ready, ready},
    hint::black_box,
    pin::pin,
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};
use tower::{Layer, Service, service_fn};
use tower_bearer::{
    BearerLayer, Issuer, JwtVerifier, TokenCache, Verified,
    keys::{KeySet, KeySource},
};

const PROJECT: &str = "https://abcdefghijklmnopqrst.supabase.co";
const USER: &str = "0b1f3f0e-9d0a-4c8e-8b59-6a4a2f6d2c11";

/// The algorithm, and aws-lc-rs's name for it.
const SIGNATURES: [(Algorithm, &dyn VerificationAlgorithm); 3] = [
    (Algorithm::ES256, &signature::ECDSA_P256_SHA256_FIXED),
    (Algorithm::RS256, &signature::RSA_PKCS1_2048_8192_SHA256),
    (Algorithm::EdDSA, &signature::ED25519),
];

/// One token, and what each of the three needs to look at it.
struct Case {
    name: &'static str,
    key: ParsedPublicKey,
    token: String,
    signing_input: usize,
    signature: Vec<u8>,
    header: HeaderValue,
}

impl Case {
    fn new(key: &SigningKey, algorithm: &'static dyn VerificationAlgorithm) -> Self {
        let token = access_token(key);
        let (signing_input, signature) = token.rsplit_once('.').expect("a compact JWS");
        Self {
            name: key.algorithm().name(),
            key: ParsedPublicKey::new(algorithm, key.public_der()).expect("a public key"),
            signing_input: signing_input.len(),
            signature: URL_SAFE_NO_PAD.decode(signature).expect("base64url"),
            header: HeaderValue::try_from(format!("Bearer {token}")).expect("a header value"),
            token,
        }
    }

    fn floor(&self) {
        let message = &self.token.as_bytes()[..self.signing_input];
        self.key.verify_sig(black_box(message), black_box(&self.signature)).expect("a good signature");
    }

    fn request(&self) -> Request<()> {
        Request::builder().header(AUTHORIZATION, &self.header).body(()).expect("a request")
    }
}

/// The claims of a user who signed in with a password, as Supabase Auth sends them.
fn access_token(key: &SigningKey) -> String {
    TokenBuilder::new(key, &format!("{PROJECT}/auth/v1"), "authenticated")
        .subject(USER)
        .claims(json!({
            "email": "ada@example.com",
            "phone": "",
            "app_metadata": { "provider": "email", "providers": ["email"] },
            "user_metadata": { "email": "ada@example.com", "email_verified": true, "sub": USER },
            "role": "authenticated",
            "aal": "aal1",
            "amr": [{ "method": "password", "timestamp": 1_700_000_000 }],
            "session_id": "7d9f9ac6-3a5e-4f53-9d07-d6ed2b9d8f5c",
            "is_anonymous": false,
        }))
        .sign()
}

/// One set with all the keys, as after two rotations.
fn cases() -> (KeySet, Vec<Case>) {
    let keys = SIGNATURES.map(|(algorithm, _)| {
        SigningKey::generate(algorithm).kid(format!("3f2a7c1e-5b64-4d0f-9a8c-{:012}", algorithm as u8))
    });
    let jwks = json!({ "keys": keys.each_ref().map(SigningKey::public_jwk) }).to_string();
    let cases = keys.iter().zip(SIGNATURES).map(|(key, (_, algorithm))| Case::new(key, algorithm));
    (KeySet::from_jwks(&jwks).expect("a key set"), cases.collect())
}

fn verifier(keys: KeySet) -> JwtVerifier {
    let issuer = Issuer::supabase(PROJECT).expect("a project").keys(KeySource::fixed(keys));
    JwtVerifier::new([issuer]).expect("an issuer with keys")
}

/// Requests that are refused.
fn refusals() -> Vec<(&'static str, Request<()>)> {
    let key = SigningKey::generate(Algorithm::EdDSA).kid("nobodys");
    let token = |iss: &str| TokenBuilder::new(&key, iss, "authenticated").claim("role", "authenticated");
    let ours = format!("{PROJECT}/auth/v1");
    let with =
        |credential: &str| Request::builder().header(AUTHORIZATION, credential).body(()).expect("a request");
    vec![
        ("expired", with(&format!("Bearer {}", token(&ours).expired().sign()))),
        ("foreign", with(&format!("Bearer {}", token("https://evil.example").sign()))),
        ("unknown key", with(&format!("Bearer {}", token(&ours).sign()))),
        ("garbage", with("Bearer garbage")),
        ("none", Request::new(())),
    ]
}

fn inner(request: Request<()>) -> Ready<Result<Response<()>, Infallible>> {
    drop(request);
    ready(Ok(Response::new(())))
}

fn serve<S: Service<Request<()>, Response = Response<()>>>(
    service: &mut S,
    request: Request<()>,
) -> S::Response {
    let mut context = Context::from_waker(Waker::noop());
    assert!(service.poll_ready(&mut context).is_ready());
    match pin!(service.call(request)).poll(&mut context) {
        Poll::Ready(Ok(response)) => response,
        _ => panic!("nothing here waits or fails"),
    }
}

fn bench(criterion: &mut Criterion) {
    let (keys, cases) = cases();
    let verifier = verifier(keys);
    let cold = BearerLayer::new(verifier.clone().cache(&TokenCache::new(0)));
    let (repeat, mut bare) = (BearerLayer::new(verifier), service_fn(inner));
    let (mut cold, mut repeat, witness) = (cold.layer(bare), repeat.layer(bare), cold);

    // That the gate does its work, before it is timed.
    let mut witness = witness.layer(service_fn(|request: Request<()>| {
        let subject = request.extensions().get::<Verified>().and_then(Verified::subject);
        assert_eq!(subject, Some(USER));
        inner(request)
    }));
    for case in &cases {
        assert_eq!(serve(&mut witness, case.request()).status(), StatusCode::OK);
        assert_eq!(serve(&mut repeat, case.request()).status(), StatusCode::OK);
    }
    for (name, request) in refusals() {
        assert_eq!(serve(&mut cold, request).status(), StatusCode::UNAUTHORIZED, "{name}");
    }

    let mut group = criterion.benchmark_group("floor");
    for case in &cases {
        group.bench_function(case.name, |bencher| bencher.iter(|| case.floor()));
    }
    group.finish();
    serving(criterion.benchmark_group("cold"), &cases, &mut cold);
    serving(criterion.benchmark_group("repeat"), &cases[..1], &mut repeat);
    serving(criterion.benchmark_group("bare"), &cases[..1], &mut bare);

    let asked = |option: &str| std::env::args().any(|argument| argument == option);
    if asked("--bench") && !asked("--test") && !asked("--list") {
        table(&cases, &mut cold, &mut repeat, &mut bare);
        refusal_table(&mut cold, &mut bare);
    }
}

fn serving<S>(mut group: BenchmarkGroup<'_, WallTime>, cases: &[Case], service: &mut S)
where
    S: Service<Request<()>, Response = Response<()>>,
{
    for case in cases {
        group.bench_function(case.name, |bencher| {
            bencher.iter_batched(|| case.request(), |request| serve(service, request), BatchSize::SmallInput);
        });
    }
    group.finish();
}

/// A service of the table, whatever it is made of.
type Row<'a> = &'a mut dyn FnMut(Request<()>) -> Response<()>;

fn table<C, R, B>(cases: &[Case], cold: &mut C, repeat: &mut R, bare: &mut B)
where
    C: Service<Request<()>, Response = Response<()>>,
    R: Service<Request<()>, Response = Response<()>>,
    B: Service<Request<()>, Response = Response<()>>,
{
    println!(
        "{:<6} {:>6} {:>9} {:>9} {:>9} {:>9} {:>7}   allocations: cold, repeat",
        "", "bytes", "floor ns", "bare ns", "cold ns", "repeat ns", "ratio"
    );
    for case in cases {
        let (mut cold, mut repeat, mut bare) = (
            |request| serve(cold, request),
            |request| serve(repeat, request),
            |request| serve(bare, request),
        );
        let rows: [Row<'_>; 3] = [&mut cold, &mut repeat, &mut bare];
        let (floor, [cold_ns, repeat_ns, bare_ns]) = timed(rows, || case.request(), || case.floor());
        #[allow(clippy::cast_precision_loss, reason = "nanoseconds of one call")]
        let ratio = cold_ns as f64 / floor as f64;
        println!(
            "{:<6} {:>6} {floor:>9} {bare_ns:>9} {cold_ns:>9} {repeat_ns:>9} {ratio:>7.3}   {}, {}",
            case.name,
            case.token.len(),
            allocations(&mut cold, case.request()),
            allocations(&mut repeat, case.request()),
        );
    }
}

fn refusal_table<C, B>(cold: &mut C, bare: &mut B)
where
    C: Service<Request<()>, Response = Response<()>>,
    B: Service<Request<()>, Response = Response<()>>,
{
    println!("\n{:<12} {:>9} {:>10}   allocations", "refused", "bare ns", "refused ns");
    for (name, request) in refusals() {
        let (mut refused, mut bare) = (|request| serve(cold, request), |request| serve(bare, request));
        let rows: [Row<'_>; 2] = [&mut refused, &mut bare];
        let (_, [refused_ns, bare_ns]) = timed(rows, || request.clone(), || ());
        println!("{name:<12} {bare_ns:>9} {refused_ns:>10}   {}", allocations(&mut refused, request));
    }
}

/// The undisturbed times of the floor and of each row, in nanoseconds.
fn timed<const N: usize>(
    mut rows: [Row<'_>; N],
    request: impl Fn() -> Request<()>,
    floor: impl Fn(),
) -> (u128, [u128; N]) {
    let (mut floors, mut times) = (Vec::new(), [const { Vec::new() }; N]);
    allocation_counter::opt_out(|| {
        for _ in 0..10_000 {
            floors.push(time(&floor));
            for (row, times) in rows.iter_mut().zip(&mut times) {
                let request = request();
                times.push(time(|| row(request)));
            }
        }
    });
    (undisturbed(floors).as_nanos(), times.map(|times| undisturbed(times).as_nanos()))
}

fn allocations(row: Row<'_>, request: Request<()>) -> u64 {
    allocation_counter::measure(|| drop(row(request))).count_total
}

fn time<T>(run: impl FnOnce() -> T) -> Duration {
    let start = Instant::now();
    let result = run();
    let elapsed = start.elapsed();
    drop(result);
    elapsed
}

/// The first percentile: what a call takes when nothing else wants the processor.
fn undisturbed(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 100]
}

criterion_group!(benches, bench);

fn main() {
    benches();
    Criterion::default().configure_from_args().final_summary();
}
