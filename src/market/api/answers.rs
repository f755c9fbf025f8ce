//! What each path answers.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use crate::domain::{Candle, Symbol};
use crate::market::error::SourceError;
use crate::market::indicators::{Bars, Indicator, Line, slope};
use crate::market::reading::Reading;
use crate::market::simsar::Simsar;
use crate::market::sources::binance::{CandleWindow, RatioKind};
use crate::market::sources::finnhub::NewsCategory;

use super::openapi::document;
use super::params::{
    LONGEST_PERIOD, MOST_CANDLES, MOST_DEVIATIONS, MOST_FUNDINGS, MOST_POINTS, Params, indicator_parameters,
    parameters_of,
};
use super::route::{Target, other_paths, tool_paths};
use super::{Object, Refusal};

type Query<'a> = &'a [(String, String)];

/// Headlines in one answer.
const MOST_HEADLINES: usize = 30;
/// Time to gather a brief.
const BRIEF_TIME: Duration = Duration::from_secs(10);
/// Bars over which the slope of OBV is taken when no period is given.
const SLOPE_PERIOD: u32 = 14;

/// Builds the answer of a target.
pub(crate) async fn build(simsar: &Simsar, target: Target, query: Query<'_>) -> Result<Object, Refusal> {
    match target {
        Target::Index => index(simsar, query),
        Target::Health => health(simsar, query),
        Target::Symbols => symbols(simsar, query),
        Target::OpenApi => openapi(simsar, query),
        Target::Brief => brief(simsar, query).await,
        Target::Price(symbol) => price(simsar, &symbol, query).await,
        Target::Candles(symbol) => candles(simsar, &symbol, query).await,
        Target::Indicator(name, indicator, symbol) => {
            self::indicator(simsar, name, indicator, &symbol, query).await
        }
        Target::FundingRate(symbol) => funding_rate(simsar, &symbol, query).await,
        Target::OpenInterest(symbol) => open_interest(simsar, &symbol, query).await,
        Target::Ratio(kind, symbol) => ratio(simsar, kind, &symbol, query).await,
        Target::FearGreed => fear_greed(simsar, query).await,
        Target::News(category) => news(simsar, category, query).await,
        Target::Calendar => calendar(simsar, query).await,
        Target::Us30 => us30(simsar, query).await,
        Target::Us30Candles => us30_candles(simsar, query).await,
    }
}

/// The four fields every answer begins with, then its own.
fn answer<T>(simsar: &Simsar, source: &str, reading: &Reading<T>, fields: Value) -> Object {
    let mut object = Object::new();
    object.insert("source".into(), json!(source));
    object.insert("as_of".into(), json!(reading.as_of));
    object.insert("stale".into(), json!(reading.stale));
    object.insert("age_s".into(), json!(reading.age_s(simsar.inner.clock.now())));
    if let Value::Object(fields) = fields {
        object.extend(fields);
    }
    if let Some(note) = &reading.note {
        object.insert("note".into(), json!(note));
    }
    object
}

/// Facts of our own are as of now.
fn own(simsar: &Simsar, fields: Value) -> Object {
    let now = Reading { value: (), as_of: simsar.inner.clock.now(), stale: false, note: None };
    answer(simsar, "simsar", &now, fields)
}

fn index(simsar: &Simsar, query: Query<'_>) -> Result<Object, Refusal> {
    Params::of(query, &[])?;
    let mut paths = other_paths().map(str::to_owned).to_vec();
    paths.extend(tool_paths());
    Ok(own(simsar, json!({ "name": "simsar", "version": env!("CARGO_PKG_VERSION"), "paths": paths })))
}

fn health(simsar: &Simsar, query: Query<'_>) -> Result<Object, Refusal> {
    Params::of(query, &[])?;
    Ok(own(simsar, super::health::fields(simsar)))
}

/// The description of this API; it is no datum and has no source.
fn openapi(simsar: &Simsar, query: Query<'_>) -> Result<Object, Refusal> {
    Params::of(query, &[])?;
    match serde_json::to_value(document(simsar.symbols())) {
        Ok(Value::Object(document)) => Ok(document),
        Ok(_) => Err(Refusal::Internal("the description of this API is no object".to_owned())),
        Err(error) => Err(Refusal::Internal(error.to_string())),
    }
}

fn symbols(simsar: &Simsar, query: Query<'_>) -> Result<Object, Refusal> {
    Params::of(query, &[])?;
    Ok(own(simsar, json!({ "symbols": simsar.symbols() })))
}

