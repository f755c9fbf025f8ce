//! Paper money on the prices of a world that is served as the stand-in for Binance and all providers.

use rust_decimal_macros::dec;

use super::*;
use crate::cli::desk;
use crate::cli::venue::Venue;
use crate::config::{MarketSource, Settings};
use crate::desk::{Floor, Streams};
use crate::domain::{CycleReport, DecisionRow, OutcomeKind, Rule, Side, SystemClock, Trigger};
use crate::store::{FILE_NAME, Store};
use crate::world::WorldOptions;
use crate::world::engine::{Order, OrderKind, OrderRequest, Refusal, TimeInForce};
use crate::world::faults::{Class, Effect, Farewell, Match, Rule as Weather, Schedule, Stretch};

/// More than any of it needs on a busy machine.
const PATIENCE: Duration = Duration::from_mins(2);

async fn until(what: &str, is_so: impl Fn() -> bool) {
    let wait = async {
        while !is_so() {
            sleep(Duration::from_millis(50)).await;
        }
    };
    assert!(timeout(PATIENCE, wait).await.is_ok(), "waited in vain until {what}");
}

/// A world over TCP.
async fn stand_in(seed: u64) -> (Arc<World>, String) {
    let options = WorldOptions {
        seed,
        accounts: Vec::new(),
        balance: crate::domain::Usdt::ZERO,
        speed: 1.0,
        token_delay: Duration::ZERO,
        enforce_limits: false,
        recorded: None,
        state_file: None,
    };
    let world = World::open(options, Arc::new(SystemClock)).unwrap();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = world.router();
    tokio::spawn(async move { axum::serve(listener, router).await });
    tokio::spawn(Arc::clone(&world).drive());
    (world, format!("http://{address}"))
}

fn settings(base_url: &str) -> Settings {
    let mut settings = Settings::default();
    settings.market.source = MarketSource::Binance;
    settings.market.base_url = Some(base_url.to_owned());
    settings.world.token_delay_ms = 0;
    // A slot that no test reaches.
    "0 0 0 1 1 *".clone_into(&mut settings.schedule.cron);
    settings
}

/// A desk at work on paper money and told prices.
struct AtWork {
    venue: Venue,
    floor: Arc<Floor>,
    serving: JoinHandle<()>,
    driver: JoinHandle<()>,
    _commands: mpsc::Sender<crate::domain::OperatorCommand>,
}

impl AtWork {
    async fn open(settings: &Settings, folder: &std::path::Path) -> Self {
        let venue = Venue::open(settings, None, folder).await.unwrap();
        assert!(venue.silent.is_empty(), "{:?}", venue.without_prices());
        let file = folder.join(FILE_NAME);
        let store = tokio::task::spawn_blocking(move || Store::open(&file)).await.unwrap().unwrap();
        let floor = desk::open(settings, folder, &venue, &store, "test".into(), Some(folder)).await.unwrap();
        let driver = tokio::spawn(Arc::clone(venue.world.as_ref().unwrap()).drive());
        let streams = Streams { connector: venue.connector.clone(), ws_url: venue.ws_url.clone() };
        let (commands, heard) = mpsc::channel(1);
        let serving = Arc::clone(&floor);
        let serving = tokio::spawn(async move { serving.serve(streams, heard, false).await.unwrap() });
        Self { venue, floor, serving, driver, _commands: commands }
    }

    fn world(&self) -> &Arc<World> {
        self.venue.world.as_ref().unwrap()
    }

    async fn cycle(&self) -> CycleReport {
        self.floor.run_cycle(Trigger::Manual).await.unwrap()
    }

    fn alarms(&self) -> Vec<String> {
        self.floor.bulletin().read(|desk| desk.alarms.iter().map(|alarm| alarm.text.clone()).collect())
    }

    async fn end(self) {
        self.floor.end();
        self.serving.await.unwrap();
        self.driver.abort();
        self.venue.save().unwrap();
    }

    /// Amount, entry, and price of the last trade of an account in a coin.
    fn stand(&self, row: &DecisionRow) -> (Decimal, Decimal, Option<Decimal>) {
        let core = self.world().core();
        let mut accounts = core.engine.accounts();
        let (_, account) = accounts.find(|(_, account)| account.name == row.proposal.account).unwrap();
        let symbol = &row.proposal.symbol;
        let trade = account.trades.iter().rev().find(|trade| trade.symbol == *symbol);
        let position = account.positions.get(symbol);
        let entry = position.map_or(Decimal::ZERO, |position| position.entry);
        (account.amount(symbol), entry, trade.map(|trade| trade.price))
    }

    /// Amount, and price of the last trade of the first account in a coin.
    fn first_account(&self, symbol: &Symbol) -> (Decimal, Option<Decimal>) {
        let core = self.world().core();
        let (_, account) = core.engine.accounts().next().unwrap();
        let trade = account.trades.iter().rev().find(|trade| trade.symbol == *symbol);
        (account.amount(symbol), trade.map(|trade| trade.price))
    }

