//! From a checked answer to verdicts: every row of every account in a fixed order, each seeing what was approved before
//! it, so that no two accounts can race for the same room. Nothing here waits; execution begins when all is judged.

use chrono::TimeDelta;

use super::case::{AccountFacts, Book, CoinFacts, Facts, MarketFacts};
use super::past::Past;
use super::{Guards, OpenOrder, Refusal, Verdict};
use crate::desk::answer::{Answer, CheckedRow};
use crate::desk::execution::AccountDesk;
use crate::desk::floor::Floor;
use crate::desk::gathering::Gathered;
use crate::domain::{
    AccountName, AccountState, DecisionWord, Direction, Halt, Outcome, OutcomeKind, Proposal, Rule, Symbol,
    Timestamp,
};
use crate::exchange::{LeverageBrackets, SymbolRules};
use crate::market::Brief;

/// How long a coin is left alone after an operator closed it by hand.
const AFTER_A_HAND: TimeDelta = TimeDelta::minutes(10);

/// What became of a whole answer before anything was sent.
#[derive(Debug)]
pub struct Judged {
    /// A verdict for every proposal, in their order.
    pub verdicts: Vec<Verdict>,
    /// What an operator should hear about them, once.
    pub remark: Option<String>,
}

/// A decision that code would refuse whatever the model says, and is therefore not offered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bar {
    /// Whose.
    pub account: AccountName,
    /// Which coin.
    pub symbol: Symbol,
    /// The word that is not offered.
    pub word: DecisionWord,
    /// Why.
    pub refusal: Refusal,
}

/// What all rows of one judgement share.
struct Bench<'a> {
    floor: &'a Floor,
    market: &'a MarketFacts,
    halts: &'a [Halt],
    spent: Option<&'a str>,
}

impl<'a> Bench<'a> {
    fn facts<'f>(&'f self, seat: &'f Seat<'_>, proposal: &'f Proposal, book: &'f Book) -> Option<Facts<'f>>
    where
        'a: 'f,
    {
        let settings = &self.floor.settings;
        let account: &AccountFacts = book.account(&proposal.account)?;
        Some(Facts {
            proposal,
            position: seat.state.position(&proposal.symbol),
            threshold: settings.model.confidence_threshold,
            now: self.floor.shared.clock.now(),
            coin: seat.coin,
            market: self.market,
            account,
            book,
            halts: self.halts,
            unresolved: seat.desk.is_unresolved(&proposal.symbol),
            spent: self.spent,
            rules: seat.rules.as_ref(),
            brackets: seat.brackets.as_ref(),
            round_trip: self.floor.guards.round_trip(&proposal.account),
            stop_distance: seat.desk.terms().stop_distance,
            leverage: seat.desk.terms().leverage,
            profile: settings.profile,
            allocation: seat.desk.terms().allocation,
            margin_share: settings.risk.margin_share.share(),
            target_volatility: settings.risk.target_volatility.share(),
            confidence_scale: settings.risk.guards.confidence_scale.map(crate::config::Part::share),
        })
    }
}

/// What belongs to one account and coin.
struct Seat<'a> {
    state: &'a AccountState,
    coin: &'a CoinFacts,
    desk: &'a AccountDesk,
    rules: Option<SymbolRules>,
    brackets: Option<LeverageBrackets>,
}

impl Floor {
    /// Judges every proposal against the accounts as they are now.
    pub(in crate::desk) fn judge_all(
        &self,
        gathered: &Gathered,
        answer: &Answer,
        states: &[AccountState],
        proposals: &[Proposal],
    ) -> Judged {
        let past = self.guards.past();
        let mut book = self.guards.book(states, &past);
        let market = self.market_facts(&gathered.brief);
        let halts = self.shared.bulletin.read(|present| present.halts.clone());
        let bench = Bench { floor: self, market: &market, halts: &halts, spent: answer.spent.as_deref() };
        let mut remark = None;
        let verdicts = proposals.iter().map(|proposal| {
            let mut verdict = self.verdict(&bench, answer, states, proposal, &book, &mut remark);
            if let Verdict::Open(approved) = &verdict
                && let Some(refusal) = self.overtaken(gathered, states, &past, approved.order())
            {
                verdict = Verdict::Settled(refusal.outcome());
            }
            if let Verdict::Open(approved) = &verdict {
                book.promise(approved.order());
            }
            verdict
        });
        let verdicts = verdicts.collect();
        Judged { verdicts, remark }
    }

    /// What happened to a coin while the model thought, and forbids an opening that was right when it was asked: in every
    /// profile.
    fn overtaken(
        &self,
        gathered: &Gathered,
        states: &[AccountState],
        past: &Past,
        order: &OpenOrder,
    ) -> Option<Refusal> {
        let holds = |states: &[AccountState]| {
            let mut own = states.iter().filter(|state| state.name == order.account);
            own.any(|state| state.position(&order.symbol).is_some())
        };
        if holds(&gathered.accounts) && !holds(states) {
            let detail =
                "the position the model saw was closed while it thought; nothing is opened in its place";
            return Some(Refusal::new(Rule::AllowedAction, detail));
        }
        self.left_alone(past, &order.account, &order.symbol)
    }

