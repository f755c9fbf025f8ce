//! Rules with a name: dates, amendments, calls for margin, orders that end with a position.

use rust_decimal_macros::dec;

use super::*;

const MINUTE: i64 = 60_000;

fn dated(end: i64) -> OrderRequest {
    OrderRequest {
        time_in_force: TimeInForce::Gtd,
        good_till: Some(end),
        ..limit("SOLUSDT", Side::Buy, dec!(1), dec!(99))
    }
}

fn change(order: &Order, quantity: Decimal, price: Decimal) -> Amendment {
    Amendment {
        symbol: order.symbol.clone(),
        handle: Handle::Id(order.id),
        side: order.side,
        quantity,
        price,
    }
}

impl Bench {
    fn amend(&mut self, order: &Order, quantity: Decimal, price: Decimal) -> Result<Order, i32> {
        let change = change(order, quantity, price);
        self.engine.modify(self.who, &change, self.now).map_err(|refusal| refusal.code)
    }

    fn still(&mut self, name: &str, at: i64) {
        let quote = self.engine.quote(&symbol(name)).unwrap();
        self.engine.update([(symbol(name), quote)], at);
    }
}

#[test]
fn a_good_till_date_lies_more_than_ten_minutes_ahead_and_before_the_year_10000() {
    let mut bench = bench();
    let now = bench.now;
    assert_eq!(bench.place(OrderRequest { good_till: None, ..dated(0) }), Err(-1102));
    for end in [0, now, now + 10 * MINUTE, 253_402_300_799_000, i64::MAX, i64::MIN] {
        let code = if end == 0 { -1102 } else { -5040 };
        assert_eq!(bench.place(dated(end)), Err(code), "{end}");
    }
    let order = bench.place(dated(now + 11 * MINUTE + 999)).unwrap();
    assert_eq!(order.good_till, (now + 11 * MINUTE + 999) / 1000 * 1000, "only whole seconds count");
}

#[test]
fn an_order_ends_at_its_date_and_any_order_after_a_year() {
    let mut bench = bench();
    let dated = bench.place(dated(bench.now + 20 * MINUTE)).unwrap();
    let endless = bench.place(limit("SOLUSDT", Side::Buy, dec!(1), dec!(98))).unwrap();
    assert_eq!(bench.engine.next_expiry(), Some(dated.good_till));
    bench.still("SOLUSDT", dated.good_till - 1);
    assert_eq!(bench.account().orders[&dated.id].status, OrderStatus::New);
    bench.still("SOLUSDT", dated.good_till);
    assert_eq!(bench.account().orders[&dated.id].status, OrderStatus::Expired);
    assert_eq!(bench.engine.totals(bench.who).open_order_initial, money(dec!(98) / dec!(3)));
    bench.engine.drain_happenings();
    bench.still("SOLUSDT", endless.created + 365 * 86_400_000);
    assert_eq!(bench.stream(), ["order EXPIRED 0"]);
}

#[test]
fn an_amendment_changes_price_quantity_margin_and_place_in_the_queue() {
    let mut bench = bench();
    let order = bench.place(limit("SOLUSDT", Side::Buy, dec!(3), dec!(99))).unwrap();
    bench.stream();
    bench.now += 10;
    let changed = bench.amend(&order, dec!(2), dec!(98)).unwrap();
    assert_eq!((changed.id, changed.quantity, changed.price), (order.id, dec!(2), dec!(98)));
    assert_eq!(changed.queued, bench.now);
    assert_eq!(bench.stream(), ["order AMENDMENT"]);
    assert_eq!(bench.engine.totals(bench.who).open_order_initial, money(dec!(196) / dec!(3)));
    bench.price("SOLUSDT", dec!(98.5));
    assert_eq!(bench.held("SOLUSDT"), dec!(0));
    bench.price("SOLUSDT", dec!(97));
    assert_eq!(bench.held("SOLUSDT"), dec!(2));
}

#[test]
fn an_amendment_across_the_book_takes() {
    let mut bench = bench();
    let order = bench.place(limit("SOLUSDT", Side::Buy, dec!(3), dec!(99))).unwrap();
    let changed = bench.amend(&order, dec!(3), dec!(101)).unwrap();
    assert_eq!((changed.status, changed.average()), (OrderStatus::Filled, dec!(100.01)));
    assert!(!bench.account().trades[0].maker);
}

