//! Whatever the model's server streams, a turn is whole or an error; nothing in between is taken for an answer.
#![no_main]

mod support;

use std::time::Duration;

use jarvis::llm::{LlmClient, LlmOptions, Message, Protocol, TurnRequest};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let [first, body @ ..] = data else { return };
    let transport = support::answering(if first & 2 == 0 { 200 } else { 529 }, "text/event-stream", body);
    let mut options = LlmOptions::new("anthropic", "http://model", "claude-sonnet-4-6", "key".into());
    options.attempts = 2;
    if first & 1 == 1 {
        options.protocol = Protocol::ChatCompletions;
    }
    let client = LlmClient::new(transport, options);
    support::block_on(async {
        let request = TurnRequest { messages: vec![Message::user("hello")], ..TurnRequest::default() };
        let deadline = tokio::time::Instant::now() + Duration::from_secs(60);
        let turn = client.run_turn(&request, deadline, &mut |event| drop(format!("{event:?}"))).await;
        if let Ok(turn) = turn {
            assert!(first & 2 == 0, "a failing answer was taken for a turn");
            let _ = (turn.text(), turn.tool_calls().len());
        }
    });
});
