//! Cookies as `@supabase/ssr` writes and reads them.

use super::*;
use crate::{AccessToken, RefreshToken, Secret};
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE, Engine as _};
use http::header::COOKIE;
use proptest::prelude::*;
use serde_json::json;
use std::{
    collections::BTreeMap,
    time::{Duration, UNIX_EPOCH},
};

const NAME: &str = "sb-abc-auth-token";

fn cookies() -> SsrCookies {
    SsrCookies::of_project("https://abc.supabase.co").expect("a project")
}

fn request<'a>(jar: impl IntoIterator<Item = (&'a str, &'a str)>) -> HeaderMap {
    let line = |(name, value)| (COOKIE, HeaderValue::try_from(format!("{name}={value}")).expect("a value"));
    jar.into_iter().map(line).collect()
}

fn tokens(token: &str, text: &str) -> TokenSet {
    let mut tokens = TokenSet::new(AccessToken::new(token), Duration::from_secs(60));
    tokens.refresh_token = Some(RefreshToken::new("r"));
    let user = json!({ "id": "u", "text": text });
    let document = json!({ "access_token": token, "expires_at": 1, "expires_in": 60, "refresh_token": "r", "token_type": "bearer", "user": user });
    tokens.document = Some(Secret::new(document.to_string()));
    tokens
}

/// A browser's jar for one host.
#[derive(Default)]
struct Browser(BTreeMap<String, String>);

impl Browser {
    fn take(&mut self, lines: &[HeaderValue]) {
        for line in lines {
            let line = line.to_str().expect("text");
            let (name, rest) = line.split_once('=').expect("a pair");
            let (value, attributes) = rest.split_once("; ").expect("attributes");
            assert!(name.len() + value.len() <= 4096, "browsers drop such a cookie");
            if attributes.contains("Max-Age=0") {
                self.0.remove(name);
            } else {
                self.0.insert(name.to_owned(), value.to_owned());
            }
        }
    }

    fn request(&self) -> HeaderMap {
        request(self.0.iter().map(|(name, value)| (&**name, &**value)))
    }
}

/// A name for the case, the jar, and the access tokens of the sessions in it.
type Row<'a> = (&'a str, Vec<(&'a str, &'a str)>, &'a [&'a str]);

