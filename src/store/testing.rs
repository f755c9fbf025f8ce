//! Stores and rows for the tests of this room.

use chrono::{DateTime, TimeDelta};

use super::*;
use crate::domain::{
    AccountName, BriefSummary, ClientOrderId, Confidence, CycleId, CycleReport, DecisionRow, DecisionWord,
    MarketBias, Mode, ModelSummary, OrderPurpose, Outcome, OutcomeKind, Profile, Proposal, Rule, Side,
    Symbol, Timestamp, TimingsMs, ToolCallRecord, Trigger, Untrusted, Usage,
};

/// A store in a folder of its own, which goes with it.
pub(super) struct Fixture {
    pub store: Store,
    pub folder: tempfile::TempDir,
}

impl Fixture {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("data").join(FILE_NAME)).unwrap();
        Self { store, folder }
    }

    pub fn path(&self) -> PathBuf {
        self.folder.path().join("data").join(FILE_NAME)
    }

    /// A connection of somebody else.
    pub fn stranger(&self) -> Connection {
        Connection::open(self.path()).unwrap()
    }

    /// A fixture with one begun cycle that has one decision of account `a` for BTCUSDT.
    pub async fn with_decision() -> (Self, CycleId) {
        let fixture = Self::new();
        let start = cycle_start(1);
        fixture.store.begin_cycle(&start).await.unwrap();
        fixture.store.put_decisions(&start.id, &[proposal("a", "BTCUSDT")]).await.unwrap();
        (fixture, start.id)
    }
}

pub(super) fn at(seconds: i64) -> Timestamp {
    DateTime::from_timestamp_millis(1_772_400_000_000).unwrap() + TimeDelta::seconds(seconds)
}

pub(super) fn account(name: &str) -> AccountName {
    AccountName::new(name).unwrap()
}

pub(super) fn symbol(name: &str) -> Symbol {
    Symbol::new(name).unwrap()
}

pub(super) fn order_id(text: &str) -> ClientOrderId {
    ClientOrderId::new(text).unwrap()
}

pub(super) fn cycle_start(number: u64) -> CycleStart {
    let seconds = i64::try_from(number).unwrap() * 3600;
    CycleStart {
        id: CycleId::new(at(seconds), number),
        trigger: Trigger::Schedule,
        mode: Mode::Paper,
        dry_run: false,
        profile: Profile::Guarded,
        market_time: at(seconds),
        started_at: at(seconds),
    }
}

pub(super) fn proposal(name: &str, coin: &str) -> Proposal {
    Proposal {
        account: account(name),
        symbol: symbol(coin),
        decision: Some(DecisionWord::Long),
        confidence: Some(Confidence::new("0.78".parse().unwrap()).unwrap()),
        reason: Untrusted::new("yükseliş sürüyor"),
        market_bias: Some(MarketBias::Bullish),
        risk_note: Some(Untrusted::new("news at 14:30")),
    }
}

pub(super) fn refused() -> Outcome {
    Outcome {
        kind: OutcomeKind::Refused,
        rule: Some(Rule::Threshold),
        detail: "0.70 < 0.75".to_owned(),
        orders: vec![order_id("j1-a")],
    }
}

pub(super) fn report(start: &CycleStart) -> CycleReport {
    CycleReport {
        cycle_id: start.id.clone(),
        trigger: start.trigger,
        mode: start.mode,
        dry_run: start.dry_run,
        profile: start.profile,
        started_at: start.started_at,
        finished_at: start.started_at + TimeDelta::seconds(9),
        market_time: start.market_time,
        model: ModelSummary {
            provider: "builtin".into(),
            id: "m".into(),
            iterations: 2,
            stop_reason: "end_turn".into(),
        },
        analysis: Untrusted::new("calm"),
        tool_calls: vec![tool_call()],
        brief: BriefSummary::default(),
        decisions: vec![DecisionRow { proposal: proposal("a", "BTCUSDT"), outcome: refused() }],
        usage: usage("0.0712"),
        timings_ms: TimingsMs::default(),
        errors: vec!["one source is stale".into()],
    }
}

pub(super) fn tool_call() -> ToolCallRecord {
    ToolCallRecord {
        endpoint: Untrusted::new("/price/BTCUSDT"),
        params: serde_json::json!({}),
        status: 200,
        bytes: 81,
        ms: 3.5,
    }
}

pub(super) fn usage(cost: &str) -> Usage {
    Usage {
        input_tokens: 20_000,
        output_tokens: 2_000,
        cache_read_input_tokens: 5,
        cache_creation_input_tokens: 7,
        cost_usd: cost.parse().unwrap(),
        is_estimate: false,
    }
}

pub(super) fn model_call(cycle: &CycleId, seconds: i64, cost: &str) -> ModelCall {
    ModelCall {
        cycle: cycle.clone(),
        iteration: 1,
        at: at(seconds),
        request: b"{\"q\":1}".to_vec(),
        status: Some(200),
        response: vec![0, 159, 146, 150],
        stop_reason: Some("end_turn".into()),
        usage: usage(cost),
        request_id: Some("req_7".into()),
        rate_limits: Some("49 of 50 requests".into()),
        ms: 12.25,
        error: None,
    }
}

pub(super) fn intent(id: &str, origin: Origin) -> OrderIntent {
    OrderIntent {
        client_order_id: order_id(id),
        account: account("a"),
        symbol: symbol("BTCUSDT"),
        purpose: OrderPurpose::Open,
        side: Side::Buy,
        quantity: Some("0.0030".parse().unwrap()),
        trigger: None,
        origin,
        attempt: 1,
        market_time: at(0),
        sent_at: at(7),
    }
}

pub(super) fn by_operator() -> Origin {
    Origin::Operator { command: "close a BTCUSDT".into() }
}
