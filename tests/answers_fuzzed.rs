//! Damaged answers, many of them: nothing panics, and what would trade is justified by a whole row of the input.
//!
//! `JARVIS_FUZZED_ANSWERS` sets how many (a million is asked for before a release), `JARVIS_FUZZ_SEED` which.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use jarvis::desk::answer::{Answer, Handed, Pair};
use jarvis::domain::{AccountName, DecisionWord, Symbol};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use rust_decimal::Decimal;
use serde_json::{Map, Value, json};

const ACCOUNTS: [&str; 3] = ["mirat", "mevlut", "tugrul"];
const COINS: [&str; 4] = ["BTCUSDT", "ETHUSDT", "SOLUSDT", "PAXGUSDT"];

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

fn pairs() -> Vec<Pair> {
    let pair = |account: &str, coin: &str| (AccountName::new(account).unwrap(), Symbol::new(coin).unwrap());
    ACCOUNTS.iter().flat_map(|account| COINS.iter().map(move |coin| pair(account, coin))).collect()
}

struct Chance(ChaCha8Rng);

impl Chance {
    fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.0.next_u64() % u64::try_from(limit.max(1)).unwrap()).unwrap()
    }

    fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len())]
    }

    /// A border between two characters.
    fn border(&mut self, text: &str) -> usize {
        let mut at = self.below(text.len() + 1);
        while !text.is_char_boundary(at) {
            at -= 1;
        }
        at
    }
}

/// A row, right or nearly right.
fn row(chance: &mut Chance, account: &str, coin: &str) -> String {
    if chance.below(6) > 0 {
        let word = *chance.pick(&["LONG", "SHORT", "CLOSE", "HOLD", "NO_TRADE"]);
        let confidence = 30 + chance.below(70);
        return format!(
            r#"{{"account":"{account}","symbol":"{coin}","decision":"{word}","confidence":0.{confidence},"reason":"the trend carries it","market_bias":"neutral","risk_note":null}}"#
        );
    }
    let word = *chance.pick(&["LONG", "SHORT", "CLOSE", "HOLD", "NO_TRADE", "long", "BUY", "LONG "]);
    let confidence = *chance.pick(&[
        "0.81",
        "0.76",
        "1",
        "0",
        "0.9e0",
        "1e400",
        "-0.1",
        "NaN",
        "\"0.9\"",
        "99999999999999999999",
    ]);
    let bias = *chance.pick(&["\"bullish\"", "\"Bearish\"", "\"neutral\"", "null", "\"\"", "\"up\"", "1"]);
    let reason = *chance.pick(&[
        "\"trend\"",
        "\"quoted \\\"x\\\" {\\\"account\\\":1} ] ```\"",
        "null",
        "\"\"",
        "7",
        "\"{\\\"account\\\":\\\"mirat\\\",\\\"symbol\\\":\\\"BTCUSDT\\\",\\\"decision\\\":\\\"LONG\\\",\\\"confidence\\\":0.9}\"",
    ]);
    let extra = *chance.pick(&[
        "",
        "",
        "",
        ",\"decision\":\"SHORT\"",
        ",\"x\":[1,{\"y\":2}]",
        ",\"confidence\":0.99",
    ]);
    format!(
        r#"{{"account":"{account}","symbol":"{coin}","decision":"{word}","confidence":{confidence},"reason":{reason},"market_bias":{bias},"risk_note":null{extra}}}"#
    )
}

fn rows(chance: &mut Chance) -> Vec<String> {
    let mut rows = Vec::new();
    for account in ACCOUNTS {
        for coin in COINS {
            match chance.below(20) {
                0 => {}
                1 => rows.extend([row(chance, account, coin), row(chance, account, coin)]),
                2 => rows.push(row(chance, "stranger", coin)),
                _ => rows.push(row(chance, account, coin)),
            }
        }
    }
    rows
}

fn list(chance: &mut Chance) -> String {
    let rows = rows(chance);
    let array = format!("[{}]", rows.join(*chance.pick::<&str>(&[",", ",", ",\n", ",\n", ",,", "\n"])));
    match chance.below(12) {
        0 => array,
        1 => format!("```json\n{{\"decisions\":{array}}}\n```"),
        2 => format!("```\n{array}\n```"),
        3 => format!("```json\n{array}"),
        4 => format!("````json\n```json\n{array}\n```\n````"),
        _ => format!("```json\n{array}\n```"),
    }
}