    /// Buys for so many USDT in the first account, as an operator would at the exchange.
    fn buy(&self, symbol: &Symbol, notional: Decimal) -> Result<Order, Refusal> {
        let mut core = self.world().core();
        let now = core.played_ms;
        let (id, _) = core.engine.accounts().next().unwrap();
        let mark = core.engine.last_quote(symbol).unwrap().mark;
        let step = core.engine.contract(symbol).unwrap().listing.step;
        let order = OrderRequest {
            symbol: symbol.clone(),
            side: Side::Buy,
            kind: OrderKind::Market,
            time_in_force: TimeInForce::Gtc,
            quantity: (notional / mark / step).ceil() * step,
            price: Decimal::ZERO,
            reduce_only: false,
            client_id: None,
            good_till: None,
        };
        let bought = core.engine.place(id, order, now);
        self.world().finish(&mut core);
        bought
    }

    /// Stops of the first account in a coin.
    fn waiting(&self, symbol: &Symbol) -> usize {
        let core = self.world().core();
        let (_, account) = core.engine.accounts().next().unwrap();
        account.waiting().filter(|algo| algo.symbol == *symbol).count()
    }

    fn stops(&self, row: &DecisionRow) -> usize {
        let core = self.world().core();
        let mut accounts = core.engine.accounts();
        let (_, account) = accounts.find(|(_, account)| account.name == row.proposal.account).unwrap();
        account.waiting().filter(|algo| algo.symbol == row.proposal.symbol).count()
    }
}

fn opened(report: &CycleReport) -> Vec<DecisionRow> {
    report.decisions.iter().filter(|row| row.outcome.kind == OutcomeKind::Opened).cloned().collect()
}

/// The price of a coin at the stand-in.
fn price(stand_in: &World, symbol: &Symbol) -> Decimal {
    stand_in.core().engine.quote(symbol).unwrap().last
}

/// Moves the stand-in's price so far against a position that its stop of ten percent is passed.
fn against(stand_in: &World, symbol: &Symbol, amount: Decimal) -> Decimal {
    let factor = if amount.is_sign_positive() { dec!(0.85) } else { dec!(1.15) };
    let tick = stand_in.core().engine.contract(symbol).unwrap().listing.tick;
    let price = (price(stand_in, symbol) * factor / tick).round() * tick;
    stand_in.set_price(symbol, price).unwrap();
    price
}

fn is_near(one: Decimal, other: Decimal) -> bool {
    ((one - other) / other).abs() < dec!(0.02)
}

