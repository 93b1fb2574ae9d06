//! [`sources`]: what lies beneath an error, for the log. An error itself does not say it.

use std::{error::Error, fmt};
use tracing::field::{DisplayValue, display};

/// The errors beneath one, from the nearest to the deepest.
pub(crate) struct Sources<'a>(&'a dyn Error);

/// As a field of an event; none where there is nothing beneath.
pub(crate) fn sources<'a>(error: &'a (dyn Error + 'static)) -> Option<DisplayValue<Sources<'a>>> {
    error.source().map(|nearest| display(Sources(nearest)))
}

impl fmt::Display for Sources<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        let mut deeper = self.0.source();
        while let Some(error) = deeper {
            write!(f, ": {error}")?;
            deeper = error.source();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        endpoint::{ExchangeError, Outcome},
        store::StoreError,
    };

    #[test]
    fn all_that_lies_beneath_an_error_is_said() {
        let bare = ExchangeError::new(Outcome::Unknown);
        assert!(sources(&bare).is_none());
        let deep = bare.with_source(StoreError::new("refused"));
        let said = sources(&deep).expect("two of them").to_string();
        assert_eq!(said, "the session store did not answer as it should: refused");
    }
}
