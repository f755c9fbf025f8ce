//! A bench for the whole desk: the real floor on the real world, with faults between them and a watch over the truth.
//!
//! Time is virtual: every life of the desk runs on a runtime of its own with a paused clock, and the exchange's wall
//! clock follows it. Ending a life drops the runtime, which is what a crash looks like from outside.

#![allow(dead_code, reason = "each test program uses a part of the bench")]

pub mod clock;
pub mod faults;
pub mod hands;
pub mod model;
pub mod oracle;
pub mod sockets;
pub mod weather;

use std::collections::BTreeMap;
use std::future::Future;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chrono::DateTime;
use jarvis::config::Settings;
use jarvis::desk::prompt::{Language, PromptFiles, Templates};
use jarvis::desk::sizing::CoinAllocation;
use jarvis::desk::{AccountTerms, DeskParts, Floor, Streams};
use jarvis::domain::{
    AccountName, Clock, Command, CycleReport, Event, Halt, OperatorCommand, Symbol, Timestamp, Trigger, Usdt,
};
use jarvis::exchange::{Credentials, ExchangeClient, Limits};
use jarvis::llm::{LlmClient, LlmOptions};
use jarvis::market::{Simsar, SimsarOptions, SourceAddresses};
use jarvis::net::{SocketConnector, Transport};
use jarvis::store::{Check, Store};
use jarvis::world::{Histories, World, WorldOptions};
use secrecy::SecretString;
use tokio::sync::mpsc;

use clock::SimClock;
use faults::Faults;
use model::Script;

/// Market and wall time at which every bench begins.
pub const START_MS: i64 = 1_772_438_700_000;
/// What each account starts with.
pub const BALANCE: i64 = 10_000;

/// How a bench is set up.
pub struct Setup {
    pub seed: u64,
    pub accounts: usize,
    pub coins: &'static [&'static str],
    /// Whether private streams tell what the world's streams tell; else they live and tell nothing.
    pub has_streams: bool,
}

/// Many benches are of one seed, and all of one hour.
static HISTORIES: Histories = Histories::new();

impl Default for Setup {
    fn default() -> Self {
        Self { seed: 1, accounts: 1, coins: &["BTCUSDT", "ETHUSDT"], has_streams: false }
    }
}

/// A world, a folder for the store, a scripted model and the faults between them.
pub struct Bench {
    pub world: Arc<World>,
    pub clock: Arc<SimClock>,
    pub faults: Arc<Faults>,
    pub script: Script,
    pub settings: Settings,
    pub symbols: Vec<Symbol>,
    pub folder: tempfile::TempDir,
    pub names: Vec<AccountName>,
    /// Names the installation in order ids.
    pub install: Arc<str>,
    /// Whether the desk looks for requests in the folder.
    pub has_mailbox: bool,
    /// What the market's clock says of its own speed. At 0 the schedule rests; else its slots are kept, although only
    /// the test moves that clock.
    pub pace: f64,
    has_streams: bool,
    by_hand: Mutex<Vec<String>>,
}

/// A desk at work within one life.
pub struct Desk {
    pub floor: Arc<Floor>,
    pub store: Store,
    commands: mpsc::Sender<OperatorCommand>,
    serving: tokio::task::JoinHandle<()>,
}

pub fn symbol(text: &str) -> Symbol {
    Symbol::new(text).unwrap()
}

impl Bench {
    pub fn new(setup: &Setup) -> Self {
        let names: Vec<AccountName> = ["mirat", "mevlut", "tugrul", "deniz", "ece"][..setup.accounts]
            .iter()
            .map(|name| AccountName::new(name).unwrap())
            .collect();
        let clock = Arc::new(SimClock::new(DateTime::from_timestamp_millis(START_MS).unwrap()));
        let options = WorldOptions {
            seed: setup.seed,
            accounts: names.clone(),
            balance: Usdt::of(BALANCE.into()),
            speed: 0.0,
            token_delay: Duration::ZERO,
            enforce_limits: false,
            recorded: None,
            state_file: None,
        };
        let world = World::open_from(&HISTORIES, options, clock.clone()).unwrap();
        let mut settings = Settings::default();
        // A slot that no test reaches: cycles are started by the tests.
        "0 0 0 1 1 *".clone_into(&mut settings.schedule.cron);
        settings.profile = jarvis::domain::Profile::Guarded;
        // What is tried on this bench is execution; whoever tries the guards switches them on.
        settings.risk.guards = jarvis::config::GuardSettings::off();
        Self {
            faults: Faults::over(&world, clock.clone(), setup.seed),
            script: Script::default(),
            symbols: setup.coins.iter().map(|coin| symbol(coin)).collect(),
            folder: folder(),
            world,
            clock,
            settings,
            names,
            install: "bench".into(),
            has_mailbox: false,
            pace: 0.0,
            has_streams: setup.has_streams,
            by_hand: Mutex::default(),
        }
    }

