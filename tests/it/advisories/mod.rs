//! Advisories of JWT middlewares elsewhere, each as a test of this one. The identifiers in a test's name say
//! where the mistake was made before.

mod audience_and_issuer;
mod claims;
mod fetching;
mod header;
mod key_confusion;
mod keys;
mod parsing;
mod routing;
mod service;
mod signature;

use crate::support::{
    forge::unb64,
    names::{sources, tests},
};
use bearer_testing::SigningKey;

/// All that were collected; two of them have no identifier of their own.
const ALL: &[&str] = &[
    "CVE-2015-9235",
    "McLean-2015",
    "CVE-2016-5431",
    "CVE-2016-10555",
    "CVE-2017-11424",
    "CVE-2018-0114",
    "CVE-2017-12972",
    "CVE-2017-12973",
    "CVE-2017-12974",
    "CVE-2019-17195",
    "CVE-2019-12995",
    "CVE-2020-15222",
    "CVE-2020-26160",
    "CVE-2021-21378",
    "CVE-2021-34532",
    "CVE-2022-21449",
    "CVE-2022-23469",
    "CVE-2022-23539",
    "CVE-2022-23540",
    "CVE-2022-23541",
    "CVE-2022-29165",
    "CVE-2022-29217",
    "CVE-2022-39227",
    "CVE-2023-22482",
    "CVE-2024-5798",
    "CVE-2026-30223",
    "CVE-2026-55669",
    "CVE-2023-3518",
    "CVE-2023-48223",
    "CVE-2026-34950",
    "GHSA-ww5h-9m49-7xx4",
    "GHSA-8wpc-h4q6-8fxv",
    "CVE-2023-50424",
    "CVE-2023-52428",
    "CVE-2024-21319",
    "CVE-2024-28180",
    "CVE-2024-28122",
    "CVE-2024-21643",
    "CVE-2024-33663",
    "CVE-2024-37568",
    "CVE-2024-45809",
    "CVE-2024-5037",
    "CVE-2024-8901",
    "CVE-2024-51744",
    "CVE-2024-53861",
    "CVE-2025-1293",
    "CVE-2025-22149",
    "CVE-2025-22868",
    "CVE-2025-27144",
    "CVE-2025-30204",
    "CVE-2025-24976",
    "CVE-2025-30144",
    "CVE-2025-53864",
    "CVE-2025-59420",
    "GHSA-752w-5fwx-jx9f",
    "CVE-2026-35042",
    "CVE-2025-64527",
    "CVE-2025-54576",
    "CVE-2026-40575",
    "CVE-2026-41059",
    "CVE-2026-34457",
    "CVE-2025-64484",
    "GHSA-869p-cjfg-cm3x",
    "CVE-2026-22817",
    "CVE-2026-22818",
    "CVE-2026-22748",
    "CVE-2026-25537",
    "CVE-2026-27962",
    "CVE-2026-29000",
    "CVE-2026-31837",
    "CVE-2026-41413",
    "CVE-2026-32301",
    "CVE-2026-49478",
    "CVE-2026-49998",
    "CVE-2026-50149",
    "CVE-2026-33322",
    "CVE-2026-35039",
    "CVE-2026-48524",
    "CVE-2026-48526",
    "CVE-2026-42576",
    "CVE-2026-44883",
    "CVE-2026-41164",
    "GHSA-wxg7-w2v3-w38g",
    "GHSA-hp74-gm6m-2qm5",
    "GHSA-q926-c743-49qj",
    "CVE-2026-26998",
    "GHSA-mj35-2rgf-cv8p",
    "auth0-1-9-1",
];

/// Those that do not apply, and why.
const NOT_APPLICABLE: &[(&str, &str)] = &[
    ("CVE-2020-15222", "replay of a client assertion at a token endpoint: this is a resource server"),
    ("GHSA-q926-c743-49qj", "a flag that skips verification: there is none to test"),
];

#[test]
fn every_advisory_has_a_test_that_names_it_or_a_reason_why_not() {
    let files = sources("tests/it");
    let files = files.iter().filter(|(path, _)| path.contains("advisories"));
    let names: Vec<_> = files.flat_map(|(_, text)| tests(text)).collect();
    let snake = |id: &str| id.to_lowercase().replace('-', "_");
    let is_named =
        |id: &str| names.iter().any(|name| format!("{name}_").contains(&format!("{}_", snake(id))));
    for id in ALL {
        let explained = NOT_APPLICABLE.iter().any(|(known, _)| known == id);
        assert!(is_named(id) != explained, "{id}: neither tested nor explained, or both");
    }
    for (id, _) in NOT_APPLICABLE {
        assert!(ALL.contains(id), "{id}");
    }
    assert_eq!(ALL.len(), 88);
}

fn coordinate(key: &SigningKey, name: &str) -> Vec<u8> {
    unb64(key.public_jwk()[name].as_str().unwrap())
}
