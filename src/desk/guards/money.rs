//! What may be lost in a day and from the top, and how large one opening may be.

use rust_decimal::Decimal;

use super::readings::{Sight, reading};
use super::{Book, Case, Guard, Refusal, Standing, percent};
use crate::config::EquityPercent;
use crate::domain::{AccountName, GuardReading, Halt, HaltLevel, HaltOrigin, HaltScope, Rule, Timestamp};

/// A bad day ends: after this much was lost since midnight UTC, by one account or by all together, the rest of the day
/// is spent looking. Money put in or taken out is neither loss nor gain.
#[derive(Debug)]
pub struct DailyLoss(pub Option<EquityPercent>);

/// The strategy itself is in doubt when so much is gone from the highest equity: nothing is opened until an operator
/// resumes, and the count begins anew from there.
#[derive(Debug)]
pub struct Drawdown(pub Option<EquityPercent>);

impl Guard for DailyLoss {
    fn rule(&self) -> Rule {
        Rule::DailyLoss
    }

    fn limit(&self) -> Option<String> {
        self.0.map(|limit| format!("-{limit} a day"))
    }

    fn judge(&self, case: &Case<'_>) -> Option<Refusal> {
        case.opens()?;
        let (who, loss) = passed(case, self.0?, Standing::day_loss)?;
        let detail = format!("{who} lost {} since midnight UTC; {} halts the day", percent(loss), self.0?);
        Some(Refusal::new(Rule::DailyLoss, detail))
    }

    fn is_known_beforehand(&self) -> bool {
        true
    }

    fn halts(&self, book: &Book, now: Timestamp) -> Vec<Halt> {
        let until = now.date_naive().succ_opt().map(|day| day.and_time(chrono::NaiveTime::MIN).and_utc());
        halts(book, now, Rule::DailyLoss, self.0, until, Standing::day_loss)
    }

    fn readings(&self, sight: &Sight<'_>) -> Vec<GuardReading> {
        losses(sight, Rule::DailyLoss, self.limit().as_ref(), self.0, Standing::day_loss)
    }
}

impl Guard for Drawdown {
    fn rule(&self) -> Rule {
        Rule::Drawdown
    }

    fn limit(&self) -> Option<String> {
        self.0.map(|limit| format!("-{limit} from the highest equity"))
    }

    fn judge(&self, case: &Case<'_>) -> Option<Refusal> {
        case.opens()?;
        let (who, fall) = passed(case, self.0?, |standing| standing.drawdown)?;
        let detail = format!("{who} fell {} from its highest equity; {} halts", percent(fall), self.0?);
        Some(Refusal::new(Rule::Drawdown, detail))
    }

    fn is_known_beforehand(&self) -> bool {
        true
    }

    fn halts(&self, book: &Book, now: Timestamp) -> Vec<Halt> {
        halts(book, now, Rule::Drawdown, self.0, None, |standing| standing.drawdown)
    }

    fn readings(&self, sight: &Sight<'_>) -> Vec<GuardReading> {
        losses(sight, Rule::Drawdown, self.limit().as_ref(), self.0, |standing| standing.drawdown)
    }
}

/// The account, or else the desk, whose loss reached the limit, with the loss.
fn passed(
    case: &Case<'_>,
    limit: EquityPercent,
    loss_of: impl Fn(&Standing) -> Decimal,
) -> Option<(String, Decimal)> {
    let own = loss_of(&case.account.standing);
    if own >= limit.share() {
        return Some((format!("account {}", case.account.name), own));
    }
    let all = loss_of(&case.book.standing);
    (all >= limit.share()).then(|| ("the whole desk".to_owned(), all))
}

fn halts(
    book: &Book,
    now: Timestamp,
    rule: Rule,
    limit: Option<EquityPercent>,
    until: Option<Timestamp>,
    loss_of: impl Fn(&Standing) -> Decimal,
) -> Vec<Halt> {
    let Some(limit) = limit else { return Vec::new() };
    let accounts =
        book.accounts.iter().map(|account| (HaltScope::Account(account.name.clone()), &account.standing));
    accounts
        .chain([(HaltScope::Desk, &book.standing)])
        .filter(|(_, standing)| loss_of(standing) >= limit.share())
        .map(|(scope, standing)| Halt {
            scope,
            level: HaltLevel::NoEntries,
            origin: HaltOrigin::Guard(rule),
            reason: format!("{} of {limit} lost", percent(loss_of(standing))).into(),
            since: now,
            until,
        })
        .collect()
}

/// A cycle out of budget trades nothing: what the model decided with its last money was not checked to its end. The
/// budgets are kept by the conversation, which ends with them; where it had decided something until then, this refuses
/// it, closes included. Stops and operators go on.
#[derive(Debug)]
pub struct ModelBudget(pub Option<Decimal>);

impl Guard for ModelBudget {
    fn rule(&self) -> Rule {
        Rule::ModelBudget
    }

    fn limit(&self) -> Option<String> {
        self.0.map(|limit| format!("${} a day", limit.normalize()))
    }

    fn judge(&self, case: &Case<'_>) -> Option<Refusal> {
        Some(Refusal::new(Rule::ModelBudget, case.spent?))
    }

    fn readings(&self, sight: &Sight<'_>) -> Vec<GuardReading> {
        let Some((spent, limit)) = sight.budget else { return Vec::new() };
        let used = (limit > Decimal::ZERO).then(|| spent / limit);
        let (value, words) = (format!("${}", spent.round_dp(2)), format!("${} a day", limit.normalize()));
        vec![reading(self.rule(), None, Some(words), value, used, spent >= limit)]
    }
}

fn losses(
    sight: &Sight<'_>,
    rule: Rule,
    words: Option<&String>,
    limit: Option<EquityPercent>,
    loss_of: impl Fn(&Standing) -> Decimal,
) -> Vec<GuardReading> {
    let one = |account: Option<&AccountName>, standing: &Standing| {
        let loss = loss_of(standing);
        let used = limit.map(|limit| loss.max(Decimal::ZERO) / limit.share());
        let refuses = limit.is_some_and(|limit| loss >= limit.share());
        reading(rule, account, words.cloned(), percent(-loss), used, refuses)
    };
    let accounts = sight.book.accounts.iter().map(|account| one(Some(&account.name), &account.standing));
    accounts.chain([one(None, &sight.book.standing)]).collect()
}

/// What cannot be ordered is not ordered: no free margin, less than the exchange's minimum, more than it allows. A size
/// is never rounded up to fit.
#[derive(Debug)]
pub struct Sizing;

impl Guard for Sizing {
    fn rule(&self) -> Rule {
        Rule::Sizing
    }

    fn limit(&self) -> Option<String> {
        Some("the exchange's filters and the free margin".to_owned())
    }

    fn judge(&self, case: &Case<'_>) -> Option<Refusal> {
        case.opens()?;
        let refusal = |why: &str| Some(Refusal::new(Rule::Sizing, why));
        match &case.size {
            Err(why) => refusal(why),
            Ok(size) => match case.rules.map(|rules| rules.check_opening(size.quantity, size.price)) {
                Some(Ok(())) => None,
                Some(Err(violation)) => refusal(&violation.to_string()),
                None => refusal("the exchange does not list this coin"),
            },
        }
    }
}