    /// Trades at the exchange as an operator would on its web page.
    pub async fn trade_by_hand(
        &self,
        account: usize,
        symbol: &Symbol,
        side: jarvis::domain::Side,
        quantity: &str,
    ) {
        let order = jarvis::exchange::MarketOrder {
            symbol: symbol.clone(),
            side,
            quantity: quantity.parse().unwrap(),
            reduce_only: false,
            client_order_id: jarvis::domain::ClientOrderId::new(format!(
                "web{}",
                self.by_hand.lock().unwrap().len()
            ))
            .unwrap(),
        };
        self.faults.stranger_trades();
        let ack = self.truth(account).place_market(&order).await.accepted().unwrap();
        self.by_hand.lock().unwrap().push(ack.order_id.to_string());
        self.faults.look(account).await;
    }

    pub fn by_hand(&self, exchange_id: &str) -> bool {
        self.by_hand.lock().unwrap().iter().any(|id| id == exchange_id)
    }

    pub fn store_file(&self) -> PathBuf {
        self.folder.path().join("jarvis.db")
    }

    /// One life of the desk: `work` runs on a paused clock until it ends, and everything it started is cut off.
    pub fn live<T>(&self, work: impl AsyncFnOnce(&Self) -> T) -> T {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        let result = runtime.block_on(async {
            self.clock.start();
            self.faults.begin_life().await;
            if self.has_streams {
                // Ends with the runtime.
                tokio::spawn(Arc::clone(&self.world).drive());
            }
            let result = work(self).await;
            self.clock.stop();
            self.faults.end_life();
            result
        });
        drop(runtime);
        result
    }

    /// Opens the desk and sets its guardians and commands to work.
    pub async fn open(&self) -> Desk {
        self.try_open().await.unwrap()
    }

    pub async fn try_open(&self) -> Result<Desk, jarvis::desk::DeskError> {
        let (floor, store) = self.open_floor().await?;
        let (commands, heard) = mpsc::channel(16);
        let streams = self.streams();
        let working = Arc::clone(&floor);
        let serving = tokio::spawn(async move {
            working.serve(streams, heard, false).await.unwrap();
        });
        Ok(Desk { floor, store, commands, serving })
    }

    /// The desk as it stands after its recovery, with nothing at work.
    pub async fn open_floor(&self) -> Result<(Arc<Floor>, Store), jarvis::desk::DeskError> {
        let (file, now) = (self.store_file(), self.clock.now());
        let opening = move || Store::open_or_begin_anew(&file, Check::Whole, now);
        let (store, lost) = tokio::task::spawn_blocking(opening).await.unwrap().unwrap();
        let store = store.at(&format!("world:{}", self.world.id()));
        let floor = Floor::open(self.parts(&store)).await?;
        if let Some(lost) = lost {
            assert!(floor.begin_closing_only(&lost).await);
            Store::loss_is_known(self.folder.path()).unwrap();
        }
        Ok((floor, store))
    }

    /// Between two lives: the journal is gone, or an older copy is in its place.
    pub fn replace_journal(&self, copy: Option<&[u8]>) {
        let file = self.store_file();
        for ending in ["db-wal", "db-shm"] {
            let _ = std::fs::remove_file(file.with_extension(ending));
        }
        match copy {
            Some(bytes) => std::fs::write(file, bytes).unwrap(),
            None => std::fs::remove_file(file).unwrap(),
        }
    }

    /// From now on the journal takes no new rows of a table, or those that a condition on `NEW` names.
    pub fn refuse_writes(&self, table: &str, when: &str) {
        let journal = rusqlite::Connection::open(self.store_file()).unwrap();
        let trigger = format!(
            "CREATE TRIGGER refuse_{table} BEFORE INSERT ON {table} WHEN {when}
             BEGIN SELECT RAISE(ABORT, 'the disk is full'); END"
        );
        journal.execute_batch(&trigger).unwrap();
    }

    /// It takes them again.
    pub fn allow_writes(&self, table: &str) {
        let journal = rusqlite::Connection::open(self.store_file()).unwrap();
        journal.execute_batch(&format!("DROP TRIGGER refuse_{table}")).unwrap();
    }

