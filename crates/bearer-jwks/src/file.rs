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
