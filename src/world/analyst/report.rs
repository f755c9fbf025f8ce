//! The analysis: 10 to 15 lines about risk, market, formations and the balance of the portfolio.

use std::collections::BTreeMap;

use super::decisions::{Decision, Ground};
use super::reading::{Reading, Task, Tongue};
use super::signals::{Fact, View, named_number};
use super::words::{figure, shape};

/// Candle formations named; of the others only the number is told.
const FORMATIONS: usize = 3;

/// The lines of the analysis, the most important ones first within their subject.
pub(super) fn lines(
    task: &Task,
    reading: &Reading,
    views: &BTreeMap<String, View>,
    decisions: &[Decision],
    mood: f64,
) -> Vec<String> {
    let tongue = reading.tongue;
    let known: Vec<(&String, &View)> = views.iter().filter(|(_, view)| view.known).collect();
    let mut lines = vec![
        opening_line(task, tongue, known.len()),
        mood_line(reading, mood),
        fear_line(reading),
        breadth_line(&known, tongue),
        extreme_line(&known, tongue, true),
        extreme_line(&known, tongue, false),
        regime_line(reading, tongue),
        volatility_line(&known, tongue),
        formation_line(&known, tongue),
        gold_line(views, tongue),
        calendar_line(reading),
        headline_line(reading),
    ];
    lines.extend(tool_line(reading));
    lines.push(book_line(task, tongue));
    lines.push(plan_line(decisions, tongue));
    lines
}

fn opening_line(task: &Task, tongue: Tongue, coins: usize) -> String {
    let accounts = task.accounts.len();
    match tongue {
        Tongue::Turkish => {
            format!("Yerleşik kural tabanlı analist: {accounts} hesap, verisi olan {coins} coin.")
        }
        Tongue::English => {
            format!("Built-in rule-based analyst: {accounts} accounts, {coins} coins with figures.")
        }
    }
}

fn mood_line(reading: &Reading, mood: f64) -> String {
    let tongue = reading.tongue;
    let word = if mood > 0.2 {
        tongue.pick("risk iştahı var", "risk-on")
    } else if mood < -0.2 {
        tongue.pick("riskten kaçış", "risk-off")
    } else {
        tongue.pick("kararsız", "undecided")
    };
    let today = reading.general.us30_change.map_or_else(
        || tongue.pick("US30 bilinmiyor", "US30 unknown").to_owned(),
        |change| format!("US30 {change:+.2}%"),
    );
    format!("{}: {word} ({mood:+.2}), {today}.", tongue.pick("Risk havası", "Risk mood"))
}

fn fear_line(reading: &Reading) -> String {
    let tongue = reading.tongue;
    let Some(value) = reading.general.fear_greed else {
        return tongue
            .pick("Korku ve Açgözlülük endeksi yok, hesaba katılmadı.", "No Fear & Greed index, left out.")
            .to_owned();
    };
    let sense = if value < 20.0 {
        tongue.pick("uçta; ters yöne küçük pay", "an extreme; a small contrarian share")
    } else if value > 80.0 {
        tongue.pick("aşırı iyimser; uzunlardan biraz düşüldü", "very greedy; a little is taken from longs")
    } else {
        tongue.pick("uçta değil, belirleyici de değil", "no extreme and not decisive")
    };
    format!("{} {}: {sense}.", tongue.pick("Korku ve Açgözlülük", "Fear & Greed"), figure(value, 0))
}

fn breadth_line(known: &[(&String, &View)], tongue: Tongue) -> String {
    let up = known.iter().filter(|(_, view)| view.score > 0.15).count();
    let down = known.iter().filter(|(_, view)| view.score < -0.15).count();
    let flat = known.len() - up - down;
    match tongue {
        Tongue::Turkish => format!("Genişlik: {up} coin yukarı, {down} aşağı, {flat} kararsız."),
        Tongue::English => format!("Breadth: {up} coins up, {down} down, {flat} undecided."),
    }
}

fn extreme_line(known: &[(&String, &View)], tongue: Tongue, up: bool) -> String {
    let sign = if up { 1.0 } else { -1.0 };
    let best = known
        .iter()
        .filter(|(_, view)| view.score * sign > 0.0)
        .max_by(|left, right| (left.1.score * sign).total_cmp(&(right.1.score * sign)));
    let side = if up {
        tongue.pick("En güçlü uzun aday", "Strongest long candidate")
    } else {
        tongue.pick("En güçlü kısa aday", "Strongest short candidate")
    };
    match best {
        Some((symbol, view)) => {
            let fact = view
                .evidence
                .iter()
                .find(|item| item.weight * sign > 0.0)
                .map(|item| format!("; {}", super::words::fact(item, tongue)))
                .unwrap_or_default();
            format!("{side}: {symbol} ({:+.2}){fact}.", view.score)
        }
        None => format!("{side}: {}.", tongue.pick("yok", "none")),
    }
}

fn regime_line(reading: &Reading, tongue: Tongue) -> String {
    let adx: Vec<f64> = reading.coins.values().filter_map(|coin| coin.adx).collect();
    let trending = adx.iter().filter(|value| **value >= 28.0).count();
    let ranging = adx.iter().filter(|value| **value < 22.0).count();
    match tongue {
        Tongue::Turkish => {
            format!("Rejim: {trending} coin trendde (ADX ≥ 28), {ranging} coin yatay (< 22).")
        }
        Tongue::English => format!("Regime: {trending} coins trend (ADX ≥ 28), {ranging} range (< 22)."),
    }
}

