//! The guards that hold in every profile: they ask whether an order can be right at all, not whether it is wise.

use chrono::TimeDelta;
use rust_decimal::Decimal;

use super::readings::{self, Sight, reading};
use super::{Case, Guard, Refusal, percent};
use crate::desk::guards::Action;
use crate::desk::signals::{Signal, signal};
use crate::domain::{Confidence, Direction, GuardReading, HaltLevel, Price, PricePercent, Rule};
use crate::exchange::Toward;

/// Openings need confidence: below the threshold the model itself is not sure, and money is not risked on it. The
/// threshold itself suffices. A close is never held back by doubt.
#[derive(Debug)]
pub struct Threshold(pub Confidence);

impl Guard for Threshold {
    fn rule(&self) -> Rule {
        Rule::Threshold
    }

    fn limit(&self) -> Option<String> {
        Some(self.0.to_string())
    }

    fn judge(&self, case: &Case<'_>) -> Option<Refusal> {
        let Action::Open { confidence, .. } = case.action else { return None };
        let refusal =
            || Refusal::new(Rule::Threshold, format!("low confidence: {confidence} is below {}", self.0));
        (confidence < self.0).then(refusal)
    }
}

/// A position is neither added to nor turned around: one entry, one stop, one reason that can be followed.
#[derive(Debug)]
pub struct AllowedAction;

impl Guard for AllowedAction {
    fn rule(&self) -> Rule {
        Rule::AllowedAction
    }

    fn limit(&self) -> Option<String> {
        Some("no adding, no reversing".to_owned())
    }

    fn judge(&self, case: &Case<'_>) -> Option<Refusal> {
        let decision = case.proposal.decision?;
        match signal(decision, case.position) {
            Signal::NotAllowed(why) => {
                Some(Refusal::new(Rule::AllowedAction, format!("{decision} not allowed: {why}")))
            }
            Signal::Open(_) | Signal::Close | Signal::Nothing => None,
        }
    }
}

/// Somebody, or a guard, stopped this coin, this account or everything: nothing is opened, and from a freeze on the
/// model may not close either.
#[derive(Debug)]
pub struct Halted;

impl Guard for Halted {
    fn rule(&self) -> Rule {
        Rule::Halted
    }

    fn limit(&self) -> Option<String> {
        Some("no halt".to_owned())
    }

    fn judge(&self, case: &Case<'_>) -> Option<Refusal> {
        let (account, symbol) = (&case.proposal.account, &case.proposal.symbol);
        let in_force = case.halts.iter().filter(|halt| {
            halt.scope.covers(account, symbol) && halt.until.is_none_or(|until| until > case.now)
        });
        let halt = in_force.max_by_key(|halt| halt.level)?;
        if case.opens().is_none() && halt.level < HaltLevel::Frozen {
            return None;
        }
        let until =
            halt.until.map(|until| format!(" until {}", until.format("%d %b %H:%MZ"))).unwrap_or_default();
        let told = format!("{} is halted ({}){until}", halt.scope, halt.level.as_str());
        let detail = format!("{told}{}", halt.because());
        Some(Refusal::quoting(Rule::Halted, detail, told))
    }

    fn is_known_beforehand(&self) -> bool {
        true
    }

    fn readings(&self, sight: &Sight<'_>) -> Vec<GuardReading> {
        let each = sight.book.accounts.iter().map(|account| {
            let level = sight
                .halts
                .iter()
                .filter(|halt| halt.until.is_none_or(|until| until > sight.now))
                .filter(|halt| match &halt.scope {
                    crate::domain::HaltScope::Desk => true,
                    crate::domain::HaltScope::Account(name) => name == &account.name,
                    crate::domain::HaltScope::Coin(_) => false,
                })
                .map(|halt| halt.level)
                .max();
            let value = level.map_or("free", HaltLevel::as_str).to_owned();
            reading(Rule::Halted, Some(&account.name), self.limit(), value, None, level.is_some())
        });
        each.collect()
    }
}

/// An order nobody knows the fate of may be executed at any moment: another one for the same coin could double it.
#[derive(Debug)]
pub struct Unresolved;

impl Guard for Unresolved {
    fn rule(&self) -> Rule {
        Rule::Unresolved
    }

    fn limit(&self) -> Option<String> {
        Some("no order of unknown fate".to_owned())
    }

