//! Fixed states to draw: built from the same feeds a desk would send.

use std::time::Duration;

use jarvis::console::state::State;
use jarvis::console::update::{Effect, Msg, update};
use jarvis::console::{ColorDepth, Theme};
use jarvis::domain::{
    AccountName, AccountState, BriefSummary, ClientOrderId, Confidence, CycleId, CycleReport, DecisionRow,
    DecisionWord, DeskFacts, Direction, Envelope, Event, Feed, MarketBias, Mode, ModelSummary, OrderPurpose,
    OrderState, Outcome, OutcomeKind, Phase, Position, Price, Profile, Proposal, ProtectiveStop, Rule,
    Severity, Side, Snapshot, SourceStatus, Symbol, Timestamp, TimingsMs, ToldElsewhere, ToolCallRecord,
    Trigger, Untrusted, Usage, Usdt,
};
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::buffer::Buffer;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

/// The sizes every screen is drawn at.
pub const SIZES: [(u16, u16); 4] = [(60, 20), (80, 24), (120, 40), (200, 60)];

/// A desk's feed in the making: numbers its events.
pub struct Desk {
    pub state: State,
    seq: u64,
    at: Timestamp,
    cycle: Option<CycleId>,
}

impl Desk {
    pub fn new(snapshot: Snapshot) -> Self {
        let mut desk = Self { state: State::starting(), seq: snapshot.seq, at: snapshot.at, cycle: None };
        desk.apply(Msg::Feed(Box::new(Feed::Snapshot(Box::new(snapshot)))));
        desk
    }

    pub fn apply(&mut self, msg: Msg) -> Vec<Effect> {
        update(&mut self.state, msg)
    }

    pub fn tell(&mut self, event: Event) -> &mut Self {
        self.seq += 1;
        let envelope = Envelope { seq: self.seq, at: self.at, cycle: self.cycle.clone(), event };
        self.apply(Msg::Feed(Box::new(Feed::Event(envelope))));
        self
    }

    pub fn wait(&mut self, seconds: i64) -> &mut Self {
        self.at += chrono::Duration::seconds(seconds);
        self
    }

    pub fn start_cycle(&mut self) -> &mut Self {
        self.cycle = Some(CycleId::new(self.at, 7));
        self.tell(Event::CycleStarted { trigger: Trigger::Schedule })
    }

    pub fn press(&mut self, code: KeyCode) -> Vec<Effect> {
        self.apply(Msg::Key(KeyEvent::new(code, KeyModifiers::NONE)))
    }
}

pub fn theme() -> Theme {
    Theme::load("jarvis-dark", None).unwrap().with_depth(ColorDepth::True)
}

/// Draws a state at a size, as the console does.
pub fn draw(state: &State, theme: &Theme, (width, height): (u16, u16)) -> Buffer {
    let mut state = state.clone();
    update(&mut state, Msg::Resize(width, height));
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| jarvis::console::view::draw(frame, &state, theme)).unwrap();
    terminal.backend().buffer().clone()
}