fn volatility_line(known: &[(&String, &View)], tongue: Tongue) -> String {
    let widest = known
        .iter()
        .filter_map(|(symbol, view)| Some((symbol, view.atr_percent?)))
        .max_by(|left, right| left.1.total_cmp(&right.1));
    match (widest, tongue) {
        (Some((symbol, percent)), Tongue::Turkish) => {
            format!("Oynaklık: en geniş 4s ATR {symbol}, fiyatın %{}.", figure(percent, 2))
        }
        (Some((symbol, percent)), Tongue::English) => {
            format!("Volatility: widest 4h ATR is {symbol} with {}% of price.", figure(percent, 2))
        }
        (None, Tongue::Turkish) => "Oynaklık: ATR yok.".to_owned(),
        (None, Tongue::English) => "Volatility: no ATR.".to_owned(),
    }
}

fn formation_line(known: &[(&String, &View)], tongue: Tongue) -> String {
    let seen: Vec<String> = known
        .iter()
        .filter_map(|(symbol, view)| {
            view.evidence.iter().find_map(|item| match item.fact {
                Fact::Shape(formation) => Some(format!("{symbol} {}", shape(formation, tongue))),
                _ => None,
            })
        })
        .collect();
    let more = seen.len().saturating_sub(FORMATIONS);
    let list = if seen.is_empty() {
        tongue.pick("dikkate değer yok", "none worth mentioning").to_owned()
    } else {
        let told = seen[..seen.len() - more].join(", ");
        if more == 0 { told } else { format!("{told} (+{more})") }
    };
    format!("{}: {list}.", tongue.pick("Formasyonlar", "Formations"))
}

fn gold_line(views: &BTreeMap<String, View>, tongue: Tongue) -> String {
    let gold = views.iter().find(|(symbol, view)| symbol.starts_with("PAXG") && view.known);
    match gold {
        Some((symbol, view)) => {
            format!("{} {symbol}: {:+.2}.", tongue.pick("Altın", "Gold"), view.score)
        }
        None => tongue.pick("Altın: görünüm yok.", "Gold: no view.").to_owned(),
    }
}

fn calendar_line(reading: &Reading) -> String {
    let tongue = reading.tongue;
    match reading.general.high_impact.as_slice() {
        [] => tongue.pick("Takvim: yüksek etkili kayıt yok.", "Calendar: nothing of high impact.").to_owned(),
        [first, rest @ ..] => {
            let more = if rest.is_empty() { String::new() } else { format!(" (+{})", rest.len()) };
            format!("{}: {first}{more}.", tongue.pick("Takvim, yüksek etkili", "Calendar, high impact"))
        }
    }
}

fn headline_line(reading: &Reading) -> String {
    let count = reading.general.headlines.len();
    match reading.tongue {
        Tongue::Turkish => {
            format!("Haberler: {count} başlık, veri olarak okundu.")
        }
        Tongue::English => {
            format!("News: {count} headlines, read as data.")
        }
    }
}

fn tool_line(reading: &Reading) -> Option<String> {
    let tongue = reading.tongue;
    if reading.findings.is_empty() {
        return None;
    }
    let told: Vec<String> = reading
        .findings
        .iter()
        .map(|finding| {
            let path = finding.path.split('?').next().unwrap_or_default();
            let name =
                path.trim_start_matches("/futures/").trim_start_matches("/indicators/").trim_matches('/');
            let result = match &finding.answer {
                None => tongue.pick("alınamadı", "failed").to_owned(),
                Some(answer) => ["value", "ratio", "rate", "price"]
                    .iter()
                    .find_map(|part| named_number(answer, part))
                    .map_or_else(|| tongue.pick("okundu", "read").to_owned(), |number| figure(number, 4)),
            };
            format!("{name} {result}")
        })
        .collect();
    Some(format!("{}: {}.", tongue.pick("Ek veriler", "Fetched"), told.join(", ")))
}

fn book_line(task: &Task, tongue: Tongue) -> String {
    let held = |side: &str| {
        task.accounts
            .iter()
            .flat_map(|account| &account.coins)
            .filter(|coin| {
                coin.position.as_ref().is_some_and(|position| position.side.eq_ignore_ascii_case(side))
            })
            .count()
    };
    let (long, short) = (held("LONG"), held("SHORT"));
    match tongue {
        Tongue::Turkish => format!("Portföy dengesi: {long} uzun, {short} kısa pozisyon."),
        Tongue::English => format!("Portfolio balance: {long} long, {short} short positions."),
    }
}

fn plan_line(decisions: &[Decision], tongue: Tongue) -> String {
    let strong = decisions.iter().filter(|row| row.is_strong_opening()).count();
    let close = decisions.iter().filter(|row| row.word == "CLOSE").count();
    let counter = decisions.iter().any(|row| row.ground == Ground::Counterweight);
    let note = if counter {
        tongue.pick(" Yönler bilerek dengelendi.", " Directions are balanced on purpose.")
    } else {
        ""
    };
    match tongue {
        Tongue::Turkish => format!("Plan: {strong} güçlü açılış, {close} kapanış, gerisi beklemede.{note}"),
        Tongue::English => format!("Plan: {strong} strong openings, {close} closings, the rest waits.{note}"),
    }
}
