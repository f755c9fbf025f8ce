//! The engine's behaviour, in sentences.

use rust_decimal::Decimal;
use rust_decimal_macros::dec;

use super::*;
use crate::domain::Side;

mod any_commands;
mod depth;
mod formulas;
mod properties;
mod rules;
mod solvency;

const T0: i64 = 1_760_000_000_000;

fn symbol(text: &str) -> Symbol {
    Symbol::new(text).unwrap()
}

fn listing(text: &str, tick: Decimal, step: Decimal, minimum: i64, hours: u32) -> Listing {
    Listing {
        symbol: symbol(text),
        tick,
        price_digits: tick.scale(),
        step,
        minimum_notional: Decimal::from(minimum),
        funding_hours: hours,
    }
}

fn quote(price: Decimal, tick: Decimal) -> Quote {
    Quote { last: price, mark: price, index: price, bid: price, ask: price + tick }
}

/// Bitcoin at 100 000, Solana at 100, and one account with 1 000 USDT and 3x isolated on both.
struct Bench {
    engine: Engine,
    who: AccountId,
    now: i64,
}

fn bench() -> Bench {
    let mut engine = Engine::new([
        listing("BTCUSDT", dec!(0.1), dec!(0.001), 100, 8),
        listing("SOLUSDT", dec!(0.01), dec!(0.01), 5, 8),
    ]);
    let who = engine.open_account(AccountName::new("mirat").unwrap(), dec!(1000), T0);
    let mut bench = Bench { engine, who, now: T0 };
    bench.price("BTCUSDT", dec!(100000));
    bench.price("SOLUSDT", dec!(100));
    for name in ["BTCUSDT", "SOLUSDT"] {
        bench.engine.set_margin_type(who, &symbol(name), MarginType::Isolated, T0).unwrap();
        bench.engine.set_leverage(who, &symbol(name), 3, T0).unwrap();
    }
    bench.engine.drain_happenings();
    bench
}

fn market(name: &str, side: Side, quantity: Decimal) -> OrderRequest {
    OrderRequest {
        symbol: symbol(name),
        side,
        kind: OrderKind::Market,
        time_in_force: TimeInForce::Gtc,
        quantity,
        price: Decimal::ZERO,
        reduce_only: false,
        client_id: None,
        good_till: None,
    }
}

fn limit(name: &str, side: Side, quantity: Decimal, price: Decimal) -> OrderRequest {
    OrderRequest { kind: OrderKind::Limit, price, ..market(name, side, quantity) }
}

fn stop(name: &str, side: Side, trigger: Decimal) -> AlgoRequest {
    AlgoRequest {
        symbol: symbol(name),
        side,
        kind: AlgoKind::StopMarket,
        time_in_force: TimeInForce::Gtc,
        quantity: None,
        price: None,
        trigger_price: Some(trigger),
        callback_rate: None,
        activate_price: None,
        working: WorkingType::Contract,
        close_position: true,
        reduce_only: false,
        price_protect: false,
        client_id: None,
        good_till: None,
    }
}

impl Bench {
    fn price(&mut self, name: &str, price: Decimal) {
        self.now += 1000;
        let tick = self.engine.contract(&symbol(name)).unwrap().listing.tick;
        self.engine.update([(symbol(name), quote(price, tick))], self.now);
    }

    fn place(&mut self, request: OrderRequest) -> Result<Order, i32> {
        self.engine.place(self.who, request, self.now).map_err(|refusal| refusal.code)
    }

    fn arm(&mut self, request: AlgoRequest) -> Result<AlgoOrder, i32> {
        self.engine.place_algo(self.who, request, self.now).map_err(|refusal| refusal.code)
    }

    fn account(&self) -> &Account {
        self.engine.account(self.who)
    }

    fn held(&self, name: &str) -> Decimal {
        self.account().amount(&symbol(name))
    }

    fn algo(&self, id: i64) -> AlgoOrder {
        self.account().algos[&id].clone()
    }

    fn ledger(&self) -> Decimal {
        self.account().ledger_sum()
    }

    fn stream(&mut self) -> Vec<String> {
        self.engine.drain_happenings().iter().map(word_of).collect()
    }
}

