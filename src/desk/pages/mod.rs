//! Answers to what a console asks for: pages read from the store or the market, never broadcast.

mod chart;
mod cycles;
mod market;
mod money;
mod prompt;

use super::floor::Floor;
use crate::domain::{LogPage, Page, PriceGrid, PriceGridPage, Query, Symbol};
use crate::store::StoreError;

/// The most lines a page of history holds.
const LONGEST_LIST: u32 = 500;
/// The most lines a page of the log holds.
const LONGEST_LOG: u32 = 1_000;

impl Floor {
    /// Answers a question, or says in a sentence why it cannot.
    pub async fn page(&self, query: Query) -> Result<Page, String> {
        let store = &self.shared.store;
        match query {
            Query::Market => Ok(Page::Market(self.market_page().await)),
            Query::Chart { symbol, interval } => self.chart_page(symbol, interval).await.map(Page::Chart),
            Query::Cycles { before, limit } => {
                let lines = store
                    .cycle_lines(before, limit.clamp(1, LONGEST_LIST))
                    .await
                    .map_err(|error| unreadable(&error))?;
                Ok(Page::Cycles { lines })
            }
            Query::Cycle { id } => self.cycle_page(&id).await.map(|page| Page::Cycle(Box::new(page))),
            Query::Money { from, to } => {
                self.money_page(from, to).await.map(Page::Money).map_err(|error| unreadable(&error))
            }
            Query::Log { before, limit } => {
                let lines = store
                    .events_before(before, limit.clamp(1, LONGEST_LOG))
                    .await
                    .map_err(|error| unreadable(&error))?;
                Ok(Page::Log(LogPage { lines }))
            }
            Query::PriceGrid { symbol } => Ok(Page::PriceGrid(self.price_grid(symbol))),
            Query::Prompt { name } => self.prompt_page(name.as_deref()).map(Page::Prompt),
            Query::LintPrompt { name, text } => Ok(Page::Lint {
                remarks: self.prompts.check(&name, &text).into_iter().map(prompt::told).collect(),
            }),
        }
    }

    /// By the same rules that a stop is checked by when it is moved.
    fn price_grid(&self, symbol: Symbol) -> PriceGridPage {
        let grid = self.shared.rules_of(&symbol).map(|rules| PriceGrid {
            least: rules.price.min,
            most: rules.price.max,
            step: rules.price.step,
        });
        PriceGridPage { symbol, grid }
    }
}

fn unreadable(error: &StoreError) -> String {
    format!("the store cannot be read: {error}")
}