/// What the desk reads before each call, for the contracts of this desk.
async fn brief(simsar: &Simsar, query: Query<'_>) -> Result<Object, Refusal> {
    Params::of(query, &[])?;
    let brief = simsar.brief(simsar.symbols(), BRIEF_TIME).await;
    let stale = brief.sources.iter().any(|source| source.stale || source.error.is_some());
    let gathered = Reading { value: (), as_of: brief.as_of, stale, note: None };
    let fields = serde_json::to_value(&brief).map_err(|error| Refusal::Internal(error.to_string()))?;
    Ok(answer(simsar, "simsar", &gathered, fields))
}

async fn price(simsar: &Simsar, symbol: &Symbol, query: Query<'_>) -> Result<Object, Refusal> {
    Params::of(query, &[])?;
    let is_live = simsar.inner.live.price(symbol, simsar.inner.clock.as_ref()).is_some();
    let price = simsar.price(symbol).await?;
    let fields = json!({ "symbol": symbol, "price": price.value });
    let source = if is_live { format!("{} (stream)", binance(simsar)) } else { binance(simsar).to_owned() };
    Ok(answer(simsar, &source, &price, fields))
}

async fn candles(simsar: &Simsar, symbol: &Symbol, query: Query<'_>) -> Result<Object, Refusal> {
    let params = Params::of(query, parameters_of("/candles/{symbol}"))?;
    let interval = params.interval()?;
    let limit = params.whole("limit", 1, MOST_CANDLES)?.unwrap_or(20) as usize;
    let window = simsar.closed_candles(symbol, interval, limit).await?;
    require_candles(simsar, &window)?;
    let candles: Vec<Value> = window.value.last(limit).iter().map(candle).collect();
    let fields = json!({ "symbol": symbol, "interval": interval, "candles": candles });
    Ok(answer(simsar, binance(simsar), &window, fields))
}

/// Rows that were all refused leave nothing to answer with.
fn require_candles(simsar: &Simsar, window: &Reading<Arc<CandleWindow>>) -> Result<(), Refusal> {
    if !window.value.candles.is_empty() {
        return Ok(());
    }
    let upstream = &simsar.inner.binance.upstream;
    Err(Refusal::Upstream(match window.value.note() {
        Some(note) => upstream.malformed(note),
        None => upstream.empty("closed candles of this contract yet"),
    }))
}

fn candle(candle: &Candle) -> Value {
    json!({
        "open_time": candle.open_time,
        "open": candle.open,
        "high": candle.high,
        "low": candle.low,
        "close": candle.close,
        "volume": candle.volume,
    })
}

async fn indicator(
    simsar: &Simsar,
    name: &'static str,
    indicator: Indicator,
    symbol: &Symbol,
    query: Query<'_>,
) -> Result<Object, Refusal> {
    let params = Params::of(query, indicator_parameters(name))?;
    let interval = params.interval()?;
    let limit = params.whole("limit", 1, MOST_CANDLES)?;
    let (indicator, settings) = configured(indicator, &params)?;
    let window = simsar.window(symbol, interval).await?;
    require_candles(simsar, &window)?;
    let bars = Bars::of(&window.value.candles);
    let lines = indicator.over(&bars).map_err(|error| Refusal::Internal(error.to_string()))?;

    let mut fields = Object::new();
    fields.insert("indicator".into(), json!(name));
    fields.insert("symbol".into(), json!(symbol));
    fields.insert("interval".into(), json!(interval));
    fields.extend(settings);
    for line in &lines {
        fields.insert(line.name.into(), json!(line.last()));
    }
    if let (Indicator::Obv, Some(line)) = (indicator, lines.first()) {
        let period = params.whole("period", 1, LONGEST_PERIOD)?.unwrap_or(SLOPE_PERIOD);
        fields.insert("slope".into(), json!(slope(&line.values, period)));
    }
    if lines.iter().any(|line| line.last().is_none()) {
        fields.insert("reason".into(), json!("history"));
    }
    fields.insert("candles_used".into(), json!(bars.close.len()));
    fields.insert("last_open_time".into(), json!(window.value.candles.last().map(|last| last.open_time)));
    if let Some(limit) = limit {
        fields.insert("series".into(), series(&window.value.candles, &lines, limit as usize));
    }
    Ok(answer(simsar, binance(simsar), &window, Value::Object(fields)))
}