fn word_of(happening: &Happening) -> String {
    match &happening.what {
        What::Order { order, execution } => match execution {
            Execution::New => format!("order NEW {}", order.client_id),
            Execution::Trade(_) => format!("order TRADE {}", order.status.as_str()),
            Execution::Expired => format!("order EXPIRED {}", order.expiry_reason),
            Execution::Canceled => "order CANCELED".to_owned(),
            Execution::Amended => "order AMENDMENT".to_owned(),
            Execution::Calculated => "order CALCULATED".to_owned(),
        },
        What::Balance { reason, .. } => format!("account {reason}"),
        What::Algo(algo) => format!("algo {}", algo.status.as_str()),
        What::MarginCall { positions, .. } => format!("margin call {}", positions.len()),
        What::Leverage { leverage, .. } => format!("leverage {leverage}"),
    }
}

#[test]
fn a_market_order_fills_at_the_other_side_and_moves_margin_and_fee() {
    let mut bench = bench();
    let order = bench.place(market("SOLUSDT", Side::Buy, dec!(3))).unwrap();
    assert_eq!((order.status, order.average()), (OrderStatus::Filled, dec!(100.01)));
    let position = &bench.account().positions[&symbol("SOLUSDT")];
    assert_eq!((position.amount, position.entry), (dec!(3), dec!(100.01)));
    assert_eq!(position.isolated_wallet, dec!(100.01));
    assert_eq!(bench.account().cross_wallet, dec!(1000) - dec!(100.01) - dec!(0.150015));
    assert_eq!(bench.account().wallet(), bench.ledger());
    assert_eq!(bench.stream(), ["order NEW web_870000000001", "order TRADE FILLED", "account ORDER"]);
}

#[test]
fn a_round_trip_books_profit_before_fees_and_leaves_no_margin_behind() {
    let mut bench = bench();
    bench.place(market("SOLUSDT", Side::Sell, dec!(2))).unwrap();
    bench.price("SOLUSDT", dec!(90));
    let close = OrderRequest { reduce_only: true, ..market("SOLUSDT", Side::Buy, dec!(5)) };
    let order = bench.place(close).unwrap();
    assert_eq!((order.executed, bench.held("SOLUSDT")), (dec!(2), dec!(0)));
    let fees = dec!(2) * (dec!(100) + dec!(90.01)) * dec!(0.0005);
    assert_eq!(bench.account().wallet(), dec!(1000) + dec!(2) * (dec!(100) - dec!(90.01)) - fees);
    assert_eq!(bench.account().cross_wallet, bench.account().wallet());
}

#[test]
fn a_larger_opposite_order_turns_the_position_around() {
    let mut bench = bench();
    bench.place(market("SOLUSDT", Side::Buy, dec!(2))).unwrap();
    bench.place(market("SOLUSDT", Side::Sell, dec!(5))).unwrap();
    let position = &bench.account().positions[&symbol("SOLUSDT")];
    assert_eq!((position.amount, position.entry), (dec!(-3), dec!(100)));
    assert_eq!(position.isolated_wallet, dec!(100));
    assert_eq!(bench.account().wallet(), bench.ledger());
}

