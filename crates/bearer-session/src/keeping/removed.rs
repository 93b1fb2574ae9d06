//! [`Removed`]: what was taken out of a request, for whoever writes cookies behind that.

use http::{HeaderMap, HeaderValue, header::COOKIE, request::Parts};
use std::borrow::Cow;

/// The names of the cookies that the layer took out of a request, in the request's extensions: whoever is
/// behind it and writes cookies must know which there are. No values.
#[derive(Clone, Debug)]
pub(crate) struct Removed(pub(super) Option<HeaderValue>);

/// What the browser has, for whoever writes or deletes its cookies, though the layer may have taken them out:
/// names, some of them without a value.
pub(crate) fn jar(request: &Parts) -> Cow<'_, HeaderMap> {
    match request.extensions.get() {
        Some(Removed(Some(line))) => {
            let mut headers = request.headers.clone();
            headers.append(COOKIE, line.clone());
            Cow::Owned(headers)
        }
        Some(Removed(None)) | None => Cow::Borrowed(&request.headers),
    }
}
