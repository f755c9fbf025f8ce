//! `jarvis halt`, `jarvis resume`, `jarvis halts`: what may not trade, beside a running desk or without one.
//!
//! They leave a request in the data folder; a running desk takes it at once, or within a second where the kernel tells
//! nothing of files; another one at its next start.

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use chrono::TimeDelta;
use serde_json::json;

use super::arguments::{Global, HaltOptions, ScopeOptions};
use super::failure::{Failure, PARTLY};
use super::setup;
use crate::desk::halts::mailbox::{self, Fate};
use crate::desk::halts::{HaltRequest, Request, told};
use crate::domain::{Clock, Halt, HaltScope, SystemClock};
use crate::store::{DeskLock, StoreError};

/// How long a running desk may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// Pause between looks for its answer.
const LOOK: Duration = Duration::from_millis(50);

/// `jarvis halt`
pub async fn halt(global: &Global, options: HaltOptions) -> Result<ExitCode, Failure> {
    let request = Request::Halt {
        scope: scope(&options.scope),
        level: options.level.into(),
        seconds: options.duration.map(|duration| duration.num_seconds()),
        reason: options.reason.unwrap_or_default(),
    };
    ask(global, request).await
}

/// `jarvis resume`
pub async fn resume(global: &Global, options: &ScopeOptions) -> Result<ExitCode, Failure> {
    ask(global, Request::Resume { scope: scope(options) }).await
}

/// `jarvis halts`
pub fn list(global: &Global) -> Result<ExitCode, Failure> {
    let folder = setup::data_dir(global)?;
    let runs = desk_runs(&folder)?;
    let halts = mailbox::published(&folder)?;
    let file = mailbox::halt_file(&folder);
    let waiting = mailbox::waiting(&folder)?;
    if global.json {
        let requests: Vec<_> = waiting.iter().filter_map(|letter| letter.request.as_ref().ok()).collect();
        super::say(
            &json!({ "desk_runs": runs, "halts": halts, "halt_file": file, "waiting": requests }).to_string(),
        );
        return Ok(ExitCode::SUCCESS);
    }
    if !runs {
        super::say("no desk runs on this data folder; this is what the next one starts with");
    }
    for halt in &halts {
        super::say(&line(halt));
    }
    if file.is_some() && !runs {
        super::say("the file HALT is there: the whole desk will be frozen until it is removed");
    }
    for letter in &waiting {
        match &letter.request {
            Ok(asked) => super::say(&format!("waiting for a desk: {}", asked_for(&asked.request))),
            Err(why) => super::say(&format!("{} cannot be read: {why}", letter.path().display())),
        }
    }
    if halts.is_empty() && waiting.is_empty() && file.is_none() {
        super::say("nothing is halted");
    }
    Ok(ExitCode::SUCCESS)
}

async fn ask(global: &Global, request: Request) -> Result<ExitCode, Failure> {
    let folder = setup::data_dir(global)?;
    let runs = desk_runs(&folder)?;
    let what = asked_for(&request);
    let posted = mailbox::post(&folder, &HaltRequest { at: SystemClock.now(), request })?;
    if !runs {
        let told = json!({ "asked": what, "in_force": false, "desk_runs": false });
        say(global, &told, &format!("{what}: no desk runs; the next one starts with it"));
        return Ok(ExitCode::SUCCESS);
    }
    let looks = PATIENCE.as_millis() / LOOK.as_millis();
    for _ in 0..looks {
        match mailbox::fate(&posted) {
            Fate::Waiting => tokio::time::sleep(LOOK).await,
            Fate::Taken => {
                let told = json!({ "asked": what, "in_force": true, "desk_runs": true });
                say(global, &told, &format!("{what}: done"));
                return Ok(ExitCode::SUCCESS);
            }
            Fate::Refused(why) => return Err(Failure::failed(format!("{what}: {why}"))),
        }
    }
    let told = json!({ "asked": what, "in_force": false, "desk_runs": true });
    say(global, &told, &format!("{what}: asked for, but the desk has not answered within 5 s"));
    Ok(ExitCode::from(PARTLY))
}

fn say(global: &Global, document: &serde_json::Value, text: &str) {
    super::say(if global.json { document.to_string() } else { text.to_owned() }.as_str());
}

/// Whether somebody holds the desk's lock.
fn desk_runs(folder: &Path) -> Result<bool, Failure> {
    match DeskLock::acquire(folder) {
        Ok(_free) => Ok(false),
        Err(StoreError::Held { .. }) => Ok(true),
        Err(error) => Err(error.into()),
    }
}

fn scope(options: &ScopeOptions) -> HaltScope {
    match (&options.coin, &options.account) {
        (Some(coin), _) => HaltScope::Coin(coin.clone()),
        (None, Some(account)) => HaltScope::Account(account.clone()),
        (None, None) => HaltScope::Desk,
    }
}

fn asked_for(request: &Request) -> String {
    let words = request.words();
    let Request::Halt { seconds: Some(seconds), .. } = request else { return words };
    let time = TimeDelta::seconds(*seconds);
    format!("{words} for {} h {} min", time.num_hours(), time.num_minutes() % 60)
}

fn line(halt: &Halt) -> String {
    let by = match &halt.origin {
        crate::domain::HaltOrigin::Operator => "an operator".to_owned(),
        crate::domain::HaltOrigin::File => "the file HALT".to_owned(),
        crate::domain::HaltOrigin::Guard(rule) => format!("the guard {}", rule.as_str()),
        crate::domain::HaltOrigin::Desk => "the desk itself".to_owned(),
    };
    let since = halt.since.format("%Y-%m-%d %H:%M:%SZ");
    format!("{}; by {by} since {since}", crate::domain::Untrusted::new(told(halt)).line(400))
}