#[test]
fn refused_orders_name_their_reason_and_change_nothing() {
    let mut bench = bench();
    let before = bench.engine.state().clone();
    let reduce = |request: OrderRequest| OrderRequest { reduce_only: true, ..request };
    let named =
        |id: &str| OrderRequest { client_id: Some(id.to_owned()), ..market("SOLUSDT", Side::Buy, dec!(1)) };
    for (request, code) in [
        (market("XRPUSDT", Side::Buy, dec!(1)), -1121),
        (market("SOLUSDT", Side::Buy, dec!(0)), -4003),
        (market("SOLUSDT", Side::Buy, dec!(-1)), -4003),
        (market("SOLUSDT", Side::Buy, dec!(0.001)), -1111),
        (market("SOLUSDT", Side::Buy, Decimal::MAX), -4005),
        (market("SOLUSDT", Side::Buy, dec!(0.04)), -4164),
        (market("SOLUSDT", Side::Buy, dec!(30)), -2019),
        (reduce(market("SOLUSDT", Side::Buy, dec!(1))), -2022),
        (named("no spaces"), -4015),
        (named(""), -4015),
        (limit("SOLUSDT", Side::Buy, dec!(1), dec!(0)), -4001),
        (limit("SOLUSDT", Side::Buy, dec!(1), Decimal::MAX), -4002),
        (limit("SOLUSDT", Side::Buy, dec!(1), dec!(99.999)), -1111),
        (limit("SOLUSDT", Side::Buy, dec!(1), dec!(106)), -4016),
        (limit("SOLUSDT", Side::Sell, dec!(1), dec!(94)), -4024),
        (
            OrderRequest {
                time_in_force: TimeInForce::Fok,
                ..limit("SOLUSDT", Side::Buy, dec!(1), dec!(99))
            },
            -5021,
        ),
        (
            OrderRequest {
                time_in_force: TimeInForce::Gtx,
                ..limit("SOLUSDT", Side::Buy, dec!(1), dec!(101))
            },
            -5022,
        ),
    ] {
        assert_eq!(bench.place(request.clone()), Err(code), "{request:?}");
    }
    assert_eq!(bench.engine.state(), &before);
    assert_eq!(bench.stream(), Vec::<String>::new());
}

#[test]
fn the_bracket_of_the_leverage_limits_the_position() {
    let mut bench = bench();
    let rich = bench.engine.open_account(AccountName::new("rich").unwrap(), dec!(100000000), T0);
    bench.engine.set_leverage(rich, &symbol("SOLUSDT"), 75, T0).unwrap();
    let request = market("SOLUSDT", Side::Buy, dec!(101));
    assert_eq!(bench.engine.place(rich, request, T0).map_err(|refusal| refusal.code), Err(-2027));
    bench.engine.set_leverage(rich, &symbol("SOLUSDT"), 50, T0).unwrap();
    assert!(bench.engine.place(rich, market("SOLUSDT", Side::Buy, dec!(101)), T0).is_ok());
}

#[test]
fn a_limit_order_rests_reserves_margin_and_fills_as_maker() {
    let mut bench = bench();
    let order = bench.place(limit("SOLUSDT", Side::Buy, dec!(3), dec!(99))).unwrap();
    assert_eq!(order.status, OrderStatus::New);
    assert_eq!(bench.engine.totals(bench.who).available, dec!(901));
    bench.price("SOLUSDT", dec!(98.5));
    assert_eq!(bench.held("SOLUSDT"), dec!(3));
    let trade = bench.account().trades.last().unwrap();
    assert_eq!((trade.price, trade.maker, trade.commission), (dec!(99), true, dec!(0.0594)));
    assert_eq!(bench.account().wallet(), bench.ledger());
}

#[test]
fn a_resting_order_can_be_taken_back_once() {
    let mut bench = bench();
    let order = bench.place(limit("SOLUSDT", Side::Buy, dec!(3), dec!(99))).unwrap();
    let cancel = |bench: &mut Bench| {
        bench
            .engine
            .cancel(bench.who, &symbol("SOLUSDT"), &Handle::Id(order.id), bench.now)
            .map(|order| order.status)
            .map_err(|refusal| refusal.code)
    };
    assert_eq!(cancel(&mut bench), Ok(OrderStatus::Canceled));
    assert_eq!(cancel(&mut bench), Err(-2011));
    assert_eq!(bench.engine.totals(bench.who).available, dec!(1000));
}

#[test]
fn a_stop_fills_at_the_price_the_market_gapped_to() {
    let mut bench = bench();
    bench.place(market("SOLUSDT", Side::Buy, dec!(3))).unwrap();
    let algo = bench
        .arm(AlgoRequest { client_id: Some("sl-1".to_owned()), ..stop("SOLUSDT", Side::Sell, dec!(90)) })
        .unwrap();
    bench.stream();
    bench.price("SOLUSDT", dec!(90.01));
    assert_eq!(bench.held("SOLUSDT"), dec!(3));
    bench.price("SOLUSDT", dec!(80));
    assert_eq!(bench.held("SOLUSDT"), dec!(0));
    let algo = bench.algo(algo.id);
    assert_eq!(
        (algo.status, algo.actual_price, algo.actual_quantity),
        (AlgoStatus::Finished, dec!(80), dec!(3))
    );
    let order = &bench.account().orders[&algo.actual_order.unwrap()];
    assert_eq!(
        (order.client_id.as_str(), order.kind, order.close_position),
        ("sl-1", OrderKind::Market, true)
    );
    assert_eq!(
        bench.stream(),
        [
            "algo TRIGGERING",
            "algo TRIGGERED",
            "order NEW sl-1",
            "order TRADE FILLED",
            "account ORDER",
            "algo FINISHED",
        ]
    );
    assert_eq!(bench.account().wallet(), bench.ledger());
}

