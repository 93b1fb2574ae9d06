//! Which test is the proof of which scenario.

/// Every file of this module that has tests.
const HERE: &str = concat!(
    include_str!("answers.rs"),
    include_str!("caching.rs"),
    include_str!("discovery.rs"),
    include_str!("lifecycle.rs"),
    include_str!("misses.rs"),
    include_str!("odd_keys.rs"),
    include_str!("oversize.rs"),
    include_str!("rotation.rs"),
    include_str!("start.rs"),
    include_str!("steady.rs"),
    include_str!("tls.rs"),
    include_str!("transport.rs"),
);

/// The proofs on paused time.
const PAUSED: &str = concat!(
    include_str!("../../../crates/bearer-jwks/src/refresher/tests/lifecycle.rs"),
    include_str!("../../../crates/bearer-jwks/src/refresher/tests/misses.rs"),
    include_str!("../../../crates/bearer-jwks/src/refresher/tests/outage.rs"),
    include_str!("../../../crates/bearer-jwks/src/refresher/tests/rotation.rs"),
    include_str!("../../../crates/bearer-jwks/src/refresher/tests/schedule.rs"),
);

/// Scenarios in which time is what matters, and their tests there.
const ON_PAUSED_TIME: &[(&str, &str)] = &[
    ("j05", "without_traffic_the_keys_are_refreshed_at_four_fifths_of_their_lifetime"),
    ("j09", "new_key_material_under_an_old_name_is_found_and_forgeries_cost_a_fetch_a_minute"),
    ("j11", "a_flood_of_unknown_keys_costs_the_bucket_and_keeps_no_new_key_out"),
    ("j12", "a_flood_of_unknown_keys_costs_the_bucket_and_keeps_no_new_key_out"),
    ("j13", "a_failing_source_is_asked_less_and_less_often"),
    ("j14", "after_a_rotation_all_first_requests_succeed_and_share_one_fetch"),
    ("j18", "a_source_that_asks_for_silence_gets_it"),
    ("j34", "scheduled_fetches_are_conditional_and_those_for_a_miss_are_not"),
    ("j38", "keys_outlive_an_outage_of_less_than_six_hours_and_no_longer"),
    ("k04", "a_night_of_sleep_costs_one_fetch"),
    ("k08", "the_task_ends_with_the_last_reader_even_in_the_middle_of_a_fetch"),
];

fn scenarios() -> impl Iterator<Item = String> {
    (1..=40).map(|n| format!("j{n:02}")).chain((1..=8).map(|n| format!("k{n:02}")))
}

#[test]
fn every_scenario_has_a_test() {
    for scenario in scenarios() {
        let here = HERE.contains(&format!("fn {scenario}_"));
        let there = ON_PAUSED_TIME.iter().any(|(id, _)| *id == scenario);
        assert!(here || there, "{scenario}");
    }
}

#[test]
fn the_tests_on_paused_time_exist() {
    for (id, name) in ON_PAUSED_TIME {
        assert!(PAUSED.contains(&format!("async fn {name}(")), "{id}: {name}");
    }
}
