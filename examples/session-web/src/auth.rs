//! How the pages talk to the routes under `/auth`.

use crate::pages::escaped;
use form_urlencoded::Serializer;

/// Why a sign-in came to nothing, for a person.
pub(crate) fn notice(code: &str) -> &'static str {
    match code {
        "invalid_credentials" => r#"<p class="notice bad" role="alert">That is not the password.</p>"#,
        "access_denied" => r#"<p class="notice bad" role="alert">You said no to the sign-in.</p>"#,
        _ => r#"<p class="notice bad" role="alert">That did not work. Try again in a moment.</p>"#,
    }
}

/// Whoever has no script signs in as well.
pub(crate) fn password_form(back: &str, email: &str) -> String {
    format!(
        r#"<form method="post" action="/auth/password"><input type="hidden" name="return_to" value="{back}">
<label>E-mail<input name="email" type="email" autocomplete="username" required value="{email}"></label>
<label>Password<input name="password" type="password" autocomplete="current-password" required autofocus></label>
<p><button class="first">Sign in</button></p></form>"#
    )
}

pub(crate) fn provider_links(providers: &[String], back: &str) -> String {
    if providers.is_empty() {
        return String::new();
    }
    let link = |name: &String| {
        let query = Serializer::new(String::new())
            .append_pair("provider", name)
            .append_pair("return_to", back)
            .finish();
        format!(r#"<a class="button" href="/auth/sign-in?{}">Continue with {name}</a>"#, escaped(&query))
    };
    format!(r#"<div class="providers">{}</div>"#, providers.iter().map(link).collect::<String>())
}