#[test]
fn a_stop_watches_the_price_it_was_told_to() {
    let mut bench = bench();
    bench.place(market("SOLUSDT", Side::Buy, dec!(3))).unwrap();
    bench.arm(AlgoRequest { working: WorkingType::Mark, ..stop("SOLUSDT", Side::Sell, dec!(90)) }).unwrap();
    let only_last = Quote { mark: dec!(95), ..quote(dec!(89), dec!(0.01)) };
    bench.engine.update([(symbol("SOLUSDT"), only_last)], bench.now);
    assert_eq!(bench.held("SOLUSDT"), dec!(3));
    let mark_too = Quote { mark: dec!(90), ..only_last };
    bench.engine.update([(symbol("SOLUSDT"), mark_too)], bench.now);
    assert_eq!(bench.held("SOLUSDT"), dec!(0));
}

#[test]
fn close_position_orders_need_a_position_stand_alone_and_expire_when_flat() {
    let mut bench = bench();
    assert_eq!(bench.arm(stop("SOLUSDT", Side::Sell, dec!(90))), Err(-4509));
    bench.place(market("SOLUSDT", Side::Buy, dec!(3))).unwrap();
    assert_eq!(bench.arm(stop("SOLUSDT", Side::Buy, dec!(110))), Err(-4509));
    assert_eq!(bench.arm(stop("SOLUSDT", Side::Sell, dec!(101))), Err(-2021));
    let with_quantity = AlgoRequest { quantity: Some(dec!(1)), ..stop("SOLUSDT", Side::Sell, dec!(90)) };
    assert_eq!(bench.arm(with_quantity), Err(-4137));
    let with_reduce = AlgoRequest { reduce_only: true, ..stop("SOLUSDT", Side::Sell, dec!(90)) };
    assert_eq!(bench.arm(with_reduce), Err(-4138));
    let first = bench.arm(stop("SOLUSDT", Side::Sell, dec!(90))).unwrap();
    assert_eq!(bench.arm(stop("SOLUSDT", Side::Sell, dec!(91))), Err(-4130));
    let target = AlgoRequest { kind: AlgoKind::TakeProfitMarket, ..stop("SOLUSDT", Side::Sell, dec!(120)) };
    let target = bench.arm(target).unwrap();
    bench.price("SOLUSDT", dec!(121));
    assert_eq!(bench.held("SOLUSDT"), dec!(0));
    assert_eq!(bench.algo(target.id).status, AlgoStatus::Finished);
    assert_eq!(bench.algo(first.id).status, AlgoStatus::Expired);
}

#[test]
fn reduce_only_stops_with_a_quantity_stay_as_orphans_and_are_rejected_at_their_trigger() {
    let mut bench = bench();
    let orphan = AlgoRequest {
        quantity: Some(dec!(3)),
        close_position: false,
        reduce_only: true,
        ..stop("SOLUSDT", Side::Sell, dec!(90))
    };
    bench.place(market("SOLUSDT", Side::Buy, dec!(3))).unwrap();
    let orphan = bench.arm(orphan).unwrap();
    bench.place(OrderRequest { reduce_only: true, ..market("SOLUSDT", Side::Sell, dec!(3)) }).unwrap();
    assert_eq!(bench.algo(orphan.id).status, AlgoStatus::New);
    bench.price("SOLUSDT", dec!(89));
    let orphan = bench.algo(orphan.id);
    assert_eq!(
        (orphan.status, orphan.fail_reason.as_deref()),
        (AlgoStatus::Rejected, Some("Reduce Only reject"))
    );
    assert_eq!(bench.held("SOLUSDT"), dec!(0));
}

