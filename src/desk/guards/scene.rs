//! A scene in which every guard is content, to be changed one thing at a time.

use std::collections::BTreeMap;

use rust_decimal_macros::dec;

use super::*;
use crate::desk::sizing::CoinAllocation;
use crate::domain::{Confidence, DecisionWord, Proposal, Untrusted};
use crate::exchange::{Bounds, Bracket, LeverageBrackets, SymbolRules};

pub(crate) struct Scene {
    pub settings: Settings,
    pub proposal: Proposal,
    pub position: Option<Position>,
    pub now: Timestamp,
    pub market: MarketFacts,
    pub book: Book,
    pub halts: Vec<Halt>,
    pub unresolved: bool,
    pub spent: Option<&'static str>,
    pub rules: Option<SymbolRules>,
    pub brackets: Option<LeverageBrackets>,
    pub round_trip: Option<Decimal>,
    pub stop_distance: &'static str,
    pub leverage: u32,
}

pub(crate) fn symbol(text: &str) -> Symbol {
    Symbol::new(text).unwrap()
}

pub(crate) fn name(text: &str) -> AccountName {
    AccountName::new(text).unwrap()
}

pub(crate) fn rules_of(coin: &str, least: &str) -> SymbolRules {
    SymbolRules {
        symbol: symbol(coin),
        status: Untrusted::new("TRADING"),
        contract: Untrusted::new("PERPETUAL"),
        quote: Untrusted::new("USDT"),
        price: Bounds { min: dec!(0.1), max: dec!(1000000), step: dec!(0.1) },
        market_quantity: Bounds { min: dec!(0.001), max: dec!(100), step: dec!(0.001) },
        min_notional: least.parse().unwrap(),
    }
}

/// Leverage steps of bitcoin: highest leverage, notional up to which it holds, maintenance share, what is subtracted.
pub(crate) fn steps(table: &[(u32, Decimal, Decimal, Decimal)]) -> LeverageBrackets {
    let mut floor = dec!(0);
    let each = table.iter().map(|(leverage, cap, share, offset)| Bracket {
        leverage: *leverage,
        notional_floor: std::mem::replace(&mut floor, *cap),
        notional_cap: *cap,
        maintenance_share: *share,
        maintenance_offset: *offset,
    });
    LeverageBrackets { symbol: symbol("BTCUSDT"), brackets: each.collect() }
}

/// A coin at 60 000 USDT that moves as bitcoin does, and 1 % in four hours.
pub(crate) fn coin(text: &str) -> CoinFacts {
    let price: Option<Price> = Some("60000".parse().unwrap());
    CoinFacts {
        symbol: symbol(text),
        seen: price,
        mark: price,
        index: price,
        last_close: price,
        now: price,
        atr: Some(dec!(600)),
        beta: Some(dec!(1)),
        correlation: Some(dec!(1)),
        stale: None,
        silent_s: None,
    }
}

pub(crate) fn account(text: &str) -> AccountFacts {
    AccountFacts {
        name: name(text),
        equity: dec!(1000),
        free_margin: dec!(1000),
        holdings: Vec::new(),
        traded: dec!(0),
        closed: BTreeMap::new(),
        standing: Standing::default(),
    }
}

pub(crate) fn held(coin: &str, direction: Direction, notional: Decimal) -> Holding {
    Holding { symbol: symbol(coin), direction, notional }
}

impl Scene {
    /// Two accounts without positions; `mirat` is asked about BTC.
    pub fn new(decision: DecisionWord, confidence: &str) -> Self {
        Self {
            settings: Settings::default(),
            proposal: Proposal {
                decision: Some(decision),
                confidence: Some(Confidence::new(confidence.parse().unwrap()).unwrap()),
                ..Proposal::empty(name("mirat"), symbol("BTCUSDT"))
            },
            position: None,
            now: Timestamp::from_timestamp_millis(1_772_438_700_000).unwrap(),
            market: MarketFacts {
                coins: ["BTCUSDT", "ETHUSDT", "PAXGUSDT"].map(coin).to_vec(),
                trend: Trend::Flat,
                events: Vec::new(),
                as_of: Timestamp::from_timestamp_millis(1_772_438_700_000),
            },
            book: Book {
                accounts: vec![account("mirat"), account("mevlut")],
                unreadable: Vec::new(),
                standing: Standing::default(),
                openings: Vec::new(),
            },
            halts: Vec::new(),
            unresolved: false,
            spent: None,
            rules: Some(rules_of("BTCUSDT", "100")),
            brackets: None,
            round_trip: None,
            stop_distance: "10%",
            leverage: 3,
        }
    }

    pub fn long() -> Self {
        Self::new(DecisionWord::Long, "1")
    }

    pub fn short() -> Self {
        Self::new(DecisionWord::Short, "1")
    }

    /// A model that wants out of a long position opened an hour ago, which loses a little.
    pub fn close() -> Self {
        let mut scene = Self::new(DecisionWord::Close, "0.2");
        let mut position = crate::desk::signals::tests::long_position();
        position.opened_at = Some(scene.now - chrono::TimeDelta::hours(1));
        position.entry = "60600".parse().unwrap();
        scene.position = Some(position);
        scene
    }

    pub fn coin(&mut self) -> &mut CoinFacts {
        &mut self.market.coins[0]
    }

    pub fn own(&mut self) -> &mut AccountFacts {
        &mut self.book.accounts[0]
    }

    pub fn price(&mut self, price: &str) {
        self.coin().now = Some(price.parse().unwrap());
    }

    pub fn with<T>(&self, look: impl FnOnce(&Facts<'_>) -> T) -> T {
        look(&Facts {
            proposal: &self.proposal,
            position: self.position.as_ref(),
            threshold: self.settings.model.confidence_threshold,
            now: self.now,
            coin: self.market.coin(&self.proposal.symbol).unwrap(),
            market: &self.market,
            account: self.book.account(&self.proposal.account).unwrap(),
            book: &self.book,
            halts: &self.halts,
            unresolved: self.unresolved,
            spent: self.spent,
            rules: self.rules.as_ref(),
            brackets: self.brackets.as_ref(),
            round_trip: self.round_trip,
            stop_distance: self.stop_distance.parse().unwrap(),
            leverage: self.leverage,
            profile: self.settings.profile,
            allocation: CoinAllocation::Equal { coins: 10 },
            margin_share: self.settings.risk.margin_share.share(),
            target_volatility: self.settings.risk.target_volatility.share(),
            confidence_scale: self.settings.risk.guards.confidence_scale.map(crate::config::Part::share),
        })
    }

    pub fn judge(&self) -> Verdict {
        self.with(|facts| Guards::of(&self.settings).judge(facts))
    }

    /// The rule that refused, if one did.
    pub fn refused_by(&self) -> Option<Rule> {
        rule_of(&self.judge())
    }

    pub fn refused_without(&self, rule: Rule) -> Option<Rule> {
        self.with(|facts| rule_of(&Guards::of(&self.settings).without(rule).judge(facts)))
    }

    pub fn order(&self) -> OpenOrder {
        match self.judge() {
            Verdict::Open(approved) => approved.order().clone(),
            other => panic!("not opened: {other:?}"),
        }
    }
}

fn rule_of(verdict: &Verdict) -> Option<Rule> {
    match verdict {
        Verdict::Settled(outcome) => {
            assert_eq!(outcome.kind, OutcomeKind::Refused, "{outcome:?}");
            assert!(!outcome.detail.is_empty());
            outcome.rule
        }
        Verdict::Open(_) | Verdict::Close(_) => None,
    }
}
