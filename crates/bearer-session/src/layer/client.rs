//! [`Client`]: the address of the user's client, as whoever set this up finds it.

use crate::endpoint::OnBehalf;
use http::{Extensions, HeaderMap};
use std::{fmt, net::IpAddr, sync::Arc};

type Find = dyn Fn(&HeaderMap, &Extensions) -> Option<IpAddr> + Send + Sync;

/// Finds the address, or nothing.
#[derive(Clone, Default)]
pub(crate) struct Client(Option<Arc<Find>>);

impl Client {
    pub(crate) fn by(
        find: impl Fn(&HeaderMap, &Extensions) -> Option<IpAddr> + Send + Sync + 'static,
    ) -> Self {
        Self(Some(Arc::new(find)))
    }

    /// This way, or else that of the other.
    #[cfg(feature = "axum")]
    pub(crate) fn or(self, other: &Self) -> Self {
        Self(self.0.or_else(|| other.0.clone()))
    }

    pub(crate) fn of(&self, headers: &HeaderMap, extensions: &Extensions) -> OnBehalf {
        OnBehalf::client(self.0.as_ref().and_then(|find| find(headers, extensions)))
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Client(..)" } else { "Client(none)" })
    }
}