#[test]
fn cancelling_tells_an_unknown_conditional_order_from_a_finished_one() {
    let mut bench = bench();
    bench.place(market("SOLUSDT", Side::Buy, dec!(3))).unwrap();
    let algo = bench.arm(stop("SOLUSDT", Side::Sell, dec!(90))).unwrap();
    let cancel = |bench: &mut Bench, id| {
        bench
            .engine
            .cancel_algo(bench.who, &Handle::Id(id), bench.now)
            .map(|algo| algo.status)
            .map_err(|r| r.code)
    };
    assert_eq!(cancel(&mut bench, algo.id), Ok(AlgoStatus::Canceled));
    assert_eq!(cancel(&mut bench, algo.id), Err(-2011));
    assert_eq!(cancel(&mut bench, 1), Err(-2013));
}

#[test]
fn a_trailing_stop_follows_the_best_price_and_fires_on_the_way_back() {
    let mut bench = bench();
    bench.place(market("SOLUSDT", Side::Buy, dec!(3))).unwrap();
    let trailing = AlgoRequest {
        kind: AlgoKind::TrailingStopMarket,
        quantity: Some(dec!(3)),
        trigger_price: None,
        callback_rate: Some(dec!(5)),
        close_position: false,
        reduce_only: true,
        ..stop("SOLUSDT", Side::Sell, dec!(1))
    };
    bench.arm(trailing).unwrap();
    bench.price("SOLUSDT", dec!(120));
    bench.price("SOLUSDT", dec!(114.01));
    assert_eq!(bench.held("SOLUSDT"), dec!(3));
    bench.price("SOLUSDT", dec!(114));
    assert_eq!(bench.held("SOLUSDT"), dec!(0));
}

#[test]
fn funding_moves_from_longs_to_shorts_and_into_the_isolated_wallet() {
    let mut bench = bench();
    bench.place(market("SOLUSDT", Side::Buy, dec!(3))).unwrap();
    let before = bench.account().positions[&symbol("SOLUSDT")].isolated_wallet;
    bench.engine.fund(&symbol("SOLUSDT"), dec!(0.0001), dec!(100), bench.now);
    let position = &bench.account().positions[&symbol("SOLUSDT")];
    assert_eq!(position.isolated_wallet - before, dec!(-0.03));
    let row = bench.account().income.last().unwrap();
    assert_eq!((row.kind, row.amount), (IncomeKind::FundingFee, dec!(-0.03)));
    bench.place(market("SOLUSDT", Side::Sell, dec!(5))).unwrap();
    bench.engine.fund(&symbol("SOLUSDT"), dec!(0.0001), dec!(100), bench.now);
    assert_eq!(bench.account().income.last().unwrap().amount, dec!(0.02));
}

#[test]
fn an_isolated_position_is_liquidated_at_its_told_price_and_loses_no_more_than_its_margin() {
    let mut bench = bench();
    bench.engine.set_leverage(bench.who, &symbol("SOLUSDT"), 20, T0).unwrap();
    bench.place(market("SOLUSDT", Side::Buy, dec!(50))).unwrap();
    let told = bench.engine.liquidation_price(bench.who, &symbol("SOLUSDT"));
    // Entry 100.01, margin 250.025, bracket 1 of 0.65 %: (250.025 - 5000.5) / (50 * (0.0065 - 1)).
    assert_eq!(told.round_dp(4), dec!(95.6311));
    bench.price("SOLUSDT", dec!(95.64));
    assert_eq!(bench.held("SOLUSDT"), dec!(50));
    let margin = bench.account().positions[&symbol("SOLUSDT")].isolated_wallet;
    let before = bench.account().wallet();
    bench.stream();
    bench.price("SOLUSDT", dec!(95.63));
    assert_eq!(bench.held("SOLUSDT"), dec!(0));
    assert!(before - bench.account().wallet() <= margin);
    assert_eq!(bench.account().wallet(), bench.ledger());
    let happenings = bench.engine.drain_happenings();
    let cleared: Vec<Decimal> = happenings
        .iter()
        .filter_map(|happening| match happening.what {
            What::Balance { reason: "INSURANCE_CLEAR", change, .. } => Some(change),
            _ => None,
        })
        .collect();
    let last = bench.account().income.last().unwrap();
    assert_eq!((last.kind, cleared), (IncomeKind::InsuranceClear, vec![last.amount]), "what it took is told");
    let words: Vec<String> = happenings.iter().map(word_of).collect();
    let expected = ["order CALCULATED", "order TRADE FILLED", "account ORDER", "account INSURANCE_CLEAR"];
    assert_eq!(words, expected);
    assert!(bench.account().orders.values().last().unwrap().client_id.as_str().starts_with("autoclose-"));
}

