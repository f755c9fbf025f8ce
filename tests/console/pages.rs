//! Fixed answers of a desk, for the screens that ask.

#![expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    reason = "made-up curves of small numbers"
)]

use jarvis::console::update::{Effect, Msg};
use jarvis::domain::{
    BudgetReading, Candle, ChartPage, ClientOrderId, Command, CycleId, CycleLine, CycleOutcomes, CyclePage,
    DecisionMark, DecisionWord, Envelope, Event, Feed, FillLine, Flattening, GuardReading, Halt, HaltLevel,
    HaltOrigin, HaltScope, LogPage, MarketCoin, MarketPage, MoneyPage, MoneyRow, OperatorCommand, OrderLine,
    OrderPurpose, OrderState, OutcomeKind, Page, PriceGrid, PriceGridPage, PromptFile, PromptPage,
    PromptRemark, Query, RemarkWeight, Rule, Severity, Side, Snapshot, SourceStatus, Timestamp, ToolCallPage,
    Trigger, TurnPage, Untrusted, Usage,
};
use ratatui::crossterm::event::KeyCode;
use rust_decimal::Decimal;

use crate::fixture::{COINS, Desk, account_name, busy, finished, price, symbol, time};

/// What a desk would answer.
pub fn page(query: &Query) -> Page {
    match query {
        Query::Market => Page::Market(market()),
        Query::Chart { symbol, interval } => {
            Page::Chart(ChartPage { symbol: symbol.clone(), interval: *interval, ..chart() })
        }
        Query::Cycles { .. } => Page::Cycles { lines: lines() },
        Query::Cycle { id } => Page::Cycle(Box::new(cycle(id))),
        Query::Money { from, to } => Page::Money(money(*from, *to)),
        Query::Prompt { name } => Page::Prompt(prompt(name.as_deref())),
        Query::LintPrompt { text, .. } => {
            let broken = text.contains("{{ nothing");
            let remark = |weight, text: &str| PromptRemark { weight, text: text.into() };
            let mut remarks =
                vec![remark(RemarkWeight::Note, "about 2936 tokens in all, 30 decisions asked for")];
            if broken {
                remarks.push(remark(RemarkWeight::Error, "line 3: undefined value \"nothing\""));
            }
            Page::Lint { remarks }
        }
        Query::PriceGrid { symbol } => {
            let grid = PriceGrid { least: Decimal::ZERO, most: Decimal::ZERO, step: Decimal::new(1, 1) };
            Page::PriceGrid(PriceGridPage { symbol: symbol.clone(), grid: Some(grid) })
        }
        Query::Log { .. } => Page::Log(log()),
    }
}

/// Answers what was asked, as long as something is asked.
pub fn answer(desk: &mut Desk, mut effects: Vec<Effect>) {
    while let Some(effect) = effects.pop() {
        if let Effect::Ask(id, query) = effect {
            let page = Ok(Box::new(page(&query)));
            effects.extend(desk.apply(Msg::Feed(Box::new(Feed::Page { id, page }))));
        }
    }
}

/// Types keys and answers everything they ask; what is sent comes back.
pub fn walk(desk: &mut Desk, keys: &str) -> Vec<Command> {
    let mut sent = Vec::new();
    for key in keys.chars() {
        let code = match key {
            '\n' => KeyCode::Enter,
            '\t' => KeyCode::Tab,
            '→' => KeyCode::Right,
            '↓' => KeyCode::Down,
            '⎋' => KeyCode::Esc,
            other => KeyCode::Char(other),
        };
        let effects = desk.press(code);
        sent.extend(effects.iter().filter_map(|effect| match effect {
            Effect::Send(OperatorCommand { command, .. }) => Some(command.clone()),
            _ => None,
        }));
        answer(desk, effects);
    }
    sent
}