    fn judge(&self, case: &Case<'_>) -> Option<Refusal> {
        case.opens()?;
        let detail = "an earlier order for this coin is still unresolved; nothing new until it is known";
        case.unresolved.then(|| Refusal::new(Rule::Unresolved, detail))
    }
}

/// Without the price the model saw and the price now, nobody can tell what would be opened.
#[derive(Debug)]
pub struct NoPrice;

impl Guard for NoPrice {
    fn rule(&self) -> Rule {
        Rule::NoPrice
    }

    fn limit(&self) -> Option<String> {
        Some("a price then and now".to_owned())
    }

    fn judge(&self, case: &Case<'_>) -> Option<Refusal> {
        case.opens()?;
        let known = case.coin.seen.is_some() && case.coin.now.is_some();
        (!known).then(|| Refusal::new(Rule::NoPrice, "no price for this coin"))
    }
}

/// The model's reasons belong to the price it saw; once the market ran away from it, or time did, they belong to
/// nothing. Neither does a price that was old when it was shown.
#[derive(Debug)]
pub struct StaleData(pub Option<PricePercent>);

/// Market time after which a brief belongs to the next cycle.
const OLDEST_BRIEF: TimeDelta = TimeDelta::hours(1);

impl Guard for StaleData {
    fn rule(&self) -> Rule {
        Rule::StaleData
    }

    fn limit(&self) -> Option<String> {
        self.0.map(|limit| format!("{limit} since the brief"))
    }

    fn judge(&self, case: &Case<'_>) -> Option<Refusal> {
        case.opens()?;
        let limit = self.0?;
        if let Some(source) = &case.coin.stale {
            let detail = format!("{source} was too old when the brief was gathered");
            return Some(Refusal::new(Rule::StaleData, detail));
        }
        if let Some(silent) = case.coin.silent_s {
            let detail = format!("no price heard for {silent} s: what it costs now is not known");
            return Some(Refusal::new(Rule::StaleData, detail));
        }
        if let Some(age) = case.market.as_of.map(|as_of| case.now - as_of).filter(|age| *age > OLDEST_BRIEF) {
            let detail = format!("the model saw a market that is {} min old by now", age.num_minutes());
            return Some(Refusal::new(Rule::StaleData, detail));
        }
        let (seen, now) = (case.coin.seen?, case.coin.now?);
        let moved = apart(seen, now);
        let detail = || {
            format!(
                "the price moved {} since the model saw it ({seen} then, {now} now); at most {limit} is allowed",
                percent(moved)
            )
        };
        (moved > limit.share()).then(|| Refusal::new(Rule::StaleData, detail()))
    }

    fn readings(&self, sight: &Sight<'_>) -> Vec<GuardReading> {
        let Some((coins, seconds)) = sight.silent.filter(|_| self.0.is_some()) else {
            return vec![readings::limit_alone(self.rule(), self.limit())];
        };
        let plural = if coins == 1 { "" } else { "s" };
        // In the words of the alarm that tells it.
        let value = format!("no price heard for {seconds} s: {coins} coin{plural}");
        vec![reading(self.rule(), None, self.limit(), value, None, true)]
    }
}

/// One wrong price among mark, last, index and last candle means a broken feed or a dislocated market, and either way a
/// size and a stop computed from it are wrong. The candle closed up to 4 h ago and is given three ATR of room.
#[derive(Debug)]
pub struct PriceSanity(pub Option<PricePercent>);

/// ATRs that the price may lie away from the last closed candle, beside the limit.
const ROOM_SINCE_CANDLE: Decimal = Decimal::from_parts(3, 0, 0, false, 0);
/// Room since the last closed candle as a share of the price, while no ATR is known.
const ROOM_WITHOUT_ATR: Decimal = Decimal::from_parts(1, 0, 0, false, 1);

impl Guard for PriceSanity {
    fn rule(&self) -> Rule {
        Rule::PriceSanity
    }

    fn limit(&self) -> Option<String> {
        self.0.map(|limit| format!("{limit} between mark, last and index"))
    }

