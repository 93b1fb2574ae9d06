//! What the environment says.

use bearer_session::{InvalidSealingKey, Keyring};
use std::{error::Error, fmt};

/// The variables, empty ones left out.
#[derive(Default)]
pub(crate) struct Settings {
    pub(crate) project: Option<Project>,
    pub(crate) redis_url: Option<String>,
    pub(crate) keyring: Option<Keyring>,
    pub(crate) site_url: Option<String>,
}

/// A Supabase project.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Project {
    /// Such as `https://abc.supabase.co`.
    pub(crate) url: String,
    /// `sb_publishable_…`, or the legacy `anon` key.
    pub(crate) key: String,
    /// Such as `github`.
    pub(crate) providers: Vec<String>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum SettingsError {
    NoKey,
    SessionKey(InvalidSealingKey),
    Providers,
}

impl Settings {
    pub(crate) fn read(variable: impl Fn(&str) -> Option<String>) -> Result<Self, SettingsError> {
        let text = |name| variable(name).filter(|text| !text.is_empty());
        let project = match text("SUPABASE_URL") {
            None => None,
            Some(url) => Some(Project {
                url,
                key: text("SUPABASE_PUBLISHABLE_KEY").ok_or(SettingsError::NoKey)?,
                providers: providers(&text("SUPABASE_PROVIDERS").unwrap_or_default())?,
            }),
        };
        let keyring = text("SESSION_KEY").map(|text| Keyring::from_text(&text));
        Ok(Self {
            project,
            redis_url: text("REDIS_URL"),
            keyring: keyring.transpose().map_err(SettingsError::SessionKey)?,
            site_url: text("SITE_URL"),
        })
    }
}

impl Project {
    /// One that Supabase runs, with its limits.
    pub(crate) fn is_hosted(&self) -> bool {
        self.url.trim_end_matches('/').ends_with(".supabase.co")
    }
}

/// Their names go into links.
fn providers(text: &str) -> Result<Vec<String>, SettingsError> {
    let is_name = |name: &str| name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte));
    let names: Vec<_> = text.split_whitespace().map(str::to_owned).collect();
    if names.iter().all(|name| is_name(name)) { Ok(names) } else { Err(SettingsError::Providers) }
}

/// Without the secret, which may be nearly right.
impl fmt::Display for SettingsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoKey => f.write_str("SUPABASE_URL needs SUPABASE_PUBLISHABLE_KEY beside it"),
            Self::SessionKey(why) => write!(f, "SESSION_KEY: {why}"),
            Self::Providers => {
                f.write_str("SUPABASE_PROVIDERS must be names separated by spaces, such as \"github google\"")
            }
        }
    }
}

impl Error for SettingsError {}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> Result<Settings, SettingsError> {
        let value = |name: &str| variables.iter().find(|(known, _)| *known == name);
        Settings::read(|name| value(name).map(|(_, value)| (*value).to_owned()))
    }

    #[test]
    fn an_empty_variable_is_none() {
        let settings = read(&[("SUPABASE_URL", ""), ("REDIS_URL", ""), ("SESSION_KEY", "")]).unwrap();
        assert_eq!((settings.project, settings.redis_url), (None, None));
        assert!(settings.keyring.is_none());
    }

    #[test]
    fn a_project_has_a_key_and_perhaps_providers() {
        let url = ("SUPABASE_URL", "https://abc.supabase.co");
        assert_eq!(read(&[url]).err(), Some(SettingsError::NoKey));
        let key = ("SUPABASE_PUBLISHABLE_KEY", "sb_publishable_1");
        let providers = |names: &'static str| {
            read(&[url, key, ("SUPABASE_PROVIDERS", names)])
                .map(|settings| settings.project.unwrap().providers)
        };
        assert_eq!(providers("").unwrap(), Vec::<String>::new());
        assert_eq!(providers("github  google").unwrap(), ["github", "google"]);
        assert_eq!(providers("github&a=b"), Err(SettingsError::Providers));
    }

    #[test]
    fn a_project_of_ones_own_has_limits_of_its_own() {
        for (url, expected) in [
            ("https://abc.supabase.co", true),
            ("https://abc.supabase.co/", true),
            ("http://127.0.0.1:54321", false),
            ("https://supabase.example", false),
        ] {
            let project = Project { url: url.to_owned(), key: String::new(), providers: Vec::new() };
            assert_eq!(project.is_hosted(), expected, "{url}");
        }
    }

    #[test]
    fn a_session_key_that_is_none_is_an_error_that_does_not_show_it() {
        let read = |text: &str| read(&[("SESSION_KEY", text)]).map(|settings| settings.keyring.is_some());
        assert_eq!(read(&"_".repeat(42)).map_err(|error| error.to_string().contains("___")), Err(false));
        assert_eq!(read(&format!("{}8=", "_".repeat(42))), Ok(true));
    }
}
