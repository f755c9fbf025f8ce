//! Each guard on its own: the same case passes without it and is refused with it, by its name.

use rust_decimal_macros::dec;

use super::*;
use crate::desk::signals::tests::long_position;
use crate::desk::sizing::CoinAllocation;
use crate::domain::{DecisionWord, Profile, Untrusted};
use crate::exchange::Bounds;

fn rules() -> SymbolRules {
    SymbolRules {
        symbol: Symbol::new("BTCUSDT").unwrap(),
        status: Untrusted::new("TRADING"),
        contract: Untrusted::new("PERPETUAL"),
        quote: Untrusted::new("USDT"),
        price: Bounds { min: dec!(0.1), max: dec!(1000000), step: dec!(0.1) },
        market_quantity: Bounds { min: dec!(0.001), max: dec!(100), step: dec!(0.001) },
        min_notional: "100".parse().unwrap(),
    }
}

fn proposal(decision: DecisionWord, confidence: &str) -> Proposal {
    Proposal {
        account: AccountName::new("mirat").unwrap(),
        symbol: Symbol::new("BTCUSDT").unwrap(),
        decision: Some(decision),
        confidence: Some(Confidence::new(confidence.parse().unwrap()).unwrap()),
        reason: Untrusted::default(),
        market_bias: None,
        risk_note: None,
    }
}

fn case<'a>(proposal: &'a Proposal, rules: &'a SymbolRules) -> Case<'a> {
    let price: Price = "60000".parse().unwrap();
    Case {
        proposal,
        position: None,
        threshold: Confidence::new(dec!(0.75)).unwrap(),
        price_in_brief: Some(price),
        price_now: Some(price),
        unresolved: false,
        rules: Some(rules),
        stop_distance: "10%".parse().unwrap(),
        sizing: SizingInput {
            profile: Profile::Guarded,
            allocation: CoinAllocation::Equal { coins: 10 },
            leverage: 3,
            equity: dec!(1000),
            free_margin: dec!(1000),
            price,
            atr: Some(600.0),
            margin_share: dec!(0.08),
            target_volatility: dec!(0.02),
        },
    }
}

fn rule_of(verdict: &Verdict) -> Option<Rule> {
    match verdict {
        Verdict::Settled(outcome) => outcome.rule,
        Verdict::Open(_) | Verdict::Close(_) => None,
    }
}

#[test]
fn an_opening_that_every_guard_lets_through_is_sized_on_the_step() {
    let (rules, proposal) = (rules(), proposal(DecisionWord::Long, "0.75"));
    let Verdict::Open(approved) = judge(&case(&proposal, &rules)) else { panic!("not approved") };
    assert_eq!(approved.order().quantity.to_string(), "0.004");
    assert_eq!(approved.order().margin, dec!(80));
}

#[test]
fn the_threshold_is_inclusive_and_holds_for_openings_only() {
    let rules = rules();
    let below = proposal(DecisionWord::Short, "0.7499");
    assert_eq!(rule_of(&judge(&case(&below, &rules))), Some(Rule::Threshold));
    let position = long_position();
    let unsure = proposal(DecisionWord::Close, "0.01");
    let held = Case { position: Some(&position), ..case(&unsure, &rules) };
    assert!(matches!(judge(&held), Verdict::Close(_)));
}

#[test]
fn a_position_is_neither_added_to_nor_reversed() {
    let (rules, position) = (rules(), long_position());
    for word in [DecisionWord::Long, DecisionWord::Short] {
        let proposal = proposal(word, "0.95");
        let held = Case { position: Some(&position), ..case(&proposal, &rules) };
        assert_eq!(rule_of(&judge(&held)), Some(Rule::AllowedAction));
    }
}

#[test]
fn an_unresolved_order_blocks_the_coin() {
    let (rules, proposal) = (rules(), proposal(DecisionWord::Long, "0.9"));
    let blocked = Case { unresolved: true, ..case(&proposal, &rules) };
    assert_eq!(rule_of(&judge(&blocked)), Some(Rule::Unresolved));
}

#[test]
fn without_a_price_or_after_it_ran_away_nothing_opens() {
    let (rules, proposal) = (rules(), proposal(DecisionWord::Long, "0.9"));
    let blind = Case { price_now: None, ..case(&proposal, &rules) };
    assert_eq!(rule_of(&judge(&blind)), Some(Rule::NoPrice));
    let ran = Case { price_now: Some("60601".parse().unwrap()), ..case(&proposal, &rules) };
    assert_eq!(rule_of(&judge(&ran)), Some(Rule::StaleData));
    let at_the_limit = Case { price_now: Some("60600".parse().unwrap()), ..case(&proposal, &rules) };
    assert!(matches!(judge(&at_the_limit), Verdict::Open(_)));
}

#[test]
fn a_stop_that_could_not_protect_refuses_the_opening_before_anything_is_sent() {
    let (rules, proposal) = (rules(), proposal(DecisionWord::Long, "0.9"));
    for (distance, leverage) in [("100%", 1), ("50%", 3), ("10%", 10), ("0.0001%", 3)] {
        let mut risky = case(&proposal, &rules);
        risky.stop_distance = distance.parse().unwrap();
        risky.sizing.leverage = leverage;
        assert_eq!(rule_of(&judge(&risky)), Some(Rule::Stop), "{distance} at {leverage}x");
    }
}

#[test]
fn a_size_below_the_exchange_s_minimum_is_refused_and_not_rounded_up() {
    let (rules, proposal) = (rules(), proposal(DecisionWord::Long, "0.9"));
    let mut poor = case(&proposal, &rules);
    poor.sizing.equity = dec!(300);
    assert_eq!(rule_of(&judge(&poor)), Some(Rule::Sizing));
}

#[test]
fn hold_and_no_trade_settle_as_nothing() {
    let (rules, proposal) = (rules(), proposal(DecisionWord::NoTrade, "0.9"));
    let Verdict::Settled(outcome) = judge(&case(&proposal, &rules)) else { panic!("not settled") };
    assert_eq!(outcome.kind, OutcomeKind::None);
}
