//! What the [scripts](super::scripts) answer, read strictly: what is not understood is an error, and is not
//! printed.

use crate::store::{Claim, Commit, Fence, Key, Lookup, Row};
use redis::Value;
use std::{error::Error, fmt, time::Duration};

/// An answer that no script gives.
#[derive(Debug, Eq, PartialEq)]
pub(super) struct Malformed;

/// A word, and what belongs to it.
struct Answer {
    word: Vec<u8>,
    rest: std::vec::IntoIter<Value>,
}

pub(super) fn lookup(reply: Value) -> Result<Lookup, Malformed> {
    let mut answer = Answer::new(reply)?;
    match &*answer.word {
        b"live" => Ok(Lookup::Live(answer.row()?)),
        b"ended" => Ok(Lookup::Ended),
        b"unknown" => Ok(Lookup::Unknown),
        _ => Err(Malformed),
    }
}

pub(super) fn claim(reply: Value) -> Result<Claim, Malformed> {
    let mut answer = Answer::new(reply)?;
    match &*answer.word {
        b"granted" => {
            let row = answer.row()?;
            let fence = Fence::new(answer.number()?).ok_or(Malformed)?;
            let interrupted = answer.flag()?;
            Ok(Claim::Granted { fence, row, interrupted })
        }
        b"held" => Ok(Claim::Held(Duration::from_micros(answer.number()?))),
        b"moved" => Ok(Claim::Moved(answer.row()?)),
        b"ended" => Ok(Claim::Ended),
        b"unknown" => Ok(Claim::Unknown),
        _ => Err(Malformed),
    }
}

pub(super) fn commit(reply: Value) -> Result<Commit, Malformed> {
    match &*Answer::new(reply)?.word {
        b"stored" => Ok(Commit::Stored),
        b"fenced" => Ok(Commit::Fenced),
        _ => Err(Malformed),
    }
}

pub(super) fn release(reply: Value) -> Result<(), Malformed> {
    match &*Answer::new(reply)?.word {
        b"released" | b"over" => Ok(()),
        _ => Err(Malformed),
    }
}

pub(super) fn end(reply: Value) -> Result<bool, Malformed> {
    match &*Answer::new(reply)?.word {
        b"ended" => Ok(true),
        b"over" => Ok(false),
        _ => Err(Malformed),
    }
}

#[expect(clippy::needless_pass_by_value, reason = "of one form with the others")]
pub(super) fn link(reply: Value) -> Result<(), Malformed> {
    matches!(reply, Value::Okay).then_some(()).ok_or(Malformed)
}

pub(super) fn resolve(reply: Value) -> Result<Option<Key>, Malformed> {
    match reply {
        Value::Nil => Ok(None),
        Value::BulkString(bytes) => key(&bytes).map(Some),
        _ => Err(Malformed),
    }
}

pub(super) fn key(bytes: &[u8]) -> Result<Key, Malformed> {
    bytes.try_into().map(Key::from_bytes).map_err(|_| Malformed)
}

impl Answer {
    fn new(reply: Value) -> Result<Self, Malformed> {
        let Value::Array(values) = reply else { return Err(Malformed) };
        let mut rest = values.into_iter();
        let Some(Value::BulkString(word)) = rest.next() else { return Err(Malformed) };
        Ok(Self { word, rest })
    }

    fn row(&mut self) -> Result<Row, Malformed> {
        let generation = self.number()?;
        let age = Duration::from_micros(self.number()?);
        let Some(Value::BulkString(sealed)) = self.rest.next() else { return Err(Malformed) };
        Ok(Row::new(generation, sealed, age))
    }

    fn number(&mut self) -> Result<u64, Malformed> {
        let Some(Value::Int(number)) = self.rest.next() else { return Err(Malformed) };
        u64::try_from(number).map_err(|_| Malformed)
    }

    fn flag(&mut self) -> Result<bool, Malformed> {
        match self.number()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(Malformed),
        }
    }
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the answer of Redis is not one of ours")
    }
}

impl Error for Malformed {}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn word(word: &str) -> Value {
        Value::BulkString(word.into())
    }

    fn array(word_: &str, rest: &[Value]) -> Value {
        Value::Array([&[word(word_)], rest].concat())
    }

    fn row() -> [Value; 3] {
        [Value::Int(7), Value::Int(1_500_000), word("sealed")]
    }

    #[test]
    fn each_answer_is_read() {
        let expected = Row::new(7, b"sealed".to_vec(), Duration::from_millis(1500));
        assert_eq!(lookup(array("live", &row())), Ok(Lookup::Live(expected.clone())));
        assert_eq!(lookup(array("ended", &[])), Ok(Lookup::Ended));
        assert_eq!(lookup(array("unknown", &[])), Ok(Lookup::Unknown));
        let fence = Fence::new(9).unwrap();
        for (number, interrupted) in [(0, false), (1, true)] {
            let granted = [&row()[..], &[Value::Int(9), Value::Int(number)]].concat();
            let row = expected.clone();
            assert_eq!(claim(array("granted", &granted)), Ok(Claim::Granted { fence, row, interrupted }));
        }
        assert_eq!(claim(array("held", &[Value::Int(250)])), Ok(Claim::Held(Duration::from_micros(250))));
        assert_eq!(claim(array("moved", &row())), Ok(Claim::Moved(expected)));
        assert_eq!(commit(array("stored", &[])), Ok(Commit::Stored));
        assert_eq!(commit(array("fenced", &[])), Ok(Commit::Fenced));
        assert_eq!(end(array("ended", &[])), Ok(true));
        assert_eq!(end(array("over", &[])), Ok(false));
        assert_eq!(resolve(Value::Nil), Ok(None));
        assert_eq!(resolve(Value::BulkString(vec![3; 32])), Ok(Some(Key::from_bytes([3; 32]))));
    }

    #[test]
    fn what_is_not_understood_is_an_error() {
        let granted =
            |fence, interrupted| [&row()[..], &[Value::Int(fence), Value::Int(interrupted)]].concat();
        for (name, reply) in [
            ("nothing", Value::Nil),
            ("no word", Value::Array(vec![])),
            ("a number for a word", Value::Array(vec![Value::Int(1)])),
            ("a word of another script", array("stored", &[])),
            ("no row", array("granted", &[])),
            ("no fence", array("granted", &row())),
            ("a fence of 0", array("granted", &granted(0, 0))),
            ("a negative fence", array("granted", &granted(-1, 0))),
            ("half interrupted", array("granted", &granted(1, 2))),
            ("a row without its seal", array("moved", &[Value::Int(7), Value::Int(0), Value::Nil])),
            ("a negative time", array("held", &[Value::Int(-1)])),
        ] {
            assert_eq!(claim(reply), Err(Malformed), "{name}");
        }
        assert_eq!(lookup(array("live", &[Value::Int(-1), Value::Int(0), word("")])), Err(Malformed));
        assert_eq!(resolve(Value::BulkString(vec![3; 31])), Err(Malformed));
        assert_eq!(link(Value::Nil), Err(Malformed));
    }

    proptest! {
        #[test]
        fn a_row_comes_back_as_it_was_sent(generation: u32, age: u32, sealed: Vec<u8>) {
            let reply = array("live", &[
                Value::Int(generation.into()),
                Value::Int(age.into()),
                Value::BulkString(sealed.clone()),
            ]);
            let expected = Row::new(generation.into(), sealed, Duration::from_micros(age.into()));
            prop_assert_eq!(lookup(reply), Ok(Lookup::Live(expected)));
        }
    }
}
