//! Whatever is asked: no panic, refusals change nothing, the books balance, a restart or a journal loses nothing.

use proptest::prelude::*;
use rust_decimal::Decimal;
use rust_decimal_macros::dec;

use super::super::*;
use super::{T0, listing, quote, symbol};
use crate::domain::Side;

/// A request with numbers from anywhere, or a new price.
#[derive(Debug, Clone)]
enum Command {
    Order(OrderRequest),
    Algo(AlgoRequest),
    Amend { side: Side, name: u8, quantity: Decimal, price: Decimal },
    Cancel { name: u8, all: bool, conditional: bool },
    Leverage(u32),
    Margin(bool),
    Move(Decimal),
    Share(Decimal),
    Price { cents: i64, mark_apart: i64, later: i64 },
    Fund(i64),
}

fn side() -> impl Strategy<Value = Side> {
    prop_oneof![Just(Side::Buy), Just(Side::Sell)]
}

/// Mostly sizes that make sense at 100 USDT, some that fill many levels, and anything at all.
fn quantity() -> impl Strategy<Value = Decimal> {
    prop_oneof![
        6 => (1..500_i64).prop_map(Decimal::from),
        4 => (500..40_000_i64).prop_map(Decimal::from),
        1 => any_number(),
    ]
}

fn price() -> impl Strategy<Value = Decimal> {
    prop_oneof![8 => (9_500..10_500_i64).prop_map(|cents| Decimal::new(cents, 2)), 1 => any_number()]
}

fn any_number() -> impl Strategy<Value = Decimal> {
    prop_oneof![
        Just(Decimal::MAX),
        Just(Decimal::MIN),
        Just(Decimal::ZERO),
        (any::<i64>(), 0..28_u32).prop_map(|(number, scale)| Decimal::new(number, scale)),
    ]
}

fn word<T: Copy + std::fmt::Debug + 'static>(words: &'static [T]) -> impl Strategy<Value = T> {
    prop::sample::select(words)
}

fn name() -> impl Strategy<Value = Option<String>> {
    prop_oneof![
        3 => Just(None),
        2 => (0..4_u8).prop_map(|number| Some(format!("c{number}"))),
        1 => any::<String>().prop_map(Some),
    ]
}

const TIMES: [TimeInForce; 5] =
    [TimeInForce::Gtc, TimeInForce::Ioc, TimeInForce::Fok, TimeInForce::Gtx, TimeInForce::Gtd];
const KINDS: [AlgoKind; 5] = [
    AlgoKind::StopMarket,
    AlgoKind::TakeProfitMarket,
    AlgoKind::Stop,
    AlgoKind::TakeProfit,
    AlgoKind::TrailingStopMarket,
];

fn order() -> impl Strategy<Value = Command> {
    let good_till = prop_oneof![Just(None), any::<i64>().prop_map(Some), Just(Some(T0 + 7_200_000))];
    (side(), any::<bool>(), word(&TIMES), quantity(), price(), any::<bool>(), name(), good_till).prop_map(
        |(side, market, time_in_force, quantity, price, reduce_only, client_id, good_till)| {
            Command::Order(OrderRequest {
                symbol: symbol("THINUSDT"),
                side,
                kind: if market { OrderKind::Market } else { OrderKind::Limit },
                time_in_force,
                quantity,
                price: if market { Decimal::ZERO } else { price },
                reduce_only,
                client_id,
                good_till,
            })
        },
    )
}

fn algo() -> impl Strategy<Value = Command> {
    let rate = prop_oneof![(1..250_i64).prop_map(|rate| Decimal::new(rate, 1)), any_number()];
    let numbers = (
        prop::option::of(quantity()),
        prop::option::of(price()),
        prop::option::of(price()),
        prop::option::of(rate),
        prop::option::of(price()),
    );
    let flags = (any::<bool>(), any::<bool>(), any::<bool>(), any::<bool>());
    (side(), word(&KINDS), word(&TIMES), numbers, flags, name()).prop_map(
        |(side, kind, time_in_force, (quantity, price, trigger, rate, activate), flags, client_id)| {
            let trailing = kind == AlgoKind::TrailingStopMarket;
            Command::Algo(AlgoRequest {
                symbol: symbol("THINUSDT"),
                side,
                kind,
                time_in_force,
                quantity: quantity.filter(|_| !flags.0),
                price: price.filter(|_| kind.is_limit()),
                trigger_price: trigger.filter(|_| !trailing),
                callback_rate: rate.filter(|_| trailing),
                activate_price: activate.filter(|_| trailing),
                working: if flags.1 { WorkingType::Mark } else { WorkingType::Contract },
                close_position: flags.0,
                reduce_only: flags.2 && !flags.0,
                price_protect: flags.3,
                client_id,
                good_till: None,
            })
        },
    )
}

