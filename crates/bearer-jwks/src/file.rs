//! A JWK Set in a file.

use crate::{
    fetch::{Fetch, FetchError, Fetched},
    schedule::Schedule,
};
use std::{path::PathBuf, time::Duration};

/// Reads a JWK Set from a file, and again when it changes: looked after every 5 seconds, and at once when a token
/// names a key that is not there.
///
/// Replace the file in one step (write another and rename it): a half-written one is an error, and the keys of the
/// last whole one stay.
///
/// ```
/// use bearer_jwks::{FileFetch, Refresher};
///
/// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
/// # let path = std::env::temp_dir().join(format!("bearer-jwks-doc-{}.json", std::process::id()));
/// std::fs::write(&path, r#"{"keys":[
///     {"kty":"OKP","crv":"Ed25519","kid":"a","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}
/// ]}"#)?;
/// let (mut refresher, keys) = Refresher::new(FileFetch::new(&path));
/// refresher.refresh().await?;
/// assert_eq!(keys.with(|now| now.keys().ids().count()), 1);
///
/// std::fs::remove_file(&path)?;
/// assert!(refresher.refresh().await.is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(()) })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct FileFetch {
    path: PathBuf,
}

impl FileFetch {
    /// Reads from `path`.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }
}

impl Fetch for FileFetch {
    async fn fetch(&mut self, etag: Option<&str>) -> Result<Fetched, FetchError> {
        let metadata = tokio::fs::metadata(&self.path).await.map_err(FetchError::transport)?;
        // Not every file system has a time of change; without one the file is read every time.
        let version = metadata.modified().ok().map(|modified| format!("{modified:?} {}", metadata.len()));
        if etag.is_some() && etag == version.as_deref() {
            return Ok(Fetched::default());
        }
        let text = tokio::fs::read_to_string(&self.path).await.map_err(FetchError::transport)?;
        Ok(Fetched { etag: version, ..Fetched::new(text) })
    }

    fn schedule(&self) -> Schedule {
        Schedule { every: Duration::from_secs(5), at_least: Duration::from_secs(5), ..Schedule::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Refresher;
    use bearer_testing::{Algorithm, SigningKey};
    use std::fs;

    /// A file that goes with the test.
    struct Temporary(PathBuf);

    impl Temporary {
        fn new(name: &str) -> Self {
            Self(std::env::temp_dir().join(format!("bearer-jwks-{}-{name}.json", std::process::id())))
        }
        fn write(&self, kids: &[&str]) {
            let key = SigningKey::generate(Algorithm::EdDSA);
            let keys: Vec<_> = kids.iter().map(|kid| key.clone().kid(*kid).public_jwk()).collect();
            let next = self.0.with_extension("next");
            fs::write(&next, serde_json::json!({ "keys": keys }).to_string()).unwrap();
            fs::rename(next, &self.0).unwrap();
        }
    }

    impl Drop for Temporary {
        fn drop(&mut self) {
            let _ = fs::remove_file(&self.0);
        }
    }

    #[tokio::test]
    async fn a_file_is_read_again_when_it_has_changed_and_only_then() {
        let file = Temporary::new("changes");
        file.write(&["a"]);
        let mut fetch = FileFetch::new(&file.0);
        let first = fetch.fetch(None).await.unwrap();
        assert!(first.jwks.is_some_and(|jwks| jwks.contains("\"a\"")));
        let tag = first.etag.expect("file systems have times");
        assert_eq!(fetch.fetch(Some(&tag)).await.unwrap(), Fetched::default(), "unchanged");
        assert!(fetch.fetch(None).await.unwrap().jwks.is_some(), "for a token it is read all the same");
        file.write(&["a", "b"]);
        assert!(fetch.fetch(Some(&tag)).await.unwrap().jwks.is_some_and(|jwks| jwks.contains("\"b\"")));
    }

    #[tokio::test]
    async fn a_file_that_is_gone_or_half_written_leaves_the_keys() {
        let file = Temporary::new("gone");
        file.write(&["a"]);
        let (mut refresher, keys) = Refresher::new(FileFetch::new(&file.0));
        refresher.refresh().await.unwrap();
        fs::write(&file.0, "{\"keys\":[").unwrap();
        assert!(matches!(refresher.refresh().await, Err(FetchError::Malformed(_))));
        fs::remove_file(&file.0).unwrap();
        assert!(matches!(refresher.refresh().await, Err(FetchError::Transport(_))));
        assert_eq!(keys.with(|now| now.keys().len()), 1);
    }
}
