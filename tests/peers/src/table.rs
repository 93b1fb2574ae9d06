//! The results in Markdown.

use crate::{
    results::{Group, Measured, Numbers, Results},
    world::Case,
};
use std::fmt::Write as _;

pub fn markdown(results: &Results) -> String {
    let mut out = String::new();
    let (rounds, batch, processors) = (results.rounds, results.batch, results.processors);
    let _ = writeln!(
        out,
        "Nanoseconds per request, the 10th percentile of {rounds} batches of {batch} in turns, {processors} processors."
    );
    for group in &results.groups {
        accepting(&mut out, group);
        refusing(&mut out, group);
    }
    notes(&mut out, results);
    out
}

fn accepting(out: &mut String, group: &Group) {
    let (algorithm, bytes, noise) = (group.algorithm, group.token_bytes, group.noise);
    let _ = writeln!(out, "\n### {algorithm}: a good token of {bytes} bytes (noise {noise:.2})\n");
    let _ = writeln!(
        out,
        "| | version | as | new token, ns | × floor | same token again, ns | × floor | allocations | bytes |"
    );
    let _ = writeln!(out, "|---|---|---|--:|--:|--:|--:|--:|--:|");
    for row in &group.rows {
        let (name, version, shape) = (name(row), row.version.unwrap_or("-"), row.shape);
        if let Some(reason) = &row.absent {
            let _ = writeln!(out, "| {name} | {version} | {shape} | {reason} | | | | | |");
            continue;
        }
        let (Some(new), Some(again)) = (row.case(Case::New), row.case(Case::Again)) else {
            continue;
        };
        let times = |numbers: &Numbers| numbers.nanoseconds / group.floor(numbers.case).unwrap_or(f64::NAN);
        let _ = writeln!(
            out,
            "| {name} | {version} | {shape} | {} | {:.2} | {} | {:.2} | {} | {} |",
            grouped(new.nanoseconds),
            times(new),
            grouped(again.nanoseconds),
            times(again),
            changed(new, again, |numbers| numbers.allocations),
            changed(new, again, |numbers| numbers.bytes),
        );
    }
}

fn refusing(out: &mut String, group: &Group) {
    let refusals = &Case::ALL[2..];
    let _ = writeln!(out, "\n### {}: refusing, ns (status, if it is not 401)\n", group.algorithm);
    let _ = writeln!(out, "| | expired | unknown key | foreign issuer | no credential | garbage |");
    let _ = writeln!(out, "|---|--:|--:|--:|--:|--:|");
    for row in &group.rows {
        if refusals.iter().any(|&case| row.case(case).is_some()) {
            let cells: Vec<_> = refusals.iter().map(|&case| refusal(row.case(case))).collect();
            let _ = writeln!(out, "| {} | {} |", name(row), cells.join(" | "));
        }
    }
}

fn notes(out: &mut String, results: &Results) {
    let _ = writeln!(out);
    for row in results.groups.first().map_or(&[][..], |group| &group.rows) {
        if !row.note.is_empty() {
            let _ = writeln!(out, "- {}: {}", row.name, row.note);
        }
    }
}

fn name(row: &Measured) -> String {
    if row.ours { format!("**{}**", row.name) } else { row.name.to_owned() }
}

fn refusal(numbers: Option<&Numbers>) -> String {
    match numbers {
        None => "-".to_owned(),
        Some(Numbers { status: 401, nanoseconds, .. }) => grouped(*nanoseconds),
        Some(Numbers { status: 200, .. }) => "**accepts**".to_owned(),
        Some(Numbers { status, nanoseconds, .. }) => format!("{} ({status})", grouped(*nanoseconds)),
    }
}

/// One number, or two if the second time makes a difference.
fn changed(new: &Numbers, again: &Numbers, of: fn(&Numbers) -> u64) -> String {
    let (new, again) = (of(new), of(again));
    if new == again { new.to_string() } else { format!("{new}; {again} again") }
}

/// `48 600`.
pub fn grouped(number: f64) -> String {
    let digits = format!("{number:.0}");
    let mut out = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index) % 3 == 0 {
            out.push('\u{202f}');
        }
        out.push(digit);
    }
    out
}
