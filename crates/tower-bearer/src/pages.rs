//! For pages rather than APIs: a browser that may not see one is sent to sign in, and back again.

use crate::{
    config::ConfigError,
    error::{AuthError, AuthErrorKind, Reason},
    return_path::{ReturnPath, spelt},
};
use http::{
    HeaderMap, HeaderValue, Method, Response, StatusCode, Uri,
    header::{ACCEPT, CACHE_CONTROL, LOCATION},
};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// What need not be escaped in the value of a query parameter (RFC 3986 §3.4).
const QUERY_VALUE: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'/').remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Where browsers are sent that may not see a page.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pages {
    sign_in: Option<Page>,
    step_up: Option<Page>,
}

#[derive(Clone, Debug)]
struct Page {
    path: Box<str>,
    /// `<path>?return_to=`, or with `&` where the path has a query.
    opening: Box<str>,
}

impl Pages {
    pub(crate) fn with_sign_in(&self, path: &str) -> Result<Self, ConfigError> {
        Ok(Self { sign_in: Some(Page::new(path)?), ..self.clone() })
    }

    pub(crate) fn with_step_up(&self, path: &str) -> Result<Self, ConfigError> {
        Ok(Self { step_up: Some(Page::new(path)?), ..self.clone() })
    }

    /// Whether this is one of the pages themselves.
    pub(crate) fn include(&self, target: &Uri) -> bool {
        [&self.sign_in, &self.step_up].into_iter().flatten().any(|page| target.path() == &*page.path)
    }

    /// The redirects for this request, should it be refused; `None` for what is not a page that a person asked
    /// for.
    pub(crate) fn redirect_for(
        &self,
        method: &Method,
        target: &Uri,
        headers: &HeaderMap,
    ) -> Option<Redirect> {
        if !is_navigation(method, headers) {
            return None;
        }
        let wanted = target.path_and_query().map_or("/", |wanted| wanted.as_str());
        let back = ReturnPath::parse(&spelt(wanted));
        let back = back.as_ref().map_or("/", ReturnPath::as_str);
        // The page itself behind the gate would be an endless round.
        let to = |page: &Option<Page>| {
            let page = page.as_ref().filter(|page| target.path() != &*page.path)?;
            Some(format!("{}{}", page.opening, utf8_percent_encode(back, QUERY_VALUE)))
        };
        let (sign_in, step_up) = (to(&self.sign_in), to(&self.step_up));
        (sign_in.is_some() || step_up.is_some()).then_some(Redirect { sign_in, step_up })
    }
}

impl Page {
    fn new(path: &str) -> Result<Self, ConfigError> {
        let invalid = || ConfigError::InvalidSignInPath(path.to_owned());
        let checked =
            ReturnPath::parse(path).filter(|path| !path.as_str().contains('#')).ok_or_else(invalid)?;
        let joint = if path.contains('?') { '&' } else { '?' };
        let bare = path.split_once('?').map_or(path, |(bare, _)| bare);
        Ok(Self { path: bare.into(), opening: format!("{checked}{joint}return_to=").into() })
    }
}

/// Where this request is sent, by why it is refused.
#[derive(Clone, Debug)]
pub(crate) struct Redirect {
    sign_in: Option<String>,
    step_up: Option<String>,
}

impl Redirect {
    /// 303 in the place of a 401 that the page mends; others stay as they are.
    pub(crate) fn instead_of<B: Default>(&self, error: &AuthError) -> Option<Response<B>> {
        let location = match error.kind() {
            AuthErrorKind::MissingCredential => self.sign_in.clone(),
            AuthErrorKind::InvalidToken if is_mended_by_another(error.reason()) => self.sign_in.clone(),
            AuthErrorKind::InsufficientUserAuthentication => self.to_step_up(error),
            _ => None,
        };
        let mut response = Response::new(B::default());
        *response.status_mut() = StatusCode::SEE_OTHER;
        response.headers_mut().insert(LOCATION, HeaderValue::try_from(location?).ok()?);
        response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        response.extensions_mut().insert(error.clone());
        Some(response)
    }