    /// From now on the journal can neither read nor write a table.
    pub fn take_table_away(&self, table: &str) {
        let journal = rusqlite::Connection::open(self.store_file()).unwrap();
        journal.execute_batch(&format!("ALTER TABLE {table} RENAME TO {table}_away")).unwrap();
    }

    /// The table is where it was.
    pub fn bring_table_back(&self, table: &str) {
        let journal = rusqlite::Connection::open(self.store_file()).unwrap();
        journal.execute_batch(&format!("ALTER TABLE {table}_away RENAME TO {table}")).unwrap();
    }

    /// How many stops and other conditional orders rest in an account.
    pub async fn stops(&self, account: usize) -> usize {
        self.truth(account).open_algo_orders(None).await.unwrap().len()
    }

    /// Takes every stop of an account away, as another hand would.
    pub async fn take_stops_away(&self, account: usize) {
        for stop in self.truth(account).open_algo_orders(None).await.unwrap() {
            let _ = self.truth(account).cancel_algo(&stop.client_order_id.unwrap()).await;
        }
    }

    /// Private streams are the world's where the bench has streams; all others tell nothing, so that the desk must do
    /// with what it asks for.
    pub fn streams(&self) -> Streams {
        let world = self.has_streams.then(|| Arc::clone(&self.world));
        let connector = SocketConnector::from_fn(move |url| {
            let path = url.strip_prefix("ws://bench").unwrap_or_default();
            let socket = match &world {
                Some(world) if path.starts_with("/private/") => {
                    jarvis::cli::embedded::joined(world.open_socket(path))
                }
                _ => sockets::quiet(),
            };
            Box::pin(async { Ok(socket) })
        });
        Streams { connector, ws_url: "ws://bench".to_owned() }
    }

    fn parts(&self, store: &Store) -> DeskParts {
        let limits = Arc::new(Limits::default());
        let transport = self.faults.transport();
        let accounts = self
            .world
            .keys()
            .into_iter()
            .map(|key| {
                let terms = AccountTerms {
                    name: key.name,
                    leverage: 3,
                    symbols: self.symbols.clone(),
                    allocation: CoinAllocation::Equal { coins: self.symbols.len() },
                    stop_distance: "10%".parse().unwrap(),
                };
                let credentials =
                    Credentials { api_key: key.api_key.into(), api_secret: key.api_secret.into() };
                let client = ExchangeClient::sharing(
                    transport.clone(),
                    "http://exchange",
                    credentials,
                    self.clock.clone(),
                    Arc::clone(&limits),
                );
                (terms, client)
            })
            .collect();
        let clean = Transport::in_process(self.world.router());
        let simsar = SimsarOptions {
            addresses: SourceAddresses::one_host("http://sources"),
            finnhub_token: Some(SecretString::from("x")),
            symbols: self.symbols.clone(),
            concurrency: 64,
            built_in: true,
            data_dir: None,
        };
        let model =
            LlmOptions::new("builtin", "http://model", "scripted", SecretString::from("scripted-model"));
        let clock: Arc<dyn Clock> = if self.pace > 0.0 {
            Arc::new(clock::Paced(self.world.clock(), self.pace))
        } else {
            self.world.clock()
        };
        DeskParts {
            clock,
            wall: self.clock.clone(),
            store: store.clone(),
            simsar: Simsar::new(simsar, clean, self.world.clock()),
            llm: LlmClient::new(self.script.transport(), model),
            accounts,
            prompts: PromptFiles::holding(Templates::load(None, Language::En).unwrap()),
            install: Arc::clone(&self.install),
            built_in_market: true,
            data_dir: self.has_mailbox.then(|| self.folder.path().to_owned()),
            settings: self.settings.clone(),
        }
    }

    /// The exchange's truth about one account, asked past all faults.
    pub fn truth(&self, account: usize) -> ExchangeClient {
        self.faults.truth(account)
    }

    /// The last mark of a coin.
    pub fn mark(&self, symbol: &Symbol) -> rust_decimal::Decimal {
        self.faults.mark(symbol)
    }

    /// Moves a coin's price by a share of itself, and looks at what that did.
    pub async fn shock(&self, symbol: &Symbol, share: rust_decimal::Decimal) {
        let price = self.mark(symbol) * (rust_decimal::Decimal::ONE + share);
        self.faults.look_everywhere().await;
        let before = self.faults.held();
        let on_the_grid =
            (0..=5).rev().any(|digits| self.world.set_price(symbol, price.round_dp(digits)).is_ok());
        assert!(on_the_grid, "{symbol} takes no price near {price}");
        self.faults.look_everywhere().await;
        // Whatever a price triggers is a stop or a liquidation: it reduces.
        for ((account, coin), after) in self.faults.held() {
            let before = before.get(&(account, coin.clone())).copied().unwrap_or_default();
            self.faults.only_reduced(coin.as_str(), before, after);
        }
    }
}

