//! Session cookies by `@supabase/ssr`, whoever writes them.

use crate::{
    node,
    support::{
        app::{REACHED, app, ask},
        keys::{gate, source},
    },
};
use axum::{Router, body::Body, extract::Request, response::IntoResponse};
use http::{HeaderMap, HeaderValue, header::COOKIE};
use serde::Deserialize;
use serde_json::Value;
use tower_bearer::{BearerLayer, Issuer, Source};
use tower_http::csrf::CsrfLayer;

#[derive(Deserialize)]
struct Written {
    project_url: String,
    jwks: Value,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    /// The `name=value` of each cookie, in the order of the jar.
    pairs: Vec<String>,
    /// Whose session it is, or `None` where there is none.
    subject: Option<String>,
}

impl Written {
    fn gate(&self) -> BearerLayer {
        let session = Source::supabase_session(&self.project_url, CsrfLayer::new()).unwrap();
        let issuer = Issuer::supabase(&self.project_url).unwrap().keys(source(&self.jwks));
        gate(issuer).also_from(session)
    }
}

fn request<S: AsRef<str>>(cookie_lines: impl IntoIterator<Item = S>) -> Request {
    let mut request = Request::new(Body::empty());
    *request.headers_mut() = cookie_lines
        .into_iter()
        .map(|line| (COOKIE, HeaderValue::from_str(line.as_ref()).unwrap()))
        .collect::<HeaderMap>();
    request
}

#[tokio::test]
async fn the_user_of_every_session_is_found_however_its_cookies_are_sent() {
    let Some(written) = node::run::<Written>("cookies.mjs").await else { return };
    let app = app(written.gate());
    for Case { name, mut pairs, subject } in written.cases {
        let in_one_line = request((!pairs.is_empty()).then(|| pairs.join("; ")));
        let in_lines_of_their_own = request(&pairs);
        pairs.reverse();
        let the_other_way_round = request(&pairs);
        for request in [in_one_line, in_lines_of_their_own, the_other_way_round] {
            let answer = ask(&app, request).await;
            match &subject {
                None => answer.assert_missing(&name),
                Some(subject) => {
                    answer.assert_passed(&name);
                    assert_eq!(answer.body, *subject, "{name}");
                }
            }
        }
    }
}

#[tokio::test]
async fn of_a_session_nothing_but_the_user_gets_behind_the_gate() {
    let Some(written) = node::run::<Written>("cookies.mjs").await else { return };
    let app = Router::new().fallback(what_is_left).layer(written.gate());
    for Case { name, pairs, .. } in written.cases.into_iter().filter(|case| case.subject.is_some()) {
        let answer = ask(&app, request([pairs.join("; ")])).await;
        answer.assert_passed(&name);
        for part in ["sb-abcdefghijklmnopqrst-auth-token=", "sb-abcdefghijklmnopqrst-auth-token."] {
            assert!(!answer.body.contains(part), "{name}: {}", answer.body);
        }
        let others = |cookies: &str| cookies.contains("theme=dark");
        assert_eq!(
            others(&answer.body),
            others(&pairs.join("; ")),
            "{name}: what is not the session's stays"
        );
    }
}

/// The cookies that a service behind the gate sees.
async fn what_is_left(request: Request) -> impl IntoResponse {
    let lines = request.headers().get_all(COOKIE).iter();
    let lines: Vec<_> = lines.map(|line| line.to_str().unwrap().to_owned()).collect();
    ([(REACHED, "yes")], lines.join("; "))
}
