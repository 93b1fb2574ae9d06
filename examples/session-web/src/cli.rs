//! What the command line asks for.

use std::{error::Error, fmt};

pub(crate) const USAGE: &str = "\
Usage: session-web [--port N] [--lifetime SECONDS]    serve the site (port 3000, or a free one if that is taken)
       session-web --demo                             walk the tour without a browser and check every answer
       session-web --help

--lifetime is that of the access tokens which the test issuer gives out: 12 seconds if nothing is said.

Environment:
  SUPABASE_URL, SUPABASE_PUBLISHABLE_KEY   the users of this project; otherwise a test issuer runs beside the site
  SUPABASE_PROVIDERS                       providers to sign in with, such as \"github google\"
  REDIS_URL                                sessions lie there, and several instances share them; otherwise in memory
  SESSION_KEY                              encrypts them: 32 bytes in base64url or base64, the same in all instances
  SITE_URL                                 what the browser calls the site, if that is not http://localhost:<port>";

#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Command {
    Help,
    Serve { port: Option<u16>, lifetime: u32 },
    Demo,
}

/// What cannot be understood, in the user's own words.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum UsageError {
    Unknown(String),
    Missing(&'static str),
    PortInvalid(String),
    LifetimeInvalid(String),
    DemoAlone,
}

/// Seconds in which somebody can watch a token expire.
const LIFETIME: u32 = 12;

impl Command {
    pub(crate) fn parse(arguments: impl IntoIterator<Item = String>) -> Result<Self, UsageError> {
        let (mut demo, mut port, mut lifetime) = (false, None, None);
        let mut arguments = arguments.into_iter();
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--help" | "-h" => return Ok(Self::Help),
                "--demo" => demo = true,
                "--port" => {
                    let text = arguments.next().ok_or(UsageError::Missing("--port"))?;
                    port = Some(text.parse().map_err(|_| UsageError::PortInvalid(text))?);
                }
                "--lifetime" => {
                    let text = arguments.next().ok_or(UsageError::Missing("--lifetime"))?;
                    let seconds = text.parse().ok().filter(|seconds| (1..=3600).contains(seconds));
                    lifetime = Some(seconds.ok_or(UsageError::LifetimeInvalid(text))?);
                }
                _ => return Err(UsageError::Unknown(argument)),
            }
        }
        match demo {
            true if port.is_some() || lifetime.is_some() => Err(UsageError::DemoAlone),
            true => Ok(Self::Demo),
            false => Ok(Self::Serve { port, lifetime: lifetime.unwrap_or(LIFETIME) }),
        }
    }
}

impl fmt::Display for UsageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown(argument) => write!(f, "session-web: unknown argument {argument:?}"),
            Self::Missing(name) => write!(f, "session-web: {name} needs a number"),
            Self::PortInvalid(text) => write!(f, "session-web: {text:?} is no port: 0 to 65535"),
            Self::LifetimeInvalid(text) => {
                write!(f, "session-web: {text:?} is no lifetime: 1 to 3600 seconds")
            }
            Self::DemoAlone => f.write_str("session-web: --demo stands alone"),
        }
    }
}

impl Error for UsageError {}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Command, UsageError> {
        Command::parse(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn what_is_asked_for_is_understood() {
        for (line, expected) in [
            ("", Command::Serve { port: None, lifetime: 12 }),
            ("--port 0", Command::Serve { port: Some(0), lifetime: 12 }),
            ("--lifetime 2 --port 8080", Command::Serve { port: Some(8080), lifetime: 2 }),
            ("--demo", Command::Demo),
            ("--demo -h --port", Command::Help),
        ] {
            assert_eq!(parse(line), Ok(expected), "{line:?}");
        }
    }

    #[test]
    fn what_cannot_be_understood_is_an_error() {
        for (line, expected) in [
            ("demo", UsageError::Unknown("demo".into())),
            ("--port", UsageError::Missing("--port")),
            ("--port 65536", UsageError::PortInvalid("65536".into())),
            ("--lifetime 0", UsageError::LifetimeInvalid("0".into())),
            ("--lifetime 3601", UsageError::LifetimeInvalid("3601".into())),
            ("--demo --port 1", UsageError::DemoAlone),
            ("--lifetime 5 --demo", UsageError::DemoAlone),
        ] {
            assert_eq!(parse(line), Err(expected), "{line:?}");
        }
    }
}
