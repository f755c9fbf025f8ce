//! The made-up market: one path, the same for ever, whatever interval and whatever order it is asked in.

use std::sync::LazyLock;

use sha2::{Digest, Sha256};

use super::*;

const ANCHOR: &str = "2026-11-22T12:34:56Z";

/// One market for all tests of this file: making one takes a moment without optimisation.
static MARKET: LazyLock<Market> = LazyLock::new(|| Market::synthetic(42, at(ANCHOR)));

fn bars(market: &Market, name: &str, interval: Interval, limit: usize, now: i64) -> Vec<Bar> {
    market.bars(&symbol(name), interval, None, None, limit, now)
}

#[test]
fn ten_coins_are_listed_with_the_rules_of_the_exchange() {
    let listings = MARKET.listings();
    assert_eq!(listings.len(), 10);
    let doge = MARKET.listing(&symbol("DOGEUSDT")).unwrap();
    assert_eq!((doge.tick, doge.step), (Decimal::new(1, 5), Decimal::ONE));
    assert_eq!(MARKET.listing(&symbol("BTCUSDT")).unwrap().minimum_notional, Decimal::from(100));
    assert!(MARKET.listing(&symbol("SHIBUSDT")).is_none());
}

#[test]
fn the_first_thousand_bars_of_a_seed_never_change() {
    let mut digest = Sha256::new();
    for listing in MARKET.listings() {
        for cell in
            &MARKET.coins[MARKET.listings.iter().position(|l| l == listing).unwrap()].path.cells()[..1000]
        {
            for part in [cell.open, cell.high, cell.low, cell.close] {
                digest.update(part.to_le_bytes());
            }
        }
    }
    let hash = hex::encode(&digest.finalize()[..8]);
    assert_eq!(
        hash, "cc69c01b75296c79",
        "the generator draws differently: every stored world would change its past"
    );
}

#[test]
fn enough_history_stands_behind_the_anchor_for_every_interval() {
    let now = at(ANCHOR);
    for listing in MARKET.listings() {
        for (interval, wanted) in [
            (Interval::Day1, 500),
            (Interval::Hour4, 1500),
            (Interval::Hour1, 1500),
            (Interval::Minute5, 1500),
        ] {
            let bars = MARKET.bars(&listing.symbol, interval, None, None, wanted, now);
            assert_eq!(bars.len(), wanted, "{} {interval}", listing.symbol);
            assert_consistent(&bars);
            let last = &bars[wanted - 1];
            assert!(last.open_time <= now && now <= last.close_time);
        }
    }
}

#[test]
fn every_interval_is_an_aggregate_of_the_same_path() {
    let now = at("2026-11-22T12:00:00Z") - 1;
    for (fine, coarse, ratio) in [
        (Interval::Minute1, Interval::Minute5, 5),
        (Interval::Minute5, Interval::Hour1, 12),
        (Interval::Hour1, Interval::Hour4, 4),
        (Interval::Hour4, Interval::Day1, 6),
    ] {
        let end = bar_end(coarse, now);
        let small = MARKET.bars(&symbol("SOLUSDT"), fine, None, Some(end - 1), ratio * 8, now);
        let large = MARKET.bars(&symbol("SOLUSDT"), coarse, None, Some(end - 1), 8, now);
        for (number, bar) in large.iter().enumerate() {
            let parts = &small[number * ratio..(number + 1) * ratio];
            assert_eq!(parts[0].open_time, bar.open_time);
            assert_eq!(together(parts), [bar.open, bar.high, bar.low, bar.close], "{fine} {coarse}");
        }
    }
}

/// Start of the bar that is open at an instant.
fn bar_end(interval: Interval, now: i64) -> i64 {
    bars::bar_start(interval, now + 1)
}