#[test]
fn the_jar_as_the_real_client_reads_it() {
    let session = |token: &str| tokens(token, "Zoë 😀").document.expect("a document").expose().to_owned();
    let encoded = |text: &str| encoding::base64url_encoded(text);
    let (one, two) = (encoded(&session("one")), encoded(&session("two")));
    let (start, rest) = two.split_at(50);
    let (middle, end) = rest.split_at(50);
    let chunk = |number: &str| format!("{NAME}.{number}");
    let (c0, c1, c2) = (chunk("0"), chunk("1"), chunk("2"));
    let (c0, c1, c2) = (c0.as_str(), c1.as_str(), c2.as_str());
    let standard = BASE64_STANDARD.encode(format!("{}>>>???", session("one")));
    let foreign = format!("base64-{standard}");
    assert!(foreign.contains(['+', '/']), "the sample shows the difference");
    let padded = format!("base64-{}", BASE64_URL_SAFE.encode(format!("{} ", session("one"))));
    let spaced = format!("{}  \t{}", &one[..20], &one[20..]);
    let percent = encode_uri_component(&session("one")).to_string();
    let quoted = format!("\"{one}\"");
    let array = encoded(r#"["one","r",null,null,null]"#);
    let twice = encode_uri_component(&percent).to_string();
    let verifier = format!("{NAME}-code-verifier");
    let middle_and_end = format!("{middle}{end}");
    let old_prefix = one.replace("base64-", "base64l-a-");
    let table: Vec<Row<'_>> = vec![
        ("nothing", vec![], &[]),
        ("whole", vec![(NAME, &one)], &["one"]),
        ("chunks", vec![(c0, start), (c1, middle), (c2, end)], &["two"]),
        ("in another order", vec![(c2, end), (c0, start), (c1, middle)], &["two"]),
        ("one chunk", vec![(c0, &two)], &["two"]),
        ("both: whole wins", vec![(c0, &two), (NAME, &one)], &["one"]),
        ("a deleted whole does not", vec![(NAME, ""), (c0, &two)], &["two"]),
        ("an undecodable whole does", vec![(NAME, "x"), (c0, &two)], &[]),
        ("a stale extra chunk", vec![(c0, &two), (c1, "AA*")], &[]),
        ("stale text at the end", vec![(c0, &two), (c1, end)], &[]),
        (".0 missing", vec![(c1, &two)], &[]),
        ("a gap ends it", vec![(c0, &two), (c2, "AA*")], &["two"]),
        ("raw", vec![(NAME, &percent)], &["one"]),
        ("encoded twice", vec![(NAME, &twice)], &[]),
        ("quoted", vec![(NAME, &quoted)], &["one"]),
        ("padded", vec![(NAME, &padded)], &["one"]),
        ("spaces anywhere", vec![(NAME, &spaced)], &["one"]),
        ("the standard alphabet", vec![(NAME, &foreign)], &[]),
        ("the prefix of 0.6.0", vec![(NAME, &old_prefix)], &[]),
        ("only the prefix", vec![(NAME, "base64-")], &[]),
        ("the array of auth-helpers", vec![(NAME, &array)], &[]),
        ("a verifier", vec![(&verifier, &one)], &[]),
        ("another project", vec![("sb-xyz-auth-token", &one)], &[]),
        ("two scopes", vec![(NAME, &one), (NAME, &two)], &["one", "two"]),
        ("two scopes, one undecodable", vec![(NAME, "x"), (NAME, &two)], &["two"]),
        (
            "chunks at two scopes",
            vec![(c0, start), (c1, &middle_and_end), (c0, &one[..9]), (c1, &one[9..])],
            &["two", "one"],
        ),
        ("more than a browser sends", vec![(NAME, &*one); 65], &[]),
    ];
    for (name, jar, expected) in table {
        let sessions = cookies().read(&request(jar));
        let found: Vec<_> = sessions.iter().map(|session| session.access_token.expose()).collect();
        assert_eq!(found, expected, "{name}");
    }
}

/// The lines that are written for a jar.
fn written(cookies: &SsrCookies, jar: &[(&str, &str)], tokens: &TokenSet) -> Vec<String> {
    let lines = cookies.write(&request(jar.iter().copied()), tokens, UNIX_EPOCH);
    lines.iter().map(|line| line.to_str().expect("text").to_owned()).collect()
}

#[test]
fn attributes_are_those_of_the_real_client_and_more_on_demand() {
    let tokens = tokens("one", "");
    let attributes = |cookies: &SsrCookies| {
        let line = written(cookies, &[], &tokens).remove(0);
        line.split_once("; ").expect("attributes").1.to_owned()
    };
    assert_eq!(attributes(&cookies()), "Max-Age=34560000; Path=/; SameSite=Lax");
    let all = cookies().secure().http_only().domain("example.com").expect("a domain");
    assert_eq!(
        attributes(&all),
        "Max-Age=34560000; Domain=example.com; Path=/; HttpOnly; Secure; SameSite=Lax"
    );
    for bad in ["", "example.com; Secure", "exa mple", "é"] {
        assert_eq!(cookies().domain(bad).err(), Some(InvalidSsrCookie::Domain(bad.to_owned())));
    }
}

