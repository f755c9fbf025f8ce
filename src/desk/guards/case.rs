//! What the guards look at: the pair in question, the market, and the book of all accounts with what was promised
//! earlier in the same cycle.

use std::collections::BTreeMap;
use std::ops::Deref;

use rust_decimal::Decimal;
use rust_decimal::prelude::FromPrimitive;

use super::bias::Trend;
use super::past::{Past, Standing};
use super::{OpenOrder, Refusal};
use crate::desk::sizing::{CoinAllocation, Sized, SizingInput, size};
use crate::domain::{
    AccountName, AccountState, Confidence, Direction, Halt, Position, Price, PricePercent, Profile, Proposal,
    Rule, Symbol, Timestamp, Untrusted,
};
use crate::exchange::{LeverageBrackets, SymbolRules};
use crate::market::{Brief, CoinBrief};

/// One coin as the brief and the streams show it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CoinFacts {
    /// Which.
    pub symbol: Symbol,
    /// The last traded price when the brief was gathered: what the model saw.
    pub seen: Option<Price>,
    /// The mark price then.
    pub mark: Option<Price>,
    /// The index price then.
    pub index: Option<Price>,
    /// The close of the last closed 4 h candle.
    pub last_close: Option<Price>,
    /// The newest mark price heard.
    pub now: Option<Price>,
    /// ATR(14) of 4 h candles, USDT.
    pub atr: Option<Decimal>,
    /// Beta to bitcoin over 30 days.
    pub beta: Option<Decimal>,
    /// Correlation to bitcoin over 30 days.
    pub correlation: Option<Decimal>,
    /// A source of its price or candles that was older than its kind allows when the brief was gathered.
    pub stale: Option<String>,
    /// Seconds since its mark price was heard last, when it was once and that is too long ago.
    pub silent_s: Option<u64>,
}

impl CoinFacts {
    /// From the brief; the newest mark is that of the brief until another is set.
    pub fn of(coin: &CoinBrief) -> Self {
        let decimal = |value: Option<f64>| value.and_then(Decimal::from_f64).map(|value| value.round_dp(9));
        Self {
            symbol: coin.symbol.clone(),
            seen: coin.price,
            mark: coin.mark_price,
            index: coin.index_price,
            last_close: coin.candles_4h.last().map(|candle| candle.close),
            now: coin.mark_price.or(coin.price),
            atr: decimal(coin.atr).filter(|atr| *atr > Decimal::ZERO),
            beta: decimal(coin.beta_btc),
            correlation: decimal(coin.correlation_btc),
            stale: None,
            silent_s: None,
        }
    }

    /// The price an order would be sized by.
    pub fn price(&self) -> Option<Price> {
        self.now.or(self.seen)
    }
}

/// The market as the guards see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MarketFacts {
    /// Coins, in the brief's order.
    pub coins: Vec<CoinFacts>,
    /// Where it goes as a whole.
    pub trend: Trend,
    /// High-impact calendar entries: when, and the name that somebody else gave it.
    pub events: Vec<(Timestamp, Untrusted)>,
    /// When the brief was gathered (market time); `None` while there was none.
    pub as_of: Option<Timestamp>,
}

impl MarketFacts {
    /// Before anything was seen of it.
    pub fn unknown() -> Self {
        Self { coins: Vec::new(), trend: Trend::Flat, events: Vec::new(), as_of: None }
    }

    /// From the brief. `mark_of` gives the newest mark of a coin where one was heard.
    pub fn of(brief: &Brief, mark_of: impl Fn(&Symbol) -> Option<Price>) -> Self {
        let fresh = |coin: &CoinBrief| {
            let mut facts = CoinFacts::of(coin);
            facts.now = mark_of(&facts.symbol).or(facts.now);
            facts.stale = stale_source(brief, &facts.symbol);
            facts
        };
        let high = brief.calendar.iter().filter(|entry| entry.impact == "high");
        Self {
            coins: brief.coins.iter().map(fresh).collect(),
            trend: Trend::of(brief.coins.iter().map(|coin| [coin.change_24h_pct, coin.change_7d_pct])),
            events: high
                .map(|entry| {
                    let name = format!("{} {}", entry.country, entry.event.raw());
                    (entry.at, Untrusted::new(name.trim()))
                })
                .collect(),
            as_of: Some(brief.as_of),
        }
    }

    /// What is known of one coin.
    pub fn coin(&self, symbol: &Symbol) -> Option<&CoinFacts> {
        self.coins.iter().find(|coin| &coin.symbol == symbol)
    }
}

/// The name of a source that a size, a stop or a price check of the coin hangs on, and that was stale.
fn stale_source(brief: &Brief, symbol: &Symbol) -> Option<String> {
    let needed = [format!("binance/price/{symbol}"), format!("binance/klines/{symbol}/4h")];
    let stale = brief.sources.iter().find(|source| source.stale && needed.contains(&source.name));
    stale.map(|source| source.name.clone())
}

