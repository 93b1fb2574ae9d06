//! What a CORS preflight is (Fetch, CORS-preflight request).

use http::{
    Method, Request,
    header::{ACCESS_CONTROL_REQUEST_METHOD, ORIGIN},
};

/// Whether this is one: all three marks, since less is an ordinary request.
pub(crate) fn is_preflight<B>(request: &Request<B>) -> bool {
    let headers = request.headers();
    request.method() == Method::OPTIONS
        && headers.contains_key(ORIGIN)
        && headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rs_164_nothing_less_is_a_preflight() {
        let table: &[(&str, &[&str], bool)] = &[
            ("OPTIONS", &["origin", "access-control-request-method"], true),
            ("OPTIONS", &["origin"], false),
            ("OPTIONS", &["access-control-request-method"], false),
            ("OPTIONS", &["origin", "access-control-request-headers"], false),
            ("OPTIONS", &[], false),
            ("GET", &["origin", "access-control-request-method"], false),
            ("POST", &["origin", "access-control-request-method"], false),
        ];
        for (method, headers, expected) in table {
            let mut request = Request::builder().method(*method);
            for name in *headers {
                request = request.header(*name, "x");
            }
            assert_eq!(
                is_preflight(&request.body(()).expect("a request")),
                *expected,
                "{method} {headers:?}"
            );
        }
    }
}
