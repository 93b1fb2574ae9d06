//! The application's own claims, as a proof holds them.

use crate::{claims_set::ClaimsSet, jwt::RegisteredClaims};
use std::{
    any::{Any, type_name},
    sync::{Arc, OnceLock},
};

/// Claims of whatever type the application asked for.
pub(crate) type AnyClaims = Arc<dyn Any + Send + Sync>;

/// The application's own claims.
#[derive(Clone)]
pub(crate) enum Claims {
    /// It has none: the registered claims are what it asks for.
    Registered,
    Own {
        name: &'static str,
        claims: AnyClaims,
    },
    /// Of a type that every accepted token fits: taken out of the text by whoever asks first, since most
    /// never do.
    Unread {
        name: &'static str,
        read: fn(&ClaimsSet) -> Option<AnyClaims>,
        claims: OnceLock<Option<AnyClaims>>,
    },
}

impl Claims {
    pub(crate) fn own<C: Send + Sync + 'static>(claims: C) -> Self {
        Self::Own { name: type_name::<C>(), claims: Arc::new(claims) }
    }

    /// Its own, of whatever type they are.
    pub(crate) fn get(&self, received: Option<&ClaimsSet>) -> Option<AnyClaims> {
        match self {
            Self::Registered => None,
            Self::Own { claims, .. } => Some(Arc::clone(claims)),
            Self::Unread { read, claims, .. } => claims.get_or_init(|| read(received?)).clone(),
        }
    }

    /// The name of their type.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Registered => type_name::<RegisteredClaims>(),
            Self::Own { name, .. } | Self::Unread { name, .. } => name,
        }
    }
}