    /// With what is wanted, in the names of RFC 9470 §4.
    fn to_step_up(&self, error: &AuthError) -> Option<String> {
        let acr_values = error.required_acr_values().map(|values| {
            let values = utf8_percent_encode(values, QUERY_VALUE);
            format!("&acr_values={values}")
        });
        let max_age = error.required_max_age().map(|age| format!("&max_age={}", age.as_secs()));
        let wanted = acr_values.into_iter().chain(max_age).collect::<String>();
        let location = format!("{}{wanted}", self.step_up.as_ref()?);
        Some(location)
    }
}

/// Whether the next sign-in brings a token that is not refused for this. What the issuer makes of every sign-in
/// it would make of the next, in an endless round.
const fn is_mended_by_another(reason: Reason) -> bool {
    !matches!(reason, Reason::ClaimsType | Reason::KeyBound | Reason::TokenType | Reason::NotAnAccessToken)
}

/// A page that a person opens, rather than a request that a script makes (Fetch Metadata Request Headers
/// §2.2). Browsers without fetch metadata are told by their `Accept`.
fn is_navigation(method: &Method, headers: &HeaderMap) -> bool {
    let is = |name: &str, value: &[u8]| headers.get(name).is_none_or(|found| found.as_bytes() == value);
    let wants_html = headers.get_all(ACCEPT).iter().any(|accept| {
        accept.as_bytes().split(|byte| *byte == b',').any(|range| {
            let range = range.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
            range.eq_ignore_ascii_case(b"text/html")
        })
    });
    matches!(*method, Method::GET | Method::HEAD)
        && wants_html
        && is("sec-fetch-mode", b"navigate")
        && is("sec-fetch-dest", b"document")
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::Request;
    use std::time::Duration;

    fn redirect(sign_in: &str, request: http::request::Builder) -> Option<Redirect> {
        redirect_by(&Pages::default().with_sign_in(sign_in).expect("a path"), request)
    }

    fn redirect_by(pages: &Pages, request: http::request::Builder) -> Option<Redirect> {
        let request = request.body(()).expect("a request");
        pages.redirect_for(request.method(), request.uri(), request.headers())
    }

    fn location(sign_in: &str, request: http::request::Builder) -> Option<String> {
        let redirect = redirect(sign_in, request)?;
        let answer: Response<()> = redirect.instead_of(&Reason::NoCredential.into()).expect("a 401");
        assert_eq!(
            (answer.status(), &answer.headers()[CACHE_CONTROL]),
            (StatusCode::SEE_OTHER, &"no-store".parse().unwrap())
        );
        Some(answer.headers()[LOCATION].to_str().expect("ASCII").to_owned())
    }

    fn navigation(uri: &str) -> http::request::Builder {
        Request::get(uri).header("accept", "text/html,*/*;q=0.8").header("sec-fetch-mode", "navigate")
    }

    #[test]
    fn a_navigation_is_sent_to_sign_in_and_back() {
        let table = [
            ("/sign-in", "/orders", "/sign-in?return_to=/orders"),
            ("/sign-in?lang=de", "/orders", "/sign-in?lang=de&return_to=/orders"),
            ("/sign-in", "/orders?page=2&q=a%20b", "/sign-in?return_to=/orders%3Fpage%3D2%26q%3Da%2520b"),
            ("/sign-in", "https://app.example/orders", "/sign-in?return_to=/orders"),
            // What `http` lets through, and a URL spells in another way.
            ("/sign-in", "/a?q=[1]|2^%zz", "/sign-in?return_to=/a%3Fq%3D%255B1%255D%257C2%255E%2525zz"),
            ("/sign-in", "/a\"{b}?`\\", "/sign-in?return_to=/a%2522%257Bb%257D%3F%2560%255C"),
            ("/sign-in", "/.//evil.example", "/sign-in?return_to=/"),
            ("/sign-in", "//evil.example/x", "/sign-in?return_to=/"),
            ("/sign-in", "https://app.example//evil.example", "/sign-in?return_to=/"),
        ];
        for (sign_in, uri, expected) in table {
            assert_eq!(location(sign_in, navigation(uri)).as_deref(), Some(expected), "{uri}");
        }
        for accept in ["Text/HTML;q=0.9", "application/xml, text/html ;q=0.9"] {
            assert!(location("/sign-in", Request::get("/").header("accept", accept)).is_some(), "{accept}");
        }
    }

    #[test]
    fn scripts_and_the_sign_in_page_itself_are_not_sent_anywhere() {
        for (name, request) in [
            ("a fetch", Request::get("/").header("accept", "*/*").header("sec-fetch-mode", "cors")),
            ("JSON", Request::get("/").header("accept", "application/json")),
            ("nothing said", Request::get("/")),
            (
                "a fetch that asks for HTML",
                Request::get("/").header("accept", "text/html").header("sec-fetch-mode", "cors"),
            ),
            ("an image", navigation("/").header("sec-fetch-dest", "image")),
            ("a form", navigation("/").method("POST")),
            ("the page itself", navigation("/sign-in?return_to=/")),
            ("something like HTML", Request::get("/").header("accept", "text/htmlx")),
        ] {
            assert_eq!(location("/sign-in", request), None, "{name}");
        }
        assert_eq!(location("/sign-in?a=b?c", navigation("/sign-in")), None);
    }

    #[test]
    fn only_what_a_sign_in_mends_is_redirected() {
        let redirect = redirect("/in", navigation("/")).expect("one");
        let is_redirected = |error: AuthError| redirect.instead_of::<()>(&error).is_some();
        assert!(is_redirected(Reason::Expired.into()) && is_redirected(Reason::UnknownIssuer.into()));
        assert!(!is_redirected(AuthError::insufficient_user_authentication(["aal2"], None)));
        for stays in [
            Reason::MalformedCredential,
            Reason::Scope,
            Reason::NoKeys,
            Reason::NoLayer,
            Reason::ClaimsType,
            Reason::KeyBound,
        ] {
            assert!(!is_redirected(stays.into()), "{stays}");
        }
    }

    #[test]
    fn who_signed_in_too_weakly_is_sent_to_step_up_and_told_what_is_wanted() {
        let pages = Pages::default().with_step_up("/mfa?lang=de").expect("a path");
        let redirect = redirect_by(&pages, navigation("/payouts")).expect("one");
        let location = |error: AuthError| {
            let answer = redirect.instead_of::<()>(&error)?;
            Some(answer.headers()[LOCATION].to_str().expect("ASCII").to_owned())
        };
        let wanted = AuthError::insufficient_user_authentication;
        for (values, max_age, expected) in [
            (&["aal2"][..], None, "&acr_values=aal2"),
            (&["urn:a&b", "c"], Some(Duration::from_secs(90)), "&acr_values=urn%3Aa%26b%20c&max_age=90"),
            (&[], Some(Duration::from_secs(5)), "&max_age=5"),
        ] {
            let location = location(wanted(values.iter().copied(), max_age));
            assert_eq!(location.as_deref(), Some(&*format!("/mfa?lang=de&return_to=/payouts{expected}")));
        }
        assert_eq!(location(Reason::NoCredential.into()), None, "there is no page to sign in");
        assert!(redirect_by(&pages, navigation("/mfa?return_to=/")).is_none(), "the page itself");
    }

    #[test]
    fn a_sign_in_path_that_is_none_is_refused() {
        for bad in ["", "sign-in", "//evil.example", "https://evil.example", "/a b", "/a#b", "/\u{e9}"] {
            assert!(Pages::default().with_sign_in(bad).is_err(), "{bad:?}");
            assert!(Pages::default().with_step_up(bad).is_err(), "{bad:?}");
        }
    }
}
