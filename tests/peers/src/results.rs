//! What was measured, as `--json` has it.

use crate::world::Case;
use serde::Serialize;

#[derive(Serialize)]
pub struct Results {
    pub rounds: usize,
    /// Requests of one turn.
    pub batch: usize,
    pub processors: usize,
    pub groups: Vec<Group>,
}

/// The rows of one algorithm; the first is the floor.
#[derive(Serialize)]
pub struct Group {
    pub algorithm: &'static str,
    pub token_bytes: usize,
    /// The floor's median over its tenth percentile: 1 on a machine that does nothing else.
    pub noise: f64,
    pub rows: Vec<Measured>,
}

#[derive(Serialize)]
pub struct Measured {
    pub name: &'static str,
    pub version: Option<&'static str>,
    /// How it is called.
    pub shape: &'static str,
    pub ours: bool,
    pub note: &'static str,
    /// Why there are no numbers.
    pub absent: Option<String>,
    pub cases: Vec<Numbers>,
}

/// Per request.
#[derive(Clone, Serialize)]
pub struct Numbers {
    pub case: Case,
    pub status: u16,
    /// The tenth percentile of the turns.
    pub nanoseconds: f64,
    pub median: f64,
    pub allocations: u64,
    pub bytes: u64,
}

impl Group {
    /// Nanoseconds of the signature alone, measured between the turns of this case.
    pub fn floor(&self, case: Case) -> Option<f64> {
        Some(self.rows.first()?.case(case)?.nanoseconds)
    }
}

impl Measured {
    pub fn case(&self, case: Case) -> Option<&Numbers> {
        self.cases.iter().find(|numbers| numbers.case == case)
    }
}
