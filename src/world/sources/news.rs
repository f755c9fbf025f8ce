//! The newsroom of this world: headlines about what prices and figures really did, some minutes after they did it, and
//! some that mean nothing.
//!
//! Stories are written by quarter of an hour. What a quarter brings depends only on the path up to its end and on the
//! seed, so a story, once out, stays as it is. Nothing here knows what comes next.

use super::calendar::{Values, printed};
use crate::world::market::Market;
use crate::world::market::announcements::{Impact, between};
use crate::world::market::calendar_time::{DAY_MS, HOUR_MS, new_york_session};
use crate::world::market::reference::Reference;
use crate::world::market::rng::{hash_at, hash_text, unit_at};

/// The desks of the newsroom, as Finnhub names them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Category {
    General,
    Crypto,
    Forex,
    Merger,
}

impl Category {
    pub(super) const ALL: [(Self, &'static str); 4] = [
        (Self::General, "general"),
        (Self::Crypto, "crypto"),
        (Self::Forex, "forex"),
        (Self::Merger, "merger"),
    ];

    pub(super) fn parse(word: &str) -> Option<Self> {
        Self::ALL.iter().find(|(_, known)| *known == word).map(|(category, _)| *category)
    }

    pub(super) fn as_str(self) -> &'static str {
        Self::ALL.iter().find(|(known, _)| *known == self).map_or("", |(_, word)| word)
    }
}

/// One story.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Story {
    /// Grows with time, so that a reader can ask for what came later.
    pub(super) id: i64,
    pub(super) at_ms: i64,
    pub(super) category: Category,
    pub(super) headline: String,
    pub(super) summary: String,
    /// The contract or index it is about, if any.
    pub(super) related: &'static str,
}

const QUARTER: i64 = HOUR_MS / 4;
/// How far back a reader sees.
const MEMORY: i64 = 48 * HOUR_MS;

/// Stories of a desk that are out at `now_ms`, newest first.
pub(super) fn stories(market: &Market, category: Category, now_ms: i64) -> Vec<Story> {
    let mut desk = Desk { market, seed: market.seed() ^ hash_text("news"), stories: Vec::new() };
    let first = (now_ms - MEMORY).div_euclid(QUARTER);
    let last = now_ms.div_euclid(QUARTER);
    let mut before = desk.levels(first * QUARTER);
    for quarter in first + 1..=last {
        let levels = desk.levels(quarter * QUARTER);
        desk.quarter(quarter * QUARTER, &before, &levels);
        before = levels;
    }
    desk.figures(now_ms);
    let mut stories = desk.stories;
    stories
        .retain(|story| story.category == category && story.at_ms <= now_ms && story.at_ms > now_ms - MEMORY);
    stories.sort_by(|a, b| b.at_ms.cmp(&a.at_ms).then_with(|| a.headline.cmp(&b.headline)));
    stories.dedup_by(|a, b| a.headline == b.headline && (a.at_ms - b.at_ms).abs() < HOUR_MS);
    number(&mut stories);
    stories
}

/// Ids from the second of a story and its place among those of the same second.
fn number(stories: &mut [Story]) {
    let mut same = (0, 0);
    for story in stories.iter_mut().rev() {
        let second = story.at_ms / 1000;
        same = if same.0 == second { (second, same.1 + 1) } else { (second, 0) };
        story.id = (second - 1_500_000_000) * 16 + same.1;
    }
}

struct Desk<'a> {
    market: &'a Market,
    seed: u64,
    stories: Vec<Story>,
}