/// A position, or an opening that was approved earlier in the same cycle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holding {
    /// Which coin.
    pub symbol: Symbol,
    /// Which way.
    pub direction: Direction,
    /// Its size at the present price, USDT.
    pub notional: Decimal,
}

/// One account in the book.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountFacts {
    /// Whose.
    pub name: AccountName,
    /// Wallet plus unrealised profit and loss, USDT.
    pub equity: Decimal,
    /// Free margin not yet promised, USDT.
    pub free_margin: Decimal,
    /// What it holds and what was promised it.
    pub holdings: Vec<Holding>,
    /// What it traded in the last 24 hours and was promised, USDT.
    pub traded: Decimal,
    /// When a position was last closed, by coin.
    pub closed: BTreeMap<Symbol, Timestamp>,
    /// What it made and lost.
    pub standing: Standing,
}

/// What an account was worth and held when it was read last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastSeen {
    /// Whose.
    pub name: AccountName,
    /// Wallet plus unrealised profit and loss then, USDT.
    pub equity: Decimal,
    /// What it held then, at the prices of then.
    pub holdings: Vec<Holding>,
}

impl LastSeen {
    /// From a reading; `None` when it failed.
    pub fn of(state: &AccountState) -> Option<Self> {
        state.trouble.is_none().then(|| Self {
            name: state.name.clone(),
            equity: state.equity.value(),
            holdings: state.positions.iter().map(holding).collect(),
        })
    }
}

/// Every account that can be read, with its past, and what was promised in this cycle.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Book {
    /// The accounts, in the settings' order.
    pub accounts: Vec<AccountFacts>,
    /// Accounts that cannot be read now, as they were seen last: what they hold is still held.
    pub unreadable: Vec<LastSeen>,
    /// What all of them together made and lost.
    pub standing: Standing,
    /// The directions of the last openings of all accounts, oldest first.
    pub openings: Vec<Direction>,
}

impl Book {
    /// The accounts as they were read last. One that cannot be read is not among them: nothing may be sized by what it
    /// was once worth.
    pub fn of(states: &[AccountState], past: &Past) -> Self {
        let readable = states.iter().filter(|state| state.trouble.is_none());
        let accounts = readable.map(|state| {
            let own = past.account(&state.name);
            AccountFacts {
                name: state.name.clone(),
                equity: state.equity.value(),
                free_margin: state.available.value(),
                holdings: state.positions.iter().map(holding).collect(),
                traded: own.map_or(Decimal::ZERO, |own| own.traded),
                closed: own.map(|own| own.closed.clone()).unwrap_or_default(),
                standing: own
                    .map(|own| own.track.standing(std::iter::once((&state.name, state.equity.value()))))
                    .unwrap_or_default(),
            }
        });
        let accounts: Vec<AccountFacts> = accounts.collect();
        let worth = accounts.iter().map(|account| (&account.name, account.equity));
        Self {
            standing: past.desk.standing(worth),
            openings: past.openings.clone(),
            unreadable: Vec::new(),
            accounts,
        }
    }

    /// What all accounts hold, those that cannot be read included, and what they are worth together.
    pub fn whole_desk(&self) -> (impl Iterator<Item = &Holding>, Decimal) {
        let equity = self.accounts.iter().map(|account| account.equity);
        let equity = equity.chain(self.unreadable.iter().map(|account| account.equity)).sum();
        let readable = self.accounts.iter().flat_map(|account| &account.holdings);
        (readable.chain(self.unreadable.iter().flat_map(|account| &account.holdings)), equity)
    }

    /// One account.
    pub fn account(&self, name: &AccountName) -> Option<&AccountFacts> {
        self.accounts.iter().find(|account| &account.name == name)
    }

    /// Counts an approved opening as if it were held already.
    pub fn promise(&mut self, order: &OpenOrder) {
        let notional = order.reference.value() * order.quantity.value();
        let Some(account) = self.accounts.iter_mut().find(|account| account.name == order.account) else {
            return;
        };
        account.free_margin -= order.margin;
        account.traded += notional;
        account.holdings.push(Holding { symbol: order.symbol.clone(), direction: order.direction, notional });
        self.openings.push(order.direction);
    }
}

fn holding(position: &Position) -> Holding {
    Holding {
        symbol: position.symbol.clone(),
        direction: position.direction,
        notional: position.mark.notional(position.quantity).value(),
    }
}

