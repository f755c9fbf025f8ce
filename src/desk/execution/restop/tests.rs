//! Where a stop belongs, and whose word on it counts.

use super::*;
use crate::desk::signals::tests::long_position;
use crate::domain::{AccountName, Side, Symbol, Timestamp, Untrusted};
use crate::exchange::AlgoStatus;
use crate::store::OrderIntent;
use rust_decimal_macros::dec;

fn price(text: &str) -> Price {
    text.parse().unwrap()
}

fn short_position() -> ExchangePosition {
    ExchangePosition { direction: Direction::Short, ..as_seen(&long_position()) }
}

fn stop() -> AlgoOrder {
    AlgoOrder {
        algo_id: 7,
        client_order_id: ClientOrderId::new("s1").ok(),
        symbol: Symbol::new("BTCUSDT").unwrap(),
        side: Side::Sell,
        kind: Untrusted::new("STOP_MARKET"),
        status: AlgoStatus::New,
        trigger: Some(price("54000")),
        quantity: None,
        close_position: true,
        reduce_only: false,
        working_type: Some("MARK_PRICE".into()),
        price_protect: Some(false),
        order_id: None,
        created_at: None,
    }
}

#[test]
fn a_stop_within_a_fifth_of_its_distance_lies_near_enough() {
    let is_near = |position: &ExchangePosition, trigger: &str| is_near(position, price(trigger), dec!(0.1));
    let long = as_seen(&long_position());
    for (trigger, expected) in [
        ("52799", false),
        ("52800", true),
        ("54000", true),
        ("55200", true),
        ("55201", false),
        ("66000", false),
    ] {
        assert_eq!(is_near(&long, trigger), expected, "long, {trigger}");
    }
    for (trigger, expected) in [
        ("64799", false),
        ("64800", true),
        ("66000", true),
        ("67200", true),
        ("67201", false),
        ("54000", false),
    ] {
        assert_eq!(is_near(&short_position(), trigger), expected, "short, {trigger}");
    }
}

#[test]
fn a_stop_covers_a_position_only_whole_of_its_coin_and_on_its_other_side() {
    let position = as_seen(&long_position());
    assert!(covers(&stop(), &position));
    assert!(!covers(&stop(), &short_position()));
    assert!(!covers(&AlgoOrder { symbol: Symbol::new("ETHUSDT").unwrap(), ..stop() }, &position));
    for (quantity, expected) in
        [(Some("0.01"), true), (Some("0.02"), true), (Some("0.009"), false), (None, false)]
    {
        let quantity = quantity.map(|text| text.parse().unwrap());
        let part = AlgoOrder { close_position: false, reduce_only: true, quantity, ..stop() };
        assert_eq!(covers(&part, &position), expected, "{quantity:?}");
    }
}

#[test]
fn only_a_live_market_stop_is_one() {
    assert!(is_stop(&stop()));
    assert!(!is_stop(&AlgoOrder { kind: Untrusted::new("TAKE_PROFIT_MARKET"), ..stop() }));
    assert!(!is_stop(&AlgoOrder { status: AlgoStatus::Canceled, ..stop() }));
}

#[test]
fn a_stop_that_another_price_triggers_or_that_waits_in_a_wild_market_is_not_as_ours() {
    assert!(stop().is_by_mark());
    assert!(AlgoOrder { working_type: None, price_protect: None, ..stop() }.is_by_mark(), "not told");
    assert!(!AlgoOrder { working_type: Some("CONTRACT_PRICE".into()), ..stop() }.is_by_mark());
    assert!(!AlgoOrder { price_protect: Some(true), ..stop() }.is_by_mark());
}

