//! How the cookies of a session get their name: by their project, or by one that was chosen.

use std::{error::Error, fmt};
use tower_bearer::supabase::cookies::SessionName;

/// The cookies of a session cannot be set up so.
#[non_exhaustive]
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum InvalidSsrCookie {
    /// Not a URL with a host whose first label can be part of a name.
    Project(String),
    /// Not a name.
    Name(String),
    /// Not a domain.
    Domain(String),
}

/// The name by the URL of a project.
pub(super) fn of_project(url: &str) -> Result<SessionName, InvalidSsrCookie> {
    let name = url.contains("://").then(|| SessionName::new(url).ok()).flatten();
    name.ok_or_else(|| InvalidSsrCookie::Project(url.to_owned()))
}

/// The name itself.
pub(super) fn named(name: &str) -> Result<SessionName, InvalidSsrCookie> {
    let found = (!name.contains("://")).then(|| SessionName::new(name).ok()).flatten();
    found.ok_or_else(|| InvalidSsrCookie::Name(name.to_owned()))
}

impl fmt::Display for InvalidSsrCookie {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Project(url) => write!(f, "{url:?} is not the URL of a project"),
            Self::Name(name) => write!(f, "{name:?} is not the name of a cookie"),
            Self::Domain(domain) => write!(f, "{domain:?} is not the domain of a cookie"),
        }
    }
}

impl Error for InvalidSsrCookie {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_project_is_a_url_and_a_name_is_none() {
        assert_eq!(
            of_project("https://abc.supabase.co/auth/v1").expect("a project").as_str(),
            "sb-abc-auth-token"
        );
        assert_eq!(named("my-session").expect("a name").as_str(), "my-session");
        for bad in ["", "abc", "my-session", "https://", "https://[::1]", "http://a b"] {
            assert!(matches!(of_project(bad), Err(InvalidSsrCookie::Project(_))), "{bad}");
        }
        for bad in ["", "a b", "a;b", "a=b", "é", "https://abc.supabase.co"] {
            assert!(matches!(named(bad), Err(InvalidSsrCookie::Name(_))), "{bad}");
        }
    }
}
