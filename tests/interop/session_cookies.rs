//! The cookies of bearer-session and those of `@supabase/ssr`: one must not be told from the other.

use crate::node;
use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
use bearer_session::{
    AccessToken, RefreshToken, Secret, TokenSet,
    keeping::ssr::{SsrCookies, SsrEncoding},
};
use http::{HeaderMap, HeaderValue, header::COOKIE};
use serde::Deserialize;
use serde_json::{Value, json};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const PROJECT: &str = "https://abcdefghijklmnopqrst.supabase.co";

/// In milliseconds since 1970, with a half to be rounded; so late that nothing expires while this is run.
const NOW: u64 = 4_000_000_000_500;

#[derive(Deserialize)]
struct Theirs {
    written: Vec<Vec<Step>>,
    sessions: Vec<Option<Session>>,
}

#[derive(Deserialize)]
struct Step {
    lines: Vec<String>,
    /// The jar afterwards.
    pairs: Vec<String>,
}

#[derive(Debug, Deserialize, PartialEq)]
struct Session {
    access_token: String,
    refresh_token: String,
    expires_at: u64,
    text: Option<String>,
}

/// How both sides are set up.
#[derive(Clone, Copy, Default)]
#[allow(clippy::struct_excessive_bools, reason = "each is an option of @supabase/ssr")]
struct Options {
    domain: Option<&'static str>,
    secure: bool,
    http_only: bool,
    raw: bool,
    tokens_only: bool,
}

impl Options {
    fn ours(self) -> SsrCookies {
        let mut cookies = SsrCookies::of_project(PROJECT).unwrap();
        if let Some(domain) = self.domain {
            cookies = cookies.domain(domain).unwrap();
        }
        cookies = if self.secure { cookies.secure() } else { cookies };
        cookies = if self.http_only { cookies.http_only() } else { cookies };
        cookies = if self.tokens_only { cookies.tokens_only() } else { cookies };
        cookies.encoding(if self.raw { SsrEncoding::Raw } else { SsrEncoding::Base64Url })
    }

    fn theirs(self) -> Value {
        json!({
            "domain": self.domain, "secure": self.secure, "httpOnly": self.http_only,
            "encoding": if self.raw { "raw" } else { "base64url" }, "tokensOnly": self.tokens_only,
        })
    }
}

/// So many lines of text that an encoding could trip over.
fn long(lines: usize) -> String {
    "a 🦀 \"b\" 李; c=d, %41 \\ é\u{2028}\t\n".repeat(lines)
}

/// An access token that nobody signed, of this subject.
fn access_token(subject: &str) -> String {
    let claims = json!({ "sub": subject, "exp": NOW / 1000 + 3600 });
    format!("eyJhbGciOiJFUzI1NiJ9.{}.c2ln", BASE64_URL_SAFE_NO_PAD.encode(claims.to_string()))
}

