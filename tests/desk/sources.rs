//! Every source of market data killed, slowed and made to lie, one by one, while a whole cycle runs: the cycle ends with
//! a row for every account and coin, the source is named, and only a missing price stops a coin.

use std::sync::Arc;

use jarvis::config::Settings;
use jarvis::domain::{CycleReport, Rule, Symbol};
use jarvis::world::World;

use crate::rig::{Between, Instead, Plan, Rig, world};

/// Where a source is asked, and what it is called among the sources of the brief.
const SOURCES: [(&str, &str); 12] = [
    ("/fapi/v2/ticker/price", "binance/price/"),
    ("/fapi/v1/premiumIndex", "binance/funding-rate/"),
    ("/fapi/v1/fundingInfo", "binance/funding-intervals"),
    ("/fapi/v1/klines", "binance/klines/"),
    ("/futures/data/openInterestHist", "binance/open-interest/"),
    ("/futures/data/globalLongShortAccountRatio", "binance/long-short-ratio/"),
    ("/futures/data/topLongShortPositionRatio", "binance/top-trader-ratio/"),
    ("/futures/data/topLongShortAccountRatio", "binance/top-trader-accounts/"),
    ("/fng/", "alternative_me/fear-greed"),
    ("/api/v1/news", "finnhub/news/"),
    ("/api/v1/calendar/economic", "finnhub/calendar"),
    ("/v8/finance/chart", "us30"),
];
const PRICE: &str = "binance/price/";

const PAGE: &str = "<!doctype html><html><body>Just a moment...</body></html>";
const COINS: [&str; 2] = ["BTCUSDT", "ETHUSDT"];
const ROWS: usize = 2 * COINS.len();

/// Two accounts with two coins each.
fn settings() -> Settings {
    let mut settings = Settings::default();
    settings.accounts.truncate(2);
    for account in &mut settings.accounts {
        account.symbols = COINS.map(|name| Symbol::new(name).unwrap()).to_vec();
    }
    settings
}

/// One cycle of a new desk with one source out of order.
async fn cycle(world: &Arc<World>, path: &'static str, instead: Instead) -> CycleReport {
    let between: Between = Arc::new(move |asked: &str| asked.starts_with(path).then_some(instead));
    let (world, between) = (Some(Arc::clone(world)), Some(between));
    Rig::new(Plan { settings: settings(), world, between, ..Plan::default() }).await.cycle().await
}

/// Coins that were stopped for want of a price.
fn priceless(report: &CycleReport) -> usize {
    report.decisions.iter().filter(|row| row.outcome.rule == Some(Rule::NoPrice)).count()
}

/// Runs a cycle for every source and checks what is the same for all of them; `pauses` says whether the host of the
/// source is then left alone, so that its neighbours, prices among them, may be missing too.
async fn every_source(instead: Instead, pauses: bool) {
    let world = world(&settings());
    for (path, name) in SOURCES {
        let report = cycle(&world, path, instead).await;
        let case = format!("{name} {instead:?}");
        assert_eq!(report.decisions.len(), ROWS, "{case}: {:?}", report.errors);
        let named = report.brief.sources.iter().any(|source| {
            // A stand-in has a name of its own and says why it stands in, or the source says it is old.
            source.name.contains(name) && (source.error.is_some() || source.stale)
        });
        assert!(named, "{case} is not named: {:?}", report.brief.sources);
        if name == PRICE {
            assert_eq!(priceless(&report), ROWS, "{case}: {:?}", report.errors);
        } else if !(pauses && name.starts_with("binance/")) {
            assert_eq!(priceless(&report), 0, "{case}: {:?}", report.errors);
            let ill = report.brief.sources.iter().filter(|source| source.error.is_some());
            let others: Vec<_> = ill.filter(|source| !source.name.contains(name)).collect();
            assert!(others.is_empty() || pauses, "{case} took others along: {others:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_dead_source_is_named_and_the_cycle_ends() {
    every_source(Instead::Dead, false).await;
}

#[tokio::test(start_paused = true)]
async fn a_silent_source_is_named_and_the_cycle_ends() {
    every_source(Instead::Silent, false).await;
}

#[tokio::test(start_paused = true)]
async fn a_page_with_status_200_is_no_answer() {
    every_source(Instead::Says(200, None, PAGE), false).await;
}

#[tokio::test(start_paused = true)]
async fn an_answer_cut_in_the_middle_is_no_answer() {
    every_source(Instead::Cut, false).await;
}

#[tokio::test(start_paused = true)]
async fn an_answer_of_other_types_is_no_answer() {
    let lie = r#"{"data":7,"price":[],"markPrice":{},"chart":"x","economicCalendar":{}}"#;
    every_source(Instead::Says(200, None, lie), false).await;
}

#[tokio::test(start_paused = true)]
async fn a_source_that_fails_inside_is_named_and_the_cycle_ends() {
    every_source(Instead::Says(503, None, "Service Unavailable"), false).await;
}

#[tokio::test(start_paused = true)]
async fn a_source_that_asks_for_a_pause_gets_it_and_the_cycle_ends() {
    every_source(Instead::Says(429, Some("30"), r#"{"code":-1003,"msg":"Too many requests."}"#), true).await;
}

#[tokio::test(start_paused = true)]
async fn a_source_that_bans_is_left_alone_and_the_cycle_ends() {
    every_source(Instead::Says(418, None, "I'm a teapot"), true).await;
}
