//! The recorded market: closed candles as they are in the files, and a way through the open one.

use std::fmt::Write as _;
use std::path::Path;

use super::*;

const HOUR: i64 = 3_600_000;
const START: &str = "2025-10-06T00:00:00Z";

/// One line of a candle file.
fn line(open_time: i64, length: i64, prices: [&str; 4], volume: &str) -> String {
    let [open, high, low, close] = prices;
    format!("{open_time},{open},{high},{low},{close},{volume},{},123.5,77,0,0,0\n", open_time + length - 1)
}

const HEADER: &str = "open_time,open,high,low,close,volume,close_time,quote_volume,count,taker_buy_volume,taker_buy_quote_volume,ignore\n";

/// Two days of bitcoin: the first only as 4 h and 1 d candles, the second as 1 h candles too.
fn write_files(folder: &Path) {
    let start = at(START);
    let (mut hours, mut fours, mut days) = (HEADER.to_owned(), HEADER.to_owned(), HEADER.to_owned());
    for hour in 24..48 {
        // these do not add up to the 4 h candles, as in real files
        let price = |shift: i64| format!("{}.{}", 60_000 + hour * 10 + shift, hour % 10);
        let (open, high, low, close) = (price(0), price(90), price(-70), price(13));
        hours += &line(start + hour * HOUR, HOUR, [&open, &high, &low, &close], "10.5");
    }
    for four in 0..12 {
        let price = |shift: i64| format!("{}", 60_000 + four * 40 + shift);
        let (open, high, low, close) = (price(0), price(205), price(-180), price(33));
        fours += &line(start + four * 4 * HOUR, 4 * HOUR, [&open, &high, &low, &close], "42");
    }
    for day in -1..2 {
        days += &line(start + day * 24 * HOUR, 24 * HOUR, ["60000", "61500.5", "59000", "60500"], "250.25");
    }
    for (word, text) in [("1h", hours), ("4h", fours), ("1d", days)] {
        std::fs::write(folder.join(format!("BTCUSDT-{word}.csv")), text).unwrap();
    }
}

fn market() -> (tempfile::TempDir, Market) {
    let folder = tempfile::tempdir().unwrap();
    write_files(folder.path());
    let market = Market::recorded(folder.path(), at(START) + 30 * HOUR, 5).unwrap();
    (folder, market)
}

#[test]
fn closed_candles_are_served_exactly_as_recorded() {
    let (_folder, market) = market();
    let now = at(START) + 40 * HOUR + 5_000;
    let name = symbol("BTCUSDT");
    let day = market.bars(&name, Interval::Day1, None, None, 10, now);
    assert_eq!(day.len(), 3);
    assert_eq!(
        (day[0].high.to_string(), day[0].volume.to_string(), day[0].trades),
        ("61500.5".into(), "250.25".into(), 77)
    );
    let four = market.bars(&name, Interval::Hour4, None, None, 100, now);
    assert_eq!(four[four.len() - 2].high, Decimal::from(60_000 + 9 * 40 + 205));
    assert_consistent(&four);
    assert!(market.is_recorded());
}

#[test]
fn the_open_candle_follows_a_way_that_ends_as_recorded() {
    let (_folder, market) = market();
    let name = symbol("BTCUSDT");
    let open = at(START) + 30 * HOUR;
    let hour = |now| market.bars(&name, Interval::Hour1, Some(open), None, 1, now).remove(0);
    let recorded = hour(open + HOUR);
    let complete = hour(open + HOUR - 1);
    assert_eq!(
        [recorded.open, recorded.high, recorded.low, recorded.close],
        [complete.open, complete.high, complete.low, complete.close],
        "a second before its end the open candle has touched everything"
    );
    let early = hour(open + 300_000);
    assert!(early.high <= recorded.high && early.low >= recorded.low);
    assert!(early.volume < recorded.volume);
    assert_eq!(early.close, market.quote(&name, open + 300_000).unwrap().last);
}

#[test]
fn finer_bars_come_from_the_way_and_coarser_paths_fill_missing_hours() {
    let (_folder, market) = market();
    let name = symbol("BTCUSDT");
    let end = at(START) + 48 * HOUR;
    let minutes = market.bars(&name, Interval::Minute5, Some(at(START) + 30 * HOUR), None, 12, end);
    let hour = market.bars(&name, Interval::Hour1, Some(at(START) + 30 * HOUR), None, 1, end).remove(0);
    assert_eq!(together(&minutes), [hour.open, hour.high, hour.low, hour.close]);
    // the first day has no hourly file: its hours come from the 4 h candles
    let derived = market.bars(&name, Interval::Hour1, Some(at(START)), None, 4, end);
    let four = market.bars(&name, Interval::Hour4, Some(at(START)), None, 1, end).remove(0);
    assert_eq!(together(&derived), [four.open, four.high, four.low, four.close]);
    // the day before has daily candles only
    let quote = market.quote(&name, at(START) - 5 * HOUR).unwrap();
    assert!(quote.last >= Decimal::from(59_000) && quote.last <= Decimal::new(615_005, 1));
}

