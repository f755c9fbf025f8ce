//! `jarvis prompt`: the exact text of the next call, checks on it, and what changed between two.

use std::path::Path;
use std::process::ExitCode;

use serde_json::json;

use super::arguments::{Global, PromptCommand};
use super::failure::{FAILED, Failure};
use super::venue::Venue;
use super::{desk, logs, say, setup};
use crate::desk::prompt::{Language, RenderedPrompt, Templates, diff, lint};
use crate::llm::Tool;
use crate::store::{FILE_NAME, Store};

/// Lines around a change that are shown with it.
const CONTEXT: usize = 2;

/// Runs the command.
pub async fn run(global: &Global, command: &PromptCommand) -> Result<ExitCode, Failure> {
    let _logs = logs::to_stderr(global);
    match command {
        PromptCommand::Show => show(global).await,
        PromptCommand::Lint => check(global).await,
        PromptCommand::Diff { old, new } => compare(global, old, new).await,
    }
}

/// The next call, made up to the point where it would be sent. Only looked at: it takes no lock, works beside a running
/// desk, and changes nothing at the exchange or in the store.
async fn next_call(global: &Global) -> Result<(RenderedPrompt, Vec<Tool>), Failure> {
    let loaded = setup::settings(global)?;
    let data_dir = setup::data_dir(global)?;
    let venue = Venue::for_looking(&loaded.settings, global.world.as_deref(), &data_dir).await?;
    let store = look_into_store(&data_dir).await?;
    let floor = desk::open_for_looking(&loaded.settings, &loaded.directory, &venue, &store).await?;
    Ok((floor.draft_prompts().await?, floor.offered_tools()))
}

async fn look_into_store(data_dir: &Path) -> Result<Store, Failure> {
    let file = data_dir.join(FILE_NAME);
    let opened = tokio::task::spawn_blocking(move || Store::open_for_reading(&file)).await;
    Ok(opened.map_err(|error| Failure::internal(error.to_string()))??)
}

async fn show(global: &Global) -> Result<ExitCode, Failure> {
    let (prompt, tools) = next_call(global).await?;
    if global.json {
        say(&json!({
            "system": prompt.system, "system_hash": prompt.system_hash,
            "user": prompt.user, "user_hash": prompt.user_hash,
            "tools": tools,
            "estimated_tokens": lint::estimated_tokens(&prompt.system) + lint::estimated_tokens(&prompt.user),
        })
        .to_string());
    } else {
        say(&format!("===== system {}\n{}", prompt.system_hash, prompt.system));
        say(&format!("===== tools\n{}", serde_json::to_string_pretty(&tools)?));
        say(&format!("===== user {}\n{}", prompt.user_hash, prompt.user));
    }
    Ok(ExitCode::SUCCESS)
}

async fn check(global: &Global) -> Result<ExitCode, Failure> {
    let loaded = setup::settings(global)?;
    // Both languages, so that the one that is not in use does not break unseen.
    for language in [Language::Tr, Language::En] {
        Templates::load(Some(&loaded.directory), language)?;
    }
    let (prompt, _) = next_call(global).await?;
    let remarks = lint::lint(&prompt);
    let is_broken = remarks.iter().any(|remark| remark.weight == lint::Weight::Error);
    if global.json {
        say(&json!({ "ok": !is_broken, "remarks": remarks }).to_string());
    } else {
        for remark in &remarks {
            let weight = match remark.weight {
                lint::Weight::Error => "error",
                lint::Weight::Warning => "warning",
                lint::Weight::Note => "note",
            };
            say(&format!("{weight}: {}: {}", remark.part, remark.text));
        }
    }
    Ok(if is_broken { ExitCode::from(FAILED) } else { ExitCode::SUCCESS })
}

async fn compare(global: &Global, old: &str, new: &str) -> Result<ExitCode, Failure> {
    let (old_text, new_text) = (text_of(global, old).await?, text_of(global, new).await?);
    let lines = diff::diff(&old_text, &new_text);
    if global.json {
        let changes: Vec<_> =
            lines.iter().map(|(change, line)| json!({ "op": change, "line": line })).collect();
        say(&json!({ "old": old, "new": new, "equal": old_text == new_text, "lines": changes }).to_string());
        return Ok(ExitCode::SUCCESS);
    }
    let changed: Vec<usize> = lines
        .iter()
        .enumerate()
        .filter(|(_, (change, _))| *change != diff::Change::Same)
        .map(|(at, _)| at)
        .collect();
    let mut last_shown = None;
    for (at, (change, line)) in lines.iter().enumerate() {
        if changed.iter().any(|place| place.abs_diff(at) <= CONTEXT) {
            if last_shown.is_some_and(|last| last + 1 < at) {
                say("…");
            }
            say(&format!("{} {line}", change.mark()));
            last_shown = Some(at);
        }
    }
    if changed.is_empty() {
        say("no difference");
    }
    Ok(ExitCode::SUCCESS)
}

/// A prompt by what names it: a file, the beginning of its content hash, or the cycle that sent it.
async fn text_of(global: &Global, name: &str) -> Result<String, Failure> {
    let path = Path::new(name);
    if path.is_file() {
        return std::fs::read_to_string(path).map_err(|error| Failure::failed(format!("{name}: {error}")));
    }
    let data_dir = setup::data_dir(global)?;
    let unknown = || {
        Failure::failed(format!(
            "{name}: no such file, no stored prompt whose hash begins so, and no cycle of that name"
        ))
    };
    if !data_dir.join(FILE_NAME).is_file() {
        return Err(unknown());
    }
    let found = look_into_store(&data_dir).await?.find_prompts(name).await?;
    match found.as_slice() {
        [one] => Ok(one.clone()),
        [] => Err(unknown()),
        several => Err(Failure::failed(format!(
            "{name}: {} stored prompts begin so; write more of it",
            several.len()
        ))),
    }
}
