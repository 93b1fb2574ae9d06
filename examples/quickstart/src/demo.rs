//! The tour: real requests to the API over HTTP, each with the answer that it must get.

use crate::{
    api,
    table::{Table, shorten},
    visitor::{Ask, Seen, Visitor},
};
use bearer_testing::TestSupabase;
use std::{error::Error, net::Ipv4Addr, process::ExitCode};
use tokio::net::TcpListener;

/// At most so many characters of an answer are printed.
const SHOWN: usize = 72;

const NO_ERROR: &str = r#"Bearer realm="authenticated""#;
const INVALID: &str = "error=\"invalid_token\", error_description=\"the access token is invalid\"";

/// One step, and what came of it.
#[derive(Debug)]
struct Step {
    name: &'static str,
    request: String,
    expected: Seen,
    seen: Seen,
}

/// Walks the tour and prints it. A success only if every answer is the expected one.
pub(crate) async fn run() -> Result<ExitCode, Box<dyn Error>> {
    let steps = tour().await?;
    println!("{}", report(&steps));
    let wrong = steps.iter().filter(|step| !step.is_as_expected()).count();
    if wrong > 0 {
        println!("{wrong} of {} answers are not the expected ones.", steps.len());
        return Ok(ExitCode::FAILURE);
    }
    println!("All {} answers are the expected ones.", steps.len());
    println!("\"1 call\": requests that the issuer got meanwhile; where there is none, it got none.");
    Ok(ExitCode::SUCCESS)
}

async fn tour() -> Result<Vec<Step>, Box<dyn Error>> {
    let issuer = TestSupabase::start().await;
    let app = api::app(issuer.project_url()).await?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let visitor = Visitor::new(format!("http://{}", listener.local_addr()?), issuer.clone())?;
    let mut tour = Tour { visitor, steps: Vec::new() };
    tokio::select! {
        ended = async { axum::serve(listener, app).await } => Err(format!("the API ended: {ended:?}").into()),
        walked = walk(&mut tour, &issuer) => walked.map(|()| tour.steps).map_err(Into::into),
    }
}

async fn walk(tour: &mut Tour, issuer: &TestSupabase) -> reqwest::Result<()> {
    let user = user_of(issuer);
    refusals(tour, issuer, &user).await?;
    scopes(tour, issuer, &user).await?;
    rotations(tour, issuer, &user).await?;
    outage(tour, issuer, &user).await
}

/// What is no proof of a user is refused, and the challenge says what to do about it.
async fn refusals(tour: &mut Tour, issuer: &TestSupabase, user: &str) -> reqwest::Result<()> {
    let token = || issuer.token();
    let me = || Ask::get("/me");
    tour.step("a route outside the gate", Ask::get("/"), Seen::only(200, "welcome")).await?;
    tour.step("no credential", me(), Seen::only(401, NO_ERROR)).await?;
    tour.step("a good token", me().token(&token().sign()), Seen::only(200, user)).await?;
    tour.step("expired", me().token(&token().expired().sign()), expired()).await?;
    // Some issuers put a new key under an old name: the gate looks once, and then not for a minute.
    tour.step("tampered with", me().token(&token().tampered()), refusal(401, INVALID).calls(1)).await?;
    tour.step("tampered with, again", me().token(&token().tampered()), refusal(401, INVALID)).await?;
    for (name, bad) in [
        ("for another audience", token().audience("another-api").sign()),
        ("of another issuer", token().issuer("https://issuer.example").sign()),
        ("alg: none", token().unsigned()),
        ("the project's public anon key", issuer.anon_key()),
    ] {
        tour.step(name, me().token(&bad), refusal(401, INVALID)).await?;
    }
    let good = token().sign();
    let several = r#"error="invalid_request", error_description="the request has more than one credential""#;
    tour.step("two Authorization headers", me().token(&good).token(&good), refusal(400, several)).await?;
    let malformed = r#"error="invalid_request", error_description="the credential is malformed""#;
    tour.step("a malformed header", me().authorization("Bearer two words"), refusal(400, malformed)).await
}

/// A good token is not enough where a scope is needed.
async fn scopes(tour: &mut Tour, issuer: &TestSupabase, user: &str) -> reqwest::Result<()> {
    let without = Ask::get("/orders").token(&issuer.token().scope("profile").sign());
    let with = Ask::get("/orders").token(&issuer.token().scope("profile orders:read").sign());
    let missing = "error=\"insufficient_scope\", \
                   error_description=\"the access token does not have the scope that is needed\", \
                   scope=\"orders:read\"";
    tour.step("without the scope", without, refusal(403, missing)).await?;
    tour.step("with the scope", with, Seen::only(200, format!("orders of {user}"))).await
}

