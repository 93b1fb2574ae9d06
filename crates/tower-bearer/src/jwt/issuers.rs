//! The allow-list of issuers: a token is judged by the one that its `iss` names, or by none.

use super::issuer::{ConfigError, Issuer};
use std::{
    collections::{HashMap, hash_map::Entry},
    sync::Arc,
};

/// One state of the list. Cheap to clone: a change makes a new list of the same issuers.
#[derive(Clone, Debug, Default)]
pub(super) struct Issuers {
    by_name: HashMap<Box<str>, Arc<Issuer>>,
    /// The one that allows tokens without `iss`.
    nameless: Option<Arc<Issuer>>,
}

impl Issuers {
    /// Adds an issuer.
    pub(super) fn insert(&mut self, issuer: Arc<Issuer>) -> Result<(), ConfigError> {
        issuer.validate()?;
        if !issuer.can_verify() {
            return Err(ConfigError::NoKeys(issuer.iss().to_owned()));
        }
        if issuer.missing_iss_allowed && self.nameless.is_some() {
            return Err(ConfigError::SeveralWithoutIss);
        }
        match self.by_name.entry(issuer.iss().into()) {
            Entry::Occupied(_) => return Err(ConfigError::DuplicateIssuer(issuer.iss().to_owned())),
            Entry::Vacant(place) => place.insert(Arc::clone(&issuer)),
        };
        if issuer.missing_iss_allowed {
            self.nameless = Some(issuer);
        }
        Ok(())
    }

    /// Removes an issuer; says whether it was there.
    pub(super) fn remove(&mut self, iss: &str) -> bool {
        self.nameless.take_if(|nameless| nameless.iss() == iss);
        self.by_name.remove(iss).is_some()
    }

    /// The issuer that may have made a token of this `iss`: an exact name of the list.
    pub(super) fn find(&self, iss: Option<&str>) -> Option<&Issuer> {
        match iss {
            Some(iss) => self.by_name.get(iss).map(Arc::as_ref),
            None => self.nameless.as_deref(),
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Issuer> {
        self.by_name.values().map(Arc::as_ref)
    }
}
