//! An issuer whose metadata says where its keys are.

use super::{
    by_hand::ByHand,
    keys::key,
    rig::{quick, soon},
};
use bearer_jwks::{FetchError, HttpFetch, InvalidLocation, InvalidMetadata, Refresher};
use bearer_testing::{ScriptedJwks, Step};
use serde_json::{Value, json};

const METADATA: &str = "/.well-known/openid-configuration";

const OTHER_METADATA: &str = "/.well-known/oauth-authorization-server";

fn metadata(issuer: &str, jwks_uri: &Value) -> Step {
    Step::json(&json!({ "issuer": issuer, "jwks_uri": jwks_uri }))
}

#[tokio::test]
async fn k02_nothing_of_a_document_that_is_not_the_issuers_own_is_used() {
    let (jwks, canary) = (ScriptedJwks::start().await, ScriptedJwks::start().await);
    for endpoint in [&jwks, &canary] {
        endpoint.always(Step::jwks([&key("evil")]));
    }
    let iss = jwks.url("");
    let elsewhere = json!(canary.uri());
    for other in [
        canary.url(""),
        jwks.url("/"),
        iss.to_uppercase(),
        iss.replace("127.0.0.1", "localhost"),
        String::new(),
    ] {
        jwks.at(METADATA, metadata(&other, &elsewhere));
        let error = refused(&iss).await;
        assert!(matches!(error, FetchError::Metadata(InvalidMetadata::OtherIssuer(_))), "{other}: {error}");
    }
    for malformed in [
        Step::json(&json!({ "issuer": iss, "jwks_uri": null })),
        Step::json(&json!({ "issuer": iss })),
        Step::json(&json!({ "issuer": [iss], "jwks_uri": elsewhere })),
        Step::json(&json!({ "issuer": null, "jwks_uri": elsewhere })),
        Step::json(&json!([{ "issuer": iss, "jwks_uri": elsewhere }])),
        Step::answer(200, "<html></html>"),
    ] {
        jwks.at(METADATA, malformed.clone());
        let error = refused(&iss).await;
        assert!(matches!(error, FetchError::Metadata(InvalidMetadata::Malformed)), "{malformed:?}: {error}");
    }
    for location in
        ["http://issuer.example/jwks", "file:///etc/passwd", "https://169.254.169.254/", "jwks", ""]
    {
        jwks.at(METADATA, metadata(&iss, &json!(location)));
        let error = refused(&iss).await;
        let FetchError::Location(invalid) = &error else { panic!("{location}: {error}") };
        assert!(
            matches!(
                invalid,
                InvalidLocation::Insecure(_) | InvalidLocation::NotAUrl(_) | InvalidLocation::LinkLocal(_)
            ),
            "{location}: {error}"
        );
    }
    for status in [301, 302, 307] {
        jwks.at(METADATA, Step::redirect(status, &canary.url(METADATA)));
        let error = refused(&iss).await;
        assert!(matches!(error, FetchError::Status { status: found, .. } if found == status), "{error}");
    }
    let mut elsewhere = jwks.requests();
    elsewhere.retain(|asked| asked.path() != METADATA);
    assert!(elsewhere.iter().all(|asked| asked.path() == OTHER_METADATA), "and no key was fetched");
    jwks.at(METADATA, Step::answer(200, " ").chunked().endless());
    assert!(matches!(refused(&iss).await, FetchError::TooLong), "the limit holds for metadata, too");
    assert_eq!(canary.connections(), 0);
}

/// What a cold start says.
async fn refused(iss: &str) -> FetchError {
    let (mut refresher, _keys) = Refresher::new(HttpFetch::discover(iss).unwrap());
    let error = soon(refresher.refresh()).await.unwrap_err();
    assert!(!refresher.status().borrow().is_ready());
    error
}

#[tokio::test]
async fn k02_a_good_document_may_name_another_host_as_googles_does() {
    let (issuer, keys) = (ScriptedJwks::start().await, ScriptedJwks::start().await);
    issuer.at(METADATA, metadata(&issuer.url(""), &json!(keys.uri())));
    let fetch = HttpFetch::discover(&issuer.url("")).unwrap();
    let by_hand = ByHand::with_fetch(fetch, keys, quick()).await;
    assert_eq!(by_hand.verify(&by_hand.old), Ok(()));
}

#[tokio::test]
async fn k03_keys_that_have_moved_are_found_where_the_metadata_says() {
    let jwks = ScriptedJwks::start().await;
    jwks.at(METADATA, metadata(&jwks.url(""), &json!(jwks.uri())));
    let fetch = HttpFetch::discover(&jwks.url("")).unwrap();
    let mut by_hand = ByHand::with_fetch(fetch, jwks.clone(), quick()).await;
    let new = key("new");
    jwks.at("/moved", Step::jwks([&new])).at(METADATA, metadata(&jwks.url(""), &json!(jwks.url("/moved"))));
    by_hand.refused("the old place", Step::status(404)).await;
    by_hand.refresh(Step::status(404)).await.unwrap();
    assert_eq!(by_hand.verify(&new), Ok(()));
    let paths: Vec<_> = jwks.requests().iter().map(|asked| asked.path().to_owned()).collect();
    assert_eq!(paths, [METADATA, "/jwks.json", "/jwks.json", METADATA, "/moved"]);
}

#[tokio::test]
async fn k02_a_host_that_answers_403_or_with_a_page_has_its_metadata_in_the_next_place() {
    for nothing in [Step::status(403), Step::answer(200, "<!doctype html>")] {
        let jwks = ScriptedJwks::start().await;
        jwks.at(METADATA, nothing).at(OTHER_METADATA, metadata(&jwks.url(""), &json!(jwks.uri())));
        let fetch = HttpFetch::discover(&jwks.url("")).unwrap();
        let by_hand = ByHand::with_fetch(fetch, jwks, quick()).await;
        assert_eq!(by_hand.verify(&by_hand.old), Ok(()));
    }
}

#[tokio::test]
async fn k03_a_tag_is_not_sent_to_where_the_keys_have_moved() {
    let (issuer, before, after) =
        (ScriptedJwks::start().await, ScriptedJwks::start().await, ScriptedJwks::start().await);
    let tag = "\"1\"";
    let sent = |host: &ScriptedJwks| {
        let asked = host.requests();
        asked.iter().map(|asked| asked.header("if-none-match").map(str::to_owned)).collect::<Vec<_>>()
    };
    issuer.at(METADATA, metadata(&issuer.url(""), &json!(before.uri())));
    let fetch = HttpFetch::discover(&issuer.url("")).unwrap();
    let (mut refresher, _keys) = Refresher::new(fetch);
    before.always(Step::jwks([&key("old")]).etag(tag));
    for _ in 0..2 {
        soon(refresher.refresh()).await.unwrap();
    }
    before.always(Step::status(404));
    soon(refresher.refresh()).await.unwrap_err();

    issuer.at(METADATA, metadata(&issuer.url(""), &json!(after.uri())));
    // The new host would say of the old set that it is still its own.
    after.always(Step::jwks([&key("new")]).etag(tag));
    for _ in 0..2 {
        soon(refresher.refresh()).await.unwrap();
        assert_eq!(refresher.status().borrow().key_ids, ["new"]);
    }
    let tag = Some(tag.to_owned());
    assert_eq!(sent(&before), [None, tag.clone(), tag.clone()]);
    assert_eq!(sent(&after), [None, tag]);
    assert!(sent(&issuer).iter().all(Option::is_none));
}
