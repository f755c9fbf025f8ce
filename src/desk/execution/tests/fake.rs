//! An exchange that gives set answers and remembers what it was asked.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::response::Response;

use crate::net::Transport;

/// Answers by path, or by method and path where the two differ; what has none is not known there.
#[derive(Clone, Default)]
pub(super) struct Fake {
    answers: Arc<Mutex<BTreeMap<&'static str, Vec<String>>>>,
    pub(super) asked: Arc<Mutex<Vec<(String, String)>>>,
}

impl Fake {
    pub(super) fn set(&self, path: &'static str, body: impl Into<String>) {
        self.answers.lock().unwrap().insert(path, vec![body.into()]);
    }

    /// Answers of which each is given once, and the last from then on.
    pub(super) fn set_turns(&self, path: &'static str, bodies: &[&str]) {
        let bodies = bodies.iter().rev().map(|body| (*body).to_owned()).collect();
        self.answers.lock().unwrap().insert(path, bodies);
    }

    /// The parameters of every question with this method and path, in order.
    pub(super) fn asked(&self, what: &str) -> Vec<String> {
        let asked = self.asked.lock().unwrap();
        asked.iter().filter(|(known, _)| known == what).map(|(_, parameters)| parameters.clone()).collect()
    }

    /// The `startTime` of every question for income, in order.
    pub(super) fn income_asked_since(&self) -> Vec<Option<i64>> {
        let since =
            |query: &String| query.split('&').find_map(|part| part.strip_prefix("startTime=")?.parse().ok());
        self.asked("GET /fapi/v1/income").iter().map(since).collect()
    }

    pub(super) fn transport(&self) -> Transport {
        Transport::in_process(Router::new().fallback(answer).with_state(self.clone()))
    }

    fn answer_to(&self, method: &str, path: &str, is_by_number: bool) -> Option<String> {
        let mut answers = self.answers.lock().unwrap();
        // A question for an order by its number may have an answer of its own.
        let by_number = is_by_number.then(|| format!("{path}?orderId"));
        let names = by_number.into_iter().chain([format!("{method} {path}"), path.to_owned()]);
        let known = names.into_iter().find(|name| answers.contains_key(name.as_str()))?;
        let turns = answers.get_mut(known.as_str())?;
        if turns.len() > 1 { turns.pop() } else { turns.last().cloned() }
    }
}

async fn answer(State(fake): State<Fake>, request: Request) -> Response {
    const UNKNOWN: &str = r#"{"code":-2013,"msg":"Order does not exist."}"#;
    let (parts, body) = request.into_parts();
    let (method, path) = (parts.method.to_string(), parts.uri.path().to_owned());
    let body = to_bytes(body, usize::MAX).await.unwrap();
    let form = String::from_utf8_lossy(&body);
    let parameters = format!("{}{form}", parts.uri.query().unwrap_or_default());
    let answer = fake.answer_to(&method, &path, parameters.contains("orderId="));
    fake.asked.lock().unwrap().push((format!("{method} {path}"), parameters));
    let answer = answer.unwrap_or_else(|| UNKNOWN.to_owned());
    // The exchange refuses with a negative code.
    let status = if answer.starts_with(r#"{"code":-"#) { 400 } else { 200 };
    Response::builder().status(status).body(Body::from(answer)).unwrap()
}