/// The text of a screen, one line a row.
pub fn text(buffer: &Buffer) -> String {
    let mut out = String::new();
    for row in 0..buffer.area.height {
        let mut line = String::new();
        let mut skip = 0;
        for column in 0..buffer.area.width {
            let symbol = buffer[(column, row)].symbol();
            if skip > 0 {
                skip -= 1;
                continue;
            }
            skip = unicode_width::UnicodeWidthStr::width(symbol).saturating_sub(1);
            line.push_str(symbol);
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}

pub fn time(text: &str) -> Timestamp {
    text.parse().unwrap()
}

pub fn symbol(coin: &str) -> Symbol {
    Symbol::new(&format!("{coin}USDT")).unwrap()
}

pub fn account_name(name: &str) -> AccountName {
    AccountName::new(name).unwrap()
}

pub fn price(text: &str) -> Price {
    text.parse().unwrap()
}

fn usdt(text: &str) -> Usdt {
    text.parse().unwrap()
}

pub const COINS: [(&str, &str); 10] = [
    ("BTC", "66491.8"),
    ("ETH", "3412.57"),
    ("SOL", "172.44"),
    ("BNB", "598.03"),
    ("XRP", "1.1342"),
    ("DOGE", "0.18234"),
    ("ADA", "0.5521"),
    ("AVAX", "36.412"),
    ("LINK", "17.885"),
    ("PAXG", "2718.34"),
];

fn marks() -> Vec<(Symbol, Price)> {
    COINS.iter().map(|(coin, mark)| (symbol(coin), price(mark))).collect()
}

struct Held(&'static str, Direction, &'static str, &'static str, &'static str, Option<&'static str>);

fn position(held: &Held) -> Position {
    let Held(coin, direction, quantity, entry, opened, stop) = *held;
    let mark = marks().into_iter().find(|(name, _)| *name == symbol(coin)).unwrap().1;
    let client_order_id = ClientOrderId::new(format!("j-{coin}-stop")).unwrap();
    Position {
        symbol: symbol(coin),
        direction,
        quantity: quantity.parse().unwrap(),
        entry: price(entry),
        mark,
        unrealised: Usdt::ZERO,
        margin: None,
        liquidation: None,
        opened_at: Some(time(opened)),
        stop: stop.map(|trigger| ProtectiveStop { trigger: price(trigger), client_order_id }),
    }
}

fn account(name: &str, wallet: &str, available: &str, held: &[Held]) -> AccountState {
    AccountState {
        name: account_name(name),
        leverage: 3,
        symbols: COINS.iter().map(|(coin, _)| symbol(coin)).collect(),
        wallet: usdt(wallet),
        equity: usdt(wallet),
        available: usdt(available),
        positions: held.iter().map(position).collect(),
        as_of: time("2026-03-02T12:04:58Z"),
        trouble: None,
    }
}

/// A desk that has just begun: flat accounts, no cycle yet.
pub fn empty() -> Snapshot {
    let names = ["mirat", "mevlut", "tugrul"];
    Snapshot {
        seq: 10,
        accounts: names.map(|name| account(name, "1000", "1000", &[])).into(),
        marks: marks(),
        next_cycle: Some(time("2026-03-02T12:05:00Z")),
        ..Snapshot::beginning(
            time("2026-03-02T12:04:59Z"),
            DeskFacts {
                mode: Mode::Paper,
                profile: Profile::Guarded,
                threshold: Confidence::new("0.75".parse().unwrap()).unwrap(),
                provider: "builtin".into(),
                model: "built-in-analyst-1".into(),
                input_price: Some("3".parse().unwrap()),
                built_in_market: true,
                built_in_analyst: true,
                clock_speed: 1.0,
                accounts: Vec::new(),
                symbols: COINS.iter().map(|(coin, _)| symbol(coin)).collect(),
            },
        )
    }
}

/// A desk at work: positions of all kinds, one without a stop, one account in trouble.
pub fn busy() -> Snapshot {
    use Direction::{Long, Short};
    let mut snapshot = empty();
    snapshot.accounts = vec![
        account(
            "mirat",
            "1012.41",
            "846.20",
            &[
                Held("BTC", Long, "0.003", "65210.4", "2026-03-02T08:05:11Z", Some("58689.3")),
                Held("ETH", Short, "0.061", "3388.10", "2026-03-01T22:05:09Z", Some("3726.91")),
                Held("DOGE", Long, "1310", "0.18301", "2026-03-02T11:05:10Z", None),
            ],
        ),
        account(
            "mevlut",
            "987.05",
            "901.77",
            &[Held("PAXG", Long, "0.094", "2702.11", "2026-02-27T05:05:10Z", Some("2431.89"))],
        ),
        account("tugrul", "1000", "1000", &[]),
    ];
    snapshot.cost_today = Usage { cost_usd: "0.2714".parse().unwrap(), ..Usage::default() };
    snapshot
}

pub fn alarm(severity: Severity, text: &str) -> Event {
    Event::Alarm { severity, text: text.into() }
}

pub const ANALYSIS: &str = "<analysis>\n\
Risk: the US30 closed 0.6% lower and Fear & Greed has stood at 24 for nine days; a level that lasts is the new normal, \
not a signal.\n\
Market: BTC holds above its 20-bar mean at 65 800 with RSI 58 and a rising MACD histogram, ADX 27 supports the trend.\n\
Formations: SOL prints a three-bar pullback into its lower Bollinger half on falling volume.\n\
Portfolio: mirat is long BTC and DOGE, short ETH; another long in a correlated altcoin would double the same bet. \
PAXG in mevlut works as intended, funding is neutral.\n";

fn outcome(kind: OutcomeKind, rule: Option<Rule>, detail: &str) -> Outcome {
    let orders = match kind {
        OutcomeKind::Opened | OutcomeKind::Closed => vec![ClientOrderId::new("j-7-open").unwrap()],
        _ => Vec::new(),
    };
    Outcome { kind, rule, detail: detail.into(), orders }
}

pub fn proposal(
    account: &str,
    coin: &str,
    word: Option<DecisionWord>,
    confidence: Option<&str>,
    reason: &str,
) -> Proposal {
    Proposal {
        account: account_name(account),
        symbol: symbol(coin),
        decision: word,
        confidence: confidence.map(|value| Confidence::new(value.parse().unwrap()).unwrap()),
        reason: Untrusted::new(reason),
        market_bias: Some(MarketBias::Neutral),
        risk_note: None,
    }
}

/// One row for every account and coin, with every kind of end.
pub fn rows() -> Vec<DecisionRow> {
    use DecisionWord::{Close, Hold, Long, NoTrade, Short};
    use OutcomeKind::{Closed, DryRun, Failed, Invalid, None as Nothing, Opened, Refused};
    let row = |account: &str, coin: &str, word, confidence, reason: &str, outcome: Outcome| DecisionRow {
        proposal: proposal(account, coin, word, confidence, reason),
        outcome,
    };
    let nothing = || outcome(Nothing, None, "");
    let mut rows = vec![
        row(
            "mirat",
            "BTC",
            Some(Hold),
            Some("0.81"),
            "Trend intact above the 20-bar mean; the stop is far.",
            nothing(),
        ),
        row(
            "mirat",
            "ETH",
            Some(Close),
            Some("0.66"),
            "Momentum turned up on the 4 h, the short has done its work.",
            outcome(Closed, None, "closed 0.061 ETH at 3,412.57, -1.49 USDT before fees"),
        ),
        row(
            "mirat",
            "SOL",
            Some(Long),
            Some("0.78"),
            "Pullback into support with falling volume, ADX 27 and funding neutral; the reward is worth three times the round trip.",
            outcome(Opened, None, "bought 1.43 SOL at 172.46, stop rests at 155.21"),
        ),
        row(
            "mirat",
            "BNB",
            Some(Long),
            Some("0.74"),
            "Looks good but the volume is thin.",
            outcome(Refused, Some(Rule::Threshold), "low confidence: 0.74 is below 0.75"),
        ),
        row(
            "mirat",
            "XRP",
            Some(Short),
            Some("0.52"),
            "Weak, but funding is already negative.",
            outcome(Refused, Some(Rule::Threshold), "low confidence: 0.52 is below 0.75"),
        ),
        row(
            "mirat",
            "DOGE",
            Some(Short),
            Some("0.80"),
            "Reverse the long.",
            outcome(Refused, Some(Rule::AllowedAction), "SHORT on an open LONG: allowed are HOLD, CLOSE"),
        ),
        row("mirat", "ADA", Some(NoTrade), Some("0.30"), "No edge.", nothing()),
        row(
            "mirat",
            "AVAX",
            None,
            None,
            "",
            outcome(Invalid, Some(Rule::OutOfRange), "confidence 1.7 is not within 0 to 1"),
        ),
        row("mirat", "LINK", Some(NoTrade), Some("0.41"), "Range.", nothing()),
        row(
            "mirat",
            "PAXG",
            Some(Long),
            Some("0.75"),
            "Safe haven while the Dow falls.",
            outcome(Failed, None, "the exchange refused the order: margin is insufficient (-2019)"),
        ),
    ];
    rows[2].proposal.risk_note = Some("A fall below 168 would break the formation.".into());
    for account in ["mevlut", "tugrul"] {
        for (index, (coin, _)) in COINS.iter().enumerate() {
            rows.push(match index {
                2 => row(
                    account,
                    coin,
                    Some(Long),
                    Some("0.78"),
                    "Pullback into support.",
                    outcome(DryRun, None, "would buy 1.41 SOL at about 172.44"),
                ),
                9 if account == "mevlut" => {
                    row(account, coin, Some(Hold), Some("0.72"), "Works as a hedge.", nothing())
                }
                _ => row(account, coin, Some(NoTrade), Some("0.35"), "No edge after costs.", nothing()),
            });
        }
    }
    rows
}

fn sources() -> BriefSummary {
    let ok = |name: &str| SourceStatus { name: name.into(), as_of: None, stale: false, error: None };
    let mut sources: Vec<SourceStatus> =
        COINS.iter().map(|(coin, _)| ok(&format!("binance/klines/{coin}USDT/4h"))).collect();
    sources.push(SourceStatus { stale: true, ..ok("yahoo/us30") });
    sources.push(SourceStatus { error: Some("timed out after 5 s".into()), ..ok("finnhub/calendar") });
    BriefSummary { sources }
}

pub fn tool_call(call: u64, endpoint: &str, params: &str) -> Event {
    Event::ToolCallStarted { call, endpoint: endpoint.into(), params: params.into() }
}

fn usage() -> Usage {
    Usage {
        input_tokens: 19_870,
        output_tokens: 2_013,
        cost_usd: "0.0898".parse().unwrap(),
        ..Usage::default()
    }
}

/// The analyst is writing; one tool call is answered, one failed, one is open.
pub fn streaming() -> Desk {
    let mut desk = Desk::new(busy());
    desk.wait(1).start_cycle();
    desk.wait(1).tell(Event::BriefReady { brief: sources() });
    desk.tell(Event::PhaseEntered { phase: Phase::Model }).tell(Event::ModelTurn { iteration: 1 });
    desk.wait(1).tell(tool_call(1, "/candles/SOLUSDT", r#"{"interval":"1h","limit":48}"#));
    desk.tell(Event::ToolCallFinished { call: 1, status: 200, bytes: 5_412, ms: 3.1 });
    desk.tell(tool_call(2, "/indicators/rsi/SOLUSDT", r#"{"interval":"1d","period":14}"#));
    desk.tell(Event::ToolCallFinished { call: 2, status: 200, bytes: 164, ms: 12.4 });
    desk.wait(1).tell(tool_call(3, "/news/cryptos", "{}"));
    desk.tell(Event::ToolCallFinished { call: 3, status: 404, bytes: 88, ms: 0.6 });
    desk.tell(tool_call(4, "/futures/long-short-ratio/PAXGUSDT", r#"{"period":"4h"}"#));
    for piece in ANALYSIS.split_inclusive(' ') {
        desk.tell(Event::AnalysisDelta { text: piece.into() });
    }
    desk.wait(3);
    desk.apply(Msg::Clock(Duration::from_secs(3)));
    desk
}

/// The cycle is over, with an alarm and the answer to a key on the screen.
pub fn finished() -> Desk {
    let mut desk = streaming();
    desk.tell(Event::ToolCallFinished { call: 4, status: 200, bytes: 1_204, ms: 2_941.0 });
    desk.tell(Event::AnalysisDelta { text: "</analysis>\n```json\n[{\"account\":\"mirat\"}]\n```".into() });
    desk.tell(Event::PhaseEntered { phase: Phase::Execution });
    let rows = rows();
    desk.tell(Event::Decided { proposals: rows.iter().map(|row| row.proposal.clone()).collect() });
    for row in &rows {
        let DecisionRow { proposal, outcome } = row.clone();
        desk.tell(Event::Settled { account: proposal.account, symbol: proposal.symbol, outcome });
    }
    desk.tell(Event::Order {
        account: account_name("mirat"),
        symbol: symbol("SOL"),
        purpose: jarvis::domain::OrderPurpose::Stop,
        side: jarvis::domain::Side::Sell,
        client_order_id: ClientOrderId::new("j-7-stop").unwrap(),
        state: jarvis::domain::OrderState::Accepted,
        quantity: None,
        price: Some(price("155.21")),
    });
    desk.tell(alarm(
        Severity::Critical,
        "mirat DOGE has no stop at the exchange; placing one failed twice, trying again in 5 s",
    ));
    let report = report(&desk, rows);
    desk.wait(1).tell(Event::CycleFinished {
        report: Box::new(report),
        cost_today: Usage { cost_usd: "0.3612".parse().unwrap(), ..usage() },
    });
    desk.tell(Event::NextCycle { at: Some(time("2026-03-02T13:05:00Z")) });
    desk.state.asked.push((41, jarvis::domain::Command::SetDryRun(true)));
    desk.tell(Event::CommandAccepted {
        id: 41,
        detail: "dry-run is on from the next cycle".into(),
        elsewhere: ToldElsewhere::Nothing,
    });
    desk
}

pub fn report(desk: &Desk, decisions: Vec<DecisionRow>) -> CycleReport {
    let cycle = desk.state.desk.as_ref().unwrap().cycle.as_ref().unwrap();
    CycleReport {
        cycle_id: cycle.id.clone(),
        trigger: Trigger::Schedule,
        mode: Mode::Paper,
        dry_run: false,
        profile: Profile::Guarded,
        started_at: cycle.started_at,
        finished_at: cycle.started_at,
        market_time: cycle.started_at,
        model: ModelSummary::default(),
        analysis: cycle.analysis.clone(),
        tool_calls: Vec::<ToolCallRecord>::new(),
        brief: sources(),
        decisions,
        usage: usage(),
        timings_ms: TimingsMs { total: 7_214.0, ..TimingsMs::default() },
        errors: vec!["mirat XRPUSD: not a coin of this account".into()],
    }
}

/// A close that was filled.
pub fn filled() -> Event {
    Event::Order {
        account: account_name("mirat"),
        symbol: symbol("BTC"),
        purpose: OrderPurpose::Close,
        side: Side::Sell,
        client_order_id: ClientOrderId::new("j-1").unwrap(),
        state: OrderState::Filled,
        quantity: None,
        price: None,
    }
}

/// The same desk with real money.
pub fn live(mut desk: Desk) -> Desk {
    let facts = &mut desk.state.desk.as_mut().unwrap().facts;
    facts.mode = Mode::Live;
    facts.built_in_market = false;
    facts.built_in_analyst = false;
    facts.provider = "anthropic".into();
    facts.model = "claude-sonnet-4-6".into();
    desk
}

/// The whole screen as text.
pub fn screen(desk: &Desk, size: (u16, u16)) -> String {
    text(&draw(&desk.state, &theme(), size))
}

/// What the status line says.
pub fn status(desk: &Desk) -> &str {
    desk.state.status.as_ref().map_or("", |notice| notice.text.as_str())
}
