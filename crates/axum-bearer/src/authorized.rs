//! [`Authorized`]: the requirement of a handler, in its signature.

use crate::{AuthError, AuthRejection, AuthUser, SupabaseClaims, Verified, policy::Policy as _};
use axum_core::extract::{FromRequestParts, OptionalFromRequestParts};
use http::request::Parts;
use std::{fmt, marker::PhantomData, ops::Deref};

/// What a caller must be permitted, as a type: a scope of [`scopes!`](crate::scopes!), a policy of
/// [`requirement!`](crate::requirement!), or a tuple, which wants all of its members.
pub trait Requirement {
    /// Permits, or says which refusal the caller gets.
    ///
    /// # Errors
    /// The refusal.
    fn check(verified: &Verified) -> Result<(), AuthError>;
}

/// A caller who was verified **and** is permitted `P`: the [`AuthUser`] with claims `C`, for whom the
/// requirement was checked before the handler runs.
///
/// | caller | answer |
/// |---|---|
/// | without a credential | 401; `None` for `Option<Authorized<P, C>>` behind [`allow_anonymous`](tower_bearer::BearerLayer::allow_anonymous) |
/// | with a bad one | 401, from the gate |
/// | not permitted | what the policy says: 403 with the scopes, or 401 for a stronger sign-in |
///
/// ```
/// use axum::{Router, body::Body, http::{Request, StatusCode}, routing::get};
/// use axum_bearer::{Algorithm, Authorized, BearerLayer, Issuer, JwtVerifier, RegisteredClaims};
/// use tower::ServiceExt;
/// # use bearer_testing::{Algorithm as Alg, SigningKey, TokenBuilder};
///
/// axum_bearer::scopes! {
///     /// May read orders.
///     pub OrdersRead = "orders:read";
/// }
///
/// async fn orders(user: Authorized<OrdersRead, RegisteredClaims>) -> String {
///     format!("orders of {}", user.sub.as_deref().unwrap_or("nobody"))
/// }
///
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// # let secret = [7; 32];
/// # let issuer = Issuer::new("https://issuer.example", "api").hmac_secret(Algorithm::HS256, secret);
/// # let key = SigningKey::hmac(Alg::HS256, &secret);
/// # let token = |scope| TokenBuilder::new(&key, "https://issuer.example", "api").scope(scope).sign();
/// let app = Router::new().route("/orders", get(orders)).layer(BearerLayer::new(JwtVerifier::new([issuer])?));
/// let ask = |scope| {
///     Request::get("/orders").header("authorization", format!("Bearer {}", token(scope))).body(Body::empty())
/// };
/// assert_eq!(app.clone().oneshot(ask("orders:read")?).await?.status(), StatusCode::OK);
/// assert_eq!(app.oneshot(ask("profile")?).await?.status(), StatusCode::FORBIDDEN);
/// # Ok::<(), Box<dyn std::error::Error>>(()) })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Authorized<P, C = SupabaseClaims> {
    user: AuthUser<C>,
    requirement: PhantomData<fn() -> P>,
}

impl<P, C> Authorized<P, C> {
    /// The caller.
    pub fn into_user(self) -> AuthUser<C> {
        self.user
    }
}

impl<P: Requirement, C: Send + Sync + 'static> Authorized<P, C> {
    fn find(parts: &Parts) -> Result<Self, AuthError> {
        let user = AuthUser::<C>::find(parts)?;
        P::check(user.verified())?;
        Ok(Self { user, requirement: PhantomData })
    }
}

impl<P, C> Deref for Authorized<P, C> {
    type Target = AuthUser<C>;

    fn deref(&self) -> &AuthUser<C> {
        &self.user
    }
}

impl<P, C> Clone for Authorized<P, C> {
    fn clone(&self) -> Self {
        Self { user: self.user.clone(), requirement: PhantomData }
    }
}

impl<P, C> fmt::Debug for Authorized<P, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authorized").field("user", &self.user).finish_non_exhaustive()
    }
}

impl<P, C, S> FromRequestParts<S> for Authorized<P, C>
where
    P: Requirement,
    C: Send + Sync + 'static,
    S: Send + Sync,
{
    type Rejection = AuthRejection;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, AuthRejection> {
        Self::find(parts).map_err(|error| AuthRejection::new(error, parts))
    }
}

