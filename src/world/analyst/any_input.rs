//! Whatever comes in, something sensible goes out: random prompts and random JSON.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::conversation::Conversation;
use super::reply::Reply;
use super::turn;

/// Pieces of real prompts, broken ones, and noise.
fn piece() -> impl Strategy<Value = String> {
    let fixed = prop::sample::select(vec![
        "## BTCUSDT\n",
        "price,rsi14,macd_hist,adx14,atr14\n",
        "coin,price,rsi14\nBTC,1,2\n,3,4\nÇ,5,6\n",
        "hours_ago,open,high,low,close,volume\n",
        "fear_greed,us30_price\n",
        "```task\n{\"accounts\":[{\"account\":\"a\",\"coins\":[{\"symbol\":\"BTCUSDT\"}]}]}\n```\n",
        "```task\n{\"accounts\":[]}```",
        "```task",
    ]);
    prop_oneof![fixed.prop_map(str::to_owned), "(-?[0-9]{0,6}\\.?[0-9]{0,3},){0,7}[0-9]{0,3}\n", "\\PC{0,30}",]
}

/// Random JSON in the API's vocabulary.
fn tree() -> impl Strategy<Value = Value> {
    let words = prop::sample::select(vec!["user", "assistant", "text", "tool_use", "any", "a"]);
    let names = prop::sample::select(vec![
        "type",
        "role",
        "content",
        "text",
        "id",
        "name",
        "input",
        "tool_use_id",
        "input_schema",
        "properties",
    ]);
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        words.prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 40, 5, move |inner| {
        let fields = prop::collection::vec((names.clone(), inner.clone()), 0..5);
        prop_oneof![
            prop::collection::vec(inner, 0..4).prop_map(Value::from),
            fields.prop_map(|fields| {
                Value::Object(fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
            }),
        ]
    })
}

proptest! {
    #[test]
    fn any_text_gets_an_answer_within_its_budget(pieces in prop::collection::vec(piece(), 1..12),
                                                 budget in 1_u64..900) {
        let body = json!({"model": "builtin", "max_tokens": budget,
                          "messages": [{"role": "user", "content": format!(". {}", pieces.concat())}]});
        let conversation = Conversation::read(&body, "2026-10-21", false).unwrap();
        let reply = Reply::within(turn::answer(&conversation, None), budget, &[]);
        prop_assert!(!reply.blocks.is_empty());
        prop_assert!(reply.output_tokens <= budget);
    }

    #[test]
    fn any_json_is_answered_or_refused(messages in tree(), tools in tree(), choice in tree()) {
        let body = json!({"model": "builtin", "max_tokens": 600, "messages": messages, "tools": tools,
                          "tool_choice": choice});
        if let Ok(conversation) = Conversation::read(&body, "2023-06-01", false) {
            prop_assert!(!turn::answer(&conversation, None).is_empty());
        }
    }
}