/// Everything known about one account and coin when its row is judged.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    /// What the model proposed; usable.
    pub proposal: &'a Proposal,
    /// What the account holds in the coin.
    pub position: Option<&'a Position>,
    /// Confidence from which an opening is allowed.
    pub threshold: Confidence,
    /// Market time.
    pub now: Timestamp,
    /// The coin.
    pub coin: &'a CoinFacts,
    /// The market.
    pub market: &'a MarketFacts,
    /// The account.
    pub account: &'a AccountFacts,
    /// All accounts.
    pub book: &'a Book,
    /// The halts in force.
    pub halts: &'a [Halt],
    /// Whether another order of this account and coin is unresolved.
    pub unresolved: bool,
    /// The budget of the model that was used up with the answer, in words.
    pub spent: Option<&'a str>,
    /// The exchange's rules for the coin.
    pub rules: Option<&'a SymbolRules>,
    /// The exchange's leverage steps for the coin, where they are known.
    pub brackets: Option<&'a LeverageBrackets>,
    /// What opening and closing at market costs this account, as a share of the notional, where it is known.
    pub round_trip: Option<Decimal>,
    /// How far from the entry the stop will rest.
    pub stop_distance: PricePercent,
    /// Leverage of the account.
    pub leverage: u32,
    /// How openings are sized.
    pub profile: Profile,
    /// What the coin is given.
    pub allocation: CoinAllocation,
    /// Share of equity used as margin.
    pub margin_share: Decimal,
    /// ATR as a share of price up to which the margin share is taken whole.
    pub target_volatility: Decimal,
    /// Part of the margin given at the threshold; `None` gives the whole at any confidence.
    pub confidence_scale: Option<Decimal>,
}

impl Facts<'_> {
    /// The confidence in the proposal, or the one that just suffices: for questions asked before the model was.
    pub(super) fn threshold_or_full(&self) -> Confidence {
        self.proposal.confidence.unwrap_or(self.threshold)
    }
}

/// What is to be done.
#[derive(Debug, Clone, Copy)]
pub enum Action<'a> {
    /// Open a position.
    Open {
        /// Which way.
        direction: Direction,
        /// How sure the model is.
        confidence: Confidence,
    },
    /// Close the position there is.
    Close(&'a Position),
}

/// One question to the guards: the facts, what is to be done, and how large it would be.
#[derive(Debug, Clone)]
pub struct Case<'a> {
    facts: Facts<'a>,
    /// What is to be done.
    pub action: Action<'a>,
    /// The size, or a sentence on why there is none.
    pub size: Result<Sized, String>,
}

impl<'a> Deref for Case<'a> {
    type Target = Facts<'a>;
    fn deref(&self) -> &Facts<'a> {
        &self.facts
    }
}

impl<'a> Case<'a> {
    pub(super) fn opening(facts: Facts<'a>, direction: Direction, confidence: Confidence) -> Self {
        let size = Err("not sized yet".to_owned());
        Self { facts, action: Action::Open { direction, confidence }, size }
    }

    pub(super) fn closing(facts: Facts<'a>, position: &'a Position) -> Self {
        Self { facts, action: Action::Close(position), size: Err("a close is not sized".to_owned()) }
    }

    /// Which way it opens, if it does.
    pub fn opens(&self) -> Option<Direction> {
        match self.action {
            Action::Open { direction, .. } => Some(direction),
            Action::Close(_) => None,
        }
    }

    /// The same case with the size its facts allow, scaled.
    pub(super) fn sized(self, scale: Decimal) -> Self {
        let size = self.size_at(scale);
        Self { size, ..self }
    }

    fn size_at(&self, scale: Decimal) -> Result<Sized, String> {
        let Action::Open { confidence, .. } = self.action else { return Err("nothing is opened".to_owned()) };
        let price = self.coin.price().ok_or("no price for this coin")?;
        let rules = self.rules.ok_or("the exchange does not list this coin")?;
        let input = SizingInput {
            profile: self.profile,
            allocation: self.allocation,
            leverage: self.leverage,
            equity: self.account.equity,
            free_margin: self.account.free_margin,
            price,
            atr: self.coin.atr,
            margin_share: self.margin_share,
            target_volatility: self.target_volatility,
            confidence,
            threshold: self.threshold,
            confidence_scale: self.confidence_scale,
            scale,
            most_notional: self.brackets.and_then(|steps| steps.largest_notional(self.leverage)),
        };
        size(&input, rules)
    }

    /// Size at the price it is sized by, USDT; zero while there is none.
    pub fn notional(&self) -> Decimal {
        self.size.as_ref().map_or(Decimal::ZERO, |size| size.price.notional(size.quantity).value())
    }

    /// The order this case asks for.
    pub(super) fn order(&self) -> Result<OpenOrder, Refusal> {
        let no_size = |why: &str| Refusal::new(Rule::Sizing, why);
        let direction = self.opens().ok_or_else(|| no_size("nothing is opened"))?;
        let size = self.size.as_ref().map_err(|why| no_size(why))?;
        Ok(OpenOrder {
            account: self.proposal.account.clone(),
            symbol: self.proposal.symbol.clone(),
            direction,
            quantity: size.quantity,
            reference: size.price,
            margin: size.margin,
        })
    }
}
