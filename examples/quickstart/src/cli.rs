//! What the command line asks for.

use std::{error::Error, fmt};

pub(crate) const USAGE: &str = "\
Usage: quickstart [--port N]    serve the API on 127.0.0.1 (port 3000, or a free one if that is taken)
       quickstart --demo        walk the tour alone and check every answer
       quickstart --help

With SUPABASE_URL in the environment (such as https://abc.supabase.co) the API trusts that project;
otherwise a test issuer runs beside it.";

#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Command {
    Help,
    Serve { port: Option<u16> },
    ServeProject { url: String, port: Option<u16> },
    Demo,
}

/// What cannot be understood, in the user's own words.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum UsageError {
    Unknown(String),
    PortMissing,
    PortInvalid(String),
    DemoWithPort,
}

impl Command {
    pub(crate) fn parse(
        arguments: impl IntoIterator<Item = String>,
        supabase_url: Option<String>,
    ) -> Result<Self, UsageError> {
        let (mut demo, mut port) = (false, None);
        let mut arguments = arguments.into_iter();
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--help" | "-h" => return Ok(Self::Help),
                "--demo" => demo = true,
                "--port" => {
                    let text = arguments.next().ok_or(UsageError::PortMissing)?;
                    port = Some(text.parse().map_err(|_| UsageError::PortInvalid(text))?);
                }
                _ => return Err(UsageError::Unknown(argument)),
            }
        }
        match (demo, supabase_url) {
            (true, _) if port.is_some() => Err(UsageError::DemoWithPort),
            (true, _) => Ok(Self::Demo),
            (false, Some(url)) => Ok(Self::ServeProject { url, port }),
            (false, None) => Ok(Self::Serve { port }),
        }
    }
}

impl fmt::Display for UsageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown(argument) => write!(f, "quickstart: unknown argument {argument:?}"),
            Self::PortMissing => f.write_str("quickstart: --port needs a number"),
            Self::PortInvalid(text) => write!(f, "quickstart: {text:?} is no port: 0 to 65535"),
            Self::DemoWithPort => f.write_str("quickstart: --demo takes a free port; leave --port out"),
        }
    }
}

impl Error for UsageError {}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str, url: Option<&str>) -> Result<Command, UsageError> {
        Command::parse(line.split_whitespace().map(str::to_owned), url.map(str::to_owned))
    }

    #[test]
    fn what_is_asked_for_is_understood() {
        let url = "https://abc.supabase.co";
        let project = |port| Command::ServeProject { url: url.to_owned(), port };
        for (line, env, expected) in [
            ("", None, Command::Serve { port: None }),
            ("--port 8080", None, Command::Serve { port: Some(8080) }),
            ("", Some(url), project(None)),
            ("--port 0", Some(url), project(Some(0))),
            ("--demo", None, Command::Demo),
            ("--demo", Some(url), Command::Demo),
            ("--help", None, Command::Help),
            ("--demo -h --port", None, Command::Help),
        ] {
            assert_eq!(parse(line, env), Ok(expected), "{line:?}");
        }
    }

    #[test]
    fn what_cannot_be_understood_is_an_error() {
        for (line, expected) in [
            ("demo", UsageError::Unknown("demo".into())),
            ("--demo --fast", UsageError::Unknown("--fast".into())),
            ("--port", UsageError::PortMissing),
            ("--port 65536", UsageError::PortInvalid("65536".into())),
            ("--port --demo", UsageError::PortInvalid("--demo".into())),
            ("--demo --port 1", UsageError::DemoWithPort),
        ] {
            assert_eq!(parse(line, None), Err(expected), "{line:?}");
        }
    }
}
