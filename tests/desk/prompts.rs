//! Prompt files changed while the desk runs.

use std::fs;
use std::path::PathBuf;

use jarvis::config::Settings;
use jarvis::domain::{CycleReport, OutcomeKind, Severity};

use crate::rig::{Plan, Rig};

fn plan(settings_dir: Option<PathBuf>) -> Plan {
    let settings = Settings { dry_run: true, ..Settings::default() };
    Plan { settings, settings_dir, ..Plan::default() }
}

async fn system_of(rig: &Rig, report: &CycleReport) -> String {
    let calls = rig.store.model_calls_of(&report.cycle_id).await.unwrap();
    let request: serde_json::Value = serde_json::from_slice(&calls[0].request).unwrap();
    request["system"].to_string()
}

fn alarms(rig: &Rig) -> Vec<(Severity, String)> {
    rig.floor
        .bulletin()
        .read(|desk| desk.alarms.iter().map(|alarm| (alarm.severity, alarm.text.clone())).collect())
}

#[tokio::test]
async fn the_next_cycle_uses_an_edited_file_and_a_broken_one_is_alarmed_and_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let rig = Rig::new(plan(Some(folder.path().to_owned()))).await;
    let before = system_of(&rig, &rig.cycle().await).await;
    assert!(alarms(&rig).is_empty(), "{:?}", alarms(&rig));

    let (house, _) = rig.floor.prompts().text("system.en.md").unwrap();
    fs::write(folder.path().join("system.en.md"), format!("{house}\nMind the gap.\n")).unwrap();
    let after = system_of(&rig, &rig.cycle().await).await;
    assert_ne!(before, after);
    assert!(after.contains("Mind the gap."));
    let told = alarms(&rig);
    assert!(told.iter().any(|(severity, text)| *severity == Severity::Info && text.contains("system.en.md")));

    fs::write(folder.path().join("memory.jinja"), "one\n{{ no_such_thing }}\n").unwrap();
    let report = rig.cycle().await;
    assert_eq!(system_of(&rig, &report).await, after, "the last good prompts stay");
    assert!(report.decisions.iter().all(|row| row.outcome.kind != OutcomeKind::Invalid), "and work");
    let told = alarms(&rig);
    let told = told.iter().find(|(severity, _)| *severity == Severity::Warning).unwrap();
    assert!(told.1.contains("memory.jinja:2: undefined"), "{}", told.1);
    assert!(told.1.contains(&folder.path().display().to_string()), "{}", told.1);

    rig.floor.prompts().revert("system.en.md").unwrap();
    rig.floor.prompts().revert("memory.jinja").unwrap();
    assert_eq!(system_of(&rig, &rig.cycle().await).await, before);
}

#[tokio::test]
async fn a_file_that_is_broken_at_the_start_is_alarmed_at_once_and_the_built_in_prompts_are_used() {
    let built_in = Rig::new(plan(None)).await;
    let house = system_of(&built_in, &built_in.cycle().await).await;
    for (name, broken, fault) in [
        ("system.en.md", "Just trade.\n", "system.en.md: does not explain the decision LONG"),
        ("memory.jinja", "{{ no_such_thing }}\n", "memory.jinja:1: undefined"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(name), broken).unwrap();
        let rig = Rig::new(plan(Some(folder.path().to_owned()))).await;
        let told = alarms(&rig);
        let [(Severity::Warning, text)] = told.as_slice() else { panic!("{told:?}") };
        assert!(text.contains(fault), "{text}");
        assert!(text.ends_with("; the built-in prompts are used until it is mended"), "{text}");
        assert_eq!(system_of(&rig, &rig.cycle().await).await, house);
        assert_eq!(alarms(&rig), told, "told once");
        rig.floor.prompts().revert(name).unwrap();
        rig.cycle().await;
        assert_eq!(alarms(&rig), told, "what counted already is no change");
    }
}
