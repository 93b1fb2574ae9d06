//! Users, sessions and refresh tokens, in memory.

use std::collections::HashMap;

use serde_json::{Value, json};
use tokio::time::Instant;

use super::{
    RefreshTokenVersion,
    error::ApiError,
    rotation::{Exchange, Presented, Rules},
};
use crate::{clock, random};

/// Users, sessions and refresh tokens.
#[derive(Default)]
pub(super) struct Store {
    users: Vec<User>,
    sessions: HashMap<String, Session>,
    /// Every refresh token ever issued, so that a reuse is told from an invention.
    issued: HashMap<String, Issued>,
}

struct User {
    id: String,
    email: String,
    password: String,
    claims: Value,
}

struct Session {
    user: String,
    signed_in_at: i64,
    /// All refresh tokens the session ever had, the newest last. Never empty.
    tokens: Vec<Token>,
}

struct Token {
    text: String,
    /// The place of the token it was made from, among the session's tokens.
    parent: Option<usize>,
    made_at: Instant,
    /// When it was spent or revoked, if it was.
    spent_at: Option<Instant>,
}

struct Issued {
    session: String,
    /// Its place among the session's tokens.
    place: usize,
}

/// Who is signed in, in which session: what an access token is made from.
#[derive(Clone)]
pub(super) struct Identity {
    pub(super) user: String,
    pub(super) email: String,
    pub(super) session: String,
    /// Seconds since 1970.
    pub(super) signed_in_at: i64,
    /// What the user's tokens say besides, or in place of the usual: an object.
    pub(super) claims: Value,
}

pub(super) struct Grant {
    pub(super) identity: Identity,
    pub(super) refresh_token: String,
    /// How many tokens the session had before this one.
    pub(super) counter: usize,
    /// Why a spent token was good once more, in the words of `GoTrue`.
    pub(super) reuse: Option<&'static str>,
}

/// Which sessions of a user a logout ends.
#[derive(Clone, Copy)]
pub(super) enum Scope {
    Global,
    Local,
    Others,
}

impl Store {
    /// Returns the id. A user of this email keeps the id and gets the new password.
    pub(super) fn add_user(&mut self, email: &str, password: &str) -> String {
        let email = email.to_lowercase();
        if let Some(user) = self.users.iter_mut().find(|user| user.email == email) {
            password.clone_into(&mut user.password);
            return user.id.clone();
        }
        let id = random::uuid();
        self.users.push(User { id: id.clone(), email, password: password.to_owned(), claims: json!({}) });
        id
    }

    /// Whether there is a user of this email.
    pub(super) fn set_claims(&mut self, email: &str, claims: Value) -> bool {
        let email = email.to_lowercase();
        let found = self.users.iter_mut().find(|user| user.email == email);
        found.map(|user| user.claims = claims).is_some()
    }

    pub(super) fn check_password(&self, email: &str, password: &str) -> Result<(), ApiError> {
        let known = |user: &User| user.email == email.to_lowercase() && user.password == password;
        self.users.iter().any(known).then_some(()).ok_or_else(ApiError::invalid_credentials)
    }

    /// Opens a session; `None` when nobody has this email.
    pub(super) fn sign_in(&mut self, email: &str, rules: Rules, now: Instant) -> Option<Grant> {
        let email = email.to_lowercase();
        let user = self.users.iter().find(|user| user.email == email)?.id.clone();
        let id = random::uuid();
        let session = Session { user, signed_in_at: clock::now(), tokens: Vec::new() };
        self.sessions.insert(id.clone(), session);
        self.issue(&id, None, rules, now);
        self.grant(&id, 0, None).ok()
    }

    pub(super) fn first_email(&self) -> Option<String> {
        self.users.first().map(|user| user.email.clone())
    }

    /// In lower case.
    pub(super) fn has_email(&self, email: &str) -> bool {
        self.users.iter().any(|user| user.email == email)
    }