impl Desk<'_> {
    fn levels(&self, at_ms: i64) -> Vec<Option<f64>> {
        (0..self.market.listings().len()).map(|number| self.market.level(number, at_ms)).collect()
    }

    /// A number between 0 and `below` that belongs to a moment and a purpose.
    fn pick(&self, at_ms: i64, purpose: &str, below: usize) -> usize {
        (hash_at(self.seed ^ hash_text(purpose), at_ms) % below.max(1) as u64) as usize
    }

    /// Writes a story one to ten minutes after what it is about.
    fn write(
        &mut self,
        event_ms: i64,
        category: Category,
        headline: String,
        summary: String,
        related: &'static str,
    ) {
        let delay = 60_000 + (540_000.0 * unit_at(self.seed ^ hash_text(&headline), event_ms)) as i64;
        let at_ms = (event_ms + delay) / 1000 * 1000;
        self.stories.push(Story { id: 0, at_ms, category, headline, summary, related });
    }

    /// What the quarter of an hour that ends at `end_ms` brings.
    fn quarter(&mut self, end_ms: i64, before: &[Option<f64>], after: &[Option<f64>]) {
        let moves: Vec<Option<f64>> = before
            .iter()
            .zip(after)
            .map(|(before, after)| Some((after.as_ref()? / before.as_ref()? - 1.0) * 100.0))
            .collect();
        for (number, change) in moves.iter().enumerate() {
            if let (Some(change), Some(price)) = (change, after[number]) {
                self.quick_move(end_ms, number, *change, price);
            }
        }
        let falling = moves.iter().flatten().filter(|change| **change < -2.0).count();
        let rising = moves.iter().flatten().filter(|change| **change > 2.0).count();
        if falling >= 5 {
            self.write(
                end_ms,
                Category::General,
                "Sell-off sweeps through digital assets".to_owned(),
                format!("{falling} of the large coins lost more than 2% within a quarter of an hour."),
                "",
            );
        } else if rising >= 5 {
            self.write(
                end_ms,
                Category::General,
                "Digital assets rally across the board".to_owned(),
                format!("{rising} of the large coins gained more than 2% within a quarter of an hour."),
                "",
            );
        }
        if end_ms % (4 * HOUR_MS) == 0 {
            self.day_so_far(end_ms, after);
        }
        if end_ms % HOUR_MS == 0 {
            self.gold(end_ms);
            self.dow_close(end_ms);
            self.noise(end_ms);
        }
    }

    /// A coin that moved fast.
    fn quick_move(&mut self, end_ms: i64, number: usize, change: f64, price: f64) {
        let Some((name, symbol)) = self.market.listings().get(number).map(|l| known(l.symbol.coin())) else {
            return;
        };
        let threshold = match symbol {
            "BTC" => 0.9,
            "PAXG" => 0.8,
            _ => 2.2,
        };
        if change.abs() < threshold {
            return;
        }
        let (size, price) = (change.abs(), dollars(price));
        let verbs = if change < 0.0 {
            ["drops", "slides", "tumbles", "falls"]
        } else {
            ["jumps", "climbs", "surges", "rises"]
        };
        let verb = verbs[self.pick(end_ms, symbol, verbs.len())];
        let because = if change < 0.0 {
            ["as long positions are closed by force", "with buyers stepping back", "in heavy selling"]
        } else {
            ["as short sellers cover", "on a wave of buying", "with thin offers above"]
        };
        let reason = because[self.pick(end_ms, "because", because.len())];
        let headline = format!("{name} {verb} {size:.1}% in minutes to {price}");
        let summary = format!("{name} {verb} {size:.1}% within a quarter of an hour {reason}.");
        self.write(end_ms, Category::Crypto, headline, summary, symbol);
        if symbol == "BTC" && size >= 2.5 {
            let headline = format!("Bitcoin {verb} {size:.1}%, risk appetite in question");
            let summary = format!("The largest coin trades near {price}.");
            self.write(end_ms, Category::General, headline, summary, symbol);
        }
    }

    /// Every four hours: who stands out over a day.
    fn day_so_far(&mut self, end_ms: i64, now: &[Option<f64>]) {
        let before = self.levels(end_ms - DAY_MS);
        let mut changes: Vec<(f64, usize)> = now
            .iter()
            .zip(&before)
            .enumerate()
            .filter_map(|(number, (now, before))| {
                Some(((now.as_ref()? / before.as_ref()? - 1.0) * 100.0, number))
            })
            .collect();
        changes.sort_by(|a, b| b.0.abs().total_cmp(&a.0.abs()));
        for &(change, number) in changes.iter().take(if end_ms % DAY_MS == 0 { 3 } else { 1 }) {
            let Some((name, symbol)) = self.market.listings().get(number).map(|l| known(l.symbol.coin()))
            else {
                continue;
            };
            let threshold = if symbol == "BTC" || symbol == "PAXG" { 1.8 } else { 4.0 };
            if change.abs() < threshold {
                continue;
            }
            let word = if change < 0.0 { "down" } else { "up" };
            let price = now[number].map(dollars).unwrap_or_default();
            let headline = format!("{name} {word} {:.1}% over 24 hours", change.abs());
            let summary = format!("{name} trades at {price}, {:.1}% {word} from a day ago.", change.abs());
            self.write(end_ms, Category::Crypto, headline, summary, symbol);
        }
    }

    /// Gold, when an hour was more than a murmur.
    fn gold(&mut self, end_ms: i64) {
        let Some(bar) = self.market.reference(Reference::Gold, end_ms - HOUR_MS, end_ms, end_ms) else {
            return;
        };
        let change = (bar.close / bar.open - 1.0) * 100.0;
        if change.abs() < 0.55 {
            return;
        }
        let (headline, summary) = if change > 0.0 {
            ("Gold gains", "Buyers look for safety while other markets wait")
        } else {
            ("Gold slips", "Demand for safety fades for now")
        };
        let headline = format!("{headline} {:.1}% to {} an ounce", change.abs(), dollars(bar.close));
        for category in [Category::Forex, Category::General] {
            self.write(end_ms, category, headline.clone(), format!("{summary}."), "GC=F");
        }
    }

    /// How Wall Street ended, in the hour after its close.
    fn dow_close(&mut self, end_ms: i64) {
        let Some((start, end)) = new_york_session(end_ms - 1).filter(|(_, end)| *end == end_ms) else {
            return;
        };
        let today = self.market.reference(Reference::Dow, start, end, end);
        let before = self.market.reference(Reference::Dow, start - HOUR_MS, start, end);
        let (Some(today), Some(before)) = (today, before) else { return };
        let change = (today.close / before.close - 1.0) * 100.0;
        let mood = if change.abs() < 0.1 {
            "little changed".to_owned()
        } else if change > 0.0 {
            format!("{change:.1}% higher")
        } else {
            format!("{:.1}% lower", -change)
        };
        let headline = format!("Dow Jones ends {mood} at {:.0}", today.close);
        let summary = format!("The index moved between {:.0} and {:.0}.", today.low, today.high);
        self.write(end_ms, Category::General, headline, summary, "^DJI");
    }

    /// Figures of the calendar: the result after they are out, the waiting before.
    fn figures(&mut self, now_ms: i64) {
        for announcement in between(now_ms - MEMORY - HOUR_MS, now_ms + 18 * HOUR_MS) {
            let figure = announcement.figure;
            if figure.impact == Impact::Low {
                continue;
            }
            let values = Values::of(&announcement, self.market.seed());
            let category = if figure.currency == "USD" { Category::General } else { Category::Forex };
            if announcement.at_ms <= now_ms {
                let (actual, expected) =
                    (printed(&announcement, values.actual), printed(&announcement, values.estimate));
                let compared = match values.actual.total_cmp(&values.estimate) {
                    std::cmp::Ordering::Equal => "as expected",
                    std::cmp::Ordering::Less => "below expectations",
                    std::cmp::Ordering::Greater => "above expectations",
                };
                let headline = format!("{} {}: {actual}, {compared}", figure.country, figure.title);
                let summary = format!(
                    "{actual} after {}; {expected} was expected.",
                    printed(&announcement, values.previous)
                );
                self.write(announcement.at_ms, category, headline.clone(), summary.clone(), "");
                if category == Category::General && figure.impact == Impact::High {
                    self.write(announcement.at_ms, Category::Forex, headline, summary, "");
                }
            }
            if figure.impact == Impact::High {
                let headline = format!("Traders wait for {} {}", figure.country, figure.title);
                let summary = format!("{} is expected.", printed(&announcement, values.estimate));
                self.write(announcement.at_ms - 14 * HOUR_MS, category, headline, summary, "");
            }
        }
    }

    /// Stories that mean nothing, about one in four hours on each desk.
    fn noise(&mut self, end_ms: i64) {
        for (category, templates) in
            [(Category::General, &GENERAL), (Category::Crypto, &CRYPTO), (Category::Forex, &FOREX)]
        {
            let seed = self.seed ^ hash_text(category.as_str());
            if unit_at(seed, end_ms) < 0.24 {
                // stepping through the list keeps a story from coming back for most of a day
                let place = (end_ms / HOUR_MS * 5).unsigned_abs().wrapping_add(seed % 64) as usize;
                let text = templates[place % templates.len()];
                self.write(end_ms, category, text.to_owned(), String::new(), "");
            }
        }
    }
}