#[test]
fn quotes_second_by_second_touch_the_bar_exactly() {
    let now = at(ANCHOR);
    let name = symbol("ETHUSDT");
    let bar = &bars(&MARKET, "ETHUSDT", Interval::Minute5, 2, now)[0];
    let quotes: Vec<Quote> =
        (0..300).map(|second| MARKET.quote(&name, bar.open_time + second * 1000).unwrap()).collect();
    assert_eq!(quotes[0].last, bar.open);
    assert_eq!(quotes[299].last, bar.close);
    assert_eq!(quotes.iter().map(|quote| quote.last).max(), Some(bar.high));
    assert_eq!(quotes.iter().map(|quote| quote.last).min(), Some(bar.low));
    let tick = MARKET.listing(&name).unwrap().tick;
    for quote in quotes {
        assert!((quote.last % tick).is_zero() && (quote.bid % tick).is_zero());
        assert!(quote.bid < quote.ask && quote.bid <= quote.last && quote.last <= quote.ask);
        let apart = ((quote.mark - quote.last) / quote.last).abs();
        assert!(apart < Decimal::new(2, 2), "mark {} last {}", quote.mark, quote.last);
    }
}

#[test]
fn the_open_bar_shows_only_what_has_happened() {
    let start = at("2026-11-22T12:00:00Z");
    let early = bars(&MARKET, "BTCUSDT", Interval::Hour1, 1, start + 60_000).remove(0);
    let late = bars(&MARKET, "BTCUSDT", Interval::Hour1, 1, start + 3_599_999).remove(0);
    assert_eq!((early.open_time, late.open_time), (start, start));
    assert_eq!(early.open, late.open);
    assert!(early.high <= late.high && early.low >= late.low && early.volume < late.volume);
    assert_eq!(early.close, MARKET.quote(&symbol("BTCUSDT"), start + 60_000).unwrap().last);
    let just_begun = bars(&MARKET, "BTCUSDT", Interval::Hour1, 1, start).remove(0);
    assert_eq!((just_begun.open, just_begun.high, just_begun.close), (late.open, late.open, late.open));
}

#[test]
fn small_steps_and_one_great_step_live_the_same_market() {
    let anchor = at(ANCHOR);
    let mut small = MARKET.clone();
    let mut great = MARKET.clone();
    let end = anchor + 3 * 86_400_000;
    let mut now = anchor;
    while now < end {
        now += 1_713_000;
        small.extend_to(now);
    }
    great.extend_to(now);
    small.extend_to(anchor);
    for (one, other) in small.coins.iter().zip(&great.coins) {
        assert_eq!(one.path.cells(), other.path.cells());
    }
    assert_eq!(small.dow.cells(), great.dow.cells());
    assert_eq!(
        bars(&MARKET, "XRPUSDT", Interval::Minute5, 300, anchor),
        bars(&great, "XRPUSDT", Interval::Minute5, 300, anchor),
        "time running on changed the past"
    );
}

#[test]
fn a_jump_moves_all_prices_at_once_and_leaves_the_past_alone() {
    let anchor = at(ANCHOR);
    let mut market = MARKET.clone();
    let name = symbol("BTCUSDT");
    let moment = anchor + 1_234;
    let before = market.quote(&name, moment - 1).unwrap();
    let target = (before.last * Decimal::new(8, 1)).trunc();
    let past = bars(&market, "BTCUSDT", Interval::Minute5, 500, moment - 1);
    market.jump(&name, moment, target).unwrap();
    let after = market.quote(&name, moment).unwrap();
    assert_eq!(after.last, target);
    assert!((after.mark / target - Decimal::ONE).abs() < Decimal::new(1, 2));
    assert_eq!(market.quote(&name, moment - 1), Some(before));
    assert_eq!(bars(&market, "BTCUSDT", Interval::Minute5, 500, moment - 1), past);
    let open_bar = bars(&market, "BTCUSDT", Interval::Hour4, 1, moment).remove(0);
    assert_eq!((open_bar.low, open_bar.close), (target, target));
    assert!(open_bar.high >= before.last);
    let later = market.quote(&name, moment + 86_400_000);
    assert_eq!(later, None, "the future is not known yet");
    market.extend_to(moment + 86_400_000);
    let (shocked, calm) = (market.quote(&name, moment + 3_000_000).unwrap(), {
        let mut calm = MARKET.clone();
        calm.extend_to(moment + 86_400_000);
        calm.quote(&name, moment + 3_000_000).unwrap()
    });
    let ratio = shocked.last / calm.last / (target / before.last);
    assert!((ratio - Decimal::ONE).abs() < Decimal::new(2, 3), "the shock is for good: {ratio}");
}