    pub(super) fn exchange(&mut self, token: &str, rules: Rules, now: Instant) -> Result<Grant, ApiError> {
        let is_version_1 = || token.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
        // The shortest refresh token GoTrue ever made.
        if token.len() < 12 || (token.len() == 12 && !is_version_1()) {
            return Err(ApiError::malformed_refresh_token());
        }
        let issued = self.issued.get(token).ok_or_else(ApiError::refresh_token_not_found)?;
        let (id, place) = (issued.session.clone(), issued.place);
        let session = self.sessions.get_mut(&id).ok_or_else(ApiError::refresh_token_not_found)?;
        let presented = session.presented(place, now);
        match rules.exchange(presented) {
            Exchange::Rotate => {
                session.tokens[place].spent_at = Some(now);
                let newest = self.issue(&id, Some(place), rules, now);
                let reuse = presented.spent_since.map(|_| "concurrent-refresh");
                self.grant(&id, newest, reuse)
            }
            Exchange::Repeat => {
                let newest = session.active().unwrap_or(session.tokens.len() - 1);
                let is_parent = presented.is_parent_of_active || presented.behind == 1;
                self.grant(&id, newest, Some(if is_parent { "fail-to-save" } else { "concurrent-refresh" }))
            }
            Exchange::Revoke => {
                session.tokens.iter_mut().for_each(|token| token.spent_at = Some(now));
                Err(ApiError::refresh_token_revoked())
            }
            Exchange::Destroy => {
                self.sessions.remove(&id);
                Err(ApiError::refresh_token_already_used())
            }
        }
    }

    /// Makes a new token for the session, and tells its place.
    fn issue(&mut self, id: &str, parent: Option<usize>, rules: Rules, now: Instant) -> usize {
        let text = match rules.version {
            RefreshTokenVersion::V1 => version_1_token(),
            RefreshTokenVersion::V2 => random::text::<38>(),
        };
        let tokens = &mut self.sessions.get_mut(id).expect("the caller has it").tokens;
        let place = tokens.len();
        tokens.push(Token { text: text.clone(), parent, made_at: now, spent_at: None });
        self.issued.insert(text, Issued { session: id.to_owned(), place });
        place
    }

    fn grant(&self, id: &str, place: usize, reuse: Option<&'static str>) -> Result<Grant, ApiError> {
        let identity = self.identity_of_session(id).ok_or_else(ApiError::user_not_found)?;
        let refresh_token = self.sessions[id].tokens[place].text.clone();
        Ok(Grant { identity, refresh_token, counter: place, reuse })
    }

    fn identity_of_session(&self, id: &str) -> Option<Identity> {
        let session = self.sessions.get(id)?;
        let User { id: user, email, claims, .. } = self.user(&session.user)?;
        Some(Identity {
            user: user.clone(),
            email: email.clone(),
            session: id.to_owned(),
            signed_in_at: session.signed_in_at,
            claims: claims.clone(),
        })
    }

    /// The email and the claims of a user.
    pub(super) fn of_user(&self, id: &str) -> Option<(&str, &Value)> {
        self.user(id).map(|user| (&*user.email, &user.claims))
    }

    fn user(&self, id: &str) -> Option<&User> {
        self.users.iter().find(|user| user.id == id)
    }

    pub(super) fn log_out(&mut self, user: &str, session: Option<&str>, scope: Scope) {
        self.sessions.retain(|id, open| {
            let own = session == Some(id);
            open.user != user
                || match scope {
                    Scope::Global => false,
                    Scope::Local => !own,
                    Scope::Others => own,
                }
        });
    }

    /// Ends the session of a refresh token, if there is one.
    pub(super) fn end_session_of(&mut self, token: &str) {
        if let Some(issued) = self.issued.get(token) {
            self.sessions.remove(&issued.session);
        }
    }

    pub(super) fn end_session(&mut self, id: &str) {
        self.sessions.remove(id);
    }

    pub(super) fn sessions_alive(&self) -> usize {
        self.sessions.len()
    }

    pub(super) fn session_alive(&self, id: &str) -> bool {
        self.sessions.contains_key(id)
    }
}

impl Session {
    /// The place of the newest unspent token.
    fn active(&self) -> Option<usize> {
        self.tokens.iter().rposition(|token| token.spent_at.is_none())
    }