/// New keys are found by the first request that needs them; removed keys are gone.
async fn rotations(tour: &mut Tour, issuer: &TestSupabase, user: &str) -> reqwest::Result<()> {
    let old = Ask::get("/me").token(&issuer.token().sign());
    let new = || Ask::get("/me").token(&issuer.token().sign());
    let good = || Seen::only(200, user);

    issuer.rotate();
    tour.step("the first after a rotation", new(), good().calls(1)).await?;
    tour.step("the next", new(), good()).await?;
    tour.step("of the key before", old.clone(), good()).await?;

    issuer.remove("key-1");
    issuer.rotate();
    tour.step("50 at once after another rotation", new().times(50), good().times(50).calls(1)).await?;
    tour.step("of a key that was removed with it", old.clone(), refusal(401, INVALID).calls(1)).await?;
    tour.step("the same again: known as unknown", old, refusal(401, INVALID)).await
}

/// Neither an outage of the issuer nor a burst of bad tokens spreads.
async fn outage(tour: &mut Tour, issuer: &TestSupabase, user: &str) -> reqwest::Result<()> {
    let token = || issuer.token();
    issuer.fail_with(500);
    let good = Ask::get("/me").token(&token().sign());
    tour.step("a good token while the issuer is down", good, Seen::only(200, user)).await?;
    issuer.recover();
    let burst = Ask::get("/me").token(&token().expired().sign()).times(50);
    tour.step("50 expired at once", burst, expired().times(50)).await
}

fn expired() -> Seen {
    refusal(401, r#"error="invalid_token", error_description="the access token expired""#)
}

fn refusal(status: u16, error: &str) -> Seen {
    Seen::only(status, format!("{NO_ERROR}, {error}"))
}

/// The one user whose tokens the issuer gives out.
fn user_of(issuer: &TestSupabase) -> String {
    let payload = issuer.token().payload();
    let sub = payload.split_once(r#""sub":""#).and_then(|(_, rest)| rest.split_once('"'));
    sub.map(|(sub, _)| sub.to_owned()).unwrap_or_default()
}

#[derive(Debug)]
struct Tour {
    visitor: Visitor,
    steps: Vec<Step>,
}

impl Tour {
    async fn step(&mut self, name: &'static str, ask: Ask, expected: Seen) -> reqwest::Result<()> {
        let seen = self.visitor.ask(&ask).await?;
        self.steps.push(Step { name, request: ask.to_string(), expected, seen });
        Ok(())
    }
}

impl Step {
    fn is_as_expected(&self) -> bool {
        self.seen == self.expected
    }
}

fn report(steps: &[Step]) -> Table<6> {
    let mut table = Table::new(["", "step", "request", "expected", "got", "challenge or body"]);
    for step in steps {
        let mark = if step.is_as_expected() { "ok" } else { "✗" };
        table.push([
            mark.to_owned(),
            step.name.to_owned(),
            step.request.clone(),
            step.expected.to_string(),
            step.seen.to_string(),
            shown(&step.seen),
        ]);
        if step.seen.says() != step.expected.says() {
            let instead = format!("instead of {}", shown(&step.expected));
            table.push(["", "", "", "", "", &instead].map(str::to_owned));
        }
    }
    table
}

/// The realm is the same in all challenges: it is shown where it stands alone.
fn shown(seen: &Seen) -> String {
    let says = seen.says();
    let says = says.strip_prefix(NO_ERROR).and_then(|rest| rest.strip_prefix(", ")).unwrap_or(&says);
    shorten(says, SHOWN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn every_answer_of_the_tour_is_the_expected_one() {
        let steps = tour().await.unwrap();
        assert!(steps.iter().all(Step::is_as_expected), "\n{}", report(&steps));
    }

    #[test]
    fn a_wrong_answer_is_marked_and_shown_beside_the_expected_one() {
        let step = Step {
            name: "expired",
            request: Ask::get("/me").to_string(),
            expected: refusal(401, "error=\"a\""),
            seen: refusal(401, "error=\"b\""),
        };
        assert!(!step.is_as_expected());
        let report = report(&[step]).to_string();
        let lines: Vec<_> = report.lines().skip(2).collect();
        assert!(lines[0].starts_with('✗') && lines[0].ends_with(r#"error="b""#), "{report}");
        assert!(lines[1].ends_with(r#"instead of error="a""#), "{report}");
    }
}
