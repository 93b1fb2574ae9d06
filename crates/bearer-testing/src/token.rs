//! Tokens that start good and are spoiled one thing at a time.

use std::fmt;

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
use serde_json::{Map, Value};

use crate::{SigningKey, clock, compact, random, sign_compact};

const HOUR: i64 = 3600;

/// Builds one token. Starts from a good one; each method spoils or changes one thing.
///
/// ```
/// use bearer_testing::{Algorithm, SigningKey, TokenBuilder, verify_compact};
///
/// let key = SigningKey::generate(Algorithm::ES256);
/// let token = TokenBuilder::new(&key, "https://issuer.example", "orders").subject("ada");
///
/// let good = token.clone().sign();
/// let expired = token.clone().expired().sign();
/// let for_another_service = token.clone().audience("invoices").sign();
/// let for_several = token.clone().audience(vec!["orders", "invoices"]).sign();
/// let nobodys = token.clone().without("sub").sign();
/// let typed = token.clone().header("typ", "at+jwt").sign();
///
/// assert_eq!(verify_compact(&key, &good).unwrap()["sub"], "ada");
/// assert!(verify_compact(&key, &token.tampered()).is_none());
/// ```
#[derive(Clone)]
#[must_use]
pub struct TokenBuilder {
    key: SigningKey,
    header: Map<String, Value>,
    claims: Map<String, Value>,
}

impl TokenBuilder {
    /// A token that is good for an hour.
    ///
    /// The header has `alg`, `typ` (`"JWT"`) and, if the key has an id, `kid`. The claims are `iss`, `aud`
    /// (one string), `sub` (`"test-user"`), `iat` (now) and `exp` (in an hour), in seconds since 1970.
    pub fn new(key: &SigningKey, issuer: &str, audience: &str) -> Self {
        let now = clock::now();
        let token = Self { key: key.clone(), header: Map::new(), claims: Map::new() };
        token
            .header("typ", "JWT")
            .key(key)
            .issuer(issuer)
            .audience(audience)
            .subject("test-user")
            .claim("iat", now)
            .claim("exp", now + HOUR)
    }

    /// Sets a claim to any JSON value, in place of what it was.
    pub fn claim(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.claims.insert(name.to_owned(), value.into());
        self
    }

    /// Sets each member of the object as a claim.
    ///
    /// # Panics
    /// When `object` is not a JSON object.
    pub fn claims(mut self, object: Value) -> Self {
        let Value::Object(members) = object else { panic!("claims are a JSON object, not {object}") };
        self.claims.extend(members);
        self
    }

    /// Takes a claim away.
    pub fn without(mut self, name: &str) -> Self {
        self.claims.remove(name);
        self
    }

    /// Sets a header parameter to any JSON value. `alg` and `kid` too, while the same key signs.
    pub fn header(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.header.insert(name.to_owned(), value.into());
        self
    }

    /// Takes a header parameter away.
    pub fn without_header(mut self, name: &str) -> Self {
        self.header.remove(name);
        self
    }

    /// Sets `sub`.
    pub fn subject(self, sub: &str) -> Self {
        self.claim("sub", sub)
    }

    /// Sets `iss`.
    pub fn issuer(self, iss: &str) -> Self {
        self.claim("iss", iss)
    }

    /// Sets `aud`: a string, or a list of them.
    pub fn audience(self, aud: impl Into<Value>) -> Self {
        self.claim("aud", aud)
    }

    /// Sets `scope`: names separated by single spaces ([RFC 8693 §4.2]).
    ///
    /// [RFC 8693 §4.2]: https://www.rfc-editor.org/rfc/rfc8693#section-4.2
    pub fn scope(self, scope: &str) -> Self {
        self.claim("scope", scope)
    }

    /// Sets `exp` to so many seconds from now; negative is the past.
    ///
    /// An `iat` that would come after it moves to an hour before it, so that the token is expired and nothing
    /// else.
    pub fn expires_in(self, seconds: i64) -> Self {
        let exp = clock::now() + seconds;
        let issued_later = self.claims.get("iat").and_then(Value::as_i64).is_some_and(|iat| iat > exp);
        let token = if issued_later { self.claim("iat", exp - HOUR) } else { self };
        token.claim("exp", exp)
    }

    /// Sets `exp` to an hour ago, and `iat` before it.
    pub fn expired(self) -> Self {
        self.expires_in(-HOUR)
    }

