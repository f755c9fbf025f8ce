//! A Messages server that plays scripts, and the words of its scripts.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use axum::routing::post;
use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::*;
use crate::net::Transport;

/// What the server does with one request.
pub(super) enum Play {
    Answer { status: u16, headers: Vec<(&'static str, &'static str)>, body: Body },
    Silence,
}

#[derive(Clone, Default)]
pub(super) struct Server {
    script: Arc<Mutex<VecDeque<Play>>>,
    pub(super) seen: Arc<Mutex<Vec<(HeaderMap, Value)>>>,
}

impl Server {
    pub(super) fn playing(script: impl IntoIterator<Item = Play>) -> Self {
        Self { script: Arc::new(Mutex::new(script.into_iter().collect())), seen: Arc::default() }
    }

    pub(super) fn client_with(&self, change: impl FnOnce(&mut LlmOptions)) -> LlmClient {
        async fn answer(State(server): State<Server>, headers: HeaderMap, body: Bytes) -> Response {
            server.seen.lock().unwrap().push((headers, serde_json::from_slice(&body).unwrap()));
            let play = server.script.lock().unwrap().pop_front().expect("a request too many");
            match play {
                Play::Silence => std::future::pending().await,
                Play::Answer { status, headers, body } => {
                    let mut response = Response::builder().status(StatusCode::from_u16(status).unwrap());
                    for (name, value) in headers {
                        response = response.header(name, value);
                    }
                    response.body(body).unwrap()
                }
            }
        }
        let router = Router::new()
            .route("/v1/messages", post(answer))
            .route("/v1/chat/completions", post(answer))
            .with_state(self.clone());
        let mut options =
            LlmOptions::new("test", "http://model", "claude-sonnet-4-6", "sk-very-secret".into());
        change(&mut options);
        LlmClient::new(Transport::in_process(router), options)
    }

    pub(super) async fn run(&self) -> (Result<Turn, LlmError>, Vec<TurnEvent>) {
        run(&self.client_with(|_| ()), Duration::from_hours(1)).await
    }

    pub(super) fn requests(&self) -> usize {
        self.seen.lock().unwrap().len()
    }
}

pub(super) async fn run(client: &LlmClient, time: Duration) -> (Result<Turn, LlmError>, Vec<TurnEvent>) {
    let request = TurnRequest { messages: vec![Message::user("hello")], ..TurnRequest::default() };
    let mut events = Vec::new();
    let result =
        client.run_turn(&request, &Until::at(Instant::now() + time), &mut |event| events.push(event)).await;
    (result, events)
}

pub(super) fn ok(body: impl Into<Body>) -> Play {
    let headers = vec![("content-type", "text/event-stream"), ("request-id", "req_1")];
    Play::Answer { status: 200, headers, body: body.into() }
}

pub(super) fn status(status: u16, headers: &[(&'static str, &'static str)], body: &'static str) -> Play {
    Play::Answer { status, headers: headers.to_vec(), body: body.into() }
}

pub(super) fn frames(events: &[Value]) -> String {
    events.iter().fold(String::new(), |text, event| {
        text + &format!("event: {}\ndata: {event}\n\n", event["type"].as_str().unwrap())
    })
}

pub(super) fn start() -> Value {
    json!({"type":"message_start","message":{"id":"msg_1","model":"claude-sonnet-4-6","content":[],
        "usage":{"input_tokens":25,"cache_creation_input_tokens":7,"cache_read_input_tokens":3,
                 "cache_creation":{"ephemeral_1h_input_tokens":2},"output_tokens":1}}})
}

pub(super) fn block(index: u64, content: &Value, deltas: &[Value]) -> Vec<Value> {
    let mut events = vec![json!({"type":"content_block_start","index":index,"content_block":content})];
    for delta in deltas {
        events.push(json!({"type":"content_block_delta","index":index,"delta":delta}));
    }
    events.push(json!({"type":"content_block_stop","index":index}));
    events
}

pub(super) fn text_block(index: u64, pieces: &[&str]) -> Vec<Value> {
    let deltas: Vec<_> = pieces.iter().map(|piece| json!({"type":"text_delta","text":piece})).collect();
    block(index, &json!({"type":"text","text":""}), &deltas)
}

pub(super) fn tool_block(index: u64, pieces: &[&str]) -> Vec<Value> {
    let deltas: Vec<_> =
        pieces.iter().map(|piece| json!({"type":"input_json_delta","partial_json":piece})).collect();
    let id = format!("toolu_{index}");
    block(index, &json!({"type":"tool_use","id":id,"name":"call_api","input":{}}), &deltas)
}

pub(super) fn end(reason: &str) -> Vec<Value> {
    vec![
        json!({"type":"message_delta","delta":{"stop_reason":reason},"usage":{"output_tokens":40}}),
        json!({"type":"message_delta","delta":{},"usage":{"output_tokens":89}}),
        json!({"type":"message_stop"}),
    ]
}