static GENERAL: [&str; 16] = [
    "Rail operators agree on a timetable for spring",
    "Steel orders pick up after a quiet quarter",
    "Consumer mood survey comes in close to its average",
    "Tourism board counts more guests, shorter stays",
    "Carmakers trim options to speed up deliveries",
    "Start-up listings return slowly",
    "Shipping rates ease for a third week",
    "Survey: households plan larger purchases with care",
    "Chip makers discuss new plants in three states",
    "Airlines add winter routes as fuel costs settle",
    "Central bankers meet for a conference without a decision on the agenda",
    "Retailers report brisk weekend traffic",
    "Power grid operators prepare for a cold spell",
    "Parliament debates a budget nobody expects to pass unchanged",
    "Farm exports steady as harvest ends",
    "Two large insurers publish results in line with estimates",
];
static CRYPTO: [&str; 16] = [
    "Wallet maker ships a new device after a long wait",
    "Regulator publishes questions on staking for comment",
    "Game studio moves its tokens to another chain",
    "Auditors report stablecoin reserves unchanged",
    "Validators vote on a smaller block reward",
    "Bridge operator pauses for a planned update",
    "Developers set a date for the next network upgrade test",
    "A regional bank begins a custody pilot for digital assets",
    "Exchange lists further trading pairs and retires old ones",
    "Study counts more wallets, but fewer active ones",
    "Mining difficulty adjusts by less than one percent",
    "Payment firm widens its stablecoin trial to two more countries",
    "Conference panel argues about on-chain privacy",
    "Analysts disagree on what exchange reserves say",
    "Long-idle wallet moves a small amount after nine years",
    "Fund flows into digital asset products are mixed this week",
];
static FOREX: [&str; 16] = [
    "Commodity currencies follow ore prices sideways",
    "Nordic currencies firm a little",
    "Traders square positions ahead of the fixing",
    "Peso steady after a quiet auction",
    "Hedging costs for exporters ease",
    "Dollar funding calm at quarter turn",
    "Dollar steady as traders await direction",
    "Euro holds its range in quiet trade",
    "Yen little moved after remarks from the finance ministry",
    "Sterling treads water before housing data",
    "Carry trades stay popular as volatility is low",
    "Emerging currencies mixed at midday",
    "Bond yields barely change in a short session",
    "Swiss franc touches the middle of its yearly range",
    "Options point to calm currencies into month end",
    "Reserve managers report small shifts in holdings",
];

