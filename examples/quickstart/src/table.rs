//! Columns that align.

use std::fmt;

/// A heading and rows of the same number of cells.
#[derive(Clone, Debug)]
pub(crate) struct Table<const N: usize> {
    rows: Vec<[String; N]>,
}

impl<const N: usize> Table<N> {
    pub(crate) fn new(heading: [&str; N]) -> Self {
        Self { rows: vec![heading.map(str::to_owned)] }
    }

    pub(crate) fn push(&mut self, row: [String; N]) {
        self.rows.push(row);
    }

    fn widths(&self) -> [usize; N] {
        std::array::from_fn(|column| self.rows.iter().map(|row| width(&row[column])).max().unwrap_or(0))
    }
}

impl<const N: usize> fmt::Display for Table<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let widths = self.widths();
        for (index, row) in self.rows.iter().enumerate() {
            let cells: Vec<_> =
                row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}")).collect();
            writeln!(f, "{}", cells.join("  ").trim_end())?;
            if index == 0 {
                writeln!(f, "{}", widths.map(|width| "─".repeat(width)).join("  "))?;
            }
        }
        Ok(())
    }
}

/// At most `limit` characters: a longer text keeps its two ends.
pub(crate) fn shorten(text: &str, limit: usize) -> String {
    let length = width(text);
    if length <= limit {
        return text.to_owned();
    }
    let kept = limit.saturating_sub(1);
    let end = kept / 2;
    let start = text.chars().take(kept - end);
    start.chain(['…']).chain(text.chars().skip(length - end)).collect()
}

/// Good for what is printed here, where every character takes one place.
fn width(text: &str) -> usize {
    text.chars().count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let mut table = Table::new(["a", "wide"]);
        table.push(["50 ×".into(), "x".into()]);
        table.push([String::new(), "y".into()]);
        assert_eq!(table.to_string(), "a     wide\n────  ────\n50 ×  x\n      y\n");
    }

    #[test]
    fn a_long_text_keeps_its_two_ends() {
        for (text, limit, expected) in [
            ("", 3, ""),
            ("abc", 3, "abc"),
            ("abcdef", 5, "ab…ef"),
            ("abcdef", 4, "ab…f"),
            ("äöüß", 3, "ä…ß"),
            ("abc", 1, "…"),
        ] {
            assert_eq!(shorten(text, limit), expected);
        }
    }
}