#[test]
fn there_is_no_price_outside_the_files() {
    let (_folder, market) = market();
    let name = symbol("BTCUSDT");
    assert!(market.quote(&name, at(START) + 48 * HOUR).is_none());
    assert!(market.quote(&name, at(START) - 25 * HOUR).is_none());
    let bars = market.bars(&name, Interval::Hour1, None, None, 5, at(START) + 60 * HOUR);
    assert!(bars.iter().all(|bar| bar.open_time < at(START) + 48 * HOUR));
}

#[test]
fn the_same_seed_walks_the_same_way_and_another_seed_another() {
    let folder = tempfile::tempdir().unwrap();
    write_files(folder.path());
    let from = at(START) + 30 * HOUR;
    let made = |seed| Market::recorded(folder.path(), from, seed).unwrap();
    let way = |market: &Market| -> Vec<Decimal> {
        (0..3600).map(|s| market.quote(&symbol("BTCUSDT"), from + s * 1000).unwrap().last).collect()
    };
    assert_eq!(way(&made(5)), way(&made(5)));
    assert_ne!(way(&made(5)), way(&made(6)));
}

#[test]
fn a_jump_works_on_recorded_prices_too() {
    let (_folder, mut market) = market();
    let name = symbol("BTCUSDT");
    let moment = at(START) + 30 * HOUR + 1_800_500;
    market.jump(&name, moment, Decimal::from(50_000)).unwrap();
    assert_eq!(market.quote(&name, moment).unwrap().last, Decimal::from(50_000));
    let hour = market
        .bars(&name, Interval::Hour1, Some(at(START) + 30 * HOUR), None, 1, at(START) + 40 * HOUR)
        .remove(0);
    assert!(hour.low <= Decimal::from(50_000), "the recorded candle gives way to what happened: {hour:?}");
    let before = market
        .bars(&name, Interval::Hour1, Some(at(START) + 29 * HOUR), None, 1, at(START) + 40 * HOUR)
        .remove(0);
    assert_eq!(before.trades, 77, "earlier candles stay as recorded");
}

#[test]
fn unusable_folders_and_files_are_refused_with_a_place() {
    let folder = tempfile::tempdir().unwrap();
    let refuse = |from| Market::recorded(folder.path(), from, 1).unwrap_err();
    assert!(matches!(refuse(0), MarketError::Empty { .. }));
    assert!(matches!(Market::recorded(&folder.path().join("nowhere"), 0, 1), Err(MarketError::Read { .. })));
    let file = folder.path().join("XRPUSDT-1h.csv");
    let mut text = HEADER.to_owned();
    let _ = write!(text, "{}", line(0, HOUR, ["1", "2", "0.5", "1.5"], "3"));
    for (bad, reason) in [
        ("3600000,1,x,0.5,1.5,3", "\"x\" is not a number"),
        ("3600000,1,0.9,0.5,1.5,3", "do not belong to one bar"),
        ("0,1,2,0.5,1.5,3", "does not come after"),
        ("3600001,1,2,0.5,1.5,3", "not the start"),
        ("3600000,1,2", "column 4 is missing"),
    ] {
        std::fs::write(&file, format!("{text}{bad}\n")).unwrap();
        let refusal = refuse(0).to_string();
        assert!(refusal.contains(":3: ") && refusal.contains(reason), "{refusal}");
    }
    std::fs::write(&file, &text).unwrap();
    assert!(matches!(refuse(HOUR), MarketError::NotCovered { .. }));
    assert_eq!(Market::recorded(folder.path(), 0, 1).unwrap().listings()[0].tick, Decimal::new(1, 4));
}

#[test]
fn coins_that_crash_in_the_same_hour_reach_their_lows_together() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["BTCUSDT", "ETHUSDT", "SOLUSDT"] {
        let text = HEADER.to_owned() + &line(at(START), HOUR, ["100", "101", "60", "80"], "5");
        std::fs::write(folder.path().join(format!("{name}-1h.csv")), text).unwrap();
    }
    let market = Market::recorded(folder.path(), at(START), 3).unwrap();
    let lows: Vec<i64> = ["BTCUSDT", "ETHUSDT", "SOLUSDT"]
        .map(|name| {
            (0..3600)
                .find(|second| {
                    market.quote(&symbol(name), at(START) + second * 1000).unwrap().last == Decimal::from(60)
                })
                .unwrap()
        })
        .into();
    assert!(lows.iter().all(|low| (low - lows[0]).abs() < 900), "{lows:?}");
}