#[test]
fn a_gap_beyond_bankruptcy_costs_an_isolated_position_exactly_its_margin() {
    let mut bench = bench();
    bench.engine.set_leverage(bench.who, &symbol("SOLUSDT"), 20, T0).unwrap();
    bench.place(market("SOLUSDT", Side::Buy, dec!(50))).unwrap();
    let margin = bench.account().positions[&symbol("SOLUSDT")].isolated_wallet;
    let before = bench.account().wallet();
    bench.price("SOLUSDT", dec!(50));
    assert_eq!(before - bench.account().wallet(), margin);
    assert_eq!(bench.account().wallet(), bench.ledger());
}

#[test]
fn a_cross_account_is_liquidated_whole_and_never_ends_below_zero() {
    let mut bench = bench();
    let who = bench.engine.open_account(AccountName::new("cross").unwrap(), dec!(1000), T0);
    bench.engine.set_leverage(who, &symbol("SOLUSDT"), 20, T0).unwrap();
    bench.engine.place(who, market("SOLUSDT", Side::Buy, dec!(150)), T0).unwrap();
    let told = bench.engine.liquidation_price(who, &symbol("SOLUSDT"));
    bench.price("SOLUSDT", told.round_dp(2) + dec!(0.02));
    assert_eq!(bench.engine.account(who).amount(&symbol("SOLUSDT")), dec!(150));
    bench.price("SOLUSDT", dec!(80));
    let account = bench.engine.account(who);
    assert_eq!(account.amount(&symbol("SOLUSDT")), dec!(0));
    assert_eq!(account.wallet(), dec!(0));
    assert_eq!(account.income.iter().map(|row| row.amount).sum::<Decimal>(), dec!(0));
}

#[test]
fn leverage_of_an_isolated_position_only_goes_up_and_margin_type_needs_a_clean_book() {
    let mut bench = bench();
    let sol = symbol("SOLUSDT");
    bench.place(market("SOLUSDT", Side::Buy, dec!(3))).unwrap();
    let leverage = |bench: &mut Bench, to| {
        bench.engine.set_leverage(bench.who, &sol, to, T0).map(|_| ()).map_err(|refusal| refusal.code)
    };
    assert_eq!(leverage(&mut bench, 2), Err(-4161));
    assert_eq!(leverage(&mut bench, 0), Err(-4028));
    assert_eq!(leverage(&mut bench, 76), Err(-4028));
    assert_eq!(leverage(&mut bench, 5), Ok(()));
    let code = |result: Result<(), Refusal>| result.map_err(|refusal| refusal.code);
    assert_eq!(code(bench.engine.set_margin_type(bench.who, &sol, MarginType::Isolated, T0)), Err(-4046));
    assert_eq!(code(bench.engine.set_margin_type(bench.who, &sol, MarginType::Cross, T0)), Err(-4048));
    bench.place(market("SOLUSDT", Side::Sell, dec!(3))).unwrap();
    bench.place(limit("SOLUSDT", Side::Buy, dec!(1), dec!(99))).unwrap();
    assert_eq!(code(bench.engine.set_margin_type(bench.who, &sol, MarginType::Cross, T0)), Err(-4047));
}

#[test]
fn the_maintenance_table_has_no_steps() {
    let bench = bench();
    for contract in bench.engine.contracts().values() {
        for pair in contract.brackets.windows(2) {
            let at = pair[1].floor;
            assert_eq!(at * pair[0].ratio - pair[0].cumulative, at * pair[1].ratio - pair[1].cumulative);
        }
    }
}
