//! What a model may write, and what becomes of it.

mod lists;

use proptest::prelude::*;

use super::*;

fn pairs() -> Vec<Pair> {
    ["BTCUSDT", "ETHUSDT"]
        .iter()
        .map(|symbol| (AccountName::new("mirat").unwrap(), Symbol::new(symbol).unwrap()))
        .collect()
}

fn row(symbol: &str, decision: &str, confidence: &str) -> String {
    format!(
        r#"{{"account":"mirat","symbol":"{symbol}","decision":"{decision}","confidence":{confidence},"reason":"because","market_bias":"bullish","risk_note":null}}"#
    )
}

fn fenced(rows: &[String]) -> String {
    format!("<analysis>\nshort\n</analysis>\n```json\n[{}]\n```\n", rows.join(",\n"))
}

fn rules(answer: &Answer) -> Vec<Option<Rule>> {
    answer.rows.iter().map(|row| row.fault.as_ref().map(|(rule, _)| *rule)).collect()
}

#[test]
fn a_right_answer_is_taken_whole() {
    let answer =
        Answer::check(&fenced(&[row("BTCUSDT", "LONG", "0.8"), row("ETHUSDT", "NO_TRADE", "0.4")]), &pairs());
    assert_eq!(rules(&answer), [None, None]);
    assert_eq!(answer.rows[0].proposal.decision, Some(DecisionWord::Long));
    assert_eq!(answer.rows[0].proposal.confidence.unwrap().to_string(), "0.80");
    assert!(answer.errors.is_empty());
}

#[test]
fn prose_without_an_array_leaves_every_row_missing() {
    let answer = Answer::check("The series [-867, -937] says little. I would buy BTC.", &pairs());
    assert_eq!(rules(&answer), [Some(Rule::Missing); 2]);
    assert_eq!(answer.errors.len(), 1);
}

#[test]
fn truncated_json_is_never_completed() {
    let whole = fenced(&[row("BTCUSDT", "LONG", "0.8"), row("ETHUSDT", "SHORT", "0.9")]);
    let array_end = whole.rfind(']').unwrap();
    for cut in 0..=array_end {
        let answer = Answer::check(&whole[..cut], &pairs());
        assert_eq!(rules(&answer), [Some(Rule::Missing); 2], "cut at {cut}");
    }
}

#[test]
fn one_bad_row_does_not_take_the_other_with_it() {
    for (confidence, rule) in [
        ("\"high\"", Rule::Malformed),
        ("1.7", Rule::OutOfRange),
        ("-0.1", Rule::OutOfRange),
        ("NaN", Rule::OutOfRange),
        ("1e999", Rule::OutOfRange),
        ("null", Rule::Malformed),
    ] {
        let answer = Answer::check(
            &fenced(&[row("BTCUSDT", "LONG", confidence), row("ETHUSDT", "HOLD", "0.5")]),
            &pairs(),
        );
        assert_eq!(rules(&answer), [Some(rule), None], "{confidence}");
        assert_eq!(answer.rows[0].proposal.confidence, None);
    }
}

#[test]
fn an_unknown_word_is_flagged_and_not_read_as_its_neighbour() {
    let answer =
        Answer::check(&fenced(&[row("BTCUSDT", "BUY", "0.9"), row("ETHUSDT", "hold", "0.5")]), &pairs());
    assert_eq!(rules(&answer), [Some(Rule::UnknownWord), None]);
}

#[test]
fn a_doubled_pair_counts_for_neither_whatever_the_order() {
    let one = row("BTCUSDT", "LONG", "0.9");
    let two = row("BTCUSDT", "SHORT", "0.2");
    for rows in [[one.clone(), two.clone()], [two, one]] {
        let answer = Answer::check(&fenced(&rows), &pairs());
        assert_eq!(rules(&answer), [Some(Rule::Duplicate), Some(Rule::Missing)]);
    }
}

#[test]
fn an_unknown_coin_is_named_in_the_errors_and_trades_nothing() {
    let answer =
        Answer::check(&fenced(&[row("PEPEUSDT", "LONG", "0.9"), row("BTCUSDT", "HOLD", "0.9")]), &pairs());
    assert_eq!(rules(&answer), [None, Some(Rule::Missing)]);
    assert!(answer.errors[0].contains("PEPEUSDT"));
}