fn market() -> MarketPage {
    let coin = |(index, (name, mark)): (usize, &(&str, &str))| {
        let step = index as f64;
        let base: f64 = mark.parse().unwrap();
        let wave = |hour: u32| base * (1.0 + 0.01 * libm::sin(f64::from(hour) / 5.0 + step));
        MarketCoin {
            symbol: symbol(name),
            price: Some(price(mark)),
            closes: (0..48).map(wave).collect(),
            rsi: Some(72.0 - step * 5.0),
            macd_histogram: Some(base * 0.002 * (4.0 - step)),
            adx: Some(18.0 + step),
            atr_share: Some(0.012 + step * 0.001),
            funding: Some(0.0001 - step * 0.000_03),
            open_interest_change: (index != 9).then_some(0.02 * (step - 3.0)),
            correlation: Some(1.0 - step * 0.07),
            beta: Some(1.0 + step * 0.05),
        }
    };
    let source = |name: &str, error: Option<&str>| SourceStatus {
        name: name.into(),
        as_of: None,
        stale: false,
        error: error.map(str::to_owned),
    };
    MarketPage {
        as_of: time("2026-03-02T12:04:30Z"),
        coins: COINS.iter().enumerate().map(coin).collect(),
        fear_greed: Some((24, "Extreme Fear".into())),
        sources: vec![source("fng", None), source("finnhub", Some("timed out"))],
        headlines: vec![
            (
                Some(time("2026-03-02T11:40:00Z")),
                "coindesk".into(),
                "Bitcoin holds its range while İstanbul waits for the rate decision".into(),
            ),
            (None, "reuters".into(), "Gold at a record".into()),
        ],
        events: vec![(time("2026-03-04T13:15:00Z"), "high".into(), "ADP Employment Change".into())],
    }
}

fn chart() -> ChartPage {
    let start = time("2026-02-25T12:00:00Z").timestamp_millis();
    let candles = (0..120_i64)
        .map(|hour| {
            let at = |offset: f64| {
                let wave = libm::sin((hour as f64 + offset) / 9.0) * 1_400.0 + hour as f64 * 8.0;
                Decimal::from(65_000 + wave as i64)
            };
            let (open, close) = (at(0.0), at(1.0));
            let candle = |value: Decimal| price(&value.to_string());
            Candle {
                open_time: start + hour * 3_600_000,
                open: candle(open),
                high: candle(open.max(close) + Decimal::from(150 + hour % 7 * 20)),
                low: candle(open.min(close) - Decimal::from(120 + hour % 5 * 30)),
                close: candle(close),
                volume: Decimal::from(900),
            }
        })
        .collect();
    let now = price("66491.8");
    let forming = Candle {
        open_time: start + 120 * 3_600_000,
        open: price("66210"),
        high: now,
        low: price("66180"),
        close: now,
        volume: Decimal::ONE,
    };
    let mark = |at: &str, decision, outcome| DecisionMark {
        at: time(at),
        account: account_name("mirat"),
        decision: Some(decision),
        confidence: None,
        outcome: Some(outcome),
    };
    ChartPage {
        symbol: symbol("BTC"),
        interval: jarvis::domain::Interval::Hour1,
        candles,
        forming: Some(forming),
        fills: vec![
            fill("2026-02-28T08:05:10Z", Side::Buy, "64900", OrderPurpose::Open),
            fill("2026-03-01T02:05:10Z", Side::Sell, "65900", OrderPurpose::Close),
            fill("2026-03-02T08:05:11Z", Side::Buy, "65210.4", OrderPurpose::Open),
        ],
        decisions: vec![
            mark("2026-02-28T08:05:00Z", DecisionWord::Long, OutcomeKind::Opened),
            mark("2026-03-01T02:05:00Z", DecisionWord::Close, OutcomeKind::Closed),
            mark("2026-03-01T14:05:00Z", DecisionWord::Short, OutcomeKind::Refused),
            mark("2026-03-02T08:05:00Z", DecisionWord::Long, OutcomeKind::Opened),
        ],
    }
}

fn fill(at: &str, side: Side, at_price: &str, purpose: OrderPurpose) -> FillLine {
    FillLine {
        account: account_name("mirat"),
        symbol: symbol("BTC"),
        side,
        price: price(at_price),
        quantity: "0.003".parse().unwrap(),
        commission: "0.0978".parse().unwrap(),
        realised: "0".parse().unwrap(),
        purpose: Some(purpose),
        client_order_id: Some(ClientOrderId::new("j-7-open").unwrap()),
        at: time(at),
    }
}

fn usage() -> Usage {
    let cost_usd = "0.0898".parse().unwrap();
    Usage { input_tokens: 19_870, output_tokens: 2_013, cost_usd, ..Usage::default() }
}

pub fn line(at: Timestamp, number: u64, outcomes: CycleOutcomes) -> CycleLine {
    CycleLine {
        id: CycleId::new(at, number),
        trigger: if number.is_multiple_of(3) { Trigger::Manual } else { Trigger::Schedule },
        market_time: at,
        started_at: at,
        dry_run: false,
        state: "finished".into(),
        failure: None,
        outcomes,
        usage: Some(usage()),
        total_ms: Some(7_214.0),
        errors: 0,
        coins: if outcomes.opened > 0 { vec![symbol("ADA")] } else { Vec::new() },
    }
}

