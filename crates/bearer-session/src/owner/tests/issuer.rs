//! An issuer that does what it is told.

use super::*;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

/// An issuer whose every token succeeds the one before: `r0`, `r1` and so on.
#[derive(Clone, Debug)]
pub(super) struct Issuer(pub(super) Arc<Mutex<Told>>);

#[derive(Debug)]
pub(super) struct Told {
    pub(super) rule: AfterUnknown,
    pub(super) expires_in: Duration,
    pub(super) answers: VecDeque<(Duration, Answer)>,
    pub(super) presented: Vec<String>,
    /// Until then it is out of order, and nobody knows what it does with a token.
    pub(super) is_out_until: Option<Instant>,
    pub(super) probes: usize,
    pub(super) signed_out: Vec<(String, SignOutScope)>,
    pub(super) sign_out_fails: bool,
    /// The access token that is good for a sign-out, where not every one is.
    pub(super) signs_out_by: Option<&'static str>,
    pub(super) sign_out_takes: Duration,
}

#[derive(Debug)]
pub(super) enum Answer {
    Tokens,
    /// The tokens never reach us.
    CommittedAndLost(Outcome),
    Hangs,
    Fails(ExchangeError),
    /// Those of whoever this is.
    TokensOf(&'static str),
}

impl Issuer {
    pub(super) fn new(rule: AfterUnknown) -> Self {
        Self(Arc::new(Mutex::new(Told {
            rule,
            expires_in: HOUR,
            answers: VecDeque::new(),
            presented: Vec::new(),
            is_out_until: None,
            probes: 0,
            signed_out: Vec::new(),
            sign_out_fails: false,
            signs_out_by: None,
            sign_out_takes: Duration::ZERO,
        })))
    }

    pub(super) fn supabase() -> Self {
        Self::new(AfterUnknown::PresentAgain)
    }

    pub(super) fn strict() -> Self {
        Self::new(AfterUnknown::FailClosed)
    }

    /// The next answers, each after some time; then tokens at once.
    pub(super) fn answers(self, answers: impl IntoIterator<Item = (Duration, Answer)>) -> Self {
        self.0.lock().unwrap().answers.extend(answers);
        self
    }

    pub(super) fn fails(self, error: ExchangeError) -> Self {
        self.answers([(Duration::ZERO, Answer::Fails(error))])
    }

    pub(super) fn expires_in(self, time: Duration) -> Self {
        self.0.lock().unwrap().expires_in = time;
        self
    }

    pub(super) fn presented(&self) -> Vec<String> {
        self.0.lock().unwrap().presented.clone()
    }

    pub(super) fn most_presentations_of_one(&self) -> usize {
        let mut times = HashMap::new();
        self.presented().into_iter().for_each(|token| *times.entry(token).or_default() += 1);
        times.into_values().max().unwrap_or(0)
    }
}

pub(super) fn tokens(number: u32, expires_in: Duration) -> TokenSet {
    TokenSet::new(AccessToken::new(format!("a{number}")), expires_in)
        .refresh_token(RefreshToken::new(format!("r{number}")))
}

/// An access token that says whose it is.
pub(super) fn tokens_of(user: &str, number: u32, expires_in: Duration) -> TokenSet {
    let payload = URL_SAFE_NO_PAD.encode(format!(r#"{{"sub":"{user}","n":{number}}}"#));
    TokenSet { access_token: AccessToken::new(format!("e30.{payload}.c2ln")), ..tokens(number, expires_in) }
}

impl TokenEndpoint for Issuer {
    fn refresh<'a>(
        &'a self,
        token: &'a RefreshToken,
        _on_behalf: OnBehalf,
    ) -> BoxFuture<'a, Result<TokenSet, ExchangeError>> {
        Box::pin(async move {
            let (after, answer, expires_in) = {
                let mut told = self.0.lock().unwrap();
                let is_out = told.is_out_until.is_some_and(|until| Instant::now() < until);
                if token.expose().starts_with("probe-") {
                    told.probes += 1;
                    return Err(ExchangeError::new(if is_out { Outcome::Unknown } else { Outcome::Final }));
                }
                told.presented.push(token.expose().into());
                if is_out {
                    return Err(ExchangeError::new(Outcome::Unknown));
                }
                let (after, answer) = told.answers.pop_front().unwrap_or((Duration::ZERO, Answer::Tokens));
                (after, answer, told.expires_in)
            };
            sleep(after).await;
            let number: u32 = token.expose()[1..].parse().unwrap();
            match answer {
                Answer::Tokens => Ok(tokens(number + 1, expires_in)),
                Answer::CommittedAndLost(outcome) => Err(ExchangeError::new(outcome)),
                Answer::Hangs => pending().await,
                Answer::Fails(error) => Err(error),
                Answer::TokensOf(user) => Ok(tokens_of(user, number + 1, expires_in)),
            }
        })
    }

    fn sign_out<'a>(
        &'a self,
        access_token: &'a AccessToken,
        _refresh_token: Option<&'a RefreshToken>,
        scope: SignOutScope,
        _on_behalf: OnBehalf,
    ) -> BoxFuture<'a, Result<(), ExchangeError>> {
        let mut told = self.0.lock().unwrap();
        told.signed_out.push((access_token.expose().into(), scope));
        let (fails, takes) = (told.sign_out_fails, told.sign_out_takes);
        let is_stale = told.signs_out_by.is_some_and(|good| access_token.expose() != good);
        Box::pin(async move {
            sleep(takes).await;
            if is_stale {
                return Err(ExchangeError::new(Outcome::NotSpent).with_status(http::StatusCode::FORBIDDEN));
            }
            if fails { Err(ExchangeError::new(Outcome::NotSpent)) } else { Ok(()) }
        })
    }

    fn after_unknown(&self) -> AfterUnknown {
        self.0.lock().unwrap().rule
    }
}
