//! What one coin contributes to the brief.

use std::sync::Arc;

use futures_util::future::join3;
use serde::Serialize;

use super::Limit;
use crate::domain::{Candle, Interval, Price, SourceStatus, Symbol, Timestamp};
use crate::market::indicators::{Bars, Indicator, Line, to_float};
use crate::market::reading::Reading;
use crate::market::simsar::Simsar;
use crate::market::sources::binance::{CandleWindow, LongShort, OpenInterest, Premium, RatioKind};
use crate::market::statistics::{TimeframeLine, change_pct, tie, timeframe, volatility_pct};

/// The timeframes of the brief, shortest first.
const INTERVALS: [Interval; 3] = [Interval::Hour1, Interval::Hour4, Interval::Day1];
/// Candles shown of each coin.
const SHOWN_CANDLES: usize = 20;
/// Bars of 1 h in a day and in a week.
const DAY_HOURS: usize = 24;
const WEEK_HOURS: usize = 168;
/// Bars of 4 h in a day, a week and thirty days.
const DAY: usize = 6;
const WEEK: usize = 42;
const MONTH: usize = 180;
/// Points of open interest read, an hour apart: now and a day ago.
const INTEREST_POINTS: u32 = 25;

/// One coin. What could not be had is absent.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CoinBrief {
    /// The contract.
    pub symbol: Symbol,
    /// Its price now. Without it the coin is not offered to the model.
    pub price: Option<Price>,
    /// Mark price.
    pub mark_price: Option<Price>,
    /// Index price: the spot markets' average.
    pub index_price: Option<Price>,
    /// The last 20 closed candles of 4 h, oldest first.
    pub candles_4h: Vec<Candle>,
    /// How many closed candles of 4 h the indicators were computed on; an indicator that needs more is absent.
    pub candles_used: usize,
    /// RSI(14).
    pub rsi: Option<f64>,
    /// MACD(12, 26, 9): the line.
    pub macd_line: Option<f64>,
    /// Its signal.
    pub macd_signal: Option<f64>,
    /// Line minus signal.
    pub macd_histogram: Option<f64>,
    /// ADX(14).
    pub adx: Option<f64>,
    /// Bollinger bands (20, 2): the lower.
    pub bb_lower: Option<f64>,
    /// The middle.
    pub bb_middle: Option<f64>,
    /// The upper.
    pub bb_upper: Option<f64>,
    /// ATR(14), in USDT.
    pub atr: Option<f64>,
    /// Rate of the running funding interval, as a share; positive: longs pay.
    pub funding_rate: Option<f64>,
    /// When it is paid next.
    pub next_funding: Option<Timestamp>,
    /// Hours between two fundings.
    pub funding_interval_h: Option<u8>,
    /// Percent from the close before to the last close of 4 h.
    pub change_4h_pct: Option<f64>,
    /// Percent over the last six closed candles of 4 h.
    pub change_24h_pct: Option<f64>,
    /// Percent over the last 42 closed candles of 4 h.
    pub change_7d_pct: Option<f64>,
    /// A line a timeframe: 1 h, 4 h, 1 d.
    pub timeframes: Vec<TimeframeLine>,
    /// Percent over the last 1, 4, 24 and 168 closed hours.
    pub returns_pct: [Option<f64>; 4],
    /// Realised volatility a day, in percent, of the last 24 closed hours.
    pub volatility_24h_pct: Option<f64>,
    /// Realised volatility a day, in percent, of the last 30 days by bars of 4 h.
    pub volatility_30d_pct: Option<f64>,
    /// Correlation of the returns of 4 h to bitcoin's over 30 days.
    pub correlation_btc: Option<f64>,
    /// Percent the coin moved for each percent of bitcoin, over the same returns.
    pub beta_btc: Option<f64>,
    /// Who holds what.
    pub positioning: Positioning,
}

/// Open interest and who is on which side.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
pub struct Positioning {
    /// Open interest in millions of USDT.
    pub open_interest_musdt: Option<f64>,
    /// Its change in contracts over 4 h, in percent.
    pub open_interest_4h_pct: Option<f64>,
    /// Its change in contracts over 24 h, in percent.
    pub open_interest_24h_pct: Option<f64>,
    /// Longs divided by shorts, every account counted once.
    pub long_short_accounts: Option<f64>,
    /// The same among the largest traders, by position size.
    pub long_short_top_positions: Option<f64>,
    /// The same among the largest traders, each counted once.
    pub long_short_top_accounts: Option<f64>,
}

/// Everything read of one coin.
pub(super) struct CoinReadings {
    symbol: Symbol,
    price: Option<Price>,
    premium: Option<Premium>,
    funding_interval_h: Option<u8>,
    windows: [Option<Arc<CandleWindow>>; 3],
    interest: Option<Arc<[OpenInterest]>>,
    ratios: [Option<Arc<[LongShort]>>; 3],
    statuses: Vec<SourceStatus>,
}

impl CoinReadings {
    pub(super) fn nothing(symbol: Symbol) -> Self {
        Self {
            symbol,
            price: None,
            premium: None,
            funding_interval_h: None,
            windows: [None, None, None],
            interest: None,
            ratios: [None, None, None],
            statuses: Vec::new(),
        }
    }