impl<P, C, S> OptionalFromRequestParts<S> for Authorized<P, C>
where
    P: Requirement,
    C: Send + Sync + 'static,
    S: Send + Sync,
{
    type Rejection = AuthRejection;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Option<Self>, AuthRejection> {
        AuthRejection::unless_missing(Self::find(parts), parts)
    }
}

/// Makes a type for each scope (RFC 6749 §3.3), to be named in [`Authorized`]. What is no scope does not
/// compile.
///
/// ```
/// axum_bearer::scopes! {
///     /// May read orders.
///     pub OrdersRead = "orders:read";
///     OrdersWrite = "orders:write";
/// }
/// # use axum_bearer::{RegisteredClaims, Requirement, Verified};
/// # let mut claims = RegisteredClaims::default();
/// # claims.scopes = ["orders:read"].into_iter().collect();
/// # let reader = Verified::assertion(claims, ());
/// assert!(OrdersRead::check(&reader).is_ok());
/// assert!(OrdersWrite::check(&reader).is_err());
/// assert!(<(OrdersRead, OrdersWrite)>::check(&reader).is_err(), "both");
/// ```
#[macro_export]
macro_rules! scopes {
    ($($(#[$attribute:meta])* $visibility:vis $name:ident = $scope:literal;)+) => {$(
        $(#[$attribute])*
        #[derive(Clone, Copy, Debug)]
        $visibility struct $name;

        const _: () = assert!(
            $crate::tower_bearer::policy::is_scope($scope),
            concat!("not a scope token (RFC 6749 section 3.3): ", $scope),
        );

        impl $crate::Requirement for $name {
            fn check(verified: &$crate::Verified) -> ::core::result::Result<(), $crate::AuthError> {
                if verified.scopes().contains($scope) {
                    ::core::result::Result::Ok(())
                } else {
                    ::core::result::Result::Err($crate::AuthError::insufficient_scope([$scope]))
                }
            }
        }
    )+};
}

/// Makes a type for each policy, to be named in [`Authorized`]. The policy is built when it is first asked.
///
/// ```
/// use axum_bearer::{AuthError, policy::{Policy, scope, scopes_any}};
///
/// axum_bearer::requirement! {
///     /// May see the reports.
///     pub Reports = scopes_any(["reports", "admin"]);
/// }
/// # use axum_bearer::{RegisteredClaims, Requirement, Verified};
/// # let caller = |scope| {
/// #     let mut claims = RegisteredClaims::default();
/// #     claims.scopes = [scope].into_iter().collect();
/// #     Verified::assertion(claims, ())
/// # };
/// assert!(Reports::check(&caller("admin")).is_ok());
/// assert!(Reports::check(&caller("profile")).is_err());
/// ```
#[macro_export]
macro_rules! requirement {
    ($($(#[$attribute:meta])* $visibility:vis $name:ident = $policy:expr;)+) => {$(
        $(#[$attribute])*
        #[derive(Clone, Copy, Debug)]
        $visibility struct $name;

        impl $crate::Requirement for $name {
            fn check(verified: &$crate::Verified) -> ::core::result::Result<(), $crate::AuthError> {
                static POLICY: ::std::sync::LazyLock<
                    ::std::boxed::Box<dyn $crate::policy::Policy + ::core::marker::Send + ::core::marker::Sync>,
                > = ::std::sync::LazyLock::new(|| ::std::boxed::Box::new($policy));
                $crate::policy::Policy::check(&**POLICY, verified)
            }
        }
    )+};
}

/// All of a tuple's members: one challenge asks for what is lacking of any.
macro_rules! tuple {
    ($first:ident $($other:ident)*) => {
        impl<$first: Requirement, $($other: Requirement),*> Requirement for ($first, $($other,)*) {
            fn check(verified: &Verified) -> Result<(), AuthError> {
                let all = $first::check;
                $(let all = all.and($other::check);)*
                all.check(verified)
            }
        }
    };
}

tuple!(A);
tuple!(A B);
tuple!(A B C);
tuple!(A B C D);