#[tokio::test(start_paused = true)]
async fn a_stop_that_protects_is_replaced_a_few_times_and_then_left_until_its_position_changes() {
    let (position, mut tries) = (as_seen(&long_position()), Replaced::default());
    for _ in 0..MOST_REPLACED {
        assert!(tries.allow(&position));
        tries.note(true);
    }
    assert!(!tries.allow(&position));
    let added_to = ExchangePosition { entry: price("60001"), ..position.clone() };
    assert!(tries.allow(&added_to), "its stop belongs elsewhere by now");
    for _ in 0..MOST_TRIED {
        assert!(tries.allow(&position));
        tries.note(false);
    }
    assert!(!tries.allow(&position), "nor is it tried without end");
    tokio::time::advance(REPLACED_WITHIN).await;
    assert!(tries.allow(&position));
}

#[test]
fn a_stop_is_described_by_side_size_price_and_name() {
    assert_eq!(described(&stop()), "SELL all at 54000 (s1)");
    let part = AlgoOrder { quantity: Some("0.01".parse().unwrap()), close_position: false, ..stop() };
    assert_eq!(described(&part), "SELL 0.01 at 54000 (s1)");
    let whole = AlgoOrder { quantity: Some("0.01".parse().unwrap()), ..stop() };
    assert_eq!(described(&whole), "SELL all at 54000 (s1)");
    let bare = AlgoOrder { trigger: None, client_order_id: None, ..stop() };
    assert_eq!(described(&bare), "SELL all without a price (unnamed)");
}

fn order(purpose: OrderPurpose, state: OrderState, by_operator: bool, trigger: &str) -> StoredOrder {
    let at = Timestamp::from_timestamp(1_772_400_000, 0).unwrap();
    let origin = if by_operator {
        Origin::Operator { command: "stop".into() }
    } else {
        Origin::Guardian { rule: "stop".into() }
    };
    StoredOrder {
        intent: OrderIntent {
            client_order_id: ClientOrderId::new("x").unwrap(),
            account: AccountName::new("a").unwrap(),
            symbol: Symbol::new("BTCUSDT").unwrap(),
            purpose,
            side: Side::Sell,
            quantity: None,
            trigger: Some(price(trigger)),
            origin,
            attempt: 1,
            market_time: at,
            sent_at: at,
        },
        state,
        exchange_id: None,
        average_price: None,
        executed: None,
        error: None,
        updated_at: at,
        settled_at: None,
    }
}

#[test]
fn an_operators_last_word_on_a_stop_holds_until_the_position_ends() {
    use OrderPurpose::{Close, Emergency, Open, Stop};
    use OrderState::{Accepted, Cancelled, Filled, NotPlaced, Rejected};
    let word = order(Stop, Accepted, true, "55000");
    let position = ExchangePosition { mark: price("60000"), ..as_seen(&long_position()) };
    let began = word.intent.market_time;
    let said = |orders: &[StoredOrder]| operators_word(orders, &position, began);
    let after = |newer: StoredOrder| said(&[newer, word.clone()]);
    assert_eq!(said(&[]), None);
    assert_eq!(said(std::slice::from_ref(&word)), Some(price("55000")));
    let later = began + chrono::TimeDelta::milliseconds(1);
    assert_eq!(operators_word(std::slice::from_ref(&word), &position, later), None, "of an earlier position");
    let short = ExchangePosition { mark: price("50000"), ..short_position() };
    assert_eq!(operators_word(std::slice::from_ref(&word), &short, began), None, "of the other side");
    assert_eq!(after(order(Stop, Cancelled, true, "56000")), Some(price("56000")), "a newer word counts");
    assert_eq!(after(order(Stop, Accepted, false, "54000")), Some(price("55000")), "ours is none");
    for sent_for_nothing in [Rejected, NotPlaced] {
        for purpose in [Stop, Open] {
            let newer = order(purpose, sent_for_nothing, true, "56000");
            assert_eq!(after(newer), Some(price("55000")), "{purpose:?} {sent_for_nothing:?}");
        }
    }
    for purpose in [Open, Close, Emergency, Stop] {
        assert_eq!(after(order(purpose, Filled, true, "56000")), None, "{purpose:?}: another position");
    }
}
