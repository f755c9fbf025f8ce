//! The world's own bad weather for a whole run: what it does to requests, to the books, to events and to time.

use jarvis::world::faults::{Class, Effect, Farewell, Match, Rule, Schedule, Stretch};
use rust_decimal::Decimal;

use super::Bench;

/// How long a conditional order lives that vanishes, ms.
const VANISHING_MS: u64 = 3_000;
/// One trouble that lasts in so many seconds of wall time.
const TROUBLE_EVERY: u64 = 240;
/// How long the exchange is down, and how long its clock is wrong, seconds.
const MAINTENANCE: u64 = 8;
const SKEWED: u64 = 20;
/// A ban begins within this many seconds, and lasts so long from there.
const BAN_BEGINS: u64 = 2;
const BAN: u64 = 4;

fn share(effect: Effect, rate: f64, wanted: Match) -> Rule {
    Rule::new(effect).matching(wanted).scheduled(Schedule::Rate(rate))
}

fn to(path: &str) -> Match {
    Match { path: Some(path.to_owned()), ..Match::default() }
}

fn of(class: Class) -> Match {
    Match { class: Some(class), ..Match::default() }
}

/// What happens to single requests and events, by chance.
fn by_chance() -> Vec<Rule> {
    let bad_gateway =
        || Effect::Answer { status: 502, body: "<html>bad gateway</html>".to_owned(), acted: false };
    let openings = Match { reduce_only: Some(false), ..of(Class::Order) };
    vec![
        share(Effect::Latency { ms: 800, spread_ms: 700 }, 0.03, Match::default()),
        share(Effect::Timeout { acted: true, hang_ms: 10_000 }, 0.01, of(Class::Order)),
        share(Effect::Timeout { acted: false, hang_ms: 10_000 }, 0.01, of(Class::Algo)),
        share(Effect::Reset { acted: true }, 0.01, of(Class::Algo)),
        share(Effect::Truncated {}, 0.005, Match::default()),
        share(Effect::Internal503 {}, 0.005, Match::default()),
        share(Effect::ReadLag { ms: 4_000 }, 0.08, to("/v1/order")),
        share(Effect::ReadLag { ms: 4_000 }, 0.08, to("/v1/algoOrder")),
        share(Effect::PartialFill { share: Decimal::new(35, 2) }, 0.1, of(Class::Order)),
        share(Effect::Rejected { code: -2019 }, 0.02, openings),
        share(Effect::StopRejected { code: -4045 }, 0.05, Match::default()),
        share(Effect::StopVanished { after_ms: VANISHING_MS }, 0.03, Match::default()),
        share(bad_gateway(), 0.05, to("/listenKey")),
        share(bad_gateway(), 0.05, of(Class::Source(None))),
        share(Effect::Lost {}, 0.1, Match::default()),
        share(Effect::Doubled {}, 0.1, Match::default()),
        share(Effect::Reordered {}, 0.1, Match::default()),
        share(Effect::Silent {}, 0.005, of(Class::Stream)),
        share(Effect::Disconnect { code: Farewell::default() }, 0.01, of(Class::Stream)),
    ]
}

#[expect(clippy::cast_precision_loss, reason = "seconds of a run")]
fn stretch(at: u64, lasts: u64) -> Stretch {
    Stretch { at_seconds: at as f64, until_seconds: (at + lasts) as f64, rate: None }
}

impl Bench {
    /// Arms everything for so many seconds of wall time. Times in which the exchange answers nobody are noted: nothing
    /// can be protected then.
    pub fn bring_bad_weather(&self, seconds: u64) {
        let kinds: [(Effect, u64); 7] = [
            (Effect::Maintenance {}, MAINTENANCE),
            (Effect::Banned { retry_after: BAN }, BAN_BEGINS),
            (Effect::ClockSkew { ms: 4_000 }, SKEWED),
            (Effect::ClockSkew { ms: -4_000 }, SKEWED),
            (Effect::ListenKeyExpired {}, 1),
            (Effect::Silent {}, 1),
            (Effect::Disconnect { code: Farewell::default() }, 1),
        ];
        let mut stretches: Vec<Vec<Stretch>> = kinds.iter().map(|_| Vec::new()).collect();
        let now = self.clock.now_ms();
        for place in 0..seconds / TROUBLE_EVERY {
            let roll = self.faults.roll("trouble");
            let kind = usize::try_from(roll % 7).unwrap();
            let (effect, lasts) = &kinds[kind];
            let at = place * TROUBLE_EVERY + roll / 7 % (TROUBLE_EVERY - SKEWED);
            stretches[kind].push(stretch(at, *lasts));
            let down = match effect {
                Effect::Maintenance {} => MAINTENANCE,
                // Who was told to wait may wait a second more.
                Effect::Banned { .. } => BAN_BEGINS + BAN + 1,
                _ => continue,
            };
            let begins = now + i64::try_from(at * 1000).unwrap();
            self.faults.outage(begins, begins + i64::try_from(down * 1000).unwrap());
        }
        let lasting = kinds.into_iter().zip(stretches).filter(|(_, stretches)| !stretches.is_empty());
        let mut rules: Vec<Rule> = lasting
            .map(|((effect, _), stretches)| Rule::new(effect).scheduled(Schedule::Script(stretches)))
            .collect();
        rules.extend(by_chance());
        self.faults.stops_vanish_after(VANISHING_MS);
        self.world.arm(Some(self.faults.seed()), rules).unwrap();
    }
}
