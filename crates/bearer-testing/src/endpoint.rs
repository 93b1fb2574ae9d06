//! The JWKS endpoint that `TestIssuer` and `TestSupabase` share.

use std::sync::{
    Mutex, PoisonError,
    atomic::{AtomicUsize, Ordering},
};

use axum::{
    http::{HeaderValue, header},
    response::{IntoResponse, Response},
};

use crate::{fault::Faults, keyring::Keyring};

/// The JWKS endpoint of both servers.
#[derive(Debug)]
pub(crate) struct JwksEndpoint {
    pub(crate) keyring: Keyring,
    pub(crate) faults: Faults,
    cache_control: Mutex<Option<HeaderValue>>,
    requests: AtomicUsize,
}

impl JwksEndpoint {
    pub(crate) fn new(keyring: Keyring) -> Self {
        Self {
            keyring,
            faults: Faults::none(),
            cache_control: Mutex::new(None),
            requests: AtomicUsize::new(0),
        }
    }

    pub(crate) async fn answer(&self) -> Response {
        self.requests.fetch_add(1, Ordering::SeqCst);
        let admitted = self.faults.admit().await;
        self.faults.linger().await;
        if let Err(status) = admitted {
            return status.into_response();
        }
        let json = HeaderValue::from_static("application/json");
        let mut response = ([(header::CONTENT_TYPE, json)], self.keyring.document()).into_response();
        if let Some(value) = self.cache_control.lock().unwrap_or_else(PoisonError::into_inner).clone() {
            response.headers_mut().insert(header::CACHE_CONTROL, value);
        }
        response
    }

    pub(crate) fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }

    pub(crate) fn cache_control(&self, value: &str) {
        let value = HeaderValue::from_str(value).expect("Cache-Control is visible ASCII");
        *self.cache_control.lock().unwrap_or_else(PoisonError::into_inner) = Some(value);
    }
}