#[test]
fn a_market_made_again_from_seed_anchor_and_jumps_is_the_same() {
    let anchor = at(ANCHOR);
    let mut lived = MARKET.clone();
    let name = symbol("PAXGUSDT");
    lived.extend_to(anchor + 7_200_000);
    lived.jump(&name, anchor + 7_200_000, Decimal::from(4000)).unwrap();
    lived.extend_to(anchor + 9_999_000);
    lived.jump(&name, anchor + 9_000_000, Decimal::from(4500)).unwrap();
    let mut again = MARKET.clone();
    for (moment, name, price) in lived.jumps() {
        again.jump(name, *moment, *price).unwrap();
    }
    let now = anchor + 12_000_000;
    lived.extend_to(now);
    again.extend_to(now);
    for interval in [Interval::Minute1, Interval::Minute5, Interval::Hour1, Interval::Day1] {
        assert_eq!(
            bars(&lived, "PAXGUSDT", interval, 100, now),
            bars(&again, "PAXGUSDT", interval, 100, now)
        );
    }
    assert_consistent(&bars(&lived, "PAXGUSDT", Interval::Minute1, 300, now));
}

#[test]
fn impossible_jumps_are_refused_and_change_nothing() {
    let mut market = MARKET.clone();
    let (name, now) = (symbol("BTCUSDT"), at(ANCHOR));
    let far = Decimal::from(10_000_000);
    assert!(matches!(market.jump(&symbol("NOPEUSDT"), now, far), Err(MarketError::UnknownSymbol(_))));
    assert!(matches!(market.jump(&name, now, far), Err(MarketError::BadPrice { .. })));
    assert!(matches!(market.jump(&name, now, Decimal::new(5_000_001, 2)), Err(MarketError::BadPrice { .. })));
    assert!(matches!(market.jump(&name, now, Decimal::ZERO), Err(MarketError::BadPrice { .. })));
    assert!(matches!(market.jump(&name, 0, Decimal::from(50_000)), Err(MarketError::BadTime { .. })));
    market.jump(&name, now, Decimal::from(50_000)).unwrap();
    assert!(matches!(market.jump(&name, now - 1, Decimal::from(50_000)), Err(MarketError::BadTime { .. })));
    assert_eq!(market.jumps().len(), 1);
}

#[test]
fn bars_are_cut_as_the_exchange_cuts_them() {
    let (name, now) = (symbol("ADAUSDT"), at(ANCHOR));
    let hour = 3_600_000;
    let open = at("2026-11-22T12:00:00Z");
    let from = |start, end, limit| -> Vec<i64> {
        MARKET.bars(&name, Interval::Hour1, start, end, limit, now).iter().map(|bar| bar.open_time).collect()
    };
    assert_eq!(from(None, None, 2), [open - hour, open], "newest without a start");
    assert_eq!(
        from(Some(open - 3 * hour), None, 2),
        [open - 3 * hour, open - 2 * hour],
        "first ones from a start"
    );
    assert_eq!(from(Some(open - 3 * hour + 1), Some(open - hour), 9), [open - 2 * hour, open - hour]);
    assert_eq!(from(None, Some(open - 1), 1), [open - hour]);
    assert!(from(Some(now + hour), None, 5).is_empty());
    assert!(from(None, Some(0), 5).is_empty());
    assert_eq!(from(None, None, 0).len(), 0);
    let months = MARKET.bars(&name, Interval::Month1, None, None, 3, now);
    assert_eq!(months[2].open_time, at("2026-11-01T00:00:00Z"));
    assert_eq!(months[1].close_time, at("2026-11-01T00:00:00Z") - 1);
    let weeks = MARKET.bars(&name, Interval::Week1, None, None, 2, now);
    assert_eq!(weeks[1].open_time, at("2026-11-16T00:00:00Z"));
}

