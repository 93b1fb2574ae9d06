//! Name resolution that does not lead where no issuer is.

use crate::location::is_off_limits;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use std::{error::Error, fmt, net::SocketAddr};

/// Resolves with the system's resolver and leaves out the addresses that are off limits: a name is as good a way to
/// a metadata service as its number.
#[derive(Clone, Debug, Default)]
pub(crate) struct GuardedResolver {
    /// The one name that may lead anywhere.
    pub(crate) exempt: Option<String>,
}

#[derive(Debug)]
struct OffLimits;

impl Resolve for GuardedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let is_exempt = self.is_exempt(name.as_str());
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            Ok(Box::new(allowed(found, is_exempt)?.into_iter()) as Addrs)
        })
    }
}

impl GuardedResolver {
    fn is_exempt(&self, name: &str) -> bool {
        self.exempt.as_deref().is_some_and(|exempt| exempt.eq_ignore_ascii_case(name))
    }
}

fn allowed(found: impl Iterator<Item = SocketAddr>, is_exempt: bool) -> Result<Vec<SocketAddr>, OffLimits> {
    let allowed: Vec<_> = found.filter(|address| is_exempt || !is_off_limits(address.ip())).collect();
    if allowed.is_empty() { Err(OffLimits) } else { Ok(allowed) }
}

impl fmt::Display for OffLimits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name resolves to nothing but link-local or metadata addresses")
    }
}

impl Error for OffLimits {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_leads_to_no_address_that_is_off_limits() {
        let addresses =
            |texts: &[&str]| texts.iter().map(|text| text.parse().expect(text)).collect::<Vec<SocketAddr>>();
        let mixed = addresses(&["169.254.169.254:0", "10.0.0.1:0", "[fe80::1]:0", "127.0.0.1:0"]);
        assert_eq!(
            allowed(mixed.into_iter(), false).expect("two left"),
            addresses(&["10.0.0.1:0", "127.0.0.1:0"])
        );
        assert!(allowed(addresses(&["169.254.169.254:0"]).into_iter(), false).is_err());
    }

    #[test]
    fn only_the_name_that_was_allowed_leads_anywhere() {
        let resolver = GuardedResolver { exempt: Some("metadata.example".to_owned()) };
        assert!(resolver.is_exempt("metadata.example") && resolver.is_exempt("METADATA.example"));
        for other in ["example", "a.metadata.example", "metadata.example.evil", ""] {
            assert!(!resolver.is_exempt(other), "{other}");
            assert!(!GuardedResolver::default().is_exempt(other), "{other}");
        }
        let metadata: SocketAddr = "169.254.169.254:0".parse().expect("an address");
        assert_eq!(allowed([metadata].into_iter(), true).expect("allowed"), [metadata]);
    }
}