#[test]
fn a_single_object_and_a_wrapped_array_are_understood() {
    let single = format!("```json\n{}\n```", row("BTCUSDT", "HOLD", "0.5"));
    assert_eq!(rules(&Answer::check(&single, &pairs()))[0], None);
    let wrapped = format!("```json\n{{\"decisions\":[{}]}}\n```", row("BTCUSDT", "HOLD", "0.5"));
    assert_eq!(rules(&Answer::check(&wrapped, &pairs()))[0], None);
}

#[test]
fn the_last_array_of_objects_is_taken_when_there_is_no_fence() {
    let text = format!("levels [1, 2, 3]\n</analysis>\n[{}]", row("BTCUSDT", "HOLD", "0.5"));
    assert_eq!(rules(&Answer::check(&text, &pairs()))[0], None);
}

/// The fenced block alone.
fn block(rows: &[String]) -> String {
    fenced(rows).split_once("</analysis>\n").unwrap().1.to_owned()
}

#[test]
fn two_lists_that_differ_count_for_nothing_and_two_that_say_the_same_for_one() {
    let one = block(&[row("BTCUSDT", "LONG", "0.9"), row("ETHUSDT", "HOLD", "0.5")]);
    let other = block(&[row("BTCUSDT", "SHORT", "0.9")]);
    let bare = format!("[{}]\n[{}]", row("BTCUSDT", "LONG", "0.9"), row("BTCUSDT", "LONG", "0.8"));
    for text in [format!("{one}\nOn second thought:\n{other}"), format!("{other}\n{one}"), bare] {
        let answer = Answer::check(&format!("<analysis>a</analysis>\n{text}"), &pairs());
        assert_eq!(rules(&answer), [Some(Rule::Duplicate); 2], "{text}");
        assert_eq!(answer.errors.len(), 1);
        assert!(answer.repair_request(false, false).contains("two different lists"));
    }
    let twice = format!("{one}\nAgain:\n{one}");
    assert_eq!(rules(&Answer::check(&twice, &pairs())), [None, None]);
}

#[test]
fn a_list_of_something_else_is_no_second_list() {
    let levels = "```json\n[{\"level\": 61000}]\n```\n";
    let decisions = block(&[row("BTCUSDT", "LONG", "0.9")]);
    for text in [format!("{levels}{decisions}"), format!("{decisions}{levels}")] {
        assert_eq!(rules(&Answer::check(&text, &pairs()))[0], None, "{text}");
    }
    assert_eq!(rules(&Answer::check(levels, &pairs())), [Some(Rule::Missing); 2]);
}

#[test]
fn a_second_list_that_breaks_off_spoils_the_first() {
    let whole = format!("</analysis>\n[{}]\n", row("BTCUSDT", "LONG", "0.9"));
    let answer = Answer::check(&format!("{whole}[{}", row("BTCUSDT", "SHORT", "0.9")), &pairs());
    assert_eq!(rules(&answer), [Some(Rule::Missing); 2]);
}

#[test]
fn a_field_written_twice_and_a_number_json_does_not_have_leave_no_row_usable() {
    let good = row("ETHUSDT", "HOLD", "0.5");
    let twice = row("BTCUSDT", "NO_TRADE", "0.9").replacen('{', "{\"decision\":\"LONG\",", 1);
    let nan = row("BTCUSDT", "LONG", "0.9").replace("\"because\"", "NaN");
    let number = row("BTCUSDT", "LONG", "0.9").replace("\"because\"", "7");
    let note = row("BTCUSDT", "LONG", "0.9").replace("\"risk_note\":null", "\"risk_note\":[]");
    for bad in [twice, nan, number, note] {
        let answer = Answer::check(&fenced(&[bad.clone(), good.clone()]), &pairs());
        assert_eq!(rules(&answer), [Some(Rule::Malformed), None], "{bad}");
    }
}