/// The indicator with the settings of the query, and those settings as the answer shows them.
fn configured(indicator: Indicator, params: &Params<'_>) -> Result<(Indicator, Object), Refusal> {
    let bars = |name: &str, least: u32, default: i32| -> Result<i32, Refusal> {
        let given = params.whole(name, least, LONGEST_PERIOD)?;
        Ok(given.and_then(|given| i32::try_from(given).ok()).unwrap_or(default))
    };
    let (configured, settings) = match indicator {
        Indicator::Macd { fast, slow, signal } => {
            let (fast, slow, signal) =
                (bars("fast", 2, fast)?, bars("slow", 2, slow)?, bars("signal", 1, signal)?);
            // As TA-Lib does: the shorter one is the fast one.
            let (fast, slow) = (fast.min(slow), fast.max(slow));
            (
                Indicator::Macd { fast, slow, signal },
                json!({ "fast": fast, "slow": slow, "signal_period": signal }),
            )
        }
        Indicator::Stoch { fast_k, slow_k, slow_d } => {
            let (fast_k, slow_k, slow_d) =
                (bars("period", 1, fast_k)?, bars("slow_k", 1, slow_k)?, bars("slow_d", 1, slow_d)?);
            let settings = json!({ "period": fast_k, "slow_k": slow_k, "slow_d": slow_d });
            (Indicator::Stoch { fast_k, slow_k, slow_d }, settings)
        }
        Indicator::Bbands { period, deviations } => {
            let period = bars("period", 2, period)?;
            let deviations = params.positive("deviations", MOST_DEVIATIONS)?.unwrap_or(deviations);
            let settings = json!({ "period": period, "deviations": deviations });
            (Indicator::Bbands { period, deviations }, settings)
        }
        Indicator::Obv => {
            let period = params.whole("period", 1, LONGEST_PERIOD)?.unwrap_or(SLOPE_PERIOD);
            (Indicator::Obv, json!({ "slope_period": period }))
        }
        Indicator::Rsi { period }
        | Indicator::Adx { period }
        | Indicator::Atr { period }
        | Indicator::Ema { period }
        | Indicator::Sma { period }
        | Indicator::Mfi { period }
        | Indicator::Cci { period }
        | Indicator::Willr { period } => {
            let period = bars("period", 2, period)?;
            (indicator.with_period(period), json!({ "period": period }))
        }
    };
    let Value::Object(settings) = settings else { return Ok((configured, Object::new())) };
    Ok((configured, settings))
}

/// The last values with their bars, oldest first.
fn series(candles: &[Candle], lines: &[Line], limit: usize) -> Value {
    let start = candles.len().saturating_sub(limit);
    candles
        .iter()
        .enumerate()
        .skip(start)
        .map(|(bar, candle)| {
            let mut row = Object::new();
            row.insert("open_time".into(), json!(candle.open_time));
            for line in lines {
                row.insert(line.name.into(), json!(line.values.get(bar).copied().flatten()));
            }
            Value::Object(row)
        })
        .collect()
}

async fn funding_rate(simsar: &Simsar, symbol: &Symbol, query: Query<'_>) -> Result<Object, Refusal> {
    let params = Params::of(query, parameters_of("/futures/funding-rate/{symbol}"))?;
    let limit = params.whole("limit", 1, MOST_FUNDINGS)?.unwrap_or(8);
    let (premium, history, interval) = tokio::join!(
        simsar.premium(symbol),
        simsar.funding_history(symbol, limit),
        simsar.funding_interval(symbol)
    );
    let mut premium = premium?;
    let history = match history {
        Ok(history) => json!(history.value.as_ref()),
        Err(error) => {
            premium.note = Some(format!("no history: {error}"));
            Value::Null
        }
    };
    let fields = json!({
        "symbol": symbol,
        "funding_rate": premium.value.funding_rate,
        "next_funding_time": premium.value.next_funding,
        "interval_hours": interval.ok(),
        "mark_price": premium.value.mark_price,
        "index_price": premium.value.index_price,
        "history": history,
    });
    Ok(answer(simsar, binance(simsar), &premium, fields))
}

async fn open_interest(simsar: &Simsar, symbol: &Symbol, query: Query<'_>) -> Result<Object, Refusal> {
    let params = Params::of(query, parameters_of("/futures/open-interest/{symbol}"))?;
    let period = params.statistics_period()?;
    let limit = params.whole("limit", 1, MOST_POINTS)?.unwrap_or(24);
    let (interest, history) =
        tokio::join!(simsar.open_interest(symbol), simsar.open_interest_history(symbol, period, limit));
    let mut interest = interest?;
    let history = match history {
        Ok(history) => json!(history.value.as_ref()),
        Err(error) => {
            interest.note = Some(format!("no history: {error}"));
            Value::Null
        }
    };
    let fields = json!({
        "symbol": symbol,
        "open_interest": interest.value.open_interest,
        "period": period,
        "history": history,
    });
    Ok(answer(simsar, binance(simsar), &interest, fields))
}

