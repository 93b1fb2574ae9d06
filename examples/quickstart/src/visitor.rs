//! Sends requests to the API and notes what came back.

use bearer_testing::TestSupabase;
use reqwest::{Client, header};
use std::{collections::BTreeMap, fmt, time::Duration};
use tokio::task::JoinSet;

/// An answer that takes longer is none.
const PATIENCE: Duration = Duration::from_secs(30);

/// A client of the API who also listens at the issuer's door.
#[derive(Debug)]
pub(crate) struct Visitor {
    client: Client,
    api: String,
    issuer: TestSupabase,
}

/// A request, sent once or many times at once.
#[derive(Clone, Debug)]
pub(crate) struct Ask {
    path: &'static str,
    authorization: Vec<String>,
    times: usize,
}

/// What was seen: which answers, how often each, and how many calls the issuer got meanwhile.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Seen {
    answers: BTreeMap<Answer, usize>,
    calls: usize,
}

/// The status, and what the answer says: its challenge, or its body where there is none.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
struct Answer {
    status: u16,
    says: String,
}

impl Visitor {
    pub(crate) fn new(api: String, issuer: TestSupabase) -> reqwest::Result<Self> {
        // The API is on this machine, whatever proxy leads out of it.
        let client = Client::builder().no_proxy().timeout(PATIENCE).build()?;
        Ok(Self { client, api, issuer })
    }

    /// Sends the request and waits for every answer.
    pub(crate) async fn ask(&self, ask: &Ask) -> reqwest::Result<Seen> {
        let calls_before = self.issuer.requests();
        let mut requests = JoinSet::new();
        for _ in 0..ask.times {
            let mut request = self.client.get(format!("{}{}", self.api, ask.path));
            for value in &ask.authorization {
                request = request.header(header::AUTHORIZATION, value);
            }
            requests.spawn(async { Answer::of(request.send().await?).await });
        }
        let mut answers = BTreeMap::new();
        for answer in requests.join_all().await {
            *answers.entry(answer?).or_default() += 1;
        }
        Ok(Seen { answers, calls: self.issuer.requests() - calls_before })
    }
}

impl Ask {
    pub(crate) fn get(path: &'static str) -> Self {
        Self { path, authorization: Vec::new(), times: 1 }
    }

    pub(crate) fn token(self, token: &str) -> Self {
        self.authorization(&format!("Bearer {token}"))
    }

    /// One more `Authorization` header.
    pub(crate) fn authorization(mut self, value: &str) -> Self {
        self.authorization.push(value.to_owned());
        self
    }

    pub(crate) fn times(mut self, times: usize) -> Self {
        self.times = times;
        self
    }
}

/// The request without its token.
impl fmt::Display for Ask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.times {
            1 => write!(f, "GET {}", self.path),
            times => write!(f, "{times} × GET {}", self.path),
        }
    }
}

impl Seen {
    /// The same answer every time, and not a word to the issuer.
    pub(crate) fn only(status: u16, says: impl Into<String>) -> Self {
        let answer = Answer { status, says: says.into() };
        Self { answers: BTreeMap::from([(answer, 1)]), calls: 0 }
    }

    pub(crate) fn times(mut self, times: usize) -> Self {
        self.answers.values_mut().for_each(|count| *count = times);
        self
    }

    pub(crate) fn calls(mut self, calls: usize) -> Self {
        self.calls = calls;
        self
    }

    /// What the answers say, each once.
    pub(crate) fn says(&self) -> String {
        self.answers.keys().map(|answer| answer.says.as_str()).collect::<Vec<_>>().join(" | ")
    }
}

/// Such as `50 × 200, 1 call`.
impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut counts = BTreeMap::<u16, usize>::new();
        for (answer, count) in &self.answers {
            *counts.entry(answer.status).or_default() += count;
        }
        let mut parts: Vec<_> = counts
            .into_iter()
            .map(
                |(status, count)| {
                    if count == 1 { status.to_string() } else { format!("{count} × {status}") }
                },
            )
            .collect();
        match self.calls {
            0 => {}
            1 => parts.push("1 call".to_owned()),
            calls => parts.push(format!("{calls} calls")),
        }
        f.write_str(&parts.join(", "))
    }
}

impl Answer {
    async fn of(response: reqwest::Response) -> reqwest::Result<Self> {
        let status = response.status().as_u16();
        let challenge = response.headers().get(header::WWW_AUTHENTICATE).cloned();
        let body = response.text().await?;
        let says = challenge.map_or(body, |value| String::from_utf8_lossy(value.as_bytes()).into_owned());
        Ok(Self { status, says })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_seen_is_one_short_text() {
        let mixed = Seen {
            answers: BTreeMap::from([
                (Answer { status: 200, says: "ada".into() }, 47),
                (Answer { status: 401, says: "b".into() }, 1),
                (Answer { status: 401, says: "a".into() }, 2),
            ]),
            calls: 2,
        };
        for (seen, text, says) in [
            (Seen::only(401, "no"), "401", "no"),
            (Seen::only(200, "").times(50).calls(1), "50 × 200, 1 call", ""),
            (mixed, "47 × 200, 3 × 401, 2 calls", "ada | a | b"),
        ] {
            assert_eq!((seen.to_string(), seen.says()), (text.to_owned(), says.to_owned()));
        }
    }

    #[test]
    fn a_request_is_shown_without_its_token() {
        assert_eq!(Ask::get("/me").token("secret").to_string(), "GET /me");
        assert_eq!(Ask::get("/me").times(50).to_string(), "50 × GET /me");
    }
}
