//! URLs with a query.

/// Adds parameters to a URL, before its fragment, whatever query it has already.
pub(crate) fn with_query(url: &str, parameters: &[(&str, &str)]) -> String {
    let (base, fragment) = match url.split_once('#') {
        Some((base, fragment)) => (base, Some(fragment)),
        None => (url, None),
    };
    let mut url = base.to_owned();
    for (name, value) in parameters {
        url.push(if url.contains('?') { '&' } else { '?' });
        url.extend([*name, "="]);
        url.extend(value.bytes().map(escaped));
    }
    fragment.map_or(url.clone(), |fragment| format!("{url}#{fragment}"))
}

fn escaped(byte: u8) -> String {
    if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
        char::from(byte).to_string()
    } else {
        format!("%{byte:02X}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_added_to_what_is_there() {
        for (url, expected) in [
            ("http://a/b", "http://a/b?c=d%20%26&e=f"),
            ("http://a/b?x=y", "http://a/b?x=y&c=d%20%26&e=f"),
            ("http://a/b#z", "http://a/b?c=d%20%26&e=f#z"),
        ] {
            assert_eq!(with_query(url, &[("c", "d &"), ("e", "f")]), expected);
        }
    }
}
