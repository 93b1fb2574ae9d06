//! Sign-ins with PKCE that wait for their code to be exchanged.

use std::collections::HashMap;

use super::error::ApiError;
use crate::{pkce::Challenge, random};

/// Sign-ins that went out with a challenge and have not been exchanged.
#[derive(Debug, Default)]
pub(super) struct Flows(HashMap<String, Flow>);

#[derive(Debug)]
struct Flow {
    email: String,
    challenge: Challenge,
}

impl Flows {
    /// Returns the code.
    pub(super) fn begin(&mut self, email: String, challenge: Challenge) -> String {
        let code = random::uuid();
        self.0.insert(code.clone(), Flow { email, challenge });
        code
    }

    /// Whose sign-in the code is of. It is good once, and not even that with a wrong verifier.
    pub(super) fn end(&mut self, code: &str, verifier: &str) -> Result<String, ApiError> {
        let flow = self.0.remove(code).ok_or_else(ApiError::flow_state_not_found)?;
        if flow.challenge.is_met_by(verifier) { Ok(flow.email) } else { Err(ApiError::bad_code_verifier()) }
    }
}
