//! What is to come of a request, and whether it did.

use crate::support::{answer::Answer, challenge::Challenge};
use http::header::WWW_AUTHENTICATE;

/// What is to come of it. A gRPC call gets the same challenges, unless the row says otherwise.
#[derive(Clone, Copy, Debug)]
pub(super) struct Outcome {
    status: u16,
    /// One for each line of `WWW-Authenticate`.
    challenges: &'static [&'static str],
    grpc_status: u8,
    cache_control: Option<&'static str>,
    location: Option<&'static str>,
}

/// It reached the service.
pub(super) const PASSES: Outcome =
    Outcome { status: 200, challenges: &[], grpc_status: 0, cache_control: None, location: None };

/// As [`PASSES`], by a way that no shared cache looks at.
pub(super) const PRIVATE: Outcome = PASSES.cache_control("private");

/// It did not.
pub(super) const fn refused(status: u16, challenges: &'static [&'static str], grpc_status: u8) -> Outcome {
    Outcome { status, challenges, grpc_status, cache_control: Some("no-store"), location: None }
}

/// Nothing to find fault with: no error code.
pub(super) const MISSING: Outcome = refused(401, &[r#"Bearer realm="https://api.example""#], 16);

pub(super) const MALFORMED: Outcome = refused(
    400,
    &[
        r#"Bearer realm="https://api.example", error="invalid_request", error_description="the credential is malformed""#,
    ],
    16,
);

pub(super) const SEVERAL: Outcome = refused(
    400,
    &[concat!(
        r#"Bearer realm="https://api.example", error="invalid_request", "#,
        r#"error_description="the request has more than one credential""#
    )],
    16,
);

/// Whatever was wrong with the token.
pub(super) const INVALID: Outcome = refused(
    401,
    &[
        r#"Bearer realm="https://api.example", error="invalid_token", error_description="the access token is invalid""#,
    ],
    16,
);

pub(super) const EXPIRED: Outcome = refused(
    401,
    &[
        r#"Bearer realm="https://api.example", error="invalid_token", error_description="the access token expired""#,
    ],
    16,
);

pub(super) const NOT_YET: Outcome = refused(
    401,
    &[concat!(
        r#"Bearer realm="https://api.example", error="invalid_token", "#,
        r#"error_description="the access token is not valid yet""#
    )],
    16,
);

/// A good token, and still no: no error code, since another token would change nothing.
pub(super) const FORBIDDEN: Outcome = refused(403, &[r#"Bearer realm="https://api.example""#], 7);

/// We cannot decide: it says nothing about the token.
pub(super) const UNAVAILABLE: Outcome = refused(503, &[], 14);

/// The service is put together wrongly.
pub(super) const MISCONFIGURED: Outcome = refused(500, &[], 13);

impl Outcome {
    /// Sent to sign in.
    pub(super) const fn sent_to(location: &'static str) -> Self {
        Self { location: Some(location), ..refused(303, &[], 16) }
    }

    pub(super) const fn cache_control(self, value: &'static str) -> Self {
        Self { cache_control: Some(value), ..self }
    }

    pub(super) fn assert_plain(&self, name: &str, answer: &Answer) {
        self.assert_common(name, answer);
        assert_eq!(answer.status, self.status, "{name}: {answer:?}");
        assert_eq!(answer.header("location"), self.location, "{name}");
        assert_eq!(answer.header("grpc-status"), None, "{name}");
        // The last is an empty body in chunks.
        assert!(matches!(&*answer.body, "" | "0\r\n\r\n"), "{name}: {:?}", answer.body);
    }

    pub(super) fn assert_grpc(&self, name: &str, answer: &Answer) {
        self.assert_common(name, answer);
        // Never a status of HTTP: clients would derive theirs from it.
        assert_eq!((answer.status, &*answer.body), (200, ""), "{name}: {answer:?}");
        assert_eq!(answer.header("content-type"), Some("application/grpc"), "{name}");
        assert_eq!(answer.header("grpc-status"), Some(&*self.grpc_status.to_string()), "{name}");
        assert_eq!(answer.header("grpc-message").is_some(), self.grpc_status != 0, "{name}");
        assert_eq!(answer.header("location"), None, "{name}");
    }

    fn assert_common(&self, name: &str, answer: &Answer) {
        let lines = answer.headers.get_all(WWW_AUTHENTICATE);
        let challenges: Vec<_> = lines.iter().map(|line| line.to_str().unwrap()).collect();
        assert_eq!(challenges, self.challenges, "{name}");
        for challenge in challenges.iter().filter(|challenge| challenge.starts_with("Bearer")) {
            Challenge::parse(challenge);
        }
        assert_eq!(answer.reached(), self.status == 200, "{name}: {answer:?}");
        assert_eq!(answer.header("cache-control"), self.cache_control, "{name}");
        assert_eq!(answer.header("retry-after"), (self.status == 503).then_some("5"), "{name}");
    }
}