#[test]
fn what_is_left_over_is_deleted_and_what_is_there_is_not_written_again() {
    let tokens = tokens("one", "");
    let value = written(&cookies(), &[], &tokens)[0].split(['=', ';']).nth(1).expect("a value").to_owned();
    let (c0, c1) = (format!("{NAME}.0"), format!("{NAME}.1"));
    let jar = [("theme", "dark"), (&*c0, "x"), (&*c1, "y"), ("sb-abc-auth-token-code-verifier", "z")];
    let lines = written(&cookies(), &jar, &tokens);
    assert_eq!(lines.len(), 3);
    assert_eq!(lines[0], format!("{NAME}.0=; Max-Age=0; Path=/; SameSite=Lax"));
    assert_eq!(lines[1], format!("{NAME}.1=; Max-Age=0; Path=/; SameSite=Lax"));
    assert!(lines[2].starts_with(&format!("{NAME}=base64-")));

    assert_eq!(written(&cookies(), &[(NAME, &value)], &tokens), [""; 0]);
    assert_eq!(written(&cookies(), &[(NAME, &value), (NAME, &value)], &tokens).len(), 1, "at two scopes");

    let of_domain = cookies().domain("example.com").expect("a domain");
    let lines = written(&of_domain, &[(NAME, &value), (&c0, "x")], &tokens);
    assert_eq!(
        lines,
        [
            format!("{NAME}.0=; Max-Age=0; Path=/; SameSite=Lax"),
            format!("{NAME}.0=; Max-Age=0; Domain=example.com; Path=/; SameSite=Lax"),
        ]
    );
}

#[test]
fn clearing_deletes_what_is_there_and_nothing_else() {
    let chunk = format!("{NAME}.7");
    let jar =
        request([("theme", "dark"), (NAME, "x"), (NAME, "y"), (&*chunk, "z"), ("sb-xyz-auth-token", "x")]);
    let lines = cookies().secure().clear(&jar);
    let lines: Vec<_> = lines.iter().map(|line| line.to_str().expect("text")).collect();
    assert_eq!(
        lines,
        [
            format!("{NAME}=; Max-Age=0; Path=/; Secure; SameSite=Lax"),
            format!("{NAME}.7=; Max-Age=0; Path=/; Secure; SameSite=Lax"),
        ]
    );
    assert!(cookies().clear(&request([("theme", "dark")])).is_empty());
}

#[test]
fn behind_this_only_the_cookies_of_others_are_left() {
    for (before, after) in [
        (&["a=b; sb-abc-auth-token=x; c=d"][..], &["a=b; c=d"][..]),
        (&["sb-abc-auth-token.0=x;sb-abc-auth-token.1=y", "c=d"], &["c=d"]),
        (&["sb-abc-auth-token=x"], &[]),
        (
            &["a=b;  c=d", "sb-abc-auth-token-code-verifier=v"],
            &["a=b;  c=d", "sb-abc-auth-token-code-verifier=v"],
        ),
    ] {
        let lines = before.iter().map(|line| (COOKIE, HeaderValue::from_static(line)));
        let mut headers: HeaderMap = lines.collect();
        cookies().remove_from(&mut headers);
        let left: Vec<_> = headers.get_all(COOKIE).iter().collect();
        assert_eq!(left, after, "{before:?}");
    }
}

#[test]
fn the_names_of_what_is_there_say_nothing_of_it() {
    let names = |jar: &[(&str, &str)]| cookies().names_in(&request(jar.iter().copied()));
    assert_eq!(names(&[("theme", "dark")]), None);
    let jar = [("sb-abc-auth-token.0", "hunter2"), ("theme", "dark"), ("sb-abc-auth-token.1", "x=y")];
    assert_eq!(names(&jar).expect("names"), "sb-abc-auth-token.0=; sb-abc-auth-token.1=");
    let twice = [(NAME, "hunter2"), (NAME, "hunter3")];
    assert_eq!(names(&twice).expect("a name"), "sb-abc-auth-token=");
}

