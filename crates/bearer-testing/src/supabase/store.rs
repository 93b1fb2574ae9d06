use std::collections::HashMap;

use tokio::time::Instant;

use super::{
    error::ApiError,
    rotation::{Exchange, Rules},
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
}

struct Session {
    user: String,
    signed_in_at: i64,
    refresh_token: String,
    generation: u64,
    refreshed_at: Instant,
}

struct Issued {
    session: String,
    generation: u64,
}

/// Who is signed in, in which session: what an access token is made from.
#[derive(Clone)]
pub(super) struct Identity {
    pub(super) user: String,
    pub(super) email: String,
    pub(super) session: String,
    /// Seconds since 1970.
    pub(super) signed_in_at: i64,
}

pub(super) struct Grant {
    pub(super) identity: Identity,
    pub(super) refresh_token: String,
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
        self.users.push(User { id: id.clone(), email, password: password.to_owned() });
        id
    }

    pub(super) fn check_password(&self, email: &str, password: &str) -> Result<(), ApiError> {
        let known = |user: &User| user.email == email.to_lowercase() && user.password == password;
        self.users.iter().any(known).then_some(()).ok_or_else(ApiError::invalid_credentials)
    }

    /// Opens a session; `None` when nobody has this email.
    pub(super) fn sign_in(&mut self, email: &str, now: Instant) -> Option<Grant> {
        let email = email.to_lowercase();
        let user = self.users.iter().find(|user| user.email == email)?.id.clone();
        let (session, refresh_token) = (random::uuid(), random::text::<38>());
        self.issued.insert(refresh_token.clone(), Issued { session: session.clone(), generation: 0 });
        let signed_in_at = clock::now();
        self.sessions.insert(
            session.clone(),
            Session {
                user: user.clone(),
                signed_in_at,
                refresh_token: refresh_token.clone(),
                generation: 0,
                refreshed_at: now,
            },
        );
        Some(Grant { identity: Identity { user, email, session, signed_in_at }, refresh_token })
    }

    pub(super) fn exchange(&mut self, token: &str, rules: Rules, now: Instant) -> Result<Grant, ApiError> {
        // The shortest refresh token GoTrue ever made.
        if token.len() < 12 {
            return Err(ApiError::malformed_refresh_token());
        }
        let issued = self.issued.get(token).ok_or_else(ApiError::refresh_token_not_found)?;
        let id = issued.session.clone();
        let session = self.sessions.get_mut(&id).ok_or_else(ApiError::refresh_token_not_found)?;
        let behind = session.generation - issued.generation;
        match rules.exchange(behind, now.saturating_duration_since(session.refreshed_at)) {
            Exchange::Rotate => {
                session.generation += 1;
                session.refresh_token = random::text::<38>();
                session.refreshed_at = now;
                let issued = Issued { session: id.clone(), generation: session.generation };
                self.issued.insert(session.refresh_token.clone(), issued);
            }
            Exchange::Repeat => {}
            Exchange::Destroy => {
                self.sessions.remove(&id);
                return Err(ApiError::refresh_token_already_used());
            }
        }
        let refresh_token = session.refresh_token.clone();
        let identity = self.identity_of_session(&id).ok_or_else(ApiError::user_not_found)?;
        Ok(Grant { identity, refresh_token })
    }

    fn identity_of_session(&self, id: &str) -> Option<Identity> {
        let session = self.sessions.get(id)?;
        let email = self.email(&session.user)?.to_owned();
        let (user, signed_in_at) = (session.user.clone(), session.signed_in_at);
        Some(Identity { user, email, session: id.to_owned(), signed_in_at })
    }

    pub(super) fn email(&self, user: &str) -> Option<&str> {
        self.users.iter().find(|known| known.id == user).map(|known| &*known.email)
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const LENIENT: Rules = Rules { reuse_interval: Duration::ZERO, strict_single_use: false };

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
        let rules = Rules { reuse_interval: Duration::from_secs(10), strict_single_use: false };
        let mut store = store();
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let first = store.sign_in("ada@example.com", at(0)).unwrap().refresh_token;
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
        let first = store.sign_in("ada@example.com", now).unwrap();
        let second = store.sign_in("ada@example.com", now).unwrap();
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
            let mut sign_in = |email| store.sign_in(email, Instant::now()).unwrap().identity;
            let (this, other) = (sign_in("ada@example.com"), sign_in("ada@example.com"));
            let stranger = sign_in("eve@example.com");
            store.log_out(&this.user, Some(&this.session), scope);
            let alive = [this, other, stranger].map(|identity| store.session_alive(&identity.session));
            assert_eq!(alive, expected, "{name}");
        }
    }
}