/// An answer of the token endpoint as Go writes it: `<`, `>` and `&` escaped, `expires_at` or none.
fn answer(subject: &str, text: &str, expires_at: Option<u64>) -> String {
    let text = json!(format!("{text}<b>&</b>")).to_string();
    let text = text.replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026");
    let expires_at = expires_at.map(|time| format!(r#""expires_at":{time},"#)).unwrap_or_default();
    let access_token = access_token(subject);
    format!(
        r#"{{"access_token":"{access_token}","token_type":"bearer","expires_in":3600,{expires_at}"refresh_token":"refresh-{subject}","user":{{"id":"{subject}", "aud":"authenticated","user_metadata":{{"text":{text},"n":[1,-2.5,1e+21,null,true]}},"identities":[]}},"weak_password":null}}
"#
    )
}

fn tokens(subject: &str, answer: &str) -> TokenSet {
    let mut tokens = TokenSet::new(AccessToken::new(access_token(subject)), Duration::from_secs(3600))
        .refresh_token(RefreshToken::new(format!("refresh-{subject}")));
    tokens.document = Some(Secret::new(answer.trim()));
    tokens
}

fn request<S: AsRef<str>>(pairs: &[S]) -> HeaderMap {
    let line = |pair: &S| (COOKIE, HeaderValue::from_str(pair.as_ref()).unwrap());
    pairs.iter().map(line).collect()
}

fn now() -> SystemTime {
    UNIX_EPOCH + Duration::from_millis(NOW)
}

/// A name, the options, what is in the jar before, and the texts of the sessions written one after the other.
type Case = (&'static str, Options, Vec<String>, Vec<Option<String>>);

fn cases() -> Vec<Case> {
    let plain = Options::default();
    let raw = Options { raw: true, ..plain };
    let short = || Some(String::new());
    let stale = |numbers: &[usize]| {
        numbers
            .iter()
            .map(|number| format!("sb-abcdefghijklmnopqrst-auth-token.{number}=stale"))
            .collect::<Vec<_>>()
    };
    let others = || vec!["theme=dark".to_owned(), "sb-abcdefghijklmnopqrst-auth-token-x=no".to_owned()];
    vec![
        ("the default", plain, vec![], vec![short()]),
        ("in chunks", plain, vec![], vec![Some(long(200))]),
        ("in more than ten chunks", plain, vec![], vec![Some(long(700))]),
        ("raw", raw, vec![], vec![short()]),
        ("in raw chunks", raw, vec![], vec![Some(long(100))]),
        ("tokens only", Options { tokens_only: true, ..plain }, vec![], vec![Some(long(300))]),
        ("tokens only, raw", Options { tokens_only: true, ..raw }, vec![], vec![short()]),
        (
            "secure and of a domain",
            Options { secure: true, domain: Some("example.com"), ..plain },
            vec![],
            vec![short()],
        ),
        ("out of reach of scripts", Options { http_only: true, ..plain }, vec![], vec![short()]),
        ("shrunk to one", plain, others(), vec![Some(long(200)), short()]),
        ("shrunk to fewer", raw, others(), vec![Some(long(300)), Some(long(100))]),
        ("grown", plain, others(), vec![short(), Some(long(200))]),
        ("the same again", plain, vec![], vec![Some(long(200)), Some(long(200))]),
        ("stale chunks", plain, stale(&[0, 1, 2, 10]), vec![short()]),
        (
            "stale chunks, of the host alone",
            Options { domain: Some("example.com"), ..plain },
            stale(&[0, 3]),
            vec![short()],
        ),
        ("signed out", plain, others(), vec![Some(long(200)), None]),
        (
            "signed out, of a domain",
            Options { domain: Some("example.com"), ..raw },
            vec![],
            vec![short(), None],
        ),
    ]
}

#[tokio::test]
async fn what_is_written_is_the_same_to_the_byte() {
    let cases = cases();
    let answers = |texts: &[Option<String>]| -> Vec<Option<String>> {
        // Each odd one leaves it to the client when it expires.
        let answer = |(number, text): (usize, &Option<String>)| {
            text.as_ref().map(|text| answer("ada", text, (number % 2 == 0).then_some(NOW / 1000 + 3600)))
        };
        texts.iter().enumerate().map(answer).collect()
    };
    let write: Vec<_> = cases
        .iter()
        .map(|(_, options, pairs, texts)| {
            json!({ "now": NOW, "options": options.theirs(), "pairs": pairs, "answers": answers(texts) })
        })
        .collect();
    let input = json!({ "project_url": PROJECT, "write": write });
    let Some(theirs) = node::run_with::<Theirs>("ssr.mjs", &input).await else { return };
    for ((name, options, mut pairs, texts), steps) in cases.into_iter().zip(theirs.written) {
        let cookies = options.ours();
        for (answer, step) in answers(&texts).into_iter().zip(steps) {
            let request_headers = request(&pairs);
            let lines = match &answer {
                None => cookies.clear(&request_headers),
                Some(answer) => cookies.write(&request_headers, &tokens("ada", answer), now()),
            };
            let lines: Vec<_> = lines.iter().map(|line| line.to_str().unwrap()).collect();
            assert_eq!(lines, step.lines, "{name}");
            pairs = step.pairs;
            // And their jar is read.
            let read = cookies.read(&request(&pairs));
            let subjects: Vec<_> =
                read.iter().map(|session| session.access_token.expose().to_owned()).collect();
            let expected: Vec<_> = answer.iter().map(|_| access_token("ada")).collect();
            assert_eq!(subjects, expected, "{name}");
        }
    }
}

#[tokio::test]
async fn what_we_write_they_read() {
    let expires_at = NOW / 1000 + 3600;
    let mut expected = Vec::new();
    let mut jars = Vec::new();
    for (_, options, mut pairs, texts) in cases() {
        for (number, text) in texts.into_iter().enumerate() {
            let cookies = options.ours();
            let subject = format!("user-{number}");
            let lines = match &text {
                None => cookies.clear(&request(&pairs)),
                Some(text) => {
                    let answer = answer(&subject, text, Some(expires_at));
                    cookies.write(&request(&pairs), &tokens(&subject, &answer), now())
                }
            };
            for line in &lines {
                let line = line.to_str().unwrap();
                let (pair, attributes) = line.split_once("; ").unwrap();
                let name = pair.split_once('=').unwrap().0;
                pairs.retain(|pair| pair.split_once('=').unwrap().0 != name);
                if !attributes.contains("Max-Age=0") {
                    pairs.push(pair.to_owned());
                }
            }
            expected.push(text.map(|text| Session {
                access_token: access_token(&subject),
                refresh_token: format!("refresh-{subject}"),
                expires_at,
                text: (!options.tokens_only).then(|| format!("{text}<b>&</b>")),
            }));
            jars.push(pairs.clone());
        }
    }
    let input = json!({ "project_url": PROJECT, "read": jars });
    let Some(theirs) = node::run_with::<Theirs>("ssr.mjs", &input).await else { return };
    assert_eq!(theirs.sessions, expected);
}

#[derive(Deserialize)]
struct Found {
    project_url: String,
    cases: Vec<FoundCase>,
}

#[derive(Deserialize)]
struct FoundCase {
    name: String,
    pairs: Vec<String>,
    subject: Option<String>,
}

/// The jars that the gate is tried with.
#[tokio::test]
async fn every_session_that_the_gate_finds_is_found_whole() {
    let Some(found) = node::run::<Found>("cookies.mjs").await else { return };
    let cookies = SsrCookies::of_project(&found.project_url).unwrap();
    for FoundCase { name, pairs, subject } in found.cases {
        let read = cookies.read(&request(&[pairs.join("; ")]));
        let subjects: Vec<_> = read
            .iter()
            .map(|session| {
                assert_eq!(session.refresh_token, Some(RefreshToken::new("interop-refresh")), "{name}");
                let payload = session.access_token.expose().split('.').nth(1).unwrap();
                let claims = BASE64_URL_SAFE_NO_PAD.decode(payload).unwrap();
                let claims: Value = serde_json::from_slice(&claims).unwrap();
                claims["sub"].as_str().unwrap().to_owned()
            })
            .collect();
        assert_eq!(subjects, Vec::from_iter(subject), "{name}");
    }
}