#[test]
fn no_cache_keeps_a_session() {
    let mut response = HeaderMap::new();
    response.insert(CACHE_CONTROL, HeaderValue::from_static("public, max-age=600"));
    SsrCookies::set(&mut response, Vec::new());
    assert_eq!(response[CACHE_CONTROL], "public, max-age=600", "there is nothing to keep");
    let lines = cookies().write(&HeaderMap::new(), &tokens("one", &"a".repeat(6000)), UNIX_EPOCH);
    assert!(lines.len() > 1 && lines.iter().all(HeaderValue::is_sensitive));
    SsrCookies::set(&mut response, lines.clone());
    assert_eq!(response[CACHE_CONTROL], "private, no-cache, no-store, must-revalidate, max-age=0");
    assert_eq!(
        (&response[EXPIRES], &response[PRAGMA]),
        (&HeaderValue::from_static("0"), &HeaderValue::from_static("no-cache"))
    );
    assert_eq!(response.get_all(SET_COOKIE).iter().collect::<Vec<_>>(), lines.iter().collect::<Vec<_>>());
}

proptest! {
    #[test]
    fn a_browser_has_the_session_written_last(
        sessions in proptest::collection::vec((0_usize..12_000, any::<bool>(), any::<bool>(), any::<char>()), 1..4),
    ) {
        let mut browser = Browser::default();
        browser.0.insert("theme".to_owned(), "dark".to_owned());
        for (number, (length, is_raw, tokens_only, character)) in sessions.into_iter().enumerate() {
            let text: String = std::iter::repeat_n(character, length / character.len_utf8()).collect();
            let tokens = tokens(&format!("token-{number}"), &text);
            let encoding = if is_raw { SsrEncoding::Raw } else { SsrEncoding::Base64Url };
            let cookies = cookies().encoding(encoding);
            let cookies = if tokens_only { cookies.tokens_only() } else { cookies };
            browser.take(&cookies.write(&browser.request(), &tokens, UNIX_EPOCH));
            let read = cookies.read(&browser.request());
            prop_assert_eq!(read.len(), 1);
            prop_assert_eq!(&read[0].access_token, &tokens.access_token);
            prop_assert_eq!(&read[0].refresh_token, &tokens.refresh_token);
            if !tokens_only {
                prop_assert_eq!(Some(&read[0].document), tokens.document.as_ref());
            }
            prop_assert!(cookies.write(&browser.request(), &tokens, UNIX_EPOCH).is_empty());
        }
        browser.take(&cookies().clear(&browser.request()));
        prop_assert_eq!(browser.0.into_keys().collect::<Vec<_>>(), ["theme"]);
    }

    #[test]
    fn the_cookies_of_others_are_left_as_they_are(
        cookies_sent in proptest::collection::vec(("[a-z]{1,6}|sb-abc-auth-token(\\.[0-9])?(-code-verifier)?", "[!-~&&[^;\"]]{0,12}"), 0..8),
    ) {
        let is_ours = |name: &str| name.strip_prefix("sb-abc-auth-token").is_some_and(|rest| !rest.contains('-'));
        let line = |wanted: &dyn Fn(&str) -> bool| {
            let pairs = cookies_sent.iter().filter(|(name, _)| wanted(name));
            pairs.map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("; ")
        };
        let mut headers = HeaderMap::new();
        headers.insert(COOKIE, HeaderValue::from_str(&line(&|_| true)).expect("visible"));
        let had_ours = cookies_sent.iter().any(|(name, _)| is_ours(name));
        cookies().remove_from(&mut headers);
        let left = line(&|name| !is_ours(name));
        let found = headers.get(COOKIE).map(|line| line.to_str().expect("visible").to_owned());
        prop_assert_eq!(found, (!left.is_empty() || !had_ours).then_some(left));
    }

    #[test]
    fn no_jar_makes_it_panic(lines in proptest::collection::vec("(sb-abc-auth-token(\\.[0-9]{0,3})?=(base64-)?)?[ -~]{0,40}", 0..6)) {
        let lines = lines.iter().map(|line| (COOKIE, HeaderValue::from_str(line).expect("visible")));
        let mut headers: HeaderMap = lines.collect();
        let _ = cookies().read(&headers);
        let _ = cookies().write(&headers, &tokens("one", ""), UNIX_EPOCH);
        let _ = cookies().clear(&headers);
        cookies().remove_from(&mut headers);
        prop_assert!(cookies().clear(&headers).is_empty());
    }
}