fn command() -> impl Strategy<Value = Command> {
    let share = prop_oneof![(0..100_i64).prop_map(|share| Decimal::new(share, 2)), any_number()];
    let moved = prop_oneof![(-100_000..100_000_i64).prop_map(Decimal::from), any_number()];
    prop_oneof![
        6 => order(),
        4 => algo(),
        2 => (side(), 0..4_u8, quantity(), price())
            .prop_map(|(side, name, quantity, price)| Command::Amend { side, name, quantity, price }),
        1 => (0..4_u8, any::<bool>(), any::<bool>())
            .prop_map(|(name, all, conditional)| Command::Cancel { name, all, conditional }),
        1 => any::<u32>().prop_map(|leverage| Command::Leverage(leverage % 130)),
        1 => any::<bool>().prop_map(Command::Margin),
        1 => moved.prop_map(Command::Move),
        1 => share.prop_map(Command::Share),
        6 => (6_000..14_000_i64, -800..800_i64, 1..100_000_000_i64)
            .prop_map(|(cents, mark_apart, later)| Command::Price { cents, mark_apart, later }),
        1 => (-300..300_i64).prop_map(Command::Fund),
    ]
}

struct Desk {
    engine: Engine,
    who: AccountId,
    now: i64,
}

fn listings() -> [Listing; 1] {
    [listing("THINUSDT", dec!(0.01), dec!(1), 5, 8)]
}

fn desk() -> Desk {
    let mut engine = Engine::new(listings()).seeded(3);
    let who = engine.open_account(AccountName::new("rich").unwrap(), dec!(2000000), T0);
    engine.update([(symbol("THINUSDT"), quote(dec!(100), dec!(0.01)))], T0);
    engine.set_leverage(who, &symbol("THINUSDT"), 4, T0).unwrap();
    engine.drain_happenings();
    Desk { engine, who, now: T0 }
}

impl Desk {
    /// Carries a command out; whether it was refused.
    fn act(&mut self, command: Command) -> bool {
        let (engine, who, thin) = (&mut self.engine, self.who, symbol("THINUSDT"));
        self.now += 10;
        let now = self.now;
        match command {
            Command::Order(request) => engine.place(who, request, now).is_err(),
            Command::Algo(request) => engine.place_algo(who, request, now).is_err(),
            Command::Amend { side, name, quantity, price } => {
                let handle = Handle::Client(format!("c{name}"));
                engine.modify(who, &Amendment { symbol: thin, handle, side, quantity, price }, now).is_err()
            }
            Command::Cancel { name, all, conditional } => {
                let handle = Handle::Client(format!("c{name}"));
                match (all, conditional) {
                    (true, true) => engine.cancel_all_algos(who, &thin, now).is_err(),
                    (true, false) => engine.cancel_all(who, &thin, now).is_err(),
                    (false, true) => engine.cancel_algo(who, &handle, now).is_err(),
                    (false, false) => engine.cancel(who, &thin, &handle, now).is_err(),
                }
            }
            Command::Leverage(leverage) => engine.set_leverage(who, &thin, leverage, now).is_err(),
            Command::Margin(cross) => {
                let margin = if cross { MarginType::Cross } else { MarginType::Isolated };
                engine.set_margin_type(who, &thin, margin, now).is_err()
            }
            Command::Move(amount) => engine.move_margin(who, &thin, amount, now).is_err(),
            Command::Share(share) => {
                engine.fill_only(who, share);
                false
            }
            Command::Price { cents, mark_apart, later } => {
                self.now += later;
                let told = quote(Decimal::new(cents, 2), dec!(0.01));
                engine
                    .update([(thin, Quote { mark: Decimal::new(cents + mark_apart, 2), ..told })], self.now);
                false
            }
            Command::Fund(rate) => {
                let mark = engine.quote(&thin).unwrap().mark;
                engine.fund(&thin, Decimal::new(rate, 5), mark, now);
                false
            }
        }
    }

