//! How much of the desk is one and the same bet.

use rust_decimal::Decimal;

use super::readings::{Sight, reading};
use super::{Case, CoinFacts, Guard, Holding, MarketFacts, Refusal, percent};
use crate::config::EquityMultiple;
use crate::domain::{AccountName, Direction, GuardReading, Rule};

/// Ten coins that move together are one bet ten times: positions are counted by their beta to bitcoin, of each account
/// and of all together, gross and by direction.
///
/// Only a coin whose measured correlation reaches `hedge_correlation` takes anything off the other direction. What is
/// less correlated hedges nothing: long gold beside long coins is more exposure, not less.
///
/// An account that cannot be read counts for the desk with what it held when it was seen last.
#[derive(Debug)]
pub struct Exposure {
    /// Both directions added, as a multiple of equity.
    pub gross: Option<EquityMultiple>,
    /// One direction, as a multiple of equity.
    pub direction: Option<EquityMultiple>,
    /// Correlation, whatever its sign, from which a position may hedge.
    pub hedge_correlation: Decimal,
}

/// A coin that hardly moves with bitcoin still moves: it counts at least so much.
const LEAST_BETA: Decimal = Decimal::from_parts(5, 0, 0, false, 1);

/// What one USDT of a coin counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Weight {
    gross: Decimal,
    /// Signed: a coin that falls when bitcoin rises counts for the other direction.
    net: Decimal,
    hedges: bool,
}

/// Beta-weighted sums, USDT.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Sums {
    gross: Decimal,
    long: Decimal,
    short: Decimal,
    /// What earned shorts take off the longs, and the other way round.
    off_long: Decimal,
    off_short: Decimal,
    /// The part of `gross` that points up; the rest points down.
    gross_long: Decimal,
}

impl Sums {
    fn add(&mut self, holding: &Holding, weight: Weight) {
        let signed = match holding.direction {
            Direction::Long => weight.net * holding.notional,
            Direction::Short => -weight.net * holding.notional,
        };
        let earned = if weight.hedges { signed.abs() } else { Decimal::ZERO };
        self.gross += weight.gross * holding.notional;
        if signed >= Decimal::ZERO {
            self.gross_long += weight.gross * holding.notional;
            self.long += signed;
            self.off_short += earned;
        } else {
            self.short -= signed;
            self.off_long += earned;
        }
    }

    fn net_long(&self) -> Decimal {
        (self.long - self.off_long).max(Decimal::ZERO)
    }

    fn net_short(&self) -> Decimal {
        (self.short - self.off_short).max(Decimal::ZERO)
    }
}

impl Exposure {
    fn weight(&self, coin: Option<&CoinFacts>) -> Weight {
        let measured = coin.and_then(|coin| Some((coin.beta?, coin.correlation)));
        let Some((beta, correlation)) = measured else {
            return Weight { gross: Decimal::ONE, net: Decimal::ONE, hedges: false };
        };
        let size = beta.abs().max(LEAST_BETA);
        let hedges = correlation.is_some_and(|correlation| correlation.abs() >= self.hedge_correlation);
        // Its own sign only where the correlation is strong enough to be believed.
        let net = if hedges && beta < Decimal::ZERO { beta } else { size };
        Weight { gross: size, net, hedges }
    }