#[test]
fn funding_is_announced_before_it_is_paid() {
    let name = symbol("ETHUSDT");
    let now = at(ANCHOR);
    assert_eq!(MARKET.next_funding_ms(&name, now), at("2026-11-22T16:00:00Z"));
    assert_eq!(MARKET.next_funding_ms(&name, at("2026-11-22T16:00:00Z")), at("2026-11-23T00:00:00Z"));
    assert_eq!(
        MARKET.next_funding_ms(&symbol("PAXGUSDT"), at("2026-11-22T16:00:00Z")),
        at("2026-11-22T20:00:00Z")
    );
    let history = MARKET.funding_history(&name, None, now, 300);
    assert_eq!(history.len(), 300);
    for (time, rate, mark) in &history {
        assert_eq!(time % 28_800_000, 0);
        assert_eq!(MARKET.funding_rate(&name, time - 1), *rate);
        assert_eq!(MARKET.quote(&name, *time).unwrap().mark, *mark);
        assert!(*rate <= Decimal::new(1, 4), "the cap is one basis point");
    }
    let negative = history.iter().filter(|row| row.1 < Decimal::ZERO).count();
    let capped = history.iter().filter(|row| row.1 == Decimal::new(1, 4)).count();
    assert!((20..200).contains(&negative), "{negative} of 300 below zero");
    assert!((9..150).contains(&capped), "{capped} of 300 at the cap");
    let from = history[10].0;
    let page = MARKET.funding_history(&name, Some(from), now, 5);
    assert_eq!(page, history[10..15], "the first ones from a start");
}

#[test]
fn what_surrounds_the_price_stays_in_sensible_bounds() {
    let now = at(ANCHOR);
    for listing in MARKET.listings() {
        let name = &listing.symbol;
        for hours in 0..60 {
            let moment = now - hours * 3_600_000;
            assert!(MARKET.open_interest(name, moment) > Decimal::ZERO);
            for ratio in [
                MARKET.long_short_ratio(name, moment),
                MARKET.top_trader_account_ratio(name, moment),
                MARKET.top_trader_position_ratio(name, moment),
            ] {
                assert!((0.3..6.0).contains(&ratio), "{name} {ratio}");
            }
            let (bought, sold) = MARKET.taker_ratio(name, moment);
            assert!(bought > 0.0 && sold > 0.0);
        }
    }
}

#[test]
fn bars_hold_exactly_the_quotes_of_their_seconds_with_jumps_in_between() {
    let mut market = MARKET.clone();
    let name = symbol("SOLUSDT");
    let begin = at("2026-11-22T12:40:00Z");
    for (after, percent) in [(61_500, 90), (62_000, 130), (300_000, 70), (500_999, 110)] {
        let moment = begin + after;
        let price = market.quote(&name, moment).unwrap().last * Decimal::new(percent, 2);
        market.jump(&name, moment, price.round_dp(2)).unwrap();
    }
    let jumps: Vec<i64> = market.jumps().iter().map(|(moment, ..)| *moment).collect();
    let now = begin + 615_400;
    for (interval, count) in [(Interval::Minute1, 11), (Interval::Minute5, 3), (Interval::Hour1, 1)] {
        for bar in market.bars(&name, interval, None, None, count, now) {
            let mut moments: Vec<i64> = (bar.open_time..=bar.close_time.min(now)).step_by(1000).collect();
            moments
                .extend(jumps.iter().filter(|jump| (bar.open_time..=bar.close_time.min(now)).contains(jump)));
            moments.sort_unstable();
            let quotes: Vec<Decimal> =
                moments.iter().map(|moment| market.quote(&name, *moment).unwrap().last).collect();
            let seen = [
                quotes[0],
                *quotes.iter().max().unwrap(),
                *quotes.iter().min().unwrap(),
                quotes[quotes.len() - 1],
            ];
            assert_eq!([bar.open, bar.high, bar.low, bar.close], seen, "{interval} {}", bar.open_time);
            let until = bar.close_time.min(now);
            assert_eq!(market.range(&name, bar.open_time, until), Some((bar.low, bar.high)));
        }
    }
}

