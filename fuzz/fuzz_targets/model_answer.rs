//! Whatever the model writes, there is one row for every pair asked about, and a row is valid or says why not.
#![no_main]

use jarvis::desk::answer::{Answer, Pair};
use jarvis::domain::{AccountName, Symbol};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let pairs: Vec<Pair> = ["mirat", "mevlut"]
        .into_iter()
        .flat_map(|name| ["BTCUSDT", "ETHUSDT"].map(|coin| (name, coin)))
        .map(|(name, coin)| (AccountName::new(name).expect("a name"), Symbol::new(coin).expect("a coin")))
        .collect();
    let (half, rest) = text.split_at(text.floor_char_boundary(text.len() / 2));
    let mut answer = Answer::check(text, &pairs);
    assert_eq!(answer.rows.len(), pairs.len());
    let _ = answer.repair_request(true, false);
    answer.repair_with(Answer::check(rest, &pairs));
    assert_eq!(answer.rows.len(), pairs.len());
    let _ = (Answer::check(half, &pairs), answer.faulty().count());
});