fn answer(chance: &mut Chance) -> String {
    let mut text = String::new();
    if chance.below(5) > 0 {
        text.push_str("<analysis>\nseries [-867, -937], levels [{\"a\":1}]\n</analysis>\n");
    }
    text.push_str(&list(chance));
    if chance.below(10) == 0 {
        text.push_str("\nOn second thought:\n");
        text.push_str(&list(chance));
    }
    text
}

/// One way to damage a text.
fn damage(chance: &mut Chance, text: &mut String) {
    let at = chance.border(text);
    match chance.below(10) {
        0 => {
            let mut bytes = text.clone().into_bytes();
            if !bytes.is_empty() {
                let at = chance.below(bytes.len());
                bytes[at] ^= 1 << chance.below(8);
            }
            *text = String::from_utf8_lossy(&bytes).into_owned();
        }
        1 => text.truncate(at),
        2 => drop(text.drain(..at)),
        3 => {
            let (from, to) = (at, chance.border(text));
            drop(text.drain(from.min(to)..from.max(to)));
        }
        4 => {
            let (from, to) = (chance.border(text), chance.border(text));
            let piece = text[from.min(to)..from.max(to)].to_owned();
            text.insert_str(at, &piece);
        }
        5 => {
            let token = *chance.pick(&[
                "{",
                "}",
                "[",
                "]",
                "\"",
                "\\",
                ",",
                ":",
                "```",
                "```json\n",
                "</analysis>",
                "<analysis>",
                "NaN",
                "-Infinity",
                "1e999",
                "\u{feff}",
                "\u{202e}",
                "\u{201c}",
                "ğ",
                "\u{0}",
                "null",
                "\"decision\":\"LONG\",",
                "\"account\":\"mirat\",",
                "{\"decisions\":[",
                "{\"account\":",
            ]);
            text.insert_str(at, token);
        }
        6 => {
            let (from, to) = *chance.pick(&[
                ("\"", "\u{201d}"),
                (":", "："),
                ("LONG", "SHORT"),
                ("0.81", "0.810000000000000000000000000000001"),
                ("mirat", "mevlut"),
                ("BTC", "ETH"),
                ("}", ""),
                ("{", ""),
                ("]", ""),
                ("\"", ""),
                (",", ""),
            ]);
            *text = text.replacen(from, to, 1 + chance.below(3));
        }
        7 => text.insert_str(at, &"[".repeat(chance.below(300))),
        8 => text.insert_str(at, &"9".repeat(chance.below(400))),
        _ => {
            let more = list(chance);
            text.insert_str(at, &more);
        }
    }
}

/// Every JSON object that stands somewhere in a text, read by itself.
fn objects(text: &str) -> Vec<(&str, Map<String, Value>)> {
    text.match_indices('{')
        .filter_map(|(at, _)| {
            let mut values = serde_json::Deserializer::from_str(&text[at..]).into_iter::<Value>();
            let Some(Ok(Value::Object(object))) = values.next() else { return None };
            Some((&text[at..at + values.byte_offset()], object))
        })
        .collect()
}

/// How often a row writes a field of its own, by plain counting: what stands deeper, or within a text, is not its own.
fn times(written: &str, field: &str) -> usize {
    let (mut depth, mut count, mut rest) = (0, 0, written);
    while let Some(at) = rest.find(['{', '[', '}', ']', '"']) {
        let found = rest.as_bytes()[at];
        rest = &rest[at + 1..];
        match found {
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth -= 1,
            _ => {
                let mut escaped = false;
                let end = rest.find(|character| {
                    let closes = character == '"' && !escaped;
                    escaped = character == '\\' && !escaped;
                    closes
                });
                let Some(end) = end else { return count };
                let is_field = rest[end + 1..].trim_start().starts_with(':');
                count += usize::from(depth == 1 && is_field && &rest[..end] == field);
                rest = &rest[end + 1..];
            }
        }
    }
    count
}

/// Whether a whole row of the input says exactly what would be traded.
fn is_justified(
    objects: &[(&str, Map<String, Value>)],
    pair: &Pair,
    word: DecisionWord,
    confidence: Decimal,
) -> bool {
    let says = |object: &Map<String, Value>, field: &str, what: &str| {
        object.get(field).and_then(Value::as_str).is_some_and(|said| said.trim() == what)
    };
    objects.iter().any(|(written, object)| {
        let number = match object.get("confidence") {
            Some(Value::Number(number)) => number.to_string(),
            _ => return false,
        };
        let number = Decimal::from_str_exact(&number).or_else(|_| Decimal::from_scientific(&number));
        let said = object.get("decision").and_then(Value::as_str).unwrap_or_default();
        says(object, "account", pair.0.as_str())
            && says(object, "symbol", pair.1.as_str())
            && said.trim().eq_ignore_ascii_case(word.as_str())
            && number == Ok(confidence)
            && (Decimal::ZERO..=Decimal::ONE).contains(&confidence)
            && object.get("reason").and_then(Value::as_str).is_some_and(|said| !said.trim().is_empty())
            && matches!(object.get("risk_note"), None | Some(Value::Null | Value::String(_)))
            && ["bullish", "bearish", "neutral"].iter().any(|bias| {
                let said = object.get("market_bias").and_then(Value::as_str).unwrap_or_default();
                said.trim().eq_ignore_ascii_case(bias)
            })
            && times(written, "decision") == 1
    })
}