#[test]
fn refused_amendments_name_their_reason_and_leave_the_order_as_it_was() {
    let mut bench = bench();
    let order = bench.place(limit("SOLUSDT", Side::Buy, dec!(3), dec!(99))).unwrap();
    let before = serde_json::to_string(bench.engine.state()).unwrap();
    for (quantity, price, code) in [
        (dec!(3), dec!(99), -5027),
        (dec!(0), dec!(99), -4003),
        (dec!(3.001), dec!(99), -1111),
        (dec!(3), dec!(0), -4001),
        (dec!(3), dec!(98.999), -1111),
        (dec!(3), dec!(106), -4016),
        (dec!(0.01), dec!(99), -5029),
        (dec!(40), dec!(99), -2019),
    ] {
        assert_eq!(bench.amend(&order, quantity, price), Err(code), "{quantity} at {price}");
    }
    let other_side = Amendment { side: Side::Sell, ..change(&order, dec!(3), dec!(98)) };
    let refused = bench.engine.modify(bench.who, &other_side, bench.now).unwrap_err();
    assert_eq!(refused.code, -1117);
    let unknown = Amendment { handle: Handle::Id(1), ..change(&order, dec!(3), dec!(98)) };
    assert_eq!(bench.engine.modify(bench.who, &unknown, bench.now).unwrap_err().code, -2013);
    assert_eq!(serde_json::to_string(bench.engine.state()).unwrap(), before);
}

#[test]
fn an_amendment_to_less_than_is_filled_or_of_a_post_only_order_across_the_book_takes_the_order_back() {
    let mut thin = super::depth::thin();
    let order = thin.place(limit("THINUSDT", Side::Buy, dec!(5000), dec!(99))).unwrap();
    thin.price("THINUSDT", dec!(99));
    let filled = thin.held("THINUSDT");
    let changed = thin.amend(&order, filled, dec!(98)).unwrap();
    assert_eq!((changed.status, changed.executed), (OrderStatus::Canceled, filled));
    let mut bench = bench();
    let post_only =
        OrderRequest { time_in_force: TimeInForce::Gtx, ..limit("SOLUSDT", Side::Buy, dec!(1), dec!(99)) };
    let order = bench.place(post_only).unwrap();
    let changed = bench.amend(&order, dec!(1), dec!(100.01)).unwrap();
    assert_eq!((changed.status, changed.executed), (OrderStatus::Canceled, dec!(0)));
}

#[test]
fn an_order_can_be_amended_ten_thousand_times() {
    let mut bench = bench();
    let order = bench.place(limit("SOLUSDT", Side::Buy, dec!(1), dec!(99))).unwrap();
    for round in 0..MAX_AMENDMENTS {
        let price = if round % 2 == 0 { dec!(98) } else { dec!(99) };
        bench.amend(&order, dec!(1), price).unwrap();
    }
    assert_eq!(bench.amend(&order, dec!(1), dec!(98)), Err(-5026));
}

#[test]
fn margin_is_called_once_when_maintenance_eats_four_fifths_and_again_after_a_recovery() {
    let mut bench = bench();
    bench.engine.set_leverage(bench.who, &symbol("SOLUSDT"), 20, T0).unwrap();
    bench.place(market("SOLUSDT", Side::Buy, dec!(50))).unwrap();
    bench.stream();
    // Margin 250.025 at entry 100.01. At price p: maintenance 0.325 p, balance 50 p - 4750.475.
    // Four fifths are eaten at p = 4750.475 / (50 - 0.40625) = 95.788.
    bench.price("SOLUSDT", dec!(95.80));
    assert_eq!(bench.stream(), Vec::<String>::new());
    bench.price("SOLUSDT", dec!(95.78));
    bench.price("SOLUSDT", dec!(95.77));
    assert_eq!(bench.stream(), ["margin call 1"]);
    bench.price("SOLUSDT", dec!(96));
    bench.price("SOLUSDT", dec!(95.78));
    assert_eq!(bench.stream(), ["margin call 1"]);
}