    fn presented(&self, place: usize, now: Instant) -> Presented {
        let newest = self.tokens.last().expect("never empty");
        Presented {
            behind: self.tokens.len() - 1 - place,
            is_parent_of_active: self
                .active()
                .is_some_and(|active| self.tokens[active].parent == Some(place)),
            spent_since: self.tokens[place].spent_at.map(|then| now.saturating_duration_since(then)),
            refreshed_since: now.saturating_duration_since(newest.made_at),
        }
    }
}

/// 12 characters of `[a-z0-9]`.
fn version_1_token() -> String {
    const LETTERS: &[u8] = b"abcdefghijklmnopqrstuvwxyz0123456789";
    random::bytes::<12>().map(|byte| char::from(LETTERS[usize::from(byte) % LETTERS.len()])).iter().collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const LENIENT: Rules =
        Rules { version: RefreshTokenVersion::V2, reuse_interval: Duration::ZERO, strict_single_use: false };

    fn store() -> Store {
        let mut store = Store::default();
        store.add_user("Ada@example.com", "secret");
        store
    }

    #[test]
    fn user_is_known_by_email_in_any_case_and_password_in_its_own() {
        let store = store();
        assert!(store.check_password("ada@EXAMPLE.com", "secret").is_ok());
        assert!(store.check_password("ada@example.com", "Secret").is_err());
        assert!(store.check_password("eve@example.com", "secret").is_err());
    }

    #[test]
    fn user_added_again_keeps_the_id_and_gets_the_password() {
        let mut store = store();
        let first = store.add_user("ada@example.com", "secret");
        assert_eq!(store.add_user("ada@example.com", "changed"), first);
        assert!(store.check_password("ada@example.com", "secret").is_err());
        assert!(store.check_password("ada@example.com", "changed").is_ok());
    }

    #[test]
    fn reuse_interval_counts_from_the_last_rotation() {
        let rules = Rules { reuse_interval: Duration::from_secs(10), ..LENIENT };
        let mut store = store();
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let first = store.sign_in("ada@example.com", rules, at(0)).unwrap().refresh_token;
        let second = store.exchange(&first, rules, at(100)).ok().unwrap().refresh_token;
        let third = store.exchange(&second, rules, at(200)).ok().unwrap().refresh_token;
        assert_eq!(store.exchange(&first, rules, at(209)).ok().unwrap().refresh_token, third);
        assert_eq!(store.exchange(&first, rules, at(210)).err().unwrap().code, "refresh_token_already_used");
        assert_eq!(store.exchange(&third, rules, at(211)).err().unwrap().code, "refresh_token_not_found");
    }

    #[test]
    fn sessions_of_one_user_are_apart() {
        let mut store = store();
        let now = Instant::now();
        let first = store.sign_in("ada@example.com", LENIENT, now).unwrap();
        let second = store.sign_in("ada@example.com", LENIENT, now).unwrap();
        assert_ne!(first.identity.session, second.identity.session);
        let strict = Rules { strict_single_use: true, ..LENIENT };
        assert!(store.exchange(&first.refresh_token, strict, now).is_ok());
        assert!(store.exchange(&first.refresh_token, strict, now).is_err());
        assert!(!store.session_alive(&first.identity.session));
        assert!(store.exchange(&second.refresh_token, strict, now).is_ok());
    }

    #[test]
    fn logout_ends_the_sessions_of_its_scope_and_user() {
        for (name, scope, expected) in [
            ("global", Scope::Global, [false, false, true]),
            ("local", Scope::Local, [false, true, true]),
            ("others", Scope::Others, [true, false, true]),
        ] {
            let mut store = store();
            store.add_user("eve@example.com", "secret");
            let mut sign_in = |email| store.sign_in(email, LENIENT, Instant::now()).unwrap().identity;
            let (this, other) = (sign_in("ada@example.com"), sign_in("ada@example.com"));
            let stranger = sign_in("eve@example.com");
            store.log_out(&this.user, Some(&this.session), scope);
            let alive = [this, other, stranger].map(|identity| store.session_alive(&identity.session));
            assert_eq!(alive, expected, "{name}");
        }
    }
}