    /// Makes it a logout token ([OpenID Connect Back-Channel Logout §2.4]): `typ` is `logout+jwt`, `events`
    /// has the event of logout, `jti` is new, and it is good for two minutes. The audience has to be the
    /// client; `sub` stays beside a `sid` that is added with [`claim`](Self::claim).
    ///
    /// ```
    /// # use bearer_testing::{Algorithm, SigningKey, TokenBuilder, verify_compact};
    /// # let key = SigningKey::generate(Algorithm::ES256);
    /// let token = TokenBuilder::new(&key, "https://issuer.example", "web");
    /// let logout = token.logout().claim("sid", "session-1");
    /// let claims = verify_compact(&key, &logout.sign()).unwrap();
    /// assert!(claims["events"]["http://schemas.openid.net/event/backchannel-logout"].is_object());
    /// ```
    ///
    /// [OpenID Connect Back-Channel Logout §2.4]: https://openid.net/specs/openid-connect-backchannel-1_0.html#LogoutToken
    pub fn logout(self) -> Self {
        let event = serde_json::json!({ "http://schemas.openid.net/event/backchannel-logout": {} });
        self.header("typ", "logout+jwt")
            .claim("events", event)
            .claim("jti", random::text::<16>())
            .expires_in(120)
    }

    /// Lets another key sign: `alg` and `kid` of the header follow it.
    pub fn key(mut self, key: &SigningKey) -> Self {
        self.key = key.clone();
        let token = self.header("alg", key.algorithm().name());
        match key.id() {
            Some(kid) => token.header("kid", kid),
            None => token.without_header("kid"),
        }
    }

    /// The signed token in compact form. The key signs by its own algorithm, whatever the header says.
    pub fn sign(&self) -> String {
        sign_compact(&self.key, &self.header_json(), &self.payload())
    }

    /// The token signed, and then given to another `sub`; the signature stays.
    pub fn tampered(&self) -> String {
        let header = self.header_json();
        let signed = compact::signing_input(&header, &self.payload());
        let signature = BASE64_URL_SAFE_NO_PAD.encode(self.key.sign(signed.as_bytes()));
        let sub = self.claims.get("sub").and_then(Value::as_str).unwrap_or_default();
        let payload = self.clone().subject(&format!("{sub}-tampered")).payload();
        format!("{}.{signature}", compact::signing_input(&header, &payload))
    }

    /// The token with `alg` `none` and an empty signature: an unsecured JWS ([RFC 7515 §A.5]).
    ///
    /// [RFC 7515 §A.5]: https://www.rfc-editor.org/rfc/rfc7515#appendix-A.5
    pub fn unsigned(&self) -> String {
        let header = self.clone().header("alg", "none").header_json();
        compact::signing_input(&header, &self.payload()) + "."
    }

    /// The claims, as JSON text: what would be signed.
    pub fn payload(&self) -> String {
        json_text(&self.claims)
    }

    /// The header, as JSON text: what would be signed.
    pub fn header_json(&self) -> String {
        json_text(&self.header)
    }
}

impl fmt::Debug for TokenBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenBuilder")
            .field("key", &self.key)
            .field("header", &self.header_json())
            .field("claims", &self.payload())
            .finish()
    }
}

