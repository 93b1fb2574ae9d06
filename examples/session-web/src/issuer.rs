//! Who signs users in: a project of Supabase, or a small Supabase Auth in this process.

use crate::settings::Project;
use bearer_session::{SessionEvent, Sessions};
use bearer_testing::{SupabaseOptions, TestSupabase};
use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

pub(crate) const EMAIL: &str = "ada@example.com";
pub(crate) const PASSWORD: &str = "correct horse";

/// How many refresh tokens were exchanged.
#[derive(Clone, Debug)]
pub(crate) enum Refreshes {
    /// As the issuer itself counts them.
    Issuer(TestSupabase),
    /// As this process hears of them.
    Heard(Arc<AtomicUsize>),
}

/// A small Supabase Auth, which ends any session whose refresh token comes twice; with one user.
pub(crate) async fn start(lifetime: u32) -> TestSupabase {
    let options = SupabaseOptions::new().access_token_expires_in(lifetime.into()).strict_single_use();
    let supabase = TestSupabase::start_with(options).await;
    supabase.add_user(EMAIL, PASSWORD);
    supabase
}

/// The test issuer as a project. It takes any key.
pub(crate) fn project(supabase: &TestSupabase) -> Project {
    Project {
        url: supabase.project_url().to_owned(),
        key: "sb_publishable_test".to_owned(),
        providers: vec!["github".to_owned()],
    }
}

impl Refreshes {
    pub(crate) fn of(issuer: Option<TestSupabase>) -> Self {
        issuer.map_or_else(|| Self::Heard(Arc::default()), Self::Issuer)
    }

    /// Hears of the refreshes of this owner, unless the issuer counts.
    pub(crate) fn listen(&self, sessions: &Sessions) {
        let Self::Heard(count) = self else { return };
        let (count, mut events) = (Arc::clone(count), sessions.events());
        tokio::spawn(async move {
            while let Some(event) = events.next().await {
                if let SessionEvent::TokenRefreshed(_) = event {
                    count.fetch_add(1, Ordering::Relaxed);
                }
            }
        });
    }

    pub(crate) fn count(&self) -> usize {
        match self {
            Self::Issuer(supabase) => supabase.refreshes(),
            Self::Heard(count) => count.load(Ordering::Relaxed),
        }
    }

    pub(crate) fn counted_by(&self) -> &'static str {
        match self {
            Self::Issuer(_) => "the issuer",
            Self::Heard(_) => "this server",
        }
    }
}
