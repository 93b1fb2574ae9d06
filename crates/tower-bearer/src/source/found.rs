//! What the sources of one request found, together.

use crate::{credential::Credential, error::Reason};
use std::borrow::Cow;

/// The one credential of a request, so far.
pub(crate) struct Tokens<'a> {
    limit: usize,
    found: Option<(Cow<'a, str>, Carrier)>,
}

/// How a token came, as far as that decides what else must hold.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Carrier {
    /// The client put it there for this request.
    Header,
    /// The browser adds it by itself: whether this request may use it.
    #[cfg_attr(
        not(any(feature = "cookies", test)),
        expect(dead_code, reason = "made by cookie sources only")
    )]
    Cookie { permitted: bool },
    /// RFC 6750 §2.3: then it stands nowhere else.
    Query,
}

impl<'a> Tokens<'a> {
    pub(crate) fn new(limit: usize) -> Self {
        Self { limit, found: None }
    }

    /// Adds a token that was found in the request.
    pub(crate) fn add(&mut self, token: &'a [u8], carrier: Carrier) -> Result<(), Reason> {
        let token = Credential::from_bytes(token, self.limit)?.token();
        self.agree(Cow::Borrowed(token), carrier)
    }

    /// Adds a token that had to be decoded.
    #[cfg(feature = "cookies")]
    pub(crate) fn add_decoded(&mut self, token: String, carrier: Carrier) -> Result<(), Reason> {
        Credential::from_bytes(token.as_bytes(), self.limit)?;
        self.agree(Cow::Owned(token), carrier)
    }

    /// The one token of the request; `None` when there was none.
    pub(crate) fn into_one(self) -> Result<Option<Cow<'a, str>>, Reason> {
        match self.found {
            Some((_, Carrier::Cookie { permitted: false })) => Err(Reason::CrossSite),
            found => Ok(found.map(|(token, _)| token)),
        }
    }

    /// Two that are the same are one; of two that differ, choosing one would be guessing.
    fn agree(&mut self, token: Cow<'a, str>, carrier: Carrier) -> Result<(), Reason> {
        let Some((known, by)) = &mut self.found else {
            self.found = Some((token, carrier));
            return Ok(());
        };
        *by = match (*by, carrier) {
            (Carrier::Query, _) | (_, Carrier::Query) => return Err(Reason::SeveralCredentials),
            _ if *known != token => return Err(Reason::SeveralCredentials),
            // Another site can make the browser send a cookie, but not what is in it as a header.
            (Carrier::Header, _) | (_, Carrier::Header) => Carrier::Header,
            (Carrier::Cookie { permitted: one }, Carrier::Cookie { permitted: other }) => {
                Carrier::Cookie { permitted: one && other }
            }
        };
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What was found, and what becomes of it.
    type Row<'a> = (&'a [(&'a str, Carrier)], Result<Option<&'a str>, Reason>);

    #[test]
    fn one_credential_however_it_comes() {
        use Carrier::{Cookie, Header, Query};
        let (ours, theirs) = (Cookie { permitted: true }, Cookie { permitted: false });
        let several = Err(Reason::SeveralCredentials);
        let table: &[Row<'_>] = &[
            (&[], Ok(None)),
            (&[("a", Header)], Ok(Some("a"))),
            (&[("a", ours)], Ok(Some("a"))),
            (&[("a", theirs)], Err(Reason::CrossSite)),
            (&[("a", Query)], Ok(Some("a"))),
            (&[("a", Header), ("a", Header)], Ok(Some("a"))),
            (&[("a", Header), ("b", Header)], several),
            (&[("a", Header), ("a", theirs)], Ok(Some("a"))),
            (&[("a", theirs), ("a", Header)], Ok(Some("a"))),
            (&[("a", Header), ("b", theirs)], several),
            (&[("a", ours), ("b", ours)], several),
            (&[("a", ours), ("a", theirs)], Err(Reason::CrossSite)),
            (&[("a", theirs), ("a", ours)], Err(Reason::CrossSite)),
            (&[("a", Header), ("a", Query)], several),
            (&[("a", Query), ("a", Header)], several),
            (&[("a", Query), ("a", ours)], several),
            (&[("a", Query), ("a", Query)], several),
            (&[("", Header)], Err(Reason::MalformedCredential)),
            (&[("a b", Query)], Err(Reason::MalformedCredential)),
            (&[("0123456789", ours)], Err(Reason::CredentialTooLong)),
        ];
        for (tokens, expected) in table {
            let mut found = Tokens::new(9);
            let added = tokens.iter().try_for_each(|(token, carrier)| found.add(token.as_bytes(), *carrier));
            let one = added.and_then(|()| found.into_one());
            assert_eq!(one.as_ref().map(Option::as_deref).map_err(|reason| *reason), *expected, "{tokens:?}");
        }
    }
}