    fn sums<'a>(&self, holdings: impl Iterator<Item = &'a Holding>, market: &MarketFacts) -> Sums {
        let mut sums = Sums::default();
        for holding in holdings {
            sums.add(holding, self.weight(market.coin(&holding.symbol)));
        }
        sums
    }

    /// Names what would lie beyond a limit, and further beyond it than before.
    fn beyond(&self, who: &str, equity: Decimal, before: Sums, after: Sums) -> Option<Refusal> {
        let measures = [
            ("both directions", self.gross, before.gross, after.gross),
            ("long", self.direction, before.net_long(), after.net_long()),
            ("short", self.direction, before.net_short(), after.net_short()),
        ];
        measures.into_iter().find_map(|(which, limit, before, after)| {
            let limit = limit?;
            if after <= before || after <= limit.share() * equity {
                return None;
            }
            let share =
                if equity > Decimal::ZERO { percent(after / equity) } else { format!("{after} USDT") };
            let detail = format!(
                "beta-weighted exposure of {who}, {which}, would be {share} of equity; at most {limit} is allowed"
            );
            Some(Refusal::new(Rule::Exposure, detail))
        })
    }

    fn reading(&self, account: Option<&AccountName>, sums: Sums, equity: Decimal) -> GuardReading {
        let share = |amount: Decimal| {
            if equity > Decimal::ZERO { amount / equity } else { Decimal::ZERO }
        };
        let (gross, long, short) = (share(sums.gross), share(sums.net_long()), share(sums.net_short()));
        let used = [
            self.gross.map(|limit| gross / limit.share()),
            self.direction.map(|limit| long.max(short) / limit.share()),
        ];
        let used = used.into_iter().flatten().max();
        let value = parts(gross, share(sums.gross_long), (long, short));
        let refuses = used.is_some_and(|used| used >= Decimal::ONE);
        reading(Rule::Exposure, account, self.limit(), value, used, refuses)
    }
}

/// Exposure in words: what points up and what points down add up to all of it. Where hedges take something off, what is
/// left of the larger direction, which is what it is judged by, is told behind it.
fn parts(gross: Decimal, up: Decimal, (long, short): (Decimal, Decimal)) -> String {
    /// What is shown; less is no difference.
    const SHOWN: Decimal = Decimal::from_parts(1, 0, 0, false, 3);
    let hedged = (up - long).abs().max((gross - up - short).abs()) >= SHOWN;
    let [gross, up] = [gross, up].map(|share| share.round_dp(SHOWN.scale()));
    let parts = format!("gross {}, long {}, short {}", percent(gross), percent(up), percent(gross - up));
    if !hedged {
        return parts;
    }
    format!("{parts}; net {}", percent(long.max(short)))
}

impl Guard for Exposure {
    fn rule(&self) -> Rule {
        Rule::Exposure
    }

    fn limit(&self) -> Option<String> {
        let words = [
            self.gross.map(|limit| format!("{limit} of equity gross")),
            self.direction.map(|limit| format!("{limit} a direction")),
        ];
        let words: Vec<String> = words.into_iter().flatten().collect();
        (!words.is_empty()).then(|| format!("{}, beta-weighted", words.join(", ")))
    }

    fn judge(&self, case: &Case<'_>) -> Option<Refusal> {
        let direction = case.opens()?;
        let new = Holding { symbol: case.coin.symbol.clone(), direction, notional: case.notional() };
        let weight = self.weight(Some(case.coin));
        let grown = |before: Sums| {
            let mut after = before;
            after.add(&new, weight);
            after
        };
        let account = case.account;
        let own = self.sums(account.holdings.iter(), case.market);
        let who = format!("account {}", account.name);
        self.beyond(&who, account.equity, own, grown(own)).or_else(|| {
            let (holdings, equity) = case.book.whole_desk();
            let all = self.sums(holdings, case.market);
            self.beyond("the whole desk", equity, all, grown(all))
        })
    }

    fn readings(&self, sight: &Sight<'_>) -> Vec<GuardReading> {
        let each = sight.book.accounts.iter().map(|account| {
            let sums = self.sums(account.holdings.iter(), sight.market);
            self.reading(Some(&account.name), sums, account.equity)
        });
        let (holdings, equity) = sight.book.whole_desk();
        each.chain([self.reading(None, self.sums(holdings, sight.market), equity)]).collect()
    }
}

#[cfg(test)]
mod tests {
    use rust_decimal_macros::dec;

    use super::*;

    #[test]
    fn the_parts_that_are_shown_add_up_to_the_whole() {
        // 80 up and 30 down, of which each takes off the other what is well correlated.
        let shown = parts(dec!(1.1), dec!(0.8), (dec!(0.5), dec!(0)));
        assert_eq!(shown, "gross 110 %, long 80 %, short 30 %; net 50 %");
        let rounded = parts(dec!(0.66666), dec!(0.33333), (dec!(0.33333), dec!(0.33333)));
        assert_eq!(rounded, "gross 66.7 %, long 33.3 %, short 33.4 %");
    }
}