#[test]
fn absurd_times_are_answered_and_not_suffered() {
    let (name, now) = (symbol("BTCUSDT"), at(ANCHOR));
    let ends = [i64::MIN, -1, 0, now, i64::MAX];
    for (_, interval) in Interval::ALL.iter().map(|(interval, word)| (word, *interval)) {
        for start in ends {
            for end in ends {
                let bars = MARKET.bars(&name, interval, Some(start), Some(end), 3, now);
                assert!(bars.iter().all(|bar| bar.open_time <= now), "{interval} {start} {end}");
                let _ = MARKET.bars(&name, interval, None, Some(end), 3, start);
            }
        }
    }
    for moment in [i64::MIN, 0, i64::MAX] {
        assert_eq!(MARKET.quote(&name, moment), None);
        assert!(MARKET.next_funding_ms(&name, moment) > 0);
        let _ = MARKET.funding_rate(&name, moment);
        assert!(MARKET.funding_history(&name, Some(moment), now, 3).len() <= 3);
    }
    assert_eq!(MARKET.funding_history(&name, Some(now), i64::MIN, 3), []);
    let mut market = MARKET.clone();
    assert!(matches!(market.jump(&name, i64::MAX, Decimal::from(60_000)), Err(MarketError::BadTime { .. })));
    assert!(matches!(market.jump(&name, now, Decimal::MAX), Err(MarketError::BadPrice { .. })));
}

/// Each second and each jump is asked for alone here; a bar finds its stretches in one walk, or remembers them.
#[test]
fn a_bar_with_jumps_in_it_holds_just_the_prices_that_were_quoted() {
    let anchor = at(ANCHOR);
    let name = symbol("ETHUSDT");
    let mut market = MARKET.clone();
    market.extend_to(anchor + 7_200_000);
    let mut jumps = Vec::new();
    for (number, offset) in [61_500, 200_000, 200_001, 330_250, 899_999, 1_800_000].into_iter().enumerate() {
        let moment = anchor + offset;
        let factor = Decimal::new(if number % 2 == 0 { 93 } else { 106 }, 2);
        let last = market.quote(&name, moment).unwrap().last;
        market.jump(&name, moment, (last * factor).trunc_with_scale(2)).unwrap();
        jumps.push(moment);
    }
    for (from, to) in [
        (0, 60_000),
        (61_000, 62_000),
        (61_500, 61_501),
        (199_000, 420_777),
        (0, 3_000_000),
        (330_000, 900_000),
    ] {
        let (from, to) = (anchor + from, anchor + to);
        let seconds = (from.div_euclid(1000) + 1..=to.div_euclid(1000)).map(|second| second * 1000);
        let instants = seconds.chain([from, to]).chain(jumps.iter().copied());
        let quoted: Vec<Decimal> = instants
            .filter(|at| (from..=to).contains(at))
            .map(|at| market.quote(&name, at).unwrap().last)
            .collect();
        let expected = (*quoted.iter().min().unwrap(), *quoted.iter().max().unwrap());
        for time in ["first", "second"] {
            assert_eq!(market.range(&name, from, to), Some(expected), "{time} time, {from}..={to}");
        }
    }
}