    fn bytes(&self) -> String {
        serde_json::to_string(self.engine.state()).unwrap()
    }
}

fn ledger(account: &Account, kind: IncomeKind) -> Decimal {
    account.income.iter().filter(|row| row.kind == kind).map(|row| row.amount).sum()
}

proptest! {
    #[test]
    fn refusals_change_nothing_and_the_books_balance(commands in prop::collection::vec(command(), 1..60)) {
        let mut desk = desk();
        for command in commands {
            let before = desk.bytes();
            if desk.act(command.clone()) {
                prop_assert_eq!(desk.bytes(), before, "after {:?}", command);
                prop_assert!(desk.engine.drain_happenings().is_empty());
            }
            let account = desk.engine.account(desk.who);
            prop_assert_eq!(account.wallet(), account.ledger_sum(), "after {:?}", command);
            prop_assert!(!account.wallet().is_sign_negative() || account.wallet().is_zero()
                || !account.amount(&symbol("THINUSDT")).is_zero());
            let free = desk.engine.totals(desk.who).free;
            for coin in desk.engine.contracts().keys() {
                let standing = desk.engine.standing(desk.who, coin);
                prop_assert_eq!(desk.engine.free(desk.who, coin, &standing), free, "after {:?}", command);
            }
            desk.engine.drain_happenings();
        }
        let account = desk.engine.account(desk.who);
        let sum = |of: fn(&Trade) -> Decimal| account.trades.iter().map(of).sum::<Decimal>();
        prop_assert_eq!(ledger(account, IncomeKind::RealizedPnl), sum(|trade| trade.realized));
        prop_assert_eq!(-ledger(account, IncomeKind::Commission), sum(|trade| trade.commission));
        let signed = sum(|trade| if trade.side == Side::Buy { trade.quantity } else { -trade.quantity });
        prop_assert_eq!(signed, account.amount(&symbol("THINUSDT")));
        for order in account.orders.values() {
            let fills = account.trades.iter().filter(|trade| trade.order_id == order.id);
            let (quantity, value) = fills.fold((dec!(0), dec!(0)), |(quantity, value), trade| {
                (quantity + trade.quantity, value + trade.quantity * trade.price)
            });
            prop_assert_eq!((quantity, value), (order.executed, order.executed_quote));
            prop_assert!(order.executed <= order.quantity);
            prop_assert_eq!(order.is_open(), account.open_orders.contains(&order.id));
        }
    }

    #[test]
    fn a_resumed_exchange_goes_on_as_the_one_that_never_stopped(
        commands in prop::collection::vec(command(), 1..40), cut in 0..40_usize,
    ) {
        let (mut first, mut second) = (desk(), desk());
        for (number, command) in commands.into_iter().enumerate() {
            first.act(command.clone());
            second.act(command);
            if number == cut {
                let state = serde_json::from_str(&second.bytes()).unwrap();
                let told = second.engine.quote(&symbol("THINUSDT")).unwrap();
                second.engine = Engine::resume(listings(), state).seeded(3);
                // Both begin the moment with a full book.
                for desk in [&mut first, &mut second] {
                    desk.now += 1;
                    desk.engine.update([(symbol("THINUSDT"), told)], desk.now);
                }
            }
        }
        prop_assert_eq!(first.bytes(), second.bytes());
    }

    #[test]
    fn the_differences_add_up_to_the_state(commands in prop::collection::vec(command(), 1..40)) {
        let mut desk = desk();
        let mut kept = desk.engine.state().clone();
        let _ = desk.engine.changes(&[]);
        desk.engine.drain_happenings();
        for command in commands {
            desk.act(command);
            let reported = desk.engine.drain_happenings();
            match desk.engine.changes(&reported) {
                Some(changes) => {
                    let line = serde_json::to_string(&changes).unwrap();
                    prop_assert!(kept.apply(serde_json::from_str(&line).unwrap()));
                }
                None => kept = desk.engine.state().clone(),
            }
            prop_assert_eq!(&kept, desk.engine.state());
        }
    }
}
