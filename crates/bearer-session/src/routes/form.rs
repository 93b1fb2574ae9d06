//! Names and values of a query or a form (`application/x-www-form-urlencoded`).

use std::borrow::Cow;

/// What was sent. Of a name that stands there twice, none is taken: which one counts would be a guess.
pub(super) struct Form<'a>(Vec<(Cow<'a, str>, Cow<'a, str>)>);

/// A name stands there twice.
#[derive(Debug, Eq, PartialEq)]
pub(super) struct Repeated;

impl<'a> Form<'a> {
    pub(super) fn parse(text: &'a [u8]) -> Self {
        Self(form_urlencoded::parse(text).collect())
    }

    pub(super) fn one(&self, name: &str) -> Result<Option<&str>, Repeated> {
        let mut values = self.0.iter().filter(|(found, _)| found == name).map(|(_, value)| &**value);
        let first = values.next();
        if values.next().is_some() { Err(Repeated) } else { Ok(first) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_stands_there_once_or_not_at_all() {
        let form = Form::parse(b"a=1&b=%2Fx+y&c&d=1&d=1");
        for (name, expected) in [
            ("a", Ok(Some("1"))),
            ("b", Ok(Some("/x y"))),
            ("c", Ok(Some(""))),
            ("d", Err(Repeated)),
            ("e", Ok(None)),
        ] {
            assert_eq!(form.one(name), expected, "{name}");
        }
    }
}
