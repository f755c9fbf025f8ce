//! What a console asks for is what the store holds.

use jarvis::domain::{CycleId, Interval, OrderPurpose, Page, Query, Trigger};
use rust_decimal::Decimal;

use crate::rig::{Plan, Rig, now};

async fn page(rig: &Rig, query: Query) -> Page {
    rig.floor.page(query).await.unwrap()
}

#[tokio::test]
async fn a_cycle_is_found_in_the_list_and_opens_down_to_the_words_of_the_model() {
    let rig = Rig::new(Plan::default()).await;
    let report = rig.floor.run_cycle(Trigger::Manual).await.unwrap();
    let Page::Cycles { lines } = page(&rig, Query::Cycles { before: None, limit: 10 }).await else {
        panic!()
    };
    assert_eq!(lines.len(), 1);
    assert_eq!(lines[0].id, report.cycle_id);
    let outcomes = lines[0].outcomes;
    let counted = outcomes.opened + outcomes.none + outcomes.refused + outcomes.failed + outcomes.invalid;
    assert_eq!(counted as usize, report.decisions.len());
    assert_eq!(lines[0].usage.unwrap().output_tokens, report.usage.output_tokens);

    let Page::Cycle(whole) = page(&rig, Query::Cycle { id: report.cycle_id.clone() }).await else { panic!() };
    assert_eq!(whole.report.as_ref(), Some(&report));
    assert!(whole.user_prompt.unwrap().raw().contains("BTCUSDT"));
    assert_eq!(whole.turns.len(), report.model.iterations as usize);
    assert_eq!(whole.tool_calls.len(), report.tool_calls.len());
    assert!(whole.tool_calls.iter().all(|call| call.body.raw().contains("as_of")));
    let opened = outcomes.opened as usize;
    assert!(opened > 0, "the pages of orders and fills need an opening");
    let count = |purpose| whole.orders.iter().filter(|order| order.purpose == purpose).count();
    assert_eq!((count(OrderPurpose::Open), count(OrderPurpose::Stop)), (opened, opened));
    assert!(whole.fills.len() >= opened);
    assert!(whole.fills.iter().all(|fill| fill.purpose == Some(OrderPurpose::Open)));
}

#[tokio::test]
async fn older_cycles_come_after_the_newest_and_a_strange_one_is_said_to_be_missing() {
    let rig = Rig::new(Plan::default()).await;
    let first = rig.floor.run_cycle(Trigger::Manual).await.unwrap();
    let answer = rig.floor.page(Query::Cycles { before: Some(first.started_at), limit: 10 }).await.unwrap();
    assert_eq!(answer, Page::Cycles { lines: Vec::new() });
    let missing = rig.floor.page(Query::Cycle { id: CycleId::from_stored("nowhere") }).await;
    assert!(missing.unwrap_err().contains("nowhere"));
}

#[tokio::test]
async fn money_is_what_the_fills_cost_and_the_model_took() {
    let rig = Rig::new(Plan::default()).await;
    let report = rig.floor.run_cycle(Trigger::Manual).await.unwrap();
    rig.floor.look_again().await;
    let day = chrono::TimeDelta::days(1);
    let Page::Money(money) = page(&rig, Query::Money { from: now() - day, to: now() + day }).await else {
        panic!()
    };
    let Page::Cycle(whole) = page(&rig, Query::Cycle { id: report.cycle_id.clone() }).await else { panic!() };
    let fees: Decimal = whole.fills.iter().map(|fill| fill.commission.value()).sum();
    assert!(fees > Decimal::ZERO);
    assert_eq!(money.total.commission, -fees);
    assert_eq!(money.total.model_cost, report.usage.cost_usd);
    assert_eq!(money.equity.len(), 3);
    assert!(money.equity.iter().all(|(_, curve)| !curve.is_empty()));
    assert_eq!(money.coins.len(), 10);
}

#[tokio::test]
async fn the_market_page_knows_every_coin_and_a_chart_shows_what_was_done_on_it() {
    let rig = Rig::new(Plan::default()).await;
    let report = rig.floor.run_cycle(Trigger::Manual).await.unwrap();
    let Page::Market(market) = page(&rig, Query::Market).await else { panic!() };
    assert_eq!(market.coins.len(), 10);
    for coin in &market.coins {
        assert!(coin.price.is_some() && coin.rsi.is_some() && coin.beta.is_some(), "{coin:?}");
        assert_eq!(coin.closes.len(), 48);
    }
    assert!(market.fear_greed.is_some() && !market.headlines.is_empty());

    let traded = report.decisions.iter().find(|row| !row.outcome.orders.is_empty()).unwrap();
    let symbol = traded.proposal.symbol.clone();
    let query = Query::Chart { symbol: symbol.clone(), interval: Interval::Hour4 };
    let Page::Chart(chart) = page(&rig, query).await else { panic!() };
    assert_eq!(chart.candles.len(), 300);
    // At five past eight: the first five minutes of the running four hours.
    let closed = chart.candles[299].open_time + 4 * 3_600_000;
    assert_eq!(chart.forming.map(|forming| forming.open_time), Some(closed));
    assert!(chart.fills.iter().all(|fill| fill.symbol == symbol) && !chart.fills.is_empty());
    assert_eq!(chart.decisions.len(), 3, "one decision for each account");
}

#[tokio::test]
async fn the_log_is_read_backwards_page_by_page() {
    let rig = Rig::new(Plan::default()).await;
    rig.floor.run_cycle(Trigger::Manual).await.unwrap();
    rig.floor.bulletin().flush().await;
    let Page::Log(newest) = page(&rig, Query::Log { before: None, limit: 5 }).await else { panic!() };
    assert_eq!(newest.lines.len(), 5);
    let last = newest.lines.last().unwrap().0;
    let Page::Log(older) = page(&rig, Query::Log { before: Some(last), limit: 5 }).await else { panic!() };
    assert!(older.lines.iter().all(|(place, _)| *place < last));
}

#[tokio::test]
async fn the_prompt_page_begins_with_the_file_that_is_used_and_says_which_is_not() {
    let rig = Rig::new(Plan::default()).await;
    let Page::Prompt(prompt) = page(&rig, Query::Prompt { name: None }).await else { panic!() };
    let used: Vec<&str> =
        prompt.files.iter().filter(|file| file.is_used).map(|file| file.name.as_str()).collect();
    assert_eq!(prompt.name, used[0]);
    let system = |name: &&&str| name.starts_with("system.");
    assert_eq!(used.iter().filter(system).count(), 1, "one language: {used:?}");
    let other = prompt.files.iter().find(|file| !file.is_used).unwrap();
    let asked = Query::Prompt { name: Some(other.name.clone()) };
    let Page::Prompt(unused) = page(&rig, asked).await else { panic!() };
    assert_eq!(unused.name, other.name, "it can be looked at all the same");
}