    /// What an operator closed by hand is not opened again at once, whatever the model says: in every profile. A world's
    /// clock may be faster than the operator, or stand: the time is over when either clock says so.
    fn left_alone(&self, past: &Past, account: &AccountName, symbol: &Symbol) -> Option<Refusal> {
        let (at, sent_at) = past.account(account)?.closed_by_hand.get(symbol)?;
        let left = |since: &Timestamp, now: Timestamp| AFTER_A_HAND - now.signed_duration_since(*since);
        let left = left(at, self.shared.clock.now()).min(left(sent_at, self.shared.wall.now()));
        let detail = || {
            format!("an operator closed it by hand; it is left alone for {} min more", left.num_minutes() + 1)
        };
        (left > TimeDelta::zero()).then(|| Refusal::new(Rule::Cooldown, detail()))
    }

    fn seat<'a>(&self, state: &'a AccountState, coin: &'a CoinFacts, desk: &'a AccountDesk) -> Seat<'a> {
        let rules = self.shared.rules_of(&coin.symbol);
        let brackets = self.guards.brackets(&state.name, &coin.symbol);
        Seat { state, coin, desk, rules, brackets }
    }

    fn verdict(
        &self,
        bench: &Bench<'_>,
        answer: &Answer,
        states: &[AccountState],
        proposal: &Proposal,
        book: &Book,
        remark: &mut Option<String>,
    ) -> Verdict {
        let Some(state) = states.iter().find(|state| state.name == proposal.account) else {
            return failed("this account has no desk");
        };
        if let Some(trouble) = &state.trouble {
            return failed(&format!("the account could not be read: {trouble}"));
        }
        let coin = bench.market.coin(&proposal.symbol);
        let Some(coin) = coin.filter(|coin| coin.seen.is_some()) else {
            let detail = "no price for this coin, so it was not offered to the model";
            return Verdict::Settled(Refusal::new(Rule::NoPrice, detail).outcome());
        };
        let is_of = |row: &&CheckedRow| {
            row.proposal.account == proposal.account && row.proposal.symbol == proposal.symbol
        };
        if let Some(outcome) = answer.rows.iter().find(is_of).and_then(CheckedRow::invalid_outcome) {
            return Verdict::Settled(outcome);
        }
        let Some(desk) = self.account(&state.name) else { return failed("this account has no desk") };
        let seat = self.seat(state, coin, desk);
        let Some(facts) = bench.facts(&seat, proposal, book) else {
            return failed("the account is not in the book");
        };
        let guards: &Guards = self.guards.guards();
        let verdict = guards.judge(&facts);
        match &verdict {
            Verdict::Open(_) => {
                if let Some(doubt) = self.guards.doubt() {
                    return failed(&doubt);
                }
                *remark = guards.remarks(&facts).pop().or(remark.take());
            }
            Verdict::Settled(outcome) if outcome.rule == Some(Rule::LongBias) => {
                *remark = guards.remarks(&facts).pop().or(remark.take());
            }
            Verdict::Settled(_) | Verdict::Close(_) => {}
        }
        verdict
    }

    /// Every decision that the guards refuse whatever the model says.
    pub(in crate::desk) fn bars(&self, accounts: &[AccountState], brief: &Brief) -> Vec<Bar> {
        let past = self.guards.past();
        let book = self.guards.book(accounts, &past);
        let market = self.market_facts(brief);
        let halts = self.shared.bulletin.read(|present| present.halts.clone());
        let bench = Bench { floor: self, market: &market, halts: &halts, spent: None };
        let mut bars = Vec::new();
        for state in accounts.iter().filter(|state| state.trouble.is_none()) {
            for symbol in &state.symbols {
                let (Some(coin), Some(desk)) = (market.coin(symbol), self.account(&state.name)) else {
                    continue;
                };
                let seat = self.seat(state, coin, desk);
                let proposal = Proposal::empty(state.name.clone(), symbol.clone());
                let Some(facts) = bench.facts(&seat, &proposal, &book) else { continue };
                let mut bar = |word: DecisionWord, refusal: Option<Refusal>| {
                    let (account, symbol) = (state.name.clone(), symbol.clone());
                    bars.extend(refusal.map(|refusal| Bar { account, symbol, word, refusal }));
                };
                let guards = self.guards.guards();
                if let Some(position) = facts.position {
                    bar(DecisionWord::Close, guards.bar_close(&facts, position));
                } else {
                    for (word, direction) in
                        [(DecisionWord::Long, Direction::Long), (DecisionWord::Short, Direction::Short)]
                    {
                        let refusal = guards.bar(&facts, direction);
                        bar(word, refusal.or_else(|| self.left_alone(&past, &state.name, symbol)));
                    }
                }
            }
        }
        bars
    }
}

fn failed(detail: &str) -> Verdict {
    Verdict::Settled(Outcome {
        kind: OutcomeKind::Failed,
        rule: None,
        detail: detail.to_owned(),
        orders: Vec::new(),
    })
}
