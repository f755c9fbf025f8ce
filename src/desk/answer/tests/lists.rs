//! Which of several lists in an answer counts, and how much of a call is read.

use super::*;

fn right() -> [String; 2] {
    [row("BTCUSDT", "LONG", "0.8"), row("ETHUSDT", "NO_TRADE", "0.4")]
}

#[test]
fn a_row_without_an_account_does_not_make_its_list_one_of_something_else() {
    let list = format!(r#"[{},{{"symbol":"ETHUSDT"}}]"#, row("BTCUSDT", "LONG", "0.8"));
    let answer = Answer::check(&format!(r#"{list} and [{{"level":61000}}]"#), &pairs());
    assert_eq!(rules(&answer), [None, Some(Rule::Missing)]);
}

#[test]
fn a_fence_that_holds_no_json_hides_no_list_behind_it() {
    let answer = Answer::check(&format!("```text\nsupport at 61000\n```\n[{}]", right().join(",")), &pairs());
    assert_eq!(rules(&answer), [None, None]);
}

#[test]
fn a_list_in_a_fence_counts_before_one_outside_whether_or_not_the_fence_names_its_language() {
    let outside = [row("BTCUSDT", "SHORT", "0.9"), row("ETHUSDT", "SHORT", "0.9")].join(",");
    for language in ["json", "JSON", ""] {
        let text = format!("[{outside}]\n```{language}\n[{}]\n```", right().join(","));
        let answer = Answer::check(&text, &pairs());
        assert_eq!(rules(&answer), [None, None], "{language:?}");
        assert_eq!(answer.rows[0].proposal.decision, Some(DecisionWord::Long), "{language:?}");
    }
}

#[test]
fn a_call_is_read_up_to_256_kib() {
    let call = |length: usize| {
        let written = format!(r#"{{"decisions":[{}]}}"#, right().join(","));
        let padding = " ".repeat(length - written.len());
        Answer::check_handed(&Handed::Call(written + &padding), &pairs())
    };
    assert_eq!(rules(&call(256 * 1024)), [None, None]);
    assert_eq!(rules(&call(256 * 1024 + 1)), [Some(Rule::Missing); 2]);
}

#[test]
fn a_confidence_that_hides_an_impossible_number_is_out_of_range() {
    for confidence in ["NaN", "[0.5,NaN]", r#"{"low":0.5,"high":Infinity}"#, "[[1e999]]"] {
        let answer = Answer::check(&fenced(&[row("BTCUSDT", "LONG", confidence)]), &pairs());
        assert_eq!(rules(&answer)[0], Some(Rule::OutOfRange), "{confidence}");
    }
}
