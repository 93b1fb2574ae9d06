//! [`ExchangeError`]: why there are no new tokens, and what became of the old one.

use http::StatusCode;
use std::{error::Error, fmt, time::Duration};

/// What became of the refresh token that was to be exchanged.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Outcome {
    /// The issuer refused it for good: the session is over.
    Final,
    /// It was not spent, and may be presented later.
    NotSpent,
    /// Nobody knows. See [`AfterUnknown`](super::AfterUnknown).
    Unknown,
}

/// An exchange of tokens failed. It never holds a token.
#[derive(Debug)]
pub struct ExchangeError {
    outcome: Outcome,
    status: Option<StatusCode>,
    code: Option<Box<str>>,
    retry_after: Option<Duration>,
    is_of_one_client: bool,
    source: Option<Box<dyn Error + Send + Sync>>,
}

impl ExchangeError {
    /// A failure of this outcome.
    pub const fn new(outcome: Outcome) -> Self {
        Self { outcome, status: None, code: None, retry_after: None, is_of_one_client: false, source: None }
    }

    /// With the status of the issuer's answer.
    #[must_use]
    pub const fn with_status(mut self, status: StatusCode) -> Self {
        self.status = Some(status);
        self
    }

    /// With the issuer's own error code, such as `invalid_grant` or `refresh_token_already_used`. What is
    /// empty, has other characters than a code has, or more than 64, is left out: it may be anything.
    #[must_use]
    pub fn with_code(mut self, code: &str) -> Self {
        self.code = is_code(code).then(|| code.into());
        self
    }

    /// With the time that the issuer wants to be left alone.
    #[must_use]
    pub const fn with_retry_after(mut self, time: Duration) -> Self {
        self.retry_after = Some(time);
        self
    }

    /// About the client alone [on whose behalf](super::OnBehalf) it was asked: a limit that the issuer counts
    /// by client keeps no other from asking. A 429 that does not say so is one for all users, who come from
    /// one address here.
    #[must_use]
    pub const fn of_one_client(mut self) -> Self {
        self.is_of_one_client = true;
        self
    }

    /// With what lies beneath.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// What became of the refresh token.
    pub const fn outcome(&self) -> Outcome {
        self.outcome
    }

    /// The status of the issuer's answer, where there was one.
    pub const fn status(&self) -> Option<StatusCode> {
        self.status
    }

    /// The issuer's own error code.
    pub fn code(&self) -> Option<&str> {
        self.code.as_deref()
    }

    /// Whether it is about the client alone on whose behalf it was asked.
    pub const fn is_of_one_client(&self) -> bool {
        self.is_of_one_client
    }

    /// How long the issuer wants to be left alone.
    pub const fn retry_after(&self) -> Option<Duration> {
        self.retry_after
    }
}

impl fmt::Display for ExchangeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.outcome {
            Outcome::Final => "the issuer refused the token for good",
            Outcome::NotSpent => "the issuer exchanges no tokens now",
            Outcome::Unknown => "the issuer's answer was lost",
        })?;
        if let Some(status) = self.status {
            write!(f, " ({})", status.as_u16())?;
        }
        match &self.code {
            Some(code) => write!(f, ": {code}"),
            None => Ok(()),
        }
    }
}

impl Error for ExchangeError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_deref().map(|source| source as &(dyn Error + 'static))
    }
}

/// Whether this is a code: letters, digits and `_-.` alone, from 1 to 64. Anything else may be anybody's
/// words.
pub(crate) fn is_code(text: &str) -> bool {
    let is_of_code = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    (1..=64).contains(&text.len()) && text.bytes().all(is_of_code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_a_code_or_left_out() {
        let most = "x".repeat(64);
        for good in ["invalid_grant", "over-limit", "KOE.322", "1", &most] {
            assert_eq!(ExchangeError::new(Outcome::Final).with_code(good).code(), Some(good));
        }
        for bad in ["", " ", "a b", "<script>", "é", "a\n", &format!("{most}x")] {
            assert_eq!(ExchangeError::new(Outcome::Final).with_code(bad).code(), None, "{bad}");
        }
    }
}