    fn judge(&self, case: &Case<'_>) -> Option<Refusal> {
        case.opens()?;
        let limit = self.0?;
        let coin = case.coin;
        let seen = coin.seen?;
        let room = coin.atr.map_or(ROOM_WITHOUT_ATR, |atr| ROOM_SINCE_CANDLE * atr / seen.value());
        let pairs = [
            ("last and mark", Some(seen), coin.mark, limit.share()),
            ("last and index", Some(seen), coin.index, limit.share()),
            ("mark and index", coin.mark, coin.index, limit.share()),
            ("last price and last candle", Some(seen), coin.last_close, limit.share() + room),
        ];
        pairs.into_iter().find_map(|(which, one, other, allowed)| {
            let (one, other) = (one?, other?);
            let between = apart(one, other);
            let detail = || {
                format!(
                    "{which} are {} apart ({one} and {other}); at most {} is allowed",
                    percent(between),
                    percent(allowed)
                )
            };
            (between > allowed).then(|| Refusal::new(Rule::PriceSanity, detail()))
        })
    }
}

/// A stop protects only on the losing side of the entry and before the exchange would liquidate: the margin is one part
/// in `leverage`, and a position is taken as soon as no more of it is left than its maintenance margin.
#[derive(Debug)]
pub struct StopProtects;

/// The maintenance margin as a share of the notional while the exchange's leverage steps are not known. A step asks about
/// half of the initial margin at its highest leverage; this is what one of 25x asks. The first steps of most contracts
/// ask less (0.4 % where it is 125x, 0.65 % at 75x, 1 % at 50x), those of the smallest half a percent more; a stop of 10 %
/// still passes at 8x.
const MAINTENANCE_UNTOLD: Decimal = Decimal::from_parts(2, 0, 0, false, 2);

/// The maintenance margin of an opening as a share of its notional, by the steps of its contract.
fn maintenance(case: &Case<'_>, direction: Direction) -> Option<Decimal> {
    let (steps, notional) = (case.brackets?, case.notional());
    // A short grows toward its stop. A long shrinks, and is taken as it is opened: that errs on the safe side.
    let at_its_stop = match direction {
        Direction::Long => notional,
        Direction::Short => notional * (Decimal::ONE + case.stop_distance.share()),
    };
    let margin = steps.maintenance(at_its_stop).or_else(|| steps.maintenance(notional))?;
    // What has no size is refused for that; until then it is as small as it can be.
    margin.checked_div(notional).or_else(|| Some(steps.bracket(notional)?.maintenance_share))
}

impl Guard for StopProtects {
    fn rule(&self) -> Rule {
        Rule::Stop
    }

    fn limit(&self) -> Option<String> {
        Some("a stop before liquidation".to_owned())
    }

    fn judge(&self, case: &Case<'_>) -> Option<Refusal> {
        let direction = case.opens()?;
        let price = case.coin.price()?;
        let (distance, leverage) = (case.stop_distance, case.leverage);
        let no_stop =
            |why: &str| Some(Refusal::new(Rule::Stop, format!("a stop {distance} from the entry {why}")));
        let told = maintenance(case, direction);
        let kept = told.unwrap_or(MAINTENANCE_UNTOLD);
        let leverage = Decimal::from(leverage.max(1));
        if (distance.share() + kept) * leverage >= Decimal::ONE {
            let guess = if told.is_none() { ", a careful guess," } else { "" };
            return no_stop(&format!(
                "lies beyond liquidation at {leverage}x: with {} of maintenance margin{guess} it has to be less than {} away; lower stop_loss or leverage",
                hundredths(kept),
                hundredths((Decimal::ONE / leverage - kept).max(Decimal::ZERO)),
            ));
        }
        let Some(exact) = distance.stop_from(price, direction) else { return no_stop("is no price") };
        let toward = match direction {
            Direction::Long => Toward::Higher,
            Direction::Short => Toward::Lower,
        };
        let trigger = case.rules.and_then(|rules| rules.round_price(exact, toward).ok());
        let beside = match (trigger, direction) {
            (Some(trigger), Direction::Long) => trigger < price,
            (Some(trigger), Direction::Short) => trigger > price,
            (None, _) => false,
        };
        if beside { None } else { no_stop("is not apart from it on the exchange's price grid") }
    }
}

/// A share in percent, to a hundredth: limits that lie this near need it.
fn hundredths(share: Decimal) -> String {
    format!("{} %", (share * Decimal::ONE_HUNDRED).round_dp(2).normalize())
}

/// How far two prices lie apart, as a share of the first.
fn apart(one: Price, other: Price) -> Decimal {
    ((other.value() - one.value()) / one.value()).abs()
}