async fn ratio(
    simsar: &Simsar,
    kind: RatioKind,
    symbol: &Symbol,
    query: Query<'_>,
) -> Result<Object, Refusal> {
    let params = Params::of(query, parameters_of(&format!("/futures/{}/{{symbol}}", kind.name())))?;
    let kind = match kind {
        RatioKind::TopPositions if params.by_accounts()? => RatioKind::TopAccounts,
        kind => kind,
    };
    let period = params.statistics_period()?;
    let limit = params.whole("limit", 1, MOST_POINTS)?.unwrap_or(24);
    let ratios = simsar.long_short(kind, symbol, period, limit).await?;
    let latest = ratios.value.last();
    let fields = json!({
        "symbol": symbol,
        "ratio": latest.map(|latest| latest.ratio),
        "long": latest.and_then(|latest| latest.long),
        "short": latest.and_then(|latest| latest.short),
        "period": period,
        "history": ratios.value.as_ref(),
    });
    Ok(answer(simsar, binance(simsar), &ratios, fields))
}

async fn fear_greed(simsar: &Simsar, query: Query<'_>) -> Result<Object, Refusal> {
    Params::of(query, &[])?;
    let index = simsar.fear_greed().await?;
    let fields = json!({ "value": index.value.value, "class": index.value.class });
    Ok(answer(simsar, simsar.inner.alternative_me.upstream.name(), &index, fields))
}

async fn news(simsar: &Simsar, category: NewsCategory, query: Query<'_>) -> Result<Object, Refusal> {
    Params::of(query, &[])?;
    let news = simsar.news(category).await?;
    let all = &news.value.headlines;
    let headlines: Vec<Value> = all
        .iter()
        .take(MOST_HEADLINES)
        .map(|headline| json!({ "headline": headline.text, "source": headline.source, "at": headline.at }))
        .collect();
    let mut fields = json!({ "category": category.as_str(), "available": all.len(), "headlines": headlines });
    if let Some(failure) = &news.value.instead_of {
        fields["instead_of"] = json!(failure);
    }
    Ok(answer(simsar, &news.value.source, &news, fields))
}

async fn calendar(simsar: &Simsar, query: Query<'_>) -> Result<Object, Refusal> {
    Params::of(query, &[])?;
    let calendar = simsar.calendar().await?;
    let entries = &calendar.value.entries;
    let mut fields = json!({ "entries": entries });
    if entries.is_empty() {
        fields["reason"] = json!("nothing is scheduled from today to seven days ahead");
    }
    if let Some(failure) = &calendar.value.instead_of {
        fields["instead_of"] = json!(failure);
    }
    Ok(answer(simsar, &calendar.value.source, &calendar, fields))
}

async fn us30(simsar: &Simsar, query: Query<'_>) -> Result<Object, Refusal> {
    Params::of(query, &[])?;
    let chart = simsar.us30().await?;
    let value = &chart.value;
    let no_value = || SourceError::Empty { upstream: Arc::clone(&value.source), what: "value of the index" };
    let price = value.price.ok_or_else(|| Refusal::Upstream(no_value()))?;
    let mut fields = json!({
        "symbol": "US30",
        "instrument": value.instrument,
        "price": price,
        "session_open": value.session_open,
        "last_close": value.previous.or(value.bars.last().map(|bar| bar.close)),
        "change_pct": value.change_pct(),
    });
    if let Some(failure) = &value.instead_of {
        fields["instead_of"] = json!(failure);
    }
    Ok(answer(simsar, &value.source, &chart, fields))
}

async fn us30_candles(simsar: &Simsar, query: Query<'_>) -> Result<Object, Refusal> {
    let params = Params::of(query, parameters_of("/macro/us30/candles"))?;
    let limit = params.whole("limit", 1, MOST_CANDLES)?.unwrap_or(5) as usize;
    let chart = simsar.us30().await?;
    let value = &chart.value;
    if value.bars.is_empty() {
        let what = "closed daily bars of the index";
        return Err(Refusal::Upstream(SourceError::Empty { upstream: Arc::clone(&value.source), what }));
    }
    let last = &value.bars[value.bars.len().saturating_sub(limit)..];
    let mut fields =
        json!({ "symbol": "US30", "instrument": value.instrument, "interval": "1d", "candles": last });
    if let Some(failure) = &value.instead_of {
        fields["instead_of"] = json!(failure);
    }
    Ok(answer(simsar, &value.source, &chart, fields))
}

fn binance(simsar: &Simsar) -> &str {
    simsar.inner.binance.upstream.name()
}