fn json_text(members: &Map<String, Value>) -> String {
    serde_json::to_string(members).expect("a map of JSON values is JSON")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{Algorithm, verify_compact};

    fn key() -> SigningKey {
        SigningKey::generate(Algorithm::EdDSA).kid("k")
    }

    fn token() -> TokenBuilder {
        TokenBuilder::new(&key(), "https://issuer.example", "api")
    }

    fn parsed(text: &str) -> Value {
        serde_json::from_str(text).unwrap()
    }

    fn parts(token: &str) -> (Value, Value, &str) {
        let [header, payload, signature] = token.split('.').collect::<Vec<_>>()[..] else {
            panic!("{token}")
        };
        let part = |text| serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(text).unwrap()).unwrap();
        (part(header), part(payload), signature)
    }

    #[test]
    fn new_token_is_good_for_an_hour() {
        let before = clock::now();
        let token = token();
        assert_eq!(parsed(&token.header_json()), json!({ "alg": "EdDSA", "typ": "JWT", "kid": "k" }));
        let mut claims = parsed(&token.payload());
        let (iat, exp) = (claims["iat"].as_i64().unwrap(), claims["exp"].as_i64().unwrap());
        assert!((before..=clock::now()).contains(&iat));
        assert_eq!(exp - iat, 3600);
        claims.as_object_mut().unwrap().retain(|name, _| name != "iat" && name != "exp");
        assert_eq!(claims, json!({ "iss": "https://issuer.example", "aud": "api", "sub": "test-user" }));
    }

    #[test]
    fn each_method_changes_one_thing() {
        let base = token();
        let sub = |claims: &Value| claims["sub"].clone();
        for (name, token, expected) in [
            ("claim", base.clone().claim("sub", 7), json!(7)),
            ("claims", base.clone().claims(json!({ "sub": "a", "x": 1 })), json!("a")),
            ("without", base.clone().without("sub"), Value::Null),
            ("subject", base.clone().subject("ada"), json!("ada")),
            ("issuer", base.clone().issuer("other"), json!("test-user")),
        ] {
            assert_eq!(sub(&parsed(&token.payload())), expected, "{name}");
            assert_eq!(token.header_json(), base.header_json(), "{name}");
        }
        let other = base.clone().audience(vec!["a", "b"]).scope("read write").header("typ", "at+jwt");
        let claims = parsed(&other.payload());
        assert_eq!((&claims["aud"], &claims["scope"]), (&json!(["a", "b"]), &json!("read write")));
        assert_eq!(parsed(&other.header_json())["typ"], "at+jwt");
        assert!(parsed(&other.without_header("typ").header_json()).get("typ").is_none());
    }

    #[test]
    fn each_logout_token_is_one_of_its_own() {
        let (one, other) = (token().logout(), token().logout());
        let claims = parsed(&one.payload());
        assert_eq!(claims["events"], json!({ "http://schemas.openid.net/event/backchannel-logout": {} }));
        assert_eq!(parsed(&one.header_json())["typ"], "logout+jwt");
        assert_eq!(claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(), 120);
        assert_ne!(claims["jti"], parsed(&other.payload())["jti"]);
    }

    #[test]
    fn expired_token_was_issued_before_it_expired() {
        let claims = parsed(&token().expired().payload());
        let (iat, exp) = (claims["iat"].as_i64().unwrap(), claims["exp"].as_i64().unwrap());
        assert!(iat < exp && exp <= clock::now() - 3600);
        let claims = parsed(&token().expires_in(10).payload());
        assert!(claims["iat"].as_i64().unwrap() <= clock::now());
        assert!(parsed(&token().without("iat").expired().payload()).get("iat").is_none());
    }

    #[test]
    fn header_follows_another_key() {
        let other = SigningKey::generate(Algorithm::HS256).kid("other");
        let token = token().key(&other);
        let header = parsed(&token.header_json());
        assert_eq!((&header["alg"], &header["kid"]), (&json!("HS256"), &json!("other")));
        assert!(verify_compact(&other, &token.sign()).is_some());
        let token = token.key(&other.without_kid());
        assert!(parsed(&token.header_json()).get("kid").is_none());
    }

    #[test]
    fn header_may_lie_about_the_algorithm() {
        let key = key();
        let token = token().key(&key).header("alg", "Ed25519").sign();
        assert_eq!(parts(&token).0["alg"], "Ed25519");
        assert!(verify_compact(&key, &token).is_some());
    }

    #[test]
    fn tampered_token_keeps_a_signature_that_no_longer_fits() {
        let key = key();
        for token in [token().key(&key), token().key(&key).without("sub")] {
            let (good, bad) = (token.sign(), token.tampered());
            assert!(verify_compact(&key, &good).is_some());
            assert!(verify_compact(&key, &bad).is_none());
            assert_eq!(parts(&good).0, parts(&bad).0);
            assert_ne!(parts(&good).1["sub"], parts(&bad).1["sub"]);
            assert_eq!(parts(&good).2, parts(&bad).2, "EdDSA signs one message one way");
        }
    }

    #[test]
    fn unsigned_token_says_none_and_ends_in_a_dot() {
        let token = token().unsigned();
        let (header, claims, signature) = parts(&token);
        assert_eq!(header["alg"], "none");
        assert_eq!(claims["sub"], "test-user");
        assert_eq!(signature, "");
    }

    #[test]
    #[should_panic(expected = "claims are a JSON object, not [1]")]
    fn claims_must_be_an_object() {
        let _ = token().claims(json!([1]));
    }
}
