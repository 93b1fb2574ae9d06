//! The tour: a visitor's way through the site over HTTP, each step with the answer that it must get.

use crate::{
    issuer::{self, EMAIL, PASSWORD},
    serve,
    settings::Settings,
    visitor::Visitor,
};
use bearer_testing::TestSupabase;
use serde_json::Value;
use std::{
    collections::BTreeMap, error::Error, fmt::Display, net::SocketAddr, process::ExitCode, time::Duration,
};

const CALLS: usize = 50;
/// Nobody has so many.
const MOST_GUESSES: usize = 100;
const PAGE: &str = "/profile?tab=1";

/// One step, and what came of it.
#[derive(Debug)]
struct Step {
    name: &'static str,
    expected: String,
    seen: String,
}

/// Walks the tour and prints it. A success only if every answer is the expected one.
pub(crate) async fn run() -> Result<ExitCode, Box<dyn Error>> {
    let steps = tour().await?;
    let width = steps.iter().map(|step| step.name.chars().count()).max().unwrap_or(0);
    let mut wrong = 0;
    for Step { name, expected, seen } in &steps {
        let is_right = expected == seen;
        println!("{} {name:width$}  {seen}", if is_right { '✓' } else { '✗' });
        if !is_right {
            wrong += 1;
            println!("  {:width$}  instead of {expected}", "");
        }
    }
    if wrong > 0 {
        println!("\n{wrong} of {} answers are not the expected ones.", steps.len());
        return Ok(ExitCode::FAILURE);
    }
    println!("\nAll {} answers are the expected ones.", steps.len());
    Ok(ExitCode::SUCCESS)
}

async fn tour() -> Result<Vec<Step>, Box<dyn Error>> {
    let issuer = issuer::start(1).await;
    let (listener, url) = serve::listen(Some(0)).await?;
    let (site, _) = serve::build(Settings::default(), Some(&issuer), &url).await?;
    let site = site.into_make_service_with_connect_info::<SocketAddr>();
    let mut tour = Tour { visitor: Visitor::new(url)?, issuer, steps: Vec::new() };
    tokio::select! {
        ended = async { axum::serve(listener, site).await } => Err(format!("the site ended: {ended:?}").into()),
        walked = tour.walk() => walked.map(|()| tour.steps).map_err(Into::into),
    }
}

struct Tour {
    visitor: Visitor,
    issuer: TestSupabase,
    steps: Vec<Step>,
}

impl Tour {
    async fn walk(&mut self) -> reqwest::Result<()> {
        let stranger = self.visitor.open(PAGE).await?;
        self.step("a page without a session", "303 /sign-in?return_to=/profile%3Ftab%3D1", stranger.shown());
        let guess = self.visitor.submit("/auth/password", &credentials("a guess")).await?;
        let refused = "303 /sign-in?error=invalid_credentials&return_to=%2Fprofile%3Ftab%3D1";
        self.step("a wrong password", refused, guess.shown());
        let signed_in = self.visitor.submit("/auth/password", &credentials(PASSWORD)).await?;
        self.step("the right one", "303 /profile?tab=1", signed_in.shown());
        let cookie = "__Host-session; Max-Age=34560000; Path=/; HttpOnly; Secure; SameSite=Lax";
        self.step("the cookie", cookie, signed_in.cookie());
        let back = self.visitor.open(PAGE).await?;
        self.step("the page", "200", back.shown());

        self.issuer.set_access_token_expires_in(3600);
        tokio::time::sleep(Duration::from_millis(1100)).await;
        let expired = self.call(CALLS).await?;
        self.step("50 calls at once, with an expired token", "50 × 200 with token 1, 1 refresh", expired);
        let live = self.call(CALLS).await?;
        self.step("50 calls at once, with a live one", "50 × 200 with token 1, 0 refreshes", live);

        let elsewhere = self.visitor.submit_from_elsewhere("/auth/logout?scope=global").await?;
        self.step("another site's form to sign out", "403", elsewhere.shown());
        let signed_out = self.visitor.submit("/auth/logout?scope=local&return_to=/sign-in", &[]).await?;
        self.step("sign-out", "303 /sign-in", signed_out.shown());
        self.step("sessions left at the issuer", "0", self.issuer.sessions_alive());
        self.visitor.restore(&signed_in);
        let thief = self.call(1).await?;
        self.step("a call with the old cookie", "1 × 401, 0 refreshes", thief);
        let program = self.call_with_own_token().await?;
        self.step("a call with a token of its own, and no session", "200 with token null", program);

        let guesses = self.guess().await?;
        self.step("one guess after the other", "429", guesses);

        let presented = self.issuer.presentations();
        self.step("how often each refresh token was sent", "[1]", format!("{presented:?}"));
        let seen = self.visitor.seen();
        let found = self.issuer.issued_tokens().iter().filter(|token| seen.contains(token.as_str())).count();
        self.step("tokens in all that was answered", "0", found);
        Ok(())
    }

    /// How many had which answer, by which of the session's tokens, and how many refreshes they took.
    async fn call(&mut self, times: usize) -> reqwest::Result<String> {
        let before = self.issuer.refreshes();
        let mut answers = BTreeMap::<_, usize>::new();
        for answer in self.visitor.call("/api/me", times).await? {
            let me = serde_json::from_str::<Value>(answer.body()).unwrap_or_default();
            let token = me["token"].as_u64().map_or_else(String::new, |token| format!(" with token {token}"));
            *answers.entry(format!("{}{token}", answer.shown())).or_default() += 1;
        }
        let answers: Vec<_> = answers.iter().map(|(answer, count)| format!("{count} × {answer}")).collect();
        let refreshes = self.issuer.refreshes() - before;
        let plural = if refreshes == 1 { "refresh" } else { "refreshes" };
        Ok(format!("{}, {refreshes} {plural}", answers.join(", ")))
    }

    /// The token of another session of the same user, which the site has never seen.
    async fn call_with_own_token(&self) -> reqwest::Result<String> {
        let theirs = self.issuer.sign_in(EMAIL);
        let token = theirs["access_token"].as_str().unwrap_or_default();
        let answer = self.visitor.call_with("/api/me", token).await?;
        let me = serde_json::from_str::<Value>(answer.body()).unwrap_or_default();
        Ok(format!("{} with token {}", answer.shown(), me["token"]))
    }

    /// Until it is too often: the last answer.
    async fn guess(&mut self) -> reqwest::Result<String> {
        let mut last = String::new();
        for _ in 0..MOST_GUESSES {
            last = self.visitor.submit("/auth/password", &credentials("a guess")).await?.shown();
            if !last.starts_with("303 ") {
                break;
            }
        }
        Ok(last)
    }

    fn step(&mut self, name: &'static str, expected: &str, seen: impl Display) {
        self.steps.push(Step { name, expected: expected.to_owned(), seen: seen.to_string() });
    }
}

fn credentials(password: &str) -> [(&str, &str); 3] {
    [("email", EMAIL), ("password", password), ("return_to", PAGE)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn every_answer_of_the_tour_is_the_expected_one() {
        for Step { name, expected, seen } in tour().await.unwrap() {
            assert_eq!(seen, expected, "{name}");
        }
    }
}
