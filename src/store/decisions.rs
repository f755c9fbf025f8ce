//! What the model proposed, row by row, and what became of it.

use rusqlite::{Connection, params};

use super::Store;
use super::error::StoreError;
use super::values::{collect, money, unreadable, unword, unword_some, word};
use crate::domain::{
    AccountName, Confidence, CycleId, DecisionRow, MarketBias, Outcome, Proposal, Symbol, Untrusted,
};

impl Store {
    /// Keeps the checked answer, before anything is done about it.
    pub async fn put_decisions(&self, cycle: &CycleId, proposals: &[Proposal]) -> Result<(), StoreError> {
        let (cycle, proposals) = (cycle.clone(), proposals.to_owned());
        self.write(move |connection| {
            proposals.iter().try_for_each(|proposal| upsert_proposal(connection, &cycle, proposal))
        })
        .await
    }

    /// Notes what became of one row.
    pub async fn settle_decision(
        &self,
        cycle: &CycleId,
        account: &AccountName,
        symbol: &Symbol,
        outcome: &Outcome,
    ) -> Result<(), StoreError> {
        let (cycle, account) = (cycle.clone(), account.clone());
        let (symbol, outcome) = (symbol.clone(), outcome.clone());
        self.write(move |connection| settle(connection, &cycle, &account, &symbol, &outcome)).await
    }

    /// The rows of a cycle; those that are not settled yet have no outcome.
    pub async fn decisions_of(
        &self,
        cycle: &CycleId,
    ) -> Result<Vec<(Proposal, Option<Outcome>)>, StoreError> {
        let cycle = cycle.clone();
        self.read(move |connection| {
            let mut statement = connection.prepare_cached(
                "SELECT account, symbol, decision, confidence, reason, market_bias, risk_note, outcome, rule, detail,
                     orders
                 FROM decisions WHERE cycle = ?1 ORDER BY account, symbol",
            )?;
            collect(&mut statement, [cycle.as_str()], row_of)
        })
        .await
    }
}

/// Keeps a whole row, as the report of a finished cycle has it.
pub(super) fn upsert_row(
    connection: &Connection,
    cycle: &CycleId,
    row: &DecisionRow,
) -> Result<(), StoreError> {
    upsert_proposal(connection, cycle, &row.proposal)?;
    settle(connection, cycle, &row.proposal.account, &row.proposal.symbol, &row.outcome)
}

fn upsert_proposal(connection: &Connection, cycle: &CycleId, proposal: &Proposal) -> Result<(), StoreError> {
    let mut statement = connection.prepare_cached(
        "INSERT INTO decisions (cycle, account, symbol, decision, confidence, reason, market_bias, risk_note)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
         ON CONFLICT (cycle, account, symbol) DO UPDATE SET decision = excluded.decision,
             confidence = excluded.confidence, reason = excluded.reason, market_bias = excluded.market_bias,
             risk_note = excluded.risk_note",
    )?;
    statement.execute(params![
        cycle.as_str(),
        proposal.account.as_str(),
        proposal.symbol.as_str(),
        proposal.decision.as_ref().map(word).transpose()?,
        proposal.confidence.map(|confidence| money(confidence.value())),
        proposal.reason.raw(),
        proposal.market_bias.as_ref().map(word).transpose()?,
        proposal.risk_note.as_ref().map(Untrusted::raw),
    ])?;
    Ok(())
}

fn settle(
    connection: &Connection,
    cycle: &CycleId,
    account: &AccountName,
    symbol: &Symbol,
    outcome: &Outcome,
) -> Result<(), StoreError> {
    let mut statement = connection.prepare_cached(
        "UPDATE decisions SET outcome = ?4, rule = ?5, detail = ?6, orders = ?7
         WHERE cycle = ?1 AND account = ?2 AND symbol = ?3",
    )?;
    let settled = statement.execute(params![
        cycle.as_str(),
        account.as_str(),
        symbol.as_str(),
        word(&outcome.kind)?,
        outcome.rule.as_ref().map(word).transpose()?,
        outcome.detail,
        serde_json::to_string(&outcome.orders)?,
    ])?;
    if settled == 1 {
        Ok(())
    } else {
        Err(StoreError::UnknownDecision {
            cycle: cycle.clone(),
            account: account.clone(),
            symbol: symbol.clone(),
        })
    }
}

pub(super) fn row_of(row: &rusqlite::Row<'_>) -> Result<(Proposal, Option<Outcome>), StoreError> {
    let text = |index: usize| row.get::<_, Option<String>>(index);
    let needed = |index: usize| row.get::<_, String>(index);
    let confidence = match text(3)? {
        Some(value) => {
            let number = super::values::decimal("decisions.confidence", &value)?;
            Some(Confidence::new(number).map_err(|_| unreadable("decisions.confidence", value))?)
        }
        None => None,
    };
    let proposal = Proposal {
        account: unword("decisions.account", &needed(0)?)?,
        symbol: unword("decisions.symbol", &needed(1)?)?,
        decision: unword_some("decisions.decision", text(2)?.as_deref())?,
        confidence,
        reason: Untrusted::new(needed(4)?),
        market_bias: unword_some::<MarketBias>("decisions.market_bias", text(5)?.as_deref())?,
        risk_note: text(6)?.map(Untrusted::new),
    };
    let Some(kind) = text(7)? else { return Ok((proposal, None)) };
    let outcome = Outcome {
        kind: unword("decisions.outcome", &kind)?,
        rule: unword_some("decisions.rule", text(8)?.as_deref())?,
        detail: text(9)?.unwrap_or_default(),
        orders: serde_json::from_str(text(10)?.as_deref().unwrap_or("[]"))?,
    };
    Ok((proposal, Some(outcome)))
}
