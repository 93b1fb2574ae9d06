//! What the site is about: each user's notes, in memory.

use axum_bearer::AuthUser;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// Clones share the notes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Notes(Arc<Mutex<HashMap<String, Vec<String>>>>);

impl Notes {
    pub(crate) fn of(&self, user: &AuthUser) -> Vec<String> {
        self.all().get(&user.sub).cloned().unwrap_or_default()
    }

    pub(crate) fn add(&self, user: &AuthUser, text: String) {
        self.all().entry(user.sub.clone()).or_default().push(text);
    }

    pub(crate) fn clear(&self, user: &AuthUser) {
        self.all().remove(&user.sub);
    }

    fn all(&self) -> MutexGuard<'_, HashMap<String, Vec<String>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
