//! A strict reader of `WWW-Authenticate` (RFC 9110 §11.6.1, RFC 6750 §3, RFC 9470 §3): what a client could make of it.

/// One challenge.
#[derive(Clone, Debug)]
pub(crate) struct Challenge {
    pub(crate) scheme: String,
    /// Names in lower case, values unquoted.
    params: Vec<(String, String)>,
}

impl Challenge {
    /// Panics unless it is `scheme 1*SP #auth-param` with at least one parameter, none twice, and only characters
    /// that RFC 6750 §3 and RFC 9470 §3 allow in them.
    pub(crate) fn parse(text: &str) -> Self {
        let (scheme, mut rest) = text.split_once(' ').unwrap_or_else(|| panic!("a bare scheme: {text:?}"));
        assert!(!scheme.is_empty() && scheme.bytes().all(is_tchar), "no scheme: {text:?}");
        let mut params: Vec<(String, String)> = Vec::new();
        loop {
            rest = rest.trim_start_matches(' ');
            let (name, value) = rest.split_once('=').unwrap_or_else(|| panic!("no parameter: {text:?}"));
            assert!(!name.is_empty() && name.bytes().all(is_tchar), "no name {name:?}: {text:?}");
            let name = name.to_ascii_lowercase();
            let (value, after) = quoted(value).unwrap_or_else(|| panic!("no quoted-string: {text:?}"));
            assert!(params.iter().all(|(known, _)| *known != name), "{name} stands twice: {text:?}");
            assert!(value.bytes().all(|byte| is_allowed(&name, byte)), "{name} has {value:?}");
            assert!(is_whole(&name, &value), "{name} is {value:?}");
            params.push((name, value));
            match after.strip_prefix(',') {
                Some(more) => rest = more,
                None => break assert_eq!(after, "", "{text:?}"),
            }
        }
        Self { scheme: scheme.to_owned(), params }
    }

    /// The value of a parameter.
    pub(crate) fn param(&self, name: &str) -> Option<String> {
        self.params.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone())
    }

    /// The names of all parameters.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.params.iter().map(|(name, _)| &**name)
    }
}

/// A quoted-string at the start (RFC 9110 §5.6.4), unquoted, and what follows it.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut characters = text.strip_prefix('"')?.char_indices();
    let mut value = String::new();
    loop {
        match characters.next()? {
            (at, '"') => return Some((value, &text[at + 2..])),
            (_, '\\') => value.push(characters.next()?.1),
            (_, character) => value.push(character),
        }
    }
}

fn is_tchar(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

fn is_allowed(name: &str, byte: u8) -> bool {
    match name {
        "realm" => matches!(byte, b'\t' | b' '..=b'~'),
        "scope" | "acr_values" => matches!(byte, b' ' | 0x21 | 0x23..=0x5B | 0x5D..=0x7E),
        "error" | "error_description" => matches!(byte, 0x20..=0x21 | 0x23..=0x5B | 0x5D..=0x7E),
        // RFC 3986 §2
        "resource_metadata" => byte.is_ascii_alphanumeric() || b"-._~:/?#[]@!$&'()*+,;=%".contains(&byte),
        "max_age" => byte.is_ascii_digit(),
        _ => panic!("a parameter that nobody asked for: {name}"),
    }
}

/// A list has words, one space apart; a number has digits.
fn is_whole(name: &str, value: &str) -> bool {
    match name {
        "scope" | "acr_values" => value.split(' ').all(|word| !word.is_empty()),
        "max_age" => value.parse::<u64>().is_ok(),
        _ => true,
    }
}

#[test]
fn the_reader_of_challenges_is_strict() {
    let challenge = Challenge::parse(r#"Bearer realm="a\"b\\c, d", ERROR="invalid_token""#);
    assert_eq!(challenge.param("realm").as_deref(), Some(r#"a"b\c, d"#));
    assert_eq!(challenge.param("error").as_deref(), Some("invalid_token"));
    assert_eq!(challenge.names().collect::<Vec<_>>(), ["realm", "error"]);
    let step_up = Challenge::parse(r#"Bearer acr_values="urn:a b", max_age="0""#);
    assert_eq!(
        (step_up.param("acr_values"), step_up.param("max_age")),
        (Some("urn:a b".into()), Some("0".into()))
    );
    for bad in [
        "Bearer",
        "Bearer ",
        r#"Bearer realm="a", Realm="b""#,
        r#"Bearer realm="a" error="b""#,
        r#"Bearer realm="a",, error="b""#,
        r#"Bearer realm="a"#,
        "Bearer realm=a",
        r#"Bearer error="\"""#,
        r#"Bearer scope="é""#,
        r#"Bearer resource_metadata="https://a b""#,
        r#"Bearer scope="a  b""#,
        r#"Bearer acr_values="""#,
        r#"Bearer acr_values="a,\"b""#,
        r#"Bearer max_age="""#,
        r#"Bearer max_age="-1""#,
        r#"Bearer max_age="1.5""#,
        r#"Bearer max_age="5 ""#,
        r#"Bearer realm="a", error_uri="x""#,
    ] {
        assert!(std::panic::catch_unwind(|| Challenge::parse(bad)).is_err(), "{bad:?}");
    }
}