/// Two and a half days of cycles with every kind of end.
pub fn lines() -> Vec<CycleLine> {
    let mut lines: Vec<CycleLine> = (0..60)
        .map(|hours: u64| {
            let at = time("2026-03-02T11:05:00Z") - chrono::Duration::hours(hours.cast_signed());
            let opened = u32::from(hours == 2 || hours == 3 || hours % 11 == 5);
            let outcomes =
                CycleOutcomes { opened, refused: 3, none: 26 - opened, ..CycleOutcomes::default() };
            line(at, hours, outcomes)
        })
        .collect();
    lines[1].failure = Some("the model did not answer within 240 s".into());
    lines[1].state = "failed".into();
    lines[1].usage = None;
    lines[1].total_ms = None;
    lines[2].errors = 2;
    lines
}

fn cycle(id: &CycleId) -> CyclePage {
    let mut report = crate::fixture::report(&finished(), crate::fixture::rows());
    let known = lines().into_iter().find(|line| &line.id == id);
    let line = known.unwrap_or_else(|| line(time("2026-03-02T12:05:00Z"), 7, CycleOutcomes::default()));
    report.cycle_id = id.clone();
    // The cycle of eight o'clock opened mirat's BTC.
    if line.market_time == time("2026-03-02T08:05:00Z") {
        report.decisions[0].outcome.kind = OutcomeKind::Opened;
        report.decisions[0].outcome.detail = "LONG 0.003 at 65,210.4, stop at 58,689.3".into();
    }
    CyclePage {
        report: Some(report),
        line,
        system_prompt: Some("You are the analyst of a desk.\nDecide for every account and coin.".into()),
        user_prompt: Some("The brief of 12:05.\n\n```task\nmirat BTCUSDT HOLD, CLOSE\n```".into()),
        turns: vec![TurnPage {
            iteration: 1,
            request_bytes: 81_220,
            response: "event: message_start\ndata: {\"type\":\"message_start\"}\n".into(),
            stop_reason: Some("tool_use".into()),
            request_id: Some("req_011CZ".into()),
            rate_limits: Some("49 of 50 requests; 78000 of 80000 tokens".into()),
            usage: usage(),
            ms: 3_310.0,
            error: None,
        }],
        tool_calls: vec![ToolCallPage {
            iteration: 1,
            endpoint: "/candles/SOLUSDT".into(),
            params: "{\"interval\":\"1h\",\"limit\":48}".into(),
            status: 200,
            bytes: 5_412,
            ms: 3.1,
            body: Untrusted::new("{\"candles\":[[1772438700000,\"172.1\",\"173.0\",\"171.8\",\"172.4\"]]}"),
        }],
        orders: vec![OrderLine {
            client_order_id: ClientOrderId::new("j-7-open").unwrap(),
            account: account_name("mirat"),
            symbol: symbol("BTC"),
            purpose: OrderPurpose::Open,
            side: Side::Buy,
            quantity: Some("0.003".parse().unwrap()),
            trigger: None,
            state: OrderState::Filled,
            average_price: Some(price("65210.4")),
            error: None,
            at: time("2026-03-02T08:05:10Z"),
        }],
        fills: vec![fill("2026-03-02T08:05:11Z", Side::Buy, "65210.4", OrderPurpose::Open)],
    }
}

fn row(label: &str, [gross, commission, funding, model]: [&str; 4], trades: u32) -> MoneyRow {
    let [gross, commission, funding, model_cost] =
        [gross, commission, funding, model].map(|value| value.parse().unwrap());
    MoneyRow { label: label.into(), gross, commission, funding, model_cost, trades, is_estimate: false }
}

fn money(from: Timestamp, to: Timestamp) -> MoneyPage {
    let curve = |name: &str, slope: i64| {
        let points = (0..80_i64)
            .map(|hour| {
                let at = time("2026-02-27T00:00:00Z") + chrono::Duration::hours(hour);
                let wave = (libm::sin(hour as f64 / 6.0) * 8.0) as i64;
                (at, Decimal::from(1_000 + slope * hour / 4 + wave))
            })
            .collect();
        (account_name(name), points)
    };
    let coin = |coin: &str| row(&format!("{coin}USDT"), ["-0.76", "-0.61", "0.03", "0"], 2);
    MoneyPage {
        from,
        to,
        total: row("", ["-7.59", "-6.12", "0.31", "1.22"], 16),
        days: vec![
            row("2026-03-02", ["-2.10", "-1.80", "0.10", "0.36"], 5),
            row("2026-03-01", ["-5.49", "-4.32", "0.21", "0.86"], 11),
        ],
        accounts: vec![
            row("mirat", ["-4.10", "-3.10", "0.20", "0"], 9),
            row("mevlut", ["1.51", "-1.02", "0.11", "0"], 3),
            row("tugrul", ["-5.00", "-2.00", "0", "0"], 4),
        ],
        coins: COINS.iter().map(|(name, _)| coin(name)).collect(),
        other_assets: Vec::new(),
        equity: vec![curve("mirat", 1), curve("mevlut", -1), curve("tugrul", 0)],
    }
}