#[test]
fn a_position_that_follows_a_called_one_is_called_for_itself() {
    let mut bench = bench();
    bench.engine.set_leverage(bench.who, &symbol("SOLUSDT"), 20, T0).unwrap();
    bench.place(market("SOLUSDT", Side::Buy, dec!(50))).unwrap();
    bench.price("SOLUSDT", dec!(95.78));
    bench.place(market("SOLUSDT", Side::Sell, dec!(50))).unwrap();
    bench.place(market("SOLUSDT", Side::Buy, dec!(50))).unwrap();
    bench.stream();
    // Margin 239.475 at entry 95.79: four fifths are eaten at p = 4550.025 / (50 - 0.40625) = 91.745.
    bench.price("SOLUSDT", dec!(91.74));
    assert_eq!(bench.stream(), ["margin call 1"]);
}

#[test]
fn cross_positions_are_called_together_with_their_wallet() {
    let mut bench = bench();
    let who = bench.engine.open_account(AccountName::new("cross").unwrap(), dec!(1000), T0);
    bench.engine.set_leverage(who, &symbol("SOLUSDT"), 20, T0).unwrap();
    bench.engine.place(who, market("SOLUSDT", Side::Buy, dec!(150)), T0).unwrap();
    bench.engine.drain_happenings();
    let told = bench.engine.liquidation_price(who, &symbol("SOLUSDT"));
    bench.price("SOLUSDT", (told + dec!(0.1)).round_dp(2));
    let happenings = bench.engine.drain_happenings();
    let What::MarginCall { cross_wallet, positions } = &happenings[0].what else { panic!("{happenings:?}") };
    assert_eq!(*cross_wallet, Some(bench.engine.account(who).cross_wallet));
    assert_eq!((positions[0].amount, positions[0].margin), (dec!(150), MarginType::Cross));
}

#[test]
fn a_cross_account_loses_its_orders_first_and_then_its_heaviest_position_and_keeps_what_stands() {
    let mut bench = bench();
    let who = bench.engine.open_account(AccountName::new("cross").unwrap(), dec!(1000), T0);
    let (sol, bitcoin) = (symbol("SOLUSDT"), symbol("BTCUSDT"));
    bench.engine.place(who, market("SOLUSDT", Side::Buy, dec!(150)), T0).unwrap();
    bench.engine.place(who, market("BTCUSDT", Side::Buy, dec!(0.01)), T0).unwrap();
    bench.price("BTCUSDT", dec!(110000));
    bench.engine.place(who, limit("BTCUSDT", Side::Buy, dec!(0.002), dec!(96000)), T0).unwrap();
    bench.engine.drain_happenings();
    // Loses 1006.50 of 992, with a profit of 99.999 in bitcoin: less than the 105 the position needs.
    bench.price("SOLUSDT", dec!(93.3));
    let account = bench.engine.account(who);
    assert_eq!((account.amount(&sol), account.amount(&bitcoin)), (dec!(0), dec!(0.01)));
    assert!(account.wallet() < dec!(0), "bitcoin's profit stands for it");
    assert_eq!(account.wallet(), account.ledger_sum());
    assert_eq!(bench.stream()[..2], ["order EXPIRED 5", "order CALCULATED"]);
    bench.price("BTCUSDT", dec!(100000));
    let account = bench.engine.account(who);
    assert_eq!((account.amount(&bitcoin), account.wallet()), (dec!(0), dec!(0)));
    assert_eq!(account.wallet(), account.ledger_sum());
}

#[test]
fn a_position_that_turns_around_ends_what_would_have_closed_it() {
    let mut bench = bench();
    bench.place(market("SOLUSDT", Side::Buy, dec!(2))).unwrap();
    let close = bench.arm(stop("SOLUSDT", Side::Sell, dec!(90))).unwrap();
    let reduce = OrderRequest { reduce_only: true, ..limit("SOLUSDT", Side::Sell, dec!(1), dec!(104)) };
    let reduce = bench.place(reduce).unwrap();
    bench.place(market("SOLUSDT", Side::Sell, dec!(5))).unwrap();
    assert_eq!(bench.held("SOLUSDT"), dec!(-3));
    assert_eq!(bench.algo(close.id).status, AlgoStatus::Expired);
    let reduce = &bench.account().orders[&reduce.id];
    assert_eq!((reduce.status, reduce.expiry_reason), (OrderStatus::Expired, 4));
}