/// A coin's name in a headline, and its short one.
fn known(coin: &str) -> (&'static str, &'static str) {
    match coin {
        "BTC" => ("Bitcoin", "BTC"),
        "ETH" => ("Ether", "ETH"),
        "SOL" => ("Solana", "SOL"),
        "BNB" => ("BNB", "BNB"),
        "XRP" => ("XRP", "XRP"),
        "DOGE" => ("Dogecoin", "DOGE"),
        "ADA" => ("Cardano", "ADA"),
        "AVAX" => ("Avalanche", "AVAX"),
        "LINK" => ("Chainlink", "LINK"),
        "PAXG" => ("Tokenised gold", "PAXG"),
        _ => ("A smaller coin", ""),
    }
}

/// A price as newspapers print it: `$66,492`, `$1.41`, `$0.0952`.
fn dollars(price: f64) -> String {
    if price < 1.0 {
        return format!("${price:.4}");
    }
    if price < 1000.0 {
        return format!("${price:.2}");
    }
    let digits = format!("{price:.0}");
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    format!("${text}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prices_are_printed_as_newspapers_do() {
        assert_eq!(dollars(66_491.8), "$66,492");
        assert_eq!(dollars(1_234_567.0), "$1,234,567");
        assert_eq!(dollars(999.5), "$999.50");
        assert_eq!(dollars(0.095_23), "$0.0952");
    }
}
