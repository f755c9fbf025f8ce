//! What the model cost: by cycle and by day, and for each decision and trade it led to.

use chrono::NaiveDate;
use rusqlite::params;
use rust_decimal::Decimal;

use super::Store;
use super::error::StoreError;
use super::values::{collect, decimal, instant, uncount};
use crate::domain::{CycleId, Timestamp, Usage};

/// Money and what it bought.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ModelCost {
    /// Tokens and money of every request, failed ones as far as they were billed.
    pub usage: Usage,
    /// Requests.
    pub calls: u32,
    /// Rows of the answers that could be used.
    pub decisions: u32,
    /// Positions opened.
    pub opened: u32,
    /// Positions closed.
    pub closed: u32,
}

impl ModelCost {
    /// US dollars a usable decision; `None` without one.
    pub fn per_decision(&self) -> Option<Decimal> {
        self.usage.cost_usd.checked_div(Decimal::from(self.decisions))
    }

    /// US dollars a position opened or closed; `None` without one.
    pub fn per_trade(&self) -> Option<Decimal> {
        self.usage.cost_usd.checked_div(Decimal::from(self.opened) + Decimal::from(self.closed))
    }

    fn add(&mut self, other: &Self) {
        self.usage += other.usage;
        self.calls += other.calls;
        self.decisions += other.decisions;
        self.opened += other.opened;
        self.closed += other.closed;
    }
}

/// The cost of one cycle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CycleCost {
    /// Which cycle.
    pub cycle: CycleId,
    /// The market time its decisions belong to.
    pub at: Timestamp,
    /// Who was asked; `None` while it runs, or when it was cut off. Of the built-in analyst the cost is an estimate.
    pub provider: Option<String>,
    /// What it cost.
    pub cost: ModelCost,
}

/// The cost of one day, UTC.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DayCost {
    /// Which day.
    pub day: NaiveDate,
    /// Cycles of it.
    pub cycles: u32,
    /// What they cost together.
    pub cost: ModelCost,
}

/// Adds cycles up by day, earliest first; a day without a cycle is absent.
pub fn by_day(cycles: &[CycleCost]) -> Vec<DayCost> {
    let mut days: Vec<DayCost> = Vec::new();
    for cycle in cycles {
        let day = cycle.at.date_naive();
        let place = days.iter().position(|known| known.day >= day).unwrap_or(days.len());
        if days.get(place).is_none_or(|known| known.day != day) {
            days.insert(place, DayCost { day, cycles: 0, cost: ModelCost::default() });
        }
        days[place].cycles += 1;
        days[place].cost.add(&cycle.cost);
    }
    days
}

impl Store {
    /// What the cycles of a time cost (market time, `to` itself not included), earliest first, at all venues: what is
    /// spent is spent. Cycles that never asked a model are among them, at nothing.
    pub async fn model_costs(&self, from: Timestamp, to: Timestamp) -> Result<Vec<CycleCost>, StoreError> {
        self.read(move |connection| {
            let between = params![from.timestamp_millis(), to.timestamp_millis()];
            let mut statement = connection.prepare_cached(
                "SELECT id, market_time, provider,
                     (SELECT COUNT(*) FROM decisions WHERE cycle = cycles.id
                          AND decision IS NOT NULL AND confidence IS NOT NULL),
                     (SELECT COUNT(*) FROM decisions WHERE cycle = cycles.id AND outcome = 'opened'),
                     (SELECT COUNT(*) FROM decisions WHERE cycle = cycles.id AND outcome = 'closed')
                 FROM cycles WHERE market_time >= ?1 AND market_time < ?2 ORDER BY market_time, id",
            )?;
            let mut cycles = collect(&mut statement, between, |row| {
                let cost = ModelCost {
                    decisions: row.get(3)?,
                    opened: row.get(4)?,
                    closed: row.get(5)?,
                    ..ModelCost::default()
                };
                Ok(CycleCost {
                    cycle: CycleId::from_stored(row.get::<_, String>(0)?),
                    at: instant("cycles.market_time", row.get(1)?)?,
                    provider: row.get(2)?,
                    cost,
                })
            })?;
            let mut statement = connection.prepare_cached(
                "SELECT input_tokens, output_tokens, cache_read_input_tokens, cache_creation_input_tokens, cost_usd,
                     is_estimate
                 FROM model_calls WHERE cycle = ?1",
            )?;
            for line in &mut cycles {
                let calls = collect(&mut statement, [line.cycle.as_str()], |row| {
                    let tokens = |index: usize| uncount("model_calls tokens", row.get(index)?);
                    Ok(Usage {
                        input_tokens: tokens(0)?,
                        output_tokens: tokens(1)?,
                        cache_read_input_tokens: tokens(2)?,
                        cache_creation_input_tokens: tokens(3)?,
                        cost_usd: decimal("model_calls.cost_usd", &row.get::<_, String>(4)?)?,
                        is_estimate: row.get(5)?,
                    })
                })?;
                for usage in calls {
                    line.cost.calls += 1;
                    line.cost.usage += usage;
                }
            }
            Ok(cycles)
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;
    use crate::domain::{Outcome, OutcomeKind};
    use crate::store::testing::*;

    #[tokio::test]
    async fn money_is_told_by_cycle_and_day_and_for_each_decision_and_trade() {
        let fixture = Fixture::new();
        let store = &fixture.store;
        // Two cycles of one day, one of the next that never asked.
        let starts = [1, 2, 30].map(cycle_start);
        for start in &starts {
            store.begin_cycle(start).await.unwrap();
        }
        for (start, cost) in [(&starts[0], "0.06"), (&starts[0], "0.03"), (&starts[1], "0.01")] {
            store.put_model_call(&model_call(&start.id, 1, cost)).await.unwrap();
        }
        let rows = [proposal("a", "BTCUSDT"), proposal("a", "ETHUSDT")];
        store.put_decisions(&starts[0].id, &rows).await.unwrap();
        let mut unusable = proposal("a", "SOLUSDT");
        unusable.decision = None;
        store.put_decisions(&starts[1].id, &[unusable]).await.unwrap();
        let opened =
            Outcome { kind: OutcomeKind::Opened, rule: None, detail: String::new(), orders: Vec::new() };
        store.settle_decision(&starts[0].id, &account("a"), &symbol("BTCUSDT"), &opened).await.unwrap();

        let costs = store.model_costs(at(0), at(0) + TimeDelta::days(7)).await.unwrap();
        let told: Vec<_> = costs
            .iter()
            .map(|line| (line.cost.calls, line.cost.per_decision(), line.cost.per_trade()))
            .collect();
        let dollars = |cents: i64| Some(Decimal::new(cents, 3));
        assert_eq!(told, [(2, dollars(45), dollars(90)), (1, None, None), (0, None, None)]);
        let days = by_day(&costs);
        let sums: Vec<_> =
            days.iter().map(|day| (day.cycles, day.cost.usage.cost_usd, day.cost.decisions)).collect();
        assert_eq!(sums, [(2, Decimal::new(10, 2), 2), (1, Decimal::ZERO, 0)]);
        assert_eq!(store.model_costs(at(0), at(3600)).await.unwrap(), [], "the end is not included");
        let month = store.usage_since(at(0)).await.unwrap();
        assert_eq!(month.cost_usd, days[0].cost.usage.cost_usd, "both ways of counting agree");
    }
}
