//! Sends what a browser sends, and remembers all that it was answered.

use form_urlencoded::Serializer;
use reqwest::{Client, RequestBuilder, StatusCode, header, redirect};
use std::{fmt::Write as _, time::Duration};
use tokio::task::JoinSet;

/// An answer that takes longer is none.
const PATIENCE: Duration = Duration::from_secs(30);

/// A browser with one cookie at most, which goes where it is sent only when told to.
#[derive(Debug)]
pub(crate) struct Visitor {
    client: Client,
    site: String,
    /// `name=value`.
    cookie: Option<String>,
    seen: String,
}

/// What came back.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    status: StatusCode,
    location: String,
    set_cookie: String,
    headers: String,
    body: String,
}

impl Visitor {
    pub(crate) fn new(site: String) -> reqwest::Result<Self> {
        // The site is on this machine, whatever proxy leads out of it.
        let client = Client::builder().no_proxy().redirect(redirect::Policy::none()).timeout(PATIENCE);
        Ok(Self { client: client.build()?, site, cookie: None, seen: String::new() })
    }

    /// Opens a page.
    pub(crate) async fn open(&mut self, path: &str) -> reqwest::Result<Answer> {
        let request = self.client.get(format!("{}{path}", self.site));
        self.send(request).await
    }

    /// Calls the API so many times at once.
    pub(crate) async fn call(&mut self, path: &str, times: usize) -> reqwest::Result<Vec<Answer>> {
        let mut requests = JoinSet::new();
        for _ in 0..times {
            let request = self.client.get(format!("{}{path}", self.site));
            requests.spawn(Answer::of(self.with_cookie(request).header("sec-fetch-mode", "cors")));
        }
        let answers: Vec<_> = requests.join_all().await.into_iter().collect::<reqwest::Result<_>>()?;
        for answer in &answers {
            self.take(answer);
        }
        Ok(answers)
    }

    /// Calls the API as a program does: with a token of its own, and no cookie.
    pub(crate) async fn call_with(&self, path: &str, token: &str) -> reqwest::Result<Answer> {
        Answer::of(self.client.get(format!("{}{path}", self.site)).bearer_auth(token)).await
    }

    /// Sends a form of one of the site's own pages.
    pub(crate) async fn submit(&mut self, path: &str, form: &[(&str, &str)]) -> reqwest::Result<Answer> {
        let (own, site) = (self.site.clone(), "same-origin");
        self.submit_from(&own, site, path, form).await
    }

    /// Sends an empty form of another site's page.
    pub(crate) async fn submit_from_elsewhere(&mut self, path: &str) -> reqwest::Result<Answer> {
        self.submit_from("https://evil.example", "cross-site", path, &[]).await
    }

    async fn submit_from(
        &mut self,
        origin: &str,
        site: &str,
        path: &str,
        form: &[(&str, &str)],
    ) -> reqwest::Result<Answer> {
        let request = self.client.post(format!("{}{path}", self.site));
        let request = request.header(header::ORIGIN, origin).header("sec-fetch-site", site);
        let form = Serializer::new(String::new()).extend_pairs(form).finish();
        self.send(request.header(header::CONTENT_TYPE, "application/x-www-form-urlencoded").body(form)).await
    }

    /// As somebody who looks at the answer.
    async fn send(&mut self, request: RequestBuilder) -> reqwest::Result<Answer> {
        let request = self.with_cookie(request).header(header::ACCEPT, "text/html,*/*;q=0.8");
        let request = request.header("sec-fetch-mode", "navigate").header("sec-fetch-dest", "document");
        let answer = Answer::of(request).await?;
        self.take(&answer);
        Ok(answer)
    }

    fn with_cookie(&self, request: RequestBuilder) -> RequestBuilder {
        match &self.cookie {
            Some(cookie) => request.header(header::COOKIE, cookie),
            None => request,
        }
    }

    fn take(&mut self, answer: &Answer) {
        match answer.set_cookie.split(';').next().unwrap_or_default() {
            "" => {}
            gone if gone.ends_with('=') => self.cookie = None,
            pair => self.cookie = Some(pair.to_owned()),
        }
        self.seen.push_str(&answer.headers);
        self.seen.push_str(&answer.body);
    }

    /// Puts the cookie back that came with an old answer, as a thief would.
    pub(crate) fn restore(&mut self, answer: &Answer) {
        self.cookie = answer.set_cookie.split(';').next().map(str::to_owned);
    }

    /// All headers and bodies so far.
    pub(crate) fn seen(&self) -> &str {
        &self.seen
    }
}

impl Answer {
    async fn of(request: RequestBuilder) -> reqwest::Result<Self> {
        let response = request.send().await?;
        let mut headers = String::new();
        for (name, value) in response.headers() {
            let _ = writeln!(headers, "{name}: {}", String::from_utf8_lossy(value.as_bytes()));
        }
        let header = |name| {
            let value = response.headers().get(name).and_then(|value| value.to_str().ok());
            value.unwrap_or_default().to_owned()
        };
        let (location, set_cookie) = (header(header::LOCATION), header(header::SET_COOKIE));
        Ok(Self { status: response.status(), location, set_cookie, headers, body: response.text().await? })
    }

    /// The status, and where it leads.
    pub(crate) fn shown(&self) -> String {
        format!("{} {}", self.status.as_u16(), self.location).trim_end().to_owned()
    }

    /// The name of the cookie that came, and its attributes.
    pub(crate) fn cookie(&self) -> String {
        let name = self.set_cookie.split('=').next().unwrap_or_default();
        let attributes = self.set_cookie.split_once(';').map_or("none", |(_, attributes)| attributes.trim());
        format!("{name}; {attributes}")
    }

    pub(crate) fn body(&self) -> &str {
        &self.body
    }
}
