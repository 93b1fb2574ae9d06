//! A browser: it has cookies, and goes where it is sent only when told to.

use axum::{
    Router,
    body::Body,
    http::{
        HeaderMap, Request, StatusCode,
        header::{ACCEPT, CONTENT_TYPE, COOKIE, LOCATION, SET_COOKIE},
        request::Builder,
    },
};
use http_body_util::BodyExt as _;
use std::collections::BTreeMap;
use tower::ServiceExt as _;

#[derive(Clone)]
pub(crate) struct Browser {
    pub(crate) app: Router,
    pub(crate) cookies: BTreeMap<String, String>,
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

impl Browser {
    pub(crate) fn new(app: Router) -> Self {
        Self { app, cookies: BTreeMap::from([("theme".to_owned(), "dark".to_owned())]) }
    }

    pub(crate) async fn get(&mut self, path: &str) -> Answer {
        self.send(Request::get(path), "").await
    }

    /// As a person opens a page.
    pub(crate) async fn open(&mut self, path: &str) -> Answer {
        let page = Request::get(path).header(ACCEPT, "text/html").header("sec-fetch-mode", "navigate");
        self.send(page, "").await
    }

    pub(crate) async fn post(&mut self, path: &str) -> Answer {
        self.send(Request::post(path), "").await
    }

    pub(crate) async fn post_json(&mut self, path: &str, json: &str) -> Answer {
        self.send(Request::post(path).header(CONTENT_TYPE, "application/json"), json).await
    }

    pub(crate) async fn post_form(&mut self, path: &str, form: &str) -> Answer {
        let form_type = "application/x-www-form-urlencoded";
        let request = Request::post(path).header(CONTENT_TYPE, form_type).header(ACCEPT, "text/html");
        self.send(request, form).await
    }

    pub(crate) async fn send(&mut self, request: Builder, body: &str) -> Answer {
        let request = request.header(COOKIE, self.line()).body(Body::from(body.to_owned())).unwrap();
        let answer = Answer::of(self.app.clone().oneshot(request).await.unwrap()).await;
        self.keep(&answer.headers);
        answer
    }

    pub(crate) fn line(&self) -> String {
        let pairs: Vec<_> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        pairs.join("; ")
    }

    pub(crate) fn keep(&mut self, answer: &HeaderMap) {
        for line in answer.get_all(SET_COOKIE) {
            let line = line.to_str().unwrap();
            let (pair, attributes) = line.split_once(';').unwrap();
            let (name, value) = pair.split_once('=').unwrap();
            if attributes.contains("Max-Age=0;") {
                self.cookies.remove(name);
            } else {
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
    }

    pub(crate) fn session(&self) -> Option<&str> {
        self.cookies.get("__Host-session").map(String::as_str)
    }
}

impl Answer {
    pub(crate) async fn of(response: axum::response::Response) -> Self {
        let (parts, body) = response.into_parts();
        let body = String::from_utf8(body.collect().await.unwrap().to_bytes().to_vec()).unwrap();
        Self { status: parts.status, headers: parts.headers, body }
    }

    pub(crate) fn location(&self) -> &str {
        assert_eq!(self.status, StatusCode::SEE_OTHER, "{} {:?}", self.body, self.headers);
        self.headers[LOCATION].to_str().unwrap()
    }

    pub(crate) fn set_cookies(&self) -> Vec<&str> {
        self.headers.get_all(SET_COOKIE).iter().map(|line| line.to_str().unwrap()).collect()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }
}
