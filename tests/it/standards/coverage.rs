//! Whether every rule for what is offered has a test that names it, or a reason why not, and whether the front page
//! says what is not offered.

use crate::support::names::{rules, sources, tests};
use std::{collections::BTreeSet, fs, path::Path};

/// The rules that a standard demands: of groups A to F, N and O always, of G, H, L and M since these are offered.
const MUST: &[u16] = &[
    1, 2, 3, 4, 5, 13, 15, 16, 17, 20, 22, 23, 24, 25, 26, 34, 36, 37, 38, 42, 43, 44, 46, 47, 48, 49, 50,
    51, 54, 55, 56, 59, 60, 61, 62, 63, 64, 65, 66, 67, 68, 69, 71, 74, 76, 77, 79, 81, 83, 84, 85, 86, 87,
    88, 90, 91, 92, 94, 95, 97, 99, 103, 104, 105, 106, 107, 109, 110, 111, 112, 113, 116, 117, 142, 143,
    147, 148, 149, 152, 154, 156, 158, 170, 171, 174,
];

/// Those that we demand of ourselves, so that the others hold.
const OUR_MUST: &[u16] = &[
    6, 8, 9, 11, 12, 27, 28, 39, 40, 53, 57, 70, 73, 80, 96, 100, 102, 144, 153, 155, 157, 160, 161, 163,
    164, 165, 166, 168, 172, 173, 175, 176,
];

/// Those that a standard, or we, recommend or permit.
const SHOULD_OR_MAY: &[u16] = &[
    7, 10, 14, 18, 19, 21, 29, 30, 31, 32, 33, 35, 41, 45, 52, 58, 72, 75, 78, 82, 89, 93, 98, 101, 108, 114,
    115, 118, 145, 146, 150, 151, 159, 162, 167, 169,
];

/// Groups of rules that hold only for what is not offered: first and last rule, and what the front page calls it.
const NOT_OFFERED: &[(u16, u16, &str)] =
    &[(119, 133, "DPoP"), (134, 136, "mutual TLS"), (137, 141, "introspection")];

/// Not tested, why, and what the front page calls it where it is something that is not offered.
const NOT_TESTED: &[(u16, &str, Option<&str>)] = &[
    (58, "tokens are never decrypted: RS-055 and RS-042 refuse a JWE as such", Some("encrypted tokens")),
    (174, "a matter of deployment: the gate sees requests, not connections", None),
];

/// Proven by tests that are named for a fault of the issuer.
const AS_A_FAULT: &[(u16, &str)] = &[
    (105, "k02_nothing_of_a_document_that_is_not_the_issuers_own_is_used"),
    (106, "k02_nothing_of_a_document_that_is_not_the_issuers_own_is_used"),
    (107, "k01_a_certificate_that_is_not_the_issuers_brings_no_keys_and_costs_none"),
    (108, "j32_no_redirect_leads_to_another_origin"),
];

/// Whatever has tests.
fn everything() -> Vec<(String, String)> {
    [sources("tests/it"), sources("crates"), sources("examples")].concat()
}

#[test]
fn every_rule_for_what_is_offered_has_a_test_that_names_it_or_a_reason_why_not() {
    let files = everything();
    let names: BTreeSet<_> = files.iter().flat_map(|(_, text)| tests(text)).collect();
    let faults = AS_A_FAULT.iter().inspect(|(rule, name)| assert!(names.contains(name), "RS-{rule}: {name}"));
    let tested: BTreeSet<_> =
        names.iter().flat_map(|name| rules(name)).chain(faults.map(|(rule, _)| *rule)).collect();
    let untested: BTreeSet<_> = NOT_TESTED.iter().map(|(rule, ..)| *rule).collect();
    assert_eq!(tested.intersection(&untested).collect::<Vec<_>>(), [&0; 0], "tested after all");
    let all: BTreeSet<_> = [MUST, OUR_MUST, SHOULD_OR_MAY].concat().into_iter().collect();
    let lost: Vec<_> = all.iter().filter(|rule| !tested.contains(rule) && !untested.contains(rule)).collect();
    assert_eq!(lost, [&0; 0], "neither tested nor explained");
}

#[test]
fn every_rule_is_in_one_list() {
    let not_offered = NOT_OFFERED.iter().flat_map(|(first, last, _)| *first..=*last);
    let mut all: Vec<_> = [MUST, OUR_MUST, SHOULD_OR_MAY].concat().into_iter().chain(not_offered).collect();
    all.sort_unstable();
    assert_eq!(all, (1..=176).collect::<Vec<_>>());
}

#[test]
fn the_front_page_names_what_is_not_offered() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../README.md");
    let page = fs::read_to_string(path).unwrap();
    let (_, rest) = page.split_once("\n## Not there yet\n").expect("the list of what is not there yet");
    let list = rest.split("\n## ").next().unwrap_or_default();
    // Lines are broken anywhere.
    let list = list.split_whitespace().collect::<Vec<_>>().join(" ");
    let groups = NOT_OFFERED.iter().map(|(.., name)| *name);
    for name in groups.chain(NOT_TESTED.iter().filter_map(|(.., name)| *name)) {
        assert!(list.contains(name), "the front page does not say that {name} is not there yet");
    }
}