fn trades(word: DecisionWord) -> bool {
    matches!(word, DecisionWord::Long | DecisionWord::Short | DecisionWord::Close)
}

#[test]
fn no_damaged_answer_panics_and_none_trades_what_no_whole_row_says() {
    let (count, seed) = (setting("JARVIS_FUZZED_ANSWERS", 2_000), setting("JARVIS_FUZZ_SEED", 20_261_122));
    let mut chance = Chance(ChaCha8Rng::seed_from_u64(seed));
    let pairs = pairs();
    let (mut trading, mut usable, mut invalid) = (0_u64, 0_u64, 0_u64);
    for number in 0..count {
        let mut text = answer(&mut chance);
        for _ in 0..chance.below(4) {
            damage(&mut chance, &mut text);
        }
        let mut checked = Answer::check(&text, &pairs);
        assert_eq!(checked.rows.len(), pairs.len());
        // Now and then a second answer repairs the first.
        let mut source = text.clone();
        if chance.below(4) == 0 {
            let mut again = answer(&mut chance);
            damage(&mut chance, &mut again);
            checked.repair_request(chance.below(2) == 0, chance.below(2) == 0);
            checked.repair_with(Answer::check(&again, &pairs));
            source.push('\n');
            source.push_str(&again);
        }
        let whole = objects(&source);
        for (row, pair) in checked.rows.iter().zip(&pairs) {
            let proposal = &row.proposal;
            assert_eq!((&proposal.account, &proposal.symbol), (&pair.0, &pair.1));
            match (proposal.decision, proposal.confidence, &row.fault) {
                (Some(word), Some(confidence), None) => {
                    usable += 1;
                    trading += u64::from(trades(word));
                    assert!(
                        is_justified(&whole, pair, word, confidence.value()),
                        "seed {seed}, answer {number}: {} {} {word} {confidence} in:\n{source}",
                        pair.0,
                        pair.1
                    );
                }
                (None, None, Some(_)) => {
                    invalid += 1;
                    assert!(row.invalid_outcome().is_some());
                }
                other => panic!("seed {seed}, answer {number}: half a row {other:?} in:\n{source}"),
            }
        }
    }
    println!("seed {seed}: {count} answers, {usable} usable rows ({trading} that trade), {invalid} invalid");
    assert!(trading > 0 && invalid > 0, "both must occur, or nothing was tried");
}

#[test]
fn no_damaged_call_panics_and_none_trades_what_no_whole_row_says() {
    let (count, seed) =
        (setting("JARVIS_FUZZED_ANSWERS", 2_000) / 4, setting("JARVIS_FUZZ_SEED", 20_261_122));
    let mut chance = Chance(ChaCha8Rng::seed_from_u64(seed ^ 1));
    let pairs = pairs();
    let mut trading = 0_u64;
    for number in 0..count {
        let mut text = format!("{{\"decisions\":[{}]}}", rows(&mut chance).join(","));
        for _ in 0..chance.below(3) {
            damage(&mut chance, &mut text);
        }
        let source = match serde_json::from_str::<Map<String, Value>>(&text) {
            Ok(_) => text,
            Err(_) => json!({ "decisions": [text, null, 7] }).to_string(),
        };
        let checked = Answer::check_handed(&Handed::Call(source.clone()), &pairs);
        let whole = objects(&source);
        for (row, pair) in checked.rows.iter().zip(&pairs) {
            if let (Some(word), Some(confidence), None) =
                (row.proposal.decision, row.proposal.confidence, &row.fault)
            {
                trading += u64::from(trades(word));
                let justified = is_justified(&whole, pair, word, confidence.value());
                assert!(justified, "seed {seed}, call {number}: {} {} in:\n{source}", pair.0, pair.1);
            }
        }
    }
    assert!(trading > 0, "something must trade, or nothing was tried");
}
