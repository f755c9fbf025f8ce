//! From a checked answer to verdicts: every row of every account in a fixed order, each seeing what was approved before
//! it, so that no two accounts can race for the same room. Nothing here waits; execution begins when all is judged.

use super::case::{AccountFacts, Book, CoinFacts, Facts, MarketFacts};
use super::past::Past;
use super::{Guards, Refusal, Verdict};
use crate::desk::answer::{Answer, CheckedRow};
use crate::desk::execution::AccountDesk;
use crate::desk::floor::Floor;
use crate::desk::gathering::Gathered;
use crate::domain::{
    AccountName, AccountState, DecisionWord, Direction, Halt, Outcome, OutcomeKind, Proposal, Rule, Symbol,
};
use crate::exchange::SymbolRules;
use crate::market::Brief;

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
            rules: seat.rules.as_ref(),
            most_notional: self.floor.guards.most_notional(&proposal.account, &proposal.symbol),
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
        let bench = Bench { floor: self, market: &market, halts: &halts };
        let mut remark = None;
        let verdicts = proposals.iter().map(|proposal| {
            let verdict = self.verdict(&bench, answer, states, proposal, &book, &past, &mut remark);
            if let Verdict::Open(approved) = &verdict {
                book.promise(approved.order());
            }
            verdict
        });
        let verdicts = verdicts.collect();
        Judged { verdicts, remark }
    }

    #[expect(clippy::too_many_arguments, reason = "all of them are parts of one question")]
    fn verdict(
        &self,
        bench: &Bench<'_>,
        answer: &Answer,
        states: &[AccountState],
        proposal: &Proposal,
        book: &Book,
        past: &Past,
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
        let rules = self.shared.rules_of(&proposal.symbol);
        let seat = Seat { state, coin, desk, rules };
        let Some(facts) = bench.facts(&seat, proposal, book) else {
            return failed("the account is not in the book");
        };
        let guards: &Guards = self.guards.guards();
        let verdict = guards.judge(&facts);
        match &verdict {
            Verdict::Open(_) if past.as_of.is_none() => {
                return failed("what the accounts did before could not be read, so nothing is opened");
            }
            Verdict::Open(_) => *remark = guards.remarks(&facts).pop().or(remark.take()),
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
        let bench = Bench { floor: self, market: &market, halts: &halts };
        let mut bars = Vec::new();
        for state in accounts.iter().filter(|state| state.trouble.is_none()) {
            for symbol in &state.symbols {
                let (Some(coin), Some(desk)) = (market.coin(symbol), self.account(&state.name)) else {
                    continue;
                };
                let seat = Seat { state, coin, desk, rules: self.shared.rules_of(symbol) };
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
                    bar(DecisionWord::Long, guards.bar(&facts, Direction::Long));
                    bar(DecisionWord::Short, guards.bar(&facts, Direction::Short));
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