    /// Asks for everything side by side.
    pub(super) async fn gather(simsar: &Simsar, symbol: Symbol, limit: Limit) -> Self {
        let window = |interval: Interval| {
            let name = format!("binance/klines/{symbol}/{interval}");
            limit.read(name, simsar.window(&symbol, interval))
        };
        let ratio = |kind: RatioKind| {
            let name = format!("binance/{}/{symbol}", kind.name());
            limit.read(name, simsar.long_short(kind, &symbol, "1h", 1))
        };
        let [hour, four_hours, day] = INTERVALS;
        let moving = join3(
            limit.read(format!("binance/price/{symbol}"), simsar.price(&symbol)),
            limit.read(format!("binance/funding-rate/{symbol}"), simsar.premium(&symbol)),
            limit.within(simsar.funding_interval(&symbol)),
        );
        let windows = join3(window(hour), window(four_hours), window(day));
        let interest = limit.read(
            format!("binance/open-interest/{symbol}"),
            simsar.open_interest_history(&symbol, "1h", INTEREST_POINTS),
        );
        let ratios = join3(
            ratio(RatioKind::AllAccounts),
            ratio(RatioKind::TopPositions),
            ratio(RatioKind::TopAccounts),
        );
        let (moving, windows, interest, ratios) = tokio::join!(moving, windows, interest, ratios);
        let ((price, premium, funding_interval_h), (hour, four_hours, day)) = (moving, windows);
        let mut gathered = Self::nothing(symbol.clone());
        gathered.price = gathered.take(price);
        gathered.premium = gathered.take(premium);
        gathered.funding_interval_h = funding_interval_h;
        gathered.windows = [hour, four_hours, day].map(|window| gathered.take(window));
        gathered.interest = gathered.take(interest);
        gathered.ratios = [ratios.0, ratios.1, ratios.2].map(|ratio| gathered.take(ratio));
        gathered
    }

    fn take<T>(&mut self, (reading, status): (Option<Reading<T>>, SourceStatus)) -> Option<T> {
        self.statuses.push(status);
        reading.map(|reading| reading.value)
    }

    pub(super) fn take_statuses(&mut self) -> Vec<SourceStatus> {
        std::mem::take(&mut self.statuses)
    }

    /// The candles the tie to bitcoin is computed on.
    pub(super) fn candles_4h(&self) -> Arc<CandleWindow> {
        self.windows[1].clone().unwrap_or_default()
    }

    /// The figures; every indicator of a timeframe comes from the one window that was read.
    pub(super) fn brief(&self, bitcoin: Option<&CandleWindow>) -> CoinBrief {
        let bars = |place: usize| {
            self.windows[place].as_ref().map_or_else(Bars::default, |window| Bars::of(&window.candles))
        };
        let [hours, bars, days] = [bars(0), bars(1), bars(2)];
        let window = self.candles_4h();
        let [rsi] = last_values("rsi", &bars);
        let [macd_line, macd_signal, macd_histogram] = last_values("macd", &bars);
        let [adx] = last_values("adx", &bars);
        let [bb_lower, bb_middle, bb_upper] = last_values("bbands", &bars);
        let [atr] = last_values("atr", &bars);
        let premium = self.premium.as_ref();
        let tie = bitcoin.and_then(|bitcoin| tie(&window.candles, &bitcoin.candles, MONTH));
        let (four_hours, day) = (f64::from(6_u8), f64::from(24_u8));
        CoinBrief {
            symbol: self.symbol.clone(),
            price: self.price,
            mark_price: premium.and_then(|premium| premium.mark_price),
            index_price: premium.and_then(|premium| premium.index_price),
            candles_4h: window.last(SHOWN_CANDLES).to_vec(),
            candles_used: window.candles.len(),
            rsi,
            macd_line,
            macd_signal,
            macd_histogram,
            adx,
            bb_lower,
            bb_middle,
            bb_upper,
            atr,
            funding_rate: premium.and_then(|premium| premium.funding_rate).map(to_float),
            next_funding: premium.and_then(|premium| premium.next_funding),
            funding_interval_h: self.funding_interval_h,
            change_4h_pct: change_pct(&bars.close, 1),
            change_24h_pct: change_pct(&bars.close, DAY),
            change_7d_pct: change_pct(&bars.close, WEEK),
            timeframes: INTERVALS
                .into_iter()
                .zip([&hours, &bars, &days])
                .map(|(interval, bars)| timeframe(interval, bars))
                .collect(),
            returns_pct: [1, 4, DAY_HOURS, WEEK_HOURS].map(|count| change_pct(&hours.close, count)),
            volatility_24h_pct: volatility_pct(&hours.close, DAY_HOURS, day),
            volatility_30d_pct: volatility_pct(&bars.close, MONTH, four_hours),
            correlation_btc: tie.map(|tie| tie.correlation),
            beta_btc: tie.map(|tie| tie.beta),
            positioning: self.positioning(),
        }
    }

    fn positioning(&self) -> Positioning {
        let interest = self.interest.as_deref().unwrap_or_default();
        let contracts: Vec<f64> = interest.iter().map(|point| to_float(point.open_interest)).collect();
        let over = |hours: usize| change_pct(&contracts, hours).filter(|change| change.is_finite());
        let ratio = |place: usize| {
            let ratios = self.ratios[place].as_deref()?;
            ratios.last().map(|latest| to_float(latest.ratio))
        };
        Positioning {
            open_interest_musdt: interest
                .last()
                .and_then(|point| point.value)
                .map(|value| to_float(value) / 1e6),
            open_interest_4h_pct: over(4),
            open_interest_24h_pct: over(DAY_HOURS),
            long_short_accounts: ratio(0),
            long_short_top_positions: ratio(1),
            long_short_top_accounts: ratio(2),
        }
    }
}

/// The last values of an indicator with its default settings; default settings are never refused.
fn last_values<const N: usize>(name: &str, bars: &Bars) -> [Option<f64>; N] {
    let lines = Indicator::named(name).and_then(|indicator| indicator.over(bars).ok()).unwrap_or_default();
    std::array::from_fn(|index| lines.get(index).and_then(Line::last))
}
