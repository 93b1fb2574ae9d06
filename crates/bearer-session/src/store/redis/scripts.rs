//! [`Scripts`]: each step of a session, as one that the server takes at once.

use redis::{Pipeline, Script};

/// They read and write one key each, so that they run in a cluster too.
pub(super) struct Scripts {
    pub(super) load: Script,
    pub(super) create: Script,
    pub(super) claim: Script,
    pub(super) commit: Script,
    pub(super) release: Script,
    pub(super) end: Script,
}

const LOAD: &str = concat!(include_str!("scripts/row.lua"), include_str!("scripts/load.lua"));
const CREATE: &str = concat!(include_str!("scripts/row.lua"), include_str!("scripts/create.lua"));
const CLAIM: &str = concat!(include_str!("scripts/row.lua"), include_str!("scripts/claim.lua"));
const COMMIT: &str = concat!(include_str!("scripts/row.lua"), include_str!("scripts/commit.lua"));
const RELEASE: &str = concat!(include_str!("scripts/row.lua"), include_str!("scripts/release.lua"));
const END: &str = concat!(include_str!("scripts/row.lua"), include_str!("scripts/end.lua"));

impl Scripts {
    pub(super) fn new() -> Self {
        Self {
            load: Script::new(LOAD),
            create: Script::new(CREATE),
            claim: Script::new(CLAIM),
            commit: Script::new(COMMIT),
            release: Script::new(RELEASE),
            end: Script::new(END),
        }
    }

    /// Tells the server all of them. Otherwise, after a restart, each request under way would.
    pub(super) fn told() -> Pipeline {
        let mut pipeline = Pipeline::new();
        for script in [LOAD, CREATE, CLAIM, COMMIT, RELEASE, END] {
            pipeline.cmd("SCRIPT").arg("LOAD").arg(script).ignore();
        }
        pipeline
    }
}