#[test]
fn an_answer_is_read_up_to_256_kib() {
    let rows = block(&[row("BTCUSDT", "HOLD", "0.5")]);
    let padded = |size: usize| format!("{}{rows}", " ".repeat(size - rows.len()));
    assert_eq!(rules(&Answer::check(&padded(256 * 1024), &pairs()))[0], None);
    let answer = Answer::check(&padded(256 * 1024 + 1), &pairs());
    assert_eq!(answer.errors, ["the answer is not usable: it is larger than 256 KiB"]);
}

#[test]
fn the_analysis_ends_at_its_tag_or_at_the_first_fence() {
    for (text, expected) in [
        ("<analysis> calm </analysis>\n```json\n[]\n```", "calm"),
        ("so: <analysis>```x``` stays</analysis> rest", "```x``` stays"),
        ("calm\n```json\n[]\n```", "calm"),
        ("<analysis>calm\n```json", "calm"),
        (" all of it ", "all of it"),
    ] {
        assert_eq!(analysis_of(text), expected, "{text}");
    }
}

#[test]
fn a_fence_of_another_language_is_passed_over_and_one_of_none_is_looked_into() {
    let decisions = row("BTCUSDT", "HOLD", "0.5");
    let json = format!("```JSON\n[{decisions}]\n```");
    for (text, is_found) in [
        (format!("```text\nno list\n```\n{json}"), true),
        (format!("```\n [{decisions}]\n```"), true),
        (format!("```text\n[{decisions}]\n```"), true),
        (format!("{json}\n```text\nnever ends"), true),
        (format!("{json}\n```\nnever ends"), false),
        (format!("{json}\n```Json\nnever ends"), false),
        ("```text\nno list\n```".to_owned(), false),
    ] {
        let answer = Answer::check(&text, &pairs());
        assert_eq!(rules(&answer)[0].is_none(), is_found, "{text}");
    }
}