impl Desk {
    /// Runs a cycle in which the model says this.
    pub async fn cycle(&self, bench: &Bench, rows: &[(usize, &str, &str, &str)]) -> CycleReport {
        bench.script.say(&rows_of(bench, rows));
        self.floor.run_cycle(Trigger::Manual).await.unwrap()
    }

    pub async fn command(&self, id: u64, command: Command) {
        self.commands.send(OperatorCommand { id, command }).await.unwrap();
    }

    /// Sends a command and returns what it was answered: done, or not and why.
    pub async fn answer(&self, id: u64, command: Command) -> Result<String, String> {
        let (_, mut events) = self.floor.bulletin().subscribe();
        self.command(id, command).await;
        loop {
            match &events.recv().await.unwrap().event {
                Event::CommandAccepted { id: of, detail, .. } if *of == id => return Ok(detail.clone()),
                Event::CommandRefused { id: of, reason } if *of == id => return Err(reason.clone()),
                _ => {}
            }
        }
    }

    /// Ends in order.
    pub async fn end(self) {
        self.floor.end();
        self.serving.await.unwrap();
    }

    /// Lets virtual time pass.
    pub async fn wait(&self, seconds: u64) {
        tokio::time::sleep(Duration::from_secs(seconds)).await;
    }

    /// The halts in force, as told.
    pub fn halts(&self) -> Vec<Halt> {
        self.floor.bulletin().read(|present| present.halts.clone())
    }

    /// Arms the first account of a live desk.
    pub async fn arm(&self, bench: &Bench) {
        let account = bench.names[0].clone();
        self.command(1, Command::Arm { account: account.clone() }).await;
        self.wait(2).await;
        assert_eq!(self.floor.bulletin().read(|present| present.armed.clone()), [account]);
    }

    /// Whether an operator was told of it.
    pub fn told(&self, words: &str) -> bool {
        self.alarms().iter().any(|alarm| alarm.contains(words))
    }

    /// Everything told so far that an operator would read.
    pub fn alarms(&self) -> Vec<String> {
        self.floor.bulletin().read(|present| present.alarms.iter().map(|alarm| alarm.text.clone()).collect())
    }
}

/// In memory where there is such a place: the bench's crashes are the program's, not the machine's, so that it does not
/// matter what reached a disk.
fn folder() -> tempfile::TempDir {
    let memory = std::path::Path::new("/dev/shm");
    if memory.is_dir() { tempfile::tempdir_in(memory).unwrap() } else { tempfile::tempdir().unwrap() }
}

/// The model's rows: account number, coin, word, confidence.
pub fn rows_of(bench: &Bench, rows: &[(usize, &str, &str, &str)]) -> String {
    let mut answer = Vec::new();
    for (number, name) in bench.names.iter().enumerate() {
        for symbol in &bench.symbols {
            let wanted =
                rows.iter().find(|(account, coin, ..)| *account == number && *coin == symbol.as_str());
            let (word, confidence) =
                wanted.map_or(("NO_TRADE", "0.50"), |(_, _, word, confidence)| (*word, *confidence));
            answer.push(serde_json::json!({
                "account": name, "symbol": symbol, "decision": word, "reason": "scripted",
                "confidence": confidence.parse::<f64>().unwrap(), "market_bias": "neutral", "risk_note": "none",
            }));
        }
    }
    serde_json::Value::Array(answer).to_string()
}

/// Polls a future at most so many times: where it stands then is where a crash found it.
pub async fn polled<F: Future>(future: F, polls: u32) -> Option<F::Output> {
    let mut future = Box::pin(future);
    let mut left = polls;
    std::future::poll_fn(move |context| match future.as_mut().poll(context) {
        std::task::Poll::Ready(output) => std::task::Poll::Ready(Some(output)),
        std::task::Poll::Pending if left == 0 => std::task::Poll::Ready(None),
        std::task::Poll::Pending => {
            left -= 1;
            std::task::Poll::Pending
        }
    })
    .await
}

/// Instants of virtual time, since the bench began.
pub fn seconds(ms: i64) -> f64 {
    #[allow(clippy::cast_precision_loss, reason = "a test's milliseconds")]
    let seconds = ms as f64 / 1000.0;
    seconds
}

pub type Told = Arc<Mutex<BTreeMap<u64, String>>>;

pub fn epoch() -> Timestamp {
    DateTime::from_timestamp_millis(0).unwrap()
}
