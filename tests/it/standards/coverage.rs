//! Whether every rule that always applies has a test that names it, or a reason why not.

use crate::support::names::{rules, sources, tests};
use std::collections::BTreeSet;

/// The rules of groups A to F, H, N and O that a standard demands.
const MUST: &[u16] = &[
    1, 2, 3, 4, 5, 13, 15, 16, 17, 20, 22, 23, 24, 25, 26, 34, 36, 37, 38, 42, 43, 44, 46, 47, 48, 49, 50,
    51, 54, 55, 56, 59, 60, 61, 62, 63, 64, 65, 66, 67, 68, 69, 71, 74, 76, 77, 79, 81, 83, 84, 85, 86, 87,
    88, 90, 91, 92, 94, 95, 97, 99, 109, 110, 111, 112, 113, 116, 117, 154, 156, 158, 170, 171, 174,
];

/// Those that we demand of ourselves, so that the others hold.
const OUR_MUST: &[u16] = &[
    6, 8, 9, 11, 12, 27, 28, 39, 40, 53, 57, 70, 73, 80, 96, 100, 102, 118, 155, 157, 160, 161, 163, 164,
    165, 166, 168, 172, 173, 175, 176,
];

/// Those that a standard, or we, recommend or permit.
const SHOULD_OR_MAY: &[u16] = &[
    7, 10, 14, 18, 19, 21, 29, 30, 31, 32, 33, 35, 41, 45, 52, 58, 72, 75, 78, 82, 89, 93, 98, 101, 114, 115,
    159, 162, 167, 169,
];

/// Not tested, and why.
const NOT_TESTED: &[(u16, &str)] = &[
    (58, "tokens are never decrypted: RS-055 and RS-042 refuse a JWE as such"),
    (174, "a matter of deployment: the gate sees requests, not connections"),
];

#[test]
fn every_rule_that_always_applies_has_a_test_that_names_it_or_a_reason_why_not() {
    let mut tested = BTreeSet::new();
    for (_, text) in [sources("tests/it"), sources("crates/tower-bearer/src")].concat() {
        tested.extend(tests(&text).into_iter().flat_map(rules));
    }
    let untested: BTreeSet<_> = NOT_TESTED.iter().map(|(rule, _)| *rule).collect();
    assert_eq!(tested.intersection(&untested).collect::<Vec<_>>(), [&0; 0], "tested after all");
    let all: BTreeSet<_> = [MUST, OUR_MUST, SHOULD_OR_MAY].concat().into_iter().collect();
    assert_eq!(all, (1..=102).chain(109..=118).chain(154..=176).collect(), "the groups are complete");
    let lost: Vec<_> = all.iter().filter(|rule| !tested.contains(rule) && !untested.contains(rule)).collect();
    assert_eq!(lost, [&0; 0], "neither tested nor explained");
}
