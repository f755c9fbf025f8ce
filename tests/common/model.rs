//! A model that says what it was told to say.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use axum::routing::post;
use jarvis::net::Transport;
use serde_json::json;
use tokio::time::Instant;

#[derive(Clone, Default)]
pub struct Script {
    rows: Arc<Mutex<String>>,
    /// When the last word of the last answer was said.
    pub said_at: Arc<Mutex<Option<Instant>>>,
    thinking: Arc<Mutex<Duration>>,
}

impl Script {
    /// Every answer from now on.
    pub fn say(&self, rows: &str) {
        rows.clone_into(&mut self.rows.lock().unwrap());
    }

    /// How long every answer from now on takes to begin.
    pub fn think(&self, time: Duration) {
        *self.thinking.lock().unwrap() = time;
    }

    pub fn transport(&self) -> Transport {
        Transport::in_process(Router::new().route("/v1/messages", post(answer)).with_state(self.clone()))
    }
}

async fn answer(State(script): State<Script>) -> Response {
    let thinking = *script.thinking.lock().unwrap();
    tokio::time::sleep(thinking).await;
    let text =
        format!("<analysis>scripted</analysis>\n```json\n{}\n```\n", script.rows.lock().unwrap().clone());
    let events = [
        json!({"type": "message_start", "message": {"id": "m", "model": "scripted", "content": [],
            "usage": {"input_tokens": 1, "output_tokens": 1}}}),
        json!({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}),
        json!({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": text}}),
        json!({"type": "content_block_stop", "index": 0}),
        json!({"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 2}}),
        json!({"type": "message_stop"}),
    ];
    let body = events.iter().fold(String::new(), |body, event| {
        body + &format!("event: {}\ndata: {event}\n\n", event["type"].as_str().unwrap())
    });
    *script.said_at.lock().unwrap() = Some(Instant::now());
    Response::builder().header("content-type", "text/event-stream").body(Body::from(body)).unwrap()
}