fn prompt(name: Option<&str>) -> PromptPage {
    let name = name.unwrap_or("system.en.jinja");
    let built_in = "You are careful.\nCosts come first.\n{{ brief }}\n".to_owned();
    let own = name.starts_with("system");
    let note = PromptRemark { weight: RemarkWeight::Note, text: "about 2936 tokens in all".into() };
    PromptPage {
        files: vec![
            PromptFile { name: "system.en.jinja".into(), is_override: true, is_used: true },
            PromptFile { name: "user.en.jinja".into(), is_override: false, is_used: true },
        ],
        name: name.into(),
        text: if own { built_in.replace("careful", "very careful") } else { built_in.clone() },
        built_in,
        remarks: if own { vec![note] } else { Vec::new() },
        is_usable: true,
    }
}

fn log() -> LogPage {
    let alarm = |severity, text: &str| Event::Alarm { severity, text: text.into() };
    let events = [
        ("2026-03-02T08:05:00Z", Event::CycleStarted { trigger: Trigger::Schedule }),
        ("2026-03-02T09:12:44Z", alarm(Severity::Warning, "user stream of mevlut ended; it is opened again")),
        ("2026-03-02T10:00:01Z", alarm(Severity::Critical, "mirat DOGE has no stop at the exchange")),
        ("2026-03-02T10:00:09Z", Event::DryRun { on: true }),
        ("2026-03-02T10:20:00Z", Event::DryRun { on: false }),
    ];
    let lines = (1_i64..).zip(events).map(|(place, (at, event))| {
        (place, Envelope { seq: place.cast_unsigned(), at: time(at), cycle: None, event })
    });
    LogPage { lines: lines.collect::<Vec<_>>().into_iter().rev().collect() }
}

/// A desk with halts, guard readings and a flattening.
pub fn guarded() -> Snapshot {
    let mut snapshot = busy();
    let reading = |rule, account: Option<&str>, used, [value, limit]: [&str; 2]| GuardReading {
        rule,
        account: account.map(account_name),
        on: rule != Rule::LongBias,
        limit: limit.into(),
        value: value.into(),
        used,
        refuses: used.is_some_and(|used| used > 1.0),
    };
    snapshot.guards = vec![
        reading(Rule::DailyLoss, None, Some(0.34), ["-10.20 USDT", "-30.00 USDT"]),
        reading(Rule::DailyLoss, Some("mirat"), Some(1.08), ["-10.80 USDT", "-10.00 USDT"]),
        reading(Rule::Drawdown, None, Some(0.85), ["8.5 %", "10 %"]),
        reading(Rule::MaximumPositions, Some("mirat"), Some(0.6), ["3", "5"]),
        reading(Rule::Cooldown, Some("mevlut"), None, ["", "2 h"]),
        reading(Rule::LongBias, None, Some(0.2), ["2 of 10", "8 of 10"]),
    ];
    snapshot.halts = vec![
        Halt {
            scope: HaltScope::Coin(symbol("DOGE")),
            level: HaltLevel::NoEntries,
            origin: HaltOrigin::Operator,
            reason: "rate decision".into(),
            since: time("2026-03-02T11:00:00Z"),
            until: Some(time("2026-03-02T15:00:00Z")),
        },
        Halt {
            scope: HaltScope::Account(account_name("tugrul")),
            level: HaltLevel::Flattened,
            origin: HaltOrigin::Guard(Rule::DailyLoss),
            reason: jarvis::domain::Untrusted::default(),
            since: time("2026-03-02T10:00:00Z"),
            until: None,
        },
    ];
    snapshot.flattenings = vec![Flattening {
        account: account_name("tugrul"),
        remaining: Vec::new(),
        proven_at: Some(time("2026-03-02T10:00:04Z")),
        trouble: None,
    }];
    snapshot.budget = Some(BudgetReading {
        enforced: true,
        weight: (1170, 2400),
        orders_10s: (12, 300),
        orders_1m: (12, 1200),
        closed_until: None,
    });
    snapshot.note = Some("Mind the rate decision at 13:15.".into());
    snapshot
}