#[test]
fn a_position_that_shrinks_knocks_out_the_latest_reduce_only_orders_that_no_longer_fit() {
    let mut bench = bench();
    bench.place(market("SOLUSDT", Side::Buy, dec!(3))).unwrap();
    let reduce = |price| OrderRequest { reduce_only: true, ..limit("SOLUSDT", Side::Sell, dec!(1), price) };
    let ids: Vec<i64> =
        [dec!(104), dec!(103), dec!(102)].map(|price| bench.place(reduce(price)).unwrap().id).into();
    assert_eq!(bench.place(reduce(dec!(101))), Err(-2022), "a fourth does not fit");
    bench.place(market("SOLUSDT", Side::Sell, dec!(2))).unwrap();
    let statuses: Vec<OrderStatus> = ids.iter().map(|id| bench.account().orders[id].status).collect();
    assert_eq!(statuses, [OrderStatus::New, OrderStatus::Expired, OrderStatus::Expired]);
}

#[test]
fn a_trailing_stop_sleeps_until_its_activation_and_then_follows() {
    let mut bench = bench();
    bench.place(market("SOLUSDT", Side::Buy, dec!(3))).unwrap();
    let trailing = |activation| AlgoRequest {
        kind: AlgoKind::TrailingStopMarket,
        quantity: Some(dec!(3)),
        trigger_price: None,
        callback_rate: Some(dec!(10)),
        activate_price: Some(activation),
        close_position: false,
        reduce_only: true,
        ..stop("SOLUSDT", Side::Sell, dec!(1))
    };
    assert_eq!(bench.arm(trailing(dec!(99))), Err(-2021), "a seller waits for a higher price");
    let wrong = AlgoRequest { callback_rate: Some(dec!(20.1)), ..trailing(dec!(110)) };
    assert_eq!(bench.arm(wrong), Err(-2007));
    bench.arm(trailing(dec!(110))).unwrap();
    bench.price("SOLUSDT", dec!(80));
    bench.price("SOLUSDT", dec!(109.99));
    bench.price("SOLUSDT", dec!(98));
    assert_eq!(bench.held("SOLUSDT"), dec!(3), "not active yet");
    bench.price("SOLUSDT", dec!(110));
    bench.price("SOLUSDT", dec!(99.01));
    assert_eq!(bench.held("SOLUSDT"), dec!(3), "99 is ten percent below 110");
    bench.price("SOLUSDT", dec!(99));
    assert_eq!(bench.held("SOLUSDT"), dec!(0));
}

#[test]
fn reduce_only_stops_with_a_quantity_may_coexist_and_one_is_cut_to_what_is_held() {
    let mut bench = bench();
    bench.place(market("SOLUSDT", Side::Buy, dec!(3))).unwrap();
    let reduce = |trigger| AlgoRequest {
        quantity: Some(dec!(2)),
        close_position: false,
        reduce_only: true,
        ..stop("SOLUSDT", Side::Sell, trigger)
    };
    let first = bench.arm(reduce(dec!(95))).unwrap();
    let second = bench.arm(reduce(dec!(94))).unwrap();
    bench.price("SOLUSDT", dec!(93));
    assert_eq!(bench.held("SOLUSDT"), dec!(0));
    assert_eq!(bench.algo(first.id).actual_quantity, dec!(2));
    assert_eq!(bench.algo(second.id).actual_quantity, dec!(1));
}

#[test]
fn a_triggered_limit_order_that_must_rest_or_fill_whole_expires_when_it_cannot() {
    for (time_in_force, price) in [(TimeInForce::Gtx, dec!(89)), (TimeInForce::Fok, dec!(95))] {
        let mut bench = bench();
        bench.place(market("SOLUSDT", Side::Buy, dec!(3))).unwrap();
        let algo = bench
            .arm(AlgoRequest {
                kind: AlgoKind::Stop,
                time_in_force,
                quantity: Some(dec!(3)),
                price: Some(price),
                close_position: false,
                reduce_only: true,
                ..stop("SOLUSDT", Side::Sell, dec!(90))
            })
            .unwrap();
        bench.price("SOLUSDT", dec!(90));
        assert_eq!(bench.held("SOLUSDT"), dec!(3), "{time_in_force:?}");
        let algo = bench.algo(algo.id);
        assert_eq!((algo.status, algo.actual_quantity), (AlgoStatus::Finished, dec!(0)));
        assert_eq!(bench.account().orders[&algo.actual_order.unwrap()].status, OrderStatus::Expired);
    }
}

