//! A JWK Set in a file.

use crate::{
    fetch::{Fetch, FetchError, Fetched},
    schedule::Schedule,
};
use std::{
    hash::{BuildHasher as _, RandomState},
    path::PathBuf,
    time::Duration,
};

/// Reads a JWK Set from a file, every 5 seconds, and at once when a token names a key that is not there.
///
/// Replace the file in one step (write another and rename it): a half-written one is an error, and the keys
/// of the last whole one stay.
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
    /// Keys the hashes that versions of the file are told apart by.
    hasher: RandomState,
}

impl FileFetch {
    /// Reads from `path`.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), hasher: RandomState::new() }
    }
}

impl Fetch for FileFetch {
    async fn fetch(&mut self, etag: Option<&str>) -> Result<Fetched, FetchError> {
        // A few kilobytes are soon read. Time and length of a file may stay when its content changes: `cp -p`
        // and `rsync -t` keep the time, and most keys of a kind are of one length.
        let text = tokio::fs::read_to_string(&self.path).await.map_err(FetchError::transport)?;
        let version = format!("{:016x}", self.hasher.hash_one(&text));
        if etag == Some(&*version) {
            return Ok(Fetched::default());
        }
        Ok(Fetched { etag: Some(version), ..Fetched::new(text) })
    }

    fn location(&self) -> Option<String> {
        Some(self.path.display().to_string())
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
    async fn a_file_that_has_not_changed_is_said_to_be_unchanged() {
        let file = Temporary::new("changes");
        file.write(&["a"]);
        let mut fetch = FileFetch::new(&file.0);
        let first = fetch.fetch(None).await.unwrap();
        assert!(first.jwks.is_some_and(|jwks| jwks.contains("\"a\"")));
        let tag = first.etag.unwrap();
        assert_eq!(fetch.fetch(Some(&tag)).await.unwrap(), Fetched::default(), "unchanged");
        assert!(fetch.fetch(None).await.unwrap().jwks.is_some(), "for a token it is read all the same");
        file.write(&["a", "b"]);
        assert!(fetch.fetch(Some(&tag)).await.unwrap().jwks.is_some_and(|jwks| jwks.contains("\"b\"")));
    }

    #[tokio::test]
    async fn a_key_of_the_same_length_is_seen_though_the_file_keeps_its_time() {
        let file = Temporary::new("same");
        file.write(&["a"]);
        let modified = fs::metadata(&file.0).unwrap().modified().unwrap();
        let (mut refresher, keys) = Refresher::new(FileFetch::new(&file.0));
        refresher.refresh().await.unwrap();
        // As `cp -p` and `rsync -t` do it.
        file.write(&["b"]);
        fs::File::options().write(true).open(&file.0).unwrap().set_modified(modified).unwrap();
        refresher.refresh().await.unwrap();
        assert!(keys.with(|now| now.keys().ids().eq(["b"])), "the file has another key");
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
        assert_eq!(refresher.status().borrow().location.as_deref(), file.0.to_str(), "which file it was");
        assert_eq!(keys.with(|now| now.keys().len()), 1);
    }
}
