//! The analyst's sentences, in Turkish and in English.

use super::decisions::{Decision, Ground};
use super::reading::Tongue;
use super::signals::{Evidence, Fact, Formation, View};

/// `bullish`, `bearish` or `neutral`.
pub(super) fn bias(view: &View) -> &'static str {
    if view.score > 0.15 {
        "bullish"
    } else if view.score < -0.15 {
        "bearish"
    } else {
        "neutral"
    }
}

/// A number with at most `digits` decimals and no trailing zeros.
pub(super) fn figure(value: f64, digits: usize) -> String {
    let text = format!("{value:.digits$}");
    let short = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    if short == "-0" { "0".to_owned() } else { short.to_owned() }
}

/// The reason of a decision: what decided, then at most `facts` facts.
pub(super) fn reason(decision: &Decision, view: &View, tongue: Tongue, facts: usize) -> String {
    let lead = ground(decision, view, tongue);
    let told: Vec<String> = told(decision, view, facts).into_iter().map(|item| fact(item, tongue)).collect();
    if told.is_empty() { format!("{lead}.") } else { format!("{lead}: {}.", told.join("; ")) }
}

fn ground(decision: &Decision, view: &View, tongue: Tongue) -> String {
    let gain = decision.gain_percent.map_or_else(String::new, |gain| format!(" ({gain:+.1}%)"));
    let (turkish, english) = match decision.ground {
        Ground::Signal if decision.confidence >= 75 => ("Güçlü sinyal", "Strong signal"),
        Ground::Signal => ("Eşik altı sinyal", "Below the threshold"),
        Ground::Strongest => ("Boş portföyün en güçlüsü", "The strongest on an empty book"),
        Ground::Counterweight => ("Öteki yöne denge", "A counterweight"),
        Ground::Enough => ("Güçlü; bu saatlik açılış yeter", "Strong, but enough openings"),
        Ground::Weak if against(view).is_some() => ("Çelişkili", "Mixed signals"),
        Ground::Weak => ("Zayıf sinyal", "Too weak"),
        Ground::NotAllowed => ("O yöne izin yok", "Not allowed that way"),
        Ground::Quiet => ("Hareket maliyeti karşılamıyor", "Moves do not pay the costs"),
        Ground::NoData => ("Veri yok", "No figures"),
        Ground::Young => ("Pozisyon çok genç", "Still too young"),
        Ground::Carried => ("Sinyal taşıyor", "The signal carries it"),
        Ground::Unbroken => ("Görünüm bozulmadı", "Not broken"),
        Ground::Target => ("Kâr hedefine ulaşıldı, ivme azalıyor", "Profit target reached, drive is fading"),
        Ground::Turned => ("Sinyal pozisyona karşı döndü", "The signal turned against the position"),
        Ground::LargeLoss => {
            ("Zarar büyük ve sinyal desteklemiyor", "A large loss without support of the signal")
        }
    };
    format!("{}{gain}", tongue.pick(turkish, english))
}

/// One fact in a few words.
pub(super) fn fact(item: &Evidence, tongue: Tongue) -> String {
    let up = item.weight > 0.0;
    let pick = |turkish: &str, english: &str| tongue.pick(turkish, english).to_owned();
    match item.fact {
        Fact::Trend { adx } => {
            let way = if up { pick("EMA yukarı", "EMA up") } else { pick("EMA aşağı", "EMA down") };
            adx.map_or(way.clone(), |adx| format!("{way}, ADX {}", figure(adx, 0)))
        }
        Fact::Macd if up => pick("MACD artıda", "MACD above zero"),
        Fact::Macd => pick("MACD ekside", "MACD below zero"),
        Fact::Momentum { rsi } => {
            format!(
                "RSI {} {}",
                figure(rsi, 0),
                if up { pick("yukarı", "points up") } else { pick("aşağı", "points down") }
            )
        }
        Fact::Stretched { rsi } => format!("RSI {} {}", figure(rsi, 0), pick("uçta", "at an extreme")),
        Fact::BandEdge if up => pick("trendsiz, alt bantta", "lower band, no trend"),
        Fact::BandEdge => pick("trendsiz, üst bantta", "upper band, no trend"),
        Fact::BandBreak => pick("bant trend yönünde kırıldı", "a band broken with the trend"),
        Fact::Funding { percent } => {
            format!("{} {}%", pick("fonlama", "funding"), figure(percent, 4))
        }
        Fact::Mood { mood } => format!("{} {mood:+.1}", pick("risk havası", "risk mood")),
        Fact::Haven { mood } => {
            format!("{} {mood:+.1}", pick("liman, risk havası", "haven, risk mood"))
        }
        Fact::FearGreed { value } => {
            format!("Fear & Greed {}", figure(value, 0))
        }
        Fact::Shape(formation) => shape(formation, tongue).to_owned(),
        Fact::HourlyRsi { rsi } => format!("1h RSI {}", figure(rsi, 0)),
        Fact::Crowd { ratio } => {
            format!("{} {}", pick("uzun/kısa oranı", "long/short ratio"), figure(ratio, 2))
        }
    }
}

/// The heaviest fact that speaks against the view, if it weighs anything.
fn against(view: &View) -> Option<&Evidence> {
    view.evidence.iter().find(|item| item.weight * view.score < 0.0 && item.weight.abs() >= 0.04)
}

/// The facts a reason names: the heaviest ones; where signals cancel each other, the heaviest of either side.
fn told<'a>(decision: &Decision, view: &'a View, facts: usize) -> Vec<&'a Evidence> {
    let heaviest = view.evidence.iter().take(facts);
    match against(view).filter(|_| decision.ground == Ground::Weak && facts > 1) {
        Some(against) => view
            .evidence
            .iter()
            .find(|item| item.weight * view.score > 0.0)
            .into_iter()
            .chain([against])
            .collect(),
        None => heaviest.collect(),
    }
}

/// The name of a candle formation.
pub(super) fn shape(formation: Formation, tongue: Tongue) -> &'static str {
    match formation {
        Formation::BullishEngulfing => tongue.pick("yutan boğa", "bullish engulfing"),
        Formation::BearishEngulfing => tongue.pick("yutan ayı", "bearish engulfing"),
        Formation::Hammer => tongue.pick("çekiç", "hammer"),
        Formation::ShootingStar => tongue.pick("kayan yıldız", "shooting star"),
    }
}

/// What could go wrong, where there is something to say.
pub(super) fn risk_note(
    decision: &Decision,
    view: &View,
    tongue: Tongue,
    event: Option<&str>,
) -> Option<String> {
    // Where nothing will be opened, nothing can go wrong.
    let opening = decision.is_strong_opening();
    if opening && let Some(event) = event {
        return Some(format!("{}: {event}", tongue.pick("Önemli veri yaklaşıyor", "Important data ahead")));
    }
    if opening && let Some(item) = against(view) {
        return Some(format!("{}: {}", tongue.pick("Karşı", "Against"), fact(item, tongue)));
    }
    match decision.ground {
        Ground::Young | Ground::Unbroken if decision.gain_percent.is_some_and(|gain| gain < -2.0) => {
            Some(tongue.pick("Zarar büyürse yeniden bakılmalı.", "Look again if the loss grows.").to_owned())
        }
        _ => None,
    }
}