/// A desk at work beside a stand-in where its analyst opens something: prices go by the date, and not on every day does it
/// find something in every world.
async fn with_openings() -> (Arc<World>, Settings, tempfile::TempDir, AtWork, CycleReport) {
    for seed in 1..=20 {
        let (stand_in, base_url) = stand_in(seed).await;
        let (settings, folder) = (settings(&base_url), tempfile::tempdir().unwrap());
        let at_work = AtWork::open(&settings, folder.path()).await;
        let report = at_work.cycle().await;
        if !opened(&report).is_empty() {
            return (stand_in, settings, folder, at_work, report);
        }
        at_work.end().await;
    }
    panic!("in twenty worlds the analyst opens nothing");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn paper_money_trades_on_told_prices_and_never_on_old_ones() {
    // Whether one is installed already does not matter.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let (stand_in, settings, folder, at_work, report) = with_openings().await;
    assert!(at_work.venue.id.starts_with("fed:") && !at_work.venue.built_in);
    let facts = at_work.floor.bulletin().read(|desk| desk.facts.clone());
    assert!(facts.is_paper_on_real_prices());

    // It opens at the told price, with its stop.
    let rows = opened(&report);
    for row in &rows {
        let (amount, entry, _) = at_work.stand(row);
        assert!(!amount.is_zero() && is_near(entry, price(&stand_in, &row.proposal.symbol)), "{row:?}");
        assert_eq!(at_work.stops(row), 1, "{row:?}");
    }
    let names: Vec<&str> = report.brief.sources.iter().map(|source| source.name.as_str()).collect();
    assert!(names.iter().all(|name| !name.contains("built-in")), "{names:?}");

    // The streams fall silent, although everything else still answers: said, and nothing is opened.
    let streams = Match { class: Some(Class::Stream), ..Match::default() };
    stand_in.arm(None, vec![Weather::new(Effect::Silent {}).matching(streams)]).unwrap();
    let symbols = at_work.floor.symbols();
    until("the prices are old", || {
        symbols.iter().all(|symbol| !at_work.world().hears_all(std::slice::from_ref(symbol)))
    })
    .await;
    until("the desk says so", || at_work.alarms().iter().any(|text| text.contains("no price heard"))).await;
    let report = at_work.cycle().await;
    assert!(opened(&report).is_empty(), "{:#?}", opened(&report));
    // What it wants to open by then goes by the date as well; whatever it is, this is what keeps it back.
    for row in report.decisions.iter().filter(|row| row.outcome.kind == OutcomeKind::Refused) {
        let before_it = [Some(Rule::Threshold), Some(Rule::AllowedAction), Some(Rule::StaleData)];
        assert!(before_it.contains(&row.outcome.rule), "{row:#?}");
    }
    let coin = symbols.iter().find(|symbol| rows.iter().all(|row| row.proposal.symbol != **symbol)).unwrap();
    let refused = at_work.buy(coin, dec!(200)).unwrap_err();
    assert_eq!(refused.code, -4141, "the exchange itself does not trade on an old price");

    // Connections that are made anew go on: by time, so that every one of them is ended, whatever it carries.
    stand_in.faults().clear();
    let at_once = Stretch { at_seconds: 0.0, until_seconds: 0.1, rate: None };
    let ended = Weather {
        schedule: Schedule::Script(vec![at_once]),
        ..Weather::new(Effect::Disconnect { code: Farewell::default() })
    };
    stand_in.arm(None, vec![ended]).unwrap();
    until("prices are heard again", || at_work.world().hears_all(&symbols)).await;
    until("the desk says so", || at_work.alarms().iter().any(|text| text.contains("heard again"))).await;

    // A jump of the told price fills the stop where the price is then.
    let first = &rows[0];
    let jumped = against(&stand_in, &first.proposal.symbol, at_work.stand(first).0);
    until("the stop is filled", || at_work.stand(first).0.is_zero()).await;
    assert!(is_near(at_work.stand(first).2.unwrap(), jumped), "{:?} at {jumped}", at_work.stand(first));

    // While nobody is there, the price passes a stop: the first price after the start fills it.
    at_work.buy(coin, dec!(200)).unwrap();
    until("the guardian protects what it finds", || at_work.waiting(coin) == 1).await;
    at_work.end().await;
    let jumped = against(&stand_in, coin, Decimal::ONE);
    let at_work = AtWork::open(&settings, folder.path()).await;
    let (amount, filled) = at_work.first_account(coin);
    assert!(amount.is_zero(), "before the desk looks, the gap has done what it must");
    assert!(is_near(filled.unwrap(), jumped), "{filled:?} at {jumped}");
    at_work.end().await;

    // Neither the journal nor the file of the exchange is a made-up world's.
    let mut made_up = settings.clone();
    made_up.market.source = MarketSource::World;
    let venue = Venue::open(&made_up, None, folder.path()).await.unwrap();
    assert!(venue.id.starts_with("world:") && venue.built_in);
    let file = folder.path().join(FILE_NAME);
    let store = tokio::task::spawn_blocking(move || Store::open(&file)).await.unwrap().unwrap();
    let refused = desk::open(&made_up, folder.path(), &venue, &store, "test".into(), None).await.unwrap_err();
    assert!(refused.message().contains("paper money on real prices"), "{}", refused.message());
}

#[tokio::test(start_paused = true)]
async fn half_a_quote_or_an_old_half_is_none_and_the_last_price_follows_the_book() {
    let price = |value| crate::domain::Price::new(value).unwrap();
    let premium = Premium {
        mark_price: Some(price(dec!(100))),
        index_price: None,
        funding_rate: Some(dec!(0.0001)),
        next_funding: chrono::DateTime::from_timestamp_millis(5),
        time: None,
    };
    let book = |bid, ask| Book { bid: price(bid), ask: price(ask) };
    let mut coin = Coin::default();
    let start = Instant::now();
    coin.hear_premium(premium.clone(), start);
    assert_eq!(coin.quote(start), None, "no book");
    assert_eq!(coin.due, Some(start + BOOK_FOLLOWS));
    coin.hear_book(book(dec!(99), dec!(99.5)), start);
    assert_eq!(coin.due, Some(start), "a book is told at once");
    let quote = coin.quote(start).unwrap();
    assert_eq!((quote.quote.last, quote.quote.mark, quote.quote.index), (dec!(99.5), dec!(100), dec!(100)));
    assert_eq!((quote.funding_rate, quote.next_funding_ms), (dec!(0.0001), 5));
    coin.hear_book(book(dec!(101), dec!(102)), start);
    assert_eq!(coin.quote(start).unwrap().quote.last, dec!(101));
    coin.hear_book(book(dec!(100), dec!(103)), start);
    assert_eq!(coin.quote(start).unwrap().quote.last, dec!(101), "nothing traded through it");
    let later = start + LONGEST_SILENCE;
    coin.hear_book(book(dec!(100), dec!(103)), later);
    assert_eq!(coin.quote(later), None, "the mark is of the past");
    coin.hear_premium(Premium { funding_rate: None, ..premium }, later);
    assert_eq!(coin.quote(later), None, "without a funding rate the engine cannot go by it");
}