#[test]
fn a_client_name_may_be_used_again_when_its_order_is_done() {
    let mut bench = bench();
    let named = |price| OrderRequest {
        client_id: Some("mine".to_owned()),
        ..limit("SOLUSDT", Side::Buy, dec!(1), price)
    };
    let first = bench.place(named(dec!(99))).unwrap();
    assert_eq!(bench.place(named(dec!(98))), Err(-4116));
    let by_name = Handle::Client("mine".to_owned());
    bench.engine.cancel(bench.who, &symbol("SOLUSDT"), &by_name, bench.now).unwrap();
    let second = bench.place(named(dec!(98))).unwrap();
    assert_ne!(first.id, second.id);
    assert_eq!(bench.engine.order(bench.who, &symbol("SOLUSDT"), &by_name).unwrap().id, second.id);
    let own = Handle::Client(format!("web_{}", first.id));
    assert!(bench.engine.order(bench.who, &symbol("SOLUSDT"), &own).is_none(), "that one has another name");
}

#[test]
fn unfilled_orders_are_forgotten_after_three_days_and_everything_after_ninety_but_no_money() {
    const DAY: i64 = 86_400_000;
    let mut bench = bench();
    let unfilled = bench.place(limit("SOLUSDT", Side::Buy, dec!(1), dec!(99))).unwrap();
    bench.engine.cancel_all(bench.who, &symbol("SOLUSDT"), bench.now).unwrap();
    let filled = bench.place(market("SOLUSDT", Side::Buy, dec!(1))).unwrap();
    let resting = bench.place(limit("SOLUSDT", Side::Buy, dec!(1), dec!(98))).unwrap();
    let kept = |bench: &Bench| bench.account().orders.keys().collect::<Vec<_>>();
    bench.still("SOLUSDT", T0 + 5 * DAY);
    assert_eq!(kept(&bench), [filled.id, resting.id]);
    bench.still("SOLUSDT", T0 + 92 * DAY);
    assert_eq!(kept(&bench), [resting.id]);
    assert_eq!((bench.account().trades.len(), bench.account().income.len()), (0, 0));
    assert_eq!(bench.account().wallet(), bench.ledger());
    assert!(bench.engine.order(bench.who, &symbol("SOLUSDT"), &Handle::Id(unfilled.id)).is_none());
}

#[test]
fn histories_have_an_end_even_within_a_day() {
    let mut bench = bench();
    for _ in 0..MOST_ROWS / 2 + 10 {
        bench.place(market("SOLUSDT", Side::Buy, dec!(0.1))).unwrap();
        bench.place(market("SOLUSDT", Side::Sell, dec!(0.1))).unwrap();
        if bench.engine.happenings.len() > 10_000 {
            bench.price("SOLUSDT", dec!(100));
            bench.stream();
        }
    }
    let account = bench.account();
    assert!(account.orders.len() <= MOST_ROWS && account.income.len() <= MOST_ROWS);
    assert!(account.orders.len() > MOST_ROWS / 2);
    assert_eq!(account.wallet(), account.ledger_sum());
}

#[test]
fn a_triggered_limit_order_meets_the_same_filters_as_one_that_is_placed() {
    let mut bench = bench();
    let stop_limit = |quantity, trigger, price| AlgoRequest {
        kind: AlgoKind::Stop,
        quantity: Some(quantity),
        price: Some(price),
        close_position: false,
        ..stop("SOLUSDT", Side::Buy, trigger)
    };
    let far = bench.arm(stop_limit(dec!(1), dec!(101), dec!(120))).unwrap();
    bench.price("SOLUSDT", dec!(102));
    let told = bench.algo(far.id);
    assert_eq!(told.status, AlgoStatus::Rejected);
    assert!(told.fail_reason.unwrap().contains("higher than"));
    for number in 0..200 {
        let price = dec!(90) + Decimal::new(number, 2);
        bench.place(limit("SOLUSDT", Side::Buy, dec!(0.1), price)).unwrap();
    }
    assert_eq!(bench.place(limit("SOLUSDT", Side::Buy, dec!(0.1), dec!(95))).unwrap_err(), -2025);
    let surplus = bench.arm(stop_limit(dec!(0.1), dec!(103), dec!(103))).unwrap();
    bench.price("SOLUSDT", dec!(104));
    assert_eq!(bench.algo(surplus.id).fail_reason.as_deref(), Some("Reach max open order limit."));
}
