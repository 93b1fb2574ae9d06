//! [`AuthUser`]: the verified caller as a handler argument.

use crate::{AuthRejection, Verified, rejection::Mismatch};
use axum_core::extract::{FromRequestParts, OptionalFromRequestParts};
use http::{Extensions, request::Parts};
use std::{any::type_name, fmt, ops::Deref, sync::Arc};
use tower_bearer::{AuthError, AuthErrorKind, Reason, Refusal, supabase::SupabaseClaims};

/// The caller whose access token was verified, with the application's claims `C`: those that the issuer was
/// [set up for](tower_bearer::Issuer::claims), for [`Issuer::supabase`](tower_bearer::Issuer::supabase) the
/// default. So `AuthUser` alone is `AuthUser<SupabaseClaims>`; elsewhere write your own type, or
/// `AuthUser<RegisteredClaims>`: [`RegisteredClaims`](tower_bearer::RegisteredClaims) are there for every
/// issuer.
///
/// Derefs to the claims. Cheap to clone; any number of extractors may ask for it.
///
/// | in the handler's signature | no credential | bad credential |
/// |---|---|---|
/// | `AuthUser<C>` | 401 | 401 |
/// | `Option<AuthUser<C>>`, behind [`allow_anonymous`](tower_bearer::BearerLayer::allow_anonymous) | `None` | 401 |
///
/// Without a [`BearerLayer`](tower_bearer::BearerLayer) around the handler, or with one for other claims, the
/// answer is 500: the names of the types go to the log, nothing to the client.
pub struct AuthUser<C = SupabaseClaims> {
    claims: Arc<C>,
    verified: Verified,
}

impl<C> AuthUser<C> {
    /// The proof behind it: registered claims, scopes, scheme.
    pub fn verified(&self) -> &Verified {
        &self.verified
    }

    /// The claims, to keep. Those that can be serialized, as [`SupabaseClaims`] can, are an answer by themselves:
    ///
    /// ```
    /// use axum::{Json, Router, routing::get};
    /// use axum_bearer::{AuthUser, SupabaseClaims};
    /// use std::sync::Arc;
    ///
    /// /// What the user's token says, without a lifetime or a credential.
    /// async fn me(user: AuthUser) -> Json<SupabaseClaims> {
    ///     Json(Arc::unwrap_or_clone(user.into_claims()))
    /// }
    ///
    /// /// A task of its own borrows nothing of the request.
    /// async fn report(user: AuthUser) {
    ///     let claims: Arc<SupabaseClaims> = user.into_claims();
    ///     tokio::spawn(async move { println!("a report for {}", claims.sub) });
    /// }
    ///
    /// let app: Router = Router::new().route("/me", get(me)).route("/report", get(report));
    /// ```
    pub fn into_claims(self) -> Arc<C> {
        self.claims
    }

    /// Refuses this caller: for what the handler alone can decide, such as whose order it is. The answer has
    /// the challenge of the gate, which renders it on the way out. It is HTTP, also to a gRPC call: there
    /// make a [`Refusal`] of the request's extensions.
    ///
    /// ```
    /// use axum::{Router, body::Body, extract::Path, http::{Request, StatusCode}, routing::get};
    /// use axum_bearer::{AuthError, AuthRejection, AuthUser, BearerLayer, RegisteredClaims};
    /// # use axum_bearer::{Algorithm, Issuer, JwtVerifier};
    /// # use bearer_testing::{Algorithm as Alg, SigningKey, TokenBuilder};
    /// # use tower::ServiceExt;
    ///
    /// async fn order(user: AuthUser<RegisteredClaims>, Path(id): Path<u32>) -> Result<String, AuthRejection> {
    ///     let owner = if id == 7 { "alice" } else { "bob" };
    ///     if user.sub.as_deref() != Some(owner) {
    ///         return Err(user.refuse(AuthError::forbidden("somebody else's order")));
    ///     }
    ///     Ok(format!("order {id} of {owner}"))
    /// }
    ///
    /// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
    /// # let secret = [7; 32];
    /// # let issuer = Issuer::new("https://issuer.example", "api").hmac_secret(Algorithm::HS256, secret);
    /// let app =
    ///     Router::new().route("/orders/{id}", get(order)).layer(BearerLayer::new(JwtVerifier::new([issuer])?));
    ///
    /// # let key = SigningKey::hmac(Alg::HS256, &secret);
    /// # let token = TokenBuilder::new(&key, "https://issuer.example", "api").subject("alice").sign();
    /// for (path, status) in [("/orders/7", StatusCode::OK), ("/orders/8", StatusCode::FORBIDDEN)] {
    ///     let request = Request::get(path).header("authorization", format!("Bearer {token}")).body(Body::empty())?;
    ///     assert_eq!(app.clone().oneshot(request).await?.status(), status);
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(()) })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn refuse(&self, error: AuthError) -> AuthRejection {
        let mut extensions = Extensions::new();
        extensions.insert(self.verified.clone());
        Refusal::new(error, &extensions).into()
    }
}

impl<C> Deref for AuthUser<C> {
    type Target = C;

    fn deref(&self) -> &C {
        &self.claims
    }
}

impl<C> Clone for AuthUser<C> {
    fn clone(&self) -> Self {
        Self { claims: Arc::clone(&self.claims), verified: self.verified.clone() }
    }
}

/// Claims are personal data.
impl<C> fmt::Debug for AuthUser<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthUser").field("verified", &self.verified).finish_non_exhaustive()
    }
}

impl<C: Send + Sync + 'static, S: Send + Sync> FromRequestParts<S> for AuthUser<C> {
    type Rejection = AuthRejection;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, AuthRejection> {
        Self::find(parts).map_err(|error| AuthRejection::new(error, parts))
    }
}

impl<C: Send + Sync + 'static, S: Send + Sync> OptionalFromRequestParts<S> for AuthUser<C> {
    type Rejection = AuthRejection;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Option<Self>, AuthRejection> {
        AuthRejection::unless_missing(Self::find(parts), parts)
    }
}

impl<C: Send + Sync + 'static> AuthUser<C> {
    /// The caller of this request. Anything but a missing credential is a mistake of the server.
    pub(crate) fn find(parts: &Parts) -> Result<Self, AuthError> {
        let mismatch = |found| Mismatch::new(type_name::<C>(), found, parts);
        let verified = Verified::of(&parts.extensions).map_err(|error| match error.kind() {
            AuthErrorKind::Misconfigured => error.with_source(mismatch(None)),
            _ => error,
        })?;
        let claims = verified.claims::<C>().ok_or_else(|| {
            AuthError::from(Reason::OtherClaims).with_source(mismatch(Some(verified.claims_type())))
        })?;
        Ok(Self { claims, verified: verified.clone() })
    }
}