#[test]
fn brackets_and_quotes_within_texts_neither_open_nor_end_anything() {
    let tricky = row("BTCUSDT", "HOLD", "0.5").replace("because", r#"a \"]}[{\" NaN \\"#);
    let broken = row("ETHUSDT", "HOLD", "NaN");
    for text in [fenced(&[tricky.clone(), broken.clone()]), format!("[{tricky},{broken}]")] {
        let answer = Answer::check(&text, &pairs());
        assert_eq!(rules(&answer), [None, Some(Rule::OutOfRange)], "{text}");
        assert_eq!(answer.rows[0].proposal.reason.raw(), r#"a "]}[{" NaN \"#);
    }
    let both = tricky.replace("0.5", "-Infinity");
    let answer = Answer::check(&fenced(&[both]), &pairs());
    assert_eq!(rules(&answer)[0], Some(Rule::OutOfRange));
    assert_eq!(answer.rows[0].proposal.reason.raw(), r#"a "]}[{" NaN \"#);
}

#[test]
fn an_impossible_number_is_found_however_deep_it_stands() {
    for deep in ["[1, NaN]", "{\"a\": {\"b\": [Infinity]}}", "NaN", "-1e999"] {
        let bad = row("BTCUSDT", "LONG", "0.9").replace("\"because\"", deep);
        let answer = Answer::check(&fenced(&[bad]), &pairs());
        let fault = answer.rows[0].fault.clone();
        assert_eq!(
            fault,
            Some((Rule::Malformed, "it holds a number that JSON does not have".to_owned())),
            "{deep}"
        );
    }
}

#[test]
fn a_row_needs_both_the_account_and_the_coin_that_were_asked_for() {
    let stranger = row("BTCUSDT", "LONG", "0.9").replace("mirat", "mevlut");
    let answer = Answer::check(&fenced(&[stranger, row("SOLUSDT", "LONG", "0.9")]), &pairs());
    assert_eq!(rules(&answer), [Some(Rule::Missing); 2]);
    assert_eq!(answer.errors.len(), 2);
    assert!(answer.errors[1].starts_with("row 2 of the answer was ignored"), "{:?}", answer.errors);
}

#[test]
fn rows_that_come_too_often_are_counted() {
    let one = row("BTCUSDT", "LONG", "0.9");
    for times in [2, 3] {
        let answer = Answer::check(&fenced(&vec![one.clone(); times]), &pairs());
        let (rule, detail) = answer.rows[0].fault.clone().unwrap();
        assert_eq!(rule, Rule::Duplicate);
        assert_eq!(detail, format!("{times} rows for this account and coin; none of them counts"));
    }
}

#[test]
fn a_note_that_says_nothing_is_none() {
    for (note, expected) in
        [("\"none\"", None), ("\" NONE \"", None), ("\"\"", None), ("\"thin books\"", Some("thin books"))]
    {
        let row =
            row("BTCUSDT", "HOLD", "0.5").replace("\"risk_note\":null", &format!("\"risk_note\":{note}"));
        let answer = Answer::check(&fenced(&[row]), &pairs());
        let kept = answer.rows[0].proposal.risk_note.as_ref().map(Untrusted::raw);
        assert_eq!(kept, expected, "{note}");
    }
}

#[test]
fn a_bracket_in_prose_hides_no_list_and_text_behind_a_list_spoils_it() {
    let decisions = row("BTCUSDT", "HOLD", "0.5");
    for (text, is_found) in [
        (format!("between [1 and 2\n[{decisions}]"), true),
        (format!("```json\n[{decisions}]\n```"), true),
        (format!("```json\n[{decisions}] and so on\n```"), false),
    ] {
        assert_eq!(rules(&Answer::check(&text, &pairs()))[0].is_none(), is_found, "{text}");
    }
}

#[test]
fn an_answer_without_a_list_says_where_one_was_looked_for() {
    for (text, expected) in [
        ("nothing to do", "it holds no complete array of decisions"),
        ("```json\n[1]\n```", "the fenced block holds no complete array of objects"),
    ] {
        assert_eq!(Answer::check(text, &pairs()).errors, [format!("the answer is not usable: {expected}")]);
    }
}

#[test]
fn what_is_no_object_in_a_list_is_named_by_its_place() {
    let answer = Answer::check(&fenced(&["7".to_owned(), row("BTCUSDT", "HOLD", "0.5")]), &pairs());
    assert_eq!(rules(&answer)[0], None);
    assert_eq!(answer.errors, ["row 1 of the answer was ignored: it is not an object"]);
}

#[test]
fn a_bias_is_one_of_three_words_and_has_to_be_there() {
    for (bias, rule, expected) in [
        ("\"bullish\"", None, Some(MarketBias::Bullish)),
        ("\"bearish\"", None, Some(MarketBias::Bearish)),
        ("null", Some(Rule::Malformed), None),
        ("\"up\"", Some(Rule::UnknownWord), None),
        ("7", Some(Rule::Malformed), None),
    ] {
        let row = row("BTCUSDT", "HOLD", "0.5").replace("\"bullish\"", bias);
        let answer = Answer::check(&fenced(&[row]), &pairs());
        assert_eq!(rules(&answer)[0], rule, "{bias}");
        assert_eq!(answer.rows[0].proposal.market_bias, expected, "{bias}");
    }
}

#[test]
fn only_the_note_about_the_risk_may_be_left_out() {
    let whole = row("BTCUSDT", "LONG", "0.9");
    for (field, value) in [("reason", "\"because\""), ("market_bias", "\"bullish\"")] {
        let written = format!("\"{field}\":{value},");
        assert!(whole.contains(&written));
        let blank =
            ["null", "\"\"", "\" \u{200b}\"", "\"\\n\""].map(|nothing| format!("\"{field}\":{nothing},"));
        for left_out in blank.into_iter().chain([String::new()]) {
            let answer = Answer::check(&fenced(&[whole.replace(&written, &left_out)]), &pairs());
            let (_, detail) = answer.rows[0].fault.clone().unwrap();
            assert!(detail.contains(field), "{left_out}: {detail}");
            assert_eq!(answer.rows[0].proposal.decision, None);
            assert!(answer.repair_request(false, true).contains(&format!("mirat BTCUSDT: {detail}")));
        }
    }
    for note in ["", ",\"risk_note\":null", ",\"risk_note\":\"\""] {
        let answer = Answer::check(&fenced(&[whole.replace(",\"risk_note\":null", note)]), &pairs());
        assert_eq!(rules(&answer)[0], None, "{note}");
    }
}

#[test]
fn a_repair_names_strangers_too_with_the_names_that_are_known() {
    let stranger = row("PEPEUSDT", "LONG", "0.9").replace("mirat", "mev\\nlut");
    let answer = Answer::check(&fenced(&vec![stranger; 12]), &pairs());
    assert_eq!(answer.errors.len(), 12);
    let request = answer.repair_request(false, true);
    assert_eq!(request.matches("nobody asked for").count(), 10, "{request}");
    assert!(request.contains("mev lut PEPEUSDT"), "{request}");
    assert!(request.contains("Valid accounts: mirat; coins: BTCUSDT, ETHUSDT."), "{request}");
    assert!(answer.repair_request(true, true).contains("Geçerli hesaplar: mirat;"));
    let plain = Answer::check(&fenced(&[row("BTCUSDT", "HOLD", "0.5")]), &pairs());
    assert!(!plain.repair_request(false, true).contains("Valid accounts"));
}

#[test]
fn a_row_that_is_not_usable_has_its_fault_as_outcome_and_a_right_one_has_none() {
    let answer = Answer::check(&fenced(&[row("BTCUSDT", "HOLD", "0.5")]), &pairs());
    assert_eq!(answer.rows[0].invalid_outcome(), None);
    let outcome = answer.rows[1].invalid_outcome().unwrap();
    assert_eq!((outcome.kind, outcome.rule), (OutcomeKind::Invalid, Some(Rule::Missing)));
    assert_eq!(outcome.detail, "no row for this account and coin");
}

#[test]
fn a_repair_is_asked_for_in_the_language_and_by_the_way_of_the_answer() {
    let answer = Answer::check(&fenced(&[row("BTCUSDT", "HOLD", "0.5")]), &pairs());
    for (turkish, by_call, before, after) in [
        (true, true, "Cevabın", "submit_decisions aracını"),
        (true, false, "Cevabın", "```json dizisi"),
        (false, true, "These rows", "Call submit_decisions once more"),
        (false, false, "These rows", "as one ```json array"),
    ] {
        let request = answer.repair_request(turkish, by_call);
        assert!(request.starts_with(before) && request.contains(after), "{request}");
        assert!(request.contains("- mirat ETHUSDT: no row for this account and coin"), "{request}");
    }
}

#[test]
fn a_later_answer_adds_only_errors_that_are_new() {
    let mut answer = Answer::unusable("it is empty", &pairs());
    answer.repair_with(Answer::unusable("it is empty", &pairs()));
    assert_eq!(answer.errors, ["the answer is not usable: it is empty"]);
    answer.repair_with(Answer::unusable("it is late", &pairs()));
    assert_eq!(answer.errors.len(), 2);
    assert_eq!(answer.faulty().count(), 2);
    assert_eq!(rules(&answer), [Some(Rule::Missing); 2]);
}

#[test]
fn a_repair_replaces_only_what_was_wrong() {
    let mut answer =
        Answer::check(&fenced(&[row("BTCUSDT", "LONG", "0.8"), row("ETHUSDT", "SHORT", "1.7")]), &pairs());
    assert!(answer.repair_request(false, false).contains("mirat ETHUSDT"));
    let later =
        Answer::check(&fenced(&[row("BTCUSDT", "SHORT", "0.9"), row("ETHUSDT", "SHORT", "0.7")]), &pairs());
    answer.repair_with(later);
    assert_eq!(rules(&answer), [None, None]);
    assert_eq!(answer.rows[0].proposal.decision, Some(DecisionWord::Long));
}

proptest! {
    #[test]
    fn any_text_gives_one_row_for_every_pair_and_never_panics(text in "\\PC{0,200}") {
        prop_assert_eq!(Answer::check(&text, &pairs()).rows.len(), 2);
    }

    #[test]
    fn any_damage_to_a_right_answer_leaves_rows_right_or_flagged(at in 0_usize..500, byte in any::<char>()) {
        let mut text: Vec<char> = fenced(&[row("BTCUSDT", "LONG", "0.8"), row("ETHUSDT", "SHORT", "0.9")]).chars().collect();
        let at = at % text.len();
        text[at] = byte;
        for checked in Answer::check(&text.iter().collect::<String>(), &pairs()).rows {
            let usable = checked.proposal.decision.is_some() && checked.proposal.confidence.is_some();
            prop_assert_eq!(usable, checked.fault.is_none());
        }
    }
}

/// A field of a submitted row: often right, often not.
fn any_field() -> impl Strategy<Value = Value> {
    prop_oneof![
        prop::sample::select(vec![
            "mirat", "BTCUSDT", "ETHUSDT", "LONG", "CLOSE", "none", "bullish", "0.9", ""
        ])
        .prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (0.0..=1.0).prop_map(|share: f64| Value::from(share)),
        Just(Value::Null),
        Just(serde_json::json!(["LONG"])),
    ]
}

proptest! {
    #[test]
    fn a_submitted_row_is_whole_or_invalid_and_never_in_between(
        rows in prop::collection::vec(
            prop::collection::hash_map(
                prop::sample::select(vec!["account", "symbol", "decision", "confidence", "reason", "market_bias", "risk_note"]),
                any_field(),
                0..8,
            ),
            0..6,
        ),
    ) {
        let rows: Vec<Value> = rows
            .into_iter()
            .map(|row| Value::Object(row.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()))
            .collect();
        let input = serde_json::json!({ "decisions": rows });
        let answer = Answer::check_handed(&Handed::Call(input.to_string()), &pairs());
        prop_assert_eq!(answer.rows.len(), 2);
        for row in answer.rows {
            let whole = row.proposal.decision.is_some() && row.proposal.confidence.is_some();
            prop_assert_eq!(whole, row.fault.is_none());
        }
    }
}

#[test]
fn a_right_row_counts_the_same_by_call() {
    let rows = [row("BTCUSDT", "LONG", "0.8")];
    assert_eq!(by_call(&rows), Answer::check(&fenced(&rows), &pairs()));
}

fn by_call(rows: &[String]) -> Answer {
    Answer::check_handed(&Handed::Call(format!("{{\"decisions\":[{}]}}", rows.join(","))), &pairs())
}

#[test]
fn a_field_written_twice_is_malformed_by_call_as_it_is_in_text() {
    let doubled =
        row("BTCUSDT", "HOLD", "0.1").replacen('}', ",\"decision\":\"LONG\",\"confidence\":0.99}", 1);
    let rows = [doubled];
    assert_eq!(by_call(&rows), Answer::check(&fenced(&rows), &pairs()));
    assert!(matches!(&by_call(&rows).rows[0].fault, Some((Rule::Malformed, _))), "{:?}", by_call(&rows));
}

#[test]
fn a_call_with_no_list_or_with_two_lists_counts_for_nothing() {
    let whole = row("BTCUSDT", "LONG", "0.9");
    let list = format!("\"decisions\":[{whole}]");
    for (input, why) in [
        (format!("{{{list},{list}}}"), "two different lists"),
        (format!("{{\"rows\":[{whole}]}}"), "no `decisions`"),
        (format!("{{\"decisions\":{whole}}}"), "not an array"),
        (format!("[{whole}]"), "not an object"),
    ] {
        let answer = Answer::check_handed(&Handed::Call(input), &pairs());
        assert!(answer.rows.iter().all(|row| row.fault.is_some()), "{answer:?}");
        assert!(answer.errors[0].contains(why), "{:?}", answer.errors);
    }
}

#[test]
fn a_row_that_holds_another_one_is_malformed_and_a_strange_plain_field_is_not() {
    let with = |extra: &str| row("BTCUSDT", "LONG", "0.9").replacen('{', &format!("{{{extra},"), 1);
    for extra in [r#""x":{"decision":"SHORT"}"#, r#""x":[1]"#, r#""x":[{"account":"mirat"}]"#] {
        let answer = Answer::check(&format!("[{}]", with(extra)), &pairs());
        assert_eq!(answer.rows[0].fault.as_ref().unwrap().0, Rule::Malformed, "{extra}");
        assert_eq!(answer.rows[0].proposal.decision, None);
    }
    let answer = Answer::check(&format!("[{}]", with(r#""x":7"#)), &pairs());
    assert_eq!(answer.rows[0].fault, None);
}
