//! Cycles: from a slot to a report.

use crate::domain::{CycleId, Envelope, Event, Halt, HaltLevel, HaltOrigin, HaltScope, Rule, Trigger};
use crate::store::testing::*;
use crate::store::*;

#[tokio::test]
async fn a_slot_is_claimed_once() {
    let fixture = Fixture::new();
    assert!(fixture.store.claim_slot(at(0)).await.unwrap());
    assert!(!fixture.store.claim_slot(at(0)).await.unwrap());
    assert!(fixture.store.claim_slot(at(3600)).await.unwrap());
}

#[tokio::test]
async fn cycle_numbers_count_up_also_across_a_restart() {
    let fixture = Fixture::new();
    assert_eq!(fixture.store.next_cycle_number().await.unwrap(), 1);
    assert_eq!(fixture.store.next_cycle_number().await.unwrap(), 2);
    let again = Store::open(&fixture.path()).unwrap();
    assert_eq!(again.next_cycle_number().await.unwrap(), 3);
}

#[tokio::test]
async fn a_noted_fact_is_replaced_by_a_newer_one() {
    let fixture = Fixture::new();
    assert_eq!(fixture.store.meta("belongs_to").await.unwrap(), None);
    fixture.store.set_meta("belongs_to", "world 1").await.unwrap();
    fixture.store.set_meta("belongs_to", "world 2").await.unwrap();
    assert_eq!(fixture.store.meta("belongs_to").await.unwrap().as_deref(), Some("world 2"));
}

#[tokio::test]
async fn a_cycle_goes_from_begin_to_report() {
    let fixture = Fixture::new();
    let store = &fixture.store;
    assert!(store.is_empty().await.unwrap());
    let start = cycle_start(1);
    store.begin_cycle(&start).await.unwrap();
    assert!(!store.is_empty().await.unwrap());
    assert!(store.cycle_exists(&start.id).await.unwrap());
    assert_eq!(store.last_report().await.unwrap(), None);

    let system = store.put_prompt(PromptKind::System, "You decide.").await.unwrap();
    let user = store.put_prompt(PromptKind::User, "BTC is at 66 491.80").await.unwrap();
    store.link_prompts(&start.id, &system, &user).await.unwrap();
    store.put_brief(&start.id, &serde_json::json!({"coins": 10})).await.unwrap();
    store.put_model_call(&model_call(&start.id, 1, "0.01")).await.unwrap();
    store.put_tool_call(&start.id, 1, &tool_call(), b"{\"price\":\"1\"}").await.unwrap();
    store.put_decisions(&start.id, &[proposal("a", "BTCUSDT"), proposal("a", "ETHUSDT")]).await.unwrap();
    store.settle_decision(&start.id, &account("a"), &symbol("BTCUSDT"), &refused()).await.unwrap();

    let rows = store.decisions_of(&start.id).await.unwrap();
    assert_eq!(rows, [(proposal("a", "BTCUSDT"), Some(refused())), (proposal("a", "ETHUSDT"), None)]);

    let report = report(&start);
    store.finish_cycle(&report).await.unwrap();
    assert_eq!(store.last_report().await.unwrap(), Some(report.clone()));
    assert_eq!(store.report(&start.id).await.unwrap(), Some(report));
    let line = &store.cycles(5).await.unwrap()[0];
    assert_eq!((&line.start, line.state), (&start, CycleState::Finished));
    assert_eq!(line.cost_usd, Some("0.0712".parse().unwrap()));
}

#[tokio::test]
async fn from_an_order_one_finds_the_exact_text_the_model_saw() {
    let (fixture, cycle) = Fixture::with_decision().await;
    let system = fixture.store.put_prompt(PromptKind::System, "s").await.unwrap();
    let user = fixture.store.put_prompt(PromptKind::User, "what the model saw").await.unwrap();
    fixture.store.link_prompts(&cycle, &system, &user).await.unwrap();
    fixture.store.record_intent(&intent("j1", Origin::Decision { cycle })).await.unwrap();
    let seen: String = fixture
        .stranger()
        .query_row(
            "SELECT p.text FROM orders o
             JOIN decisions d ON d.cycle = o.cycle AND d.account = o.account AND d.symbol = o.symbol
             JOIN cycles c ON c.id = d.cycle JOIN prompts p ON p.hash = c.user_prompt
             WHERE o.client_order_id = 'j1'",
            [],
            |row| row.get(0),
        )
        .unwrap();
    assert_eq!(seen, "what the model saw");
}

#[tokio::test]
async fn a_prompt_is_kept_once_under_the_hash_of_its_content() {
    let fixture = Fixture::new();
    let hash = fixture.store.put_prompt(PromptKind::System, "abc").await.unwrap();
    // The published SHA-256 example.
    assert_eq!(hash, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    assert_eq!(fixture.store.put_prompt(PromptKind::System, "abc").await.unwrap(), hash);
    assert_eq!(fixture.store.prompt(&hash).await.unwrap().as_deref(), Some("abc"));
    let linked = fixture.store.link_prompts(&CycleId::from_stored("c"), &hash, "0").await;
    assert!(matches!(linked, Err(StoreError::UnknownPrompt(_))));
}

#[tokio::test]
async fn the_bytes_of_an_answer_are_kept_as_they_came() {
    let (fixture, cycle) = Fixture::with_decision().await;
    let call = model_call(&cycle, 1, "0");
    fixture.store.put_model_call(&call).await.unwrap();
    assert_eq!(fixture.store.model_calls_of(&cycle).await.unwrap(), std::slice::from_ref(&call));
    let kept: Vec<u8> =
        fixture.stranger().query_row("SELECT response FROM model_calls", [], |row| row.get(0)).unwrap();
    // Another program reads it as gzip.
    let mut plain = Vec::new();
    std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(kept.as_slice()), &mut plain).unwrap();
    assert_eq!(plain, call.response);
}

#[tokio::test]
async fn cycles_a_crash_left_behind_are_failed_and_finished_ones_are_not() {
    let fixture = Fixture::new();
    let starts = [cycle_start(1), cycle_start(2), cycle_start(3)];
    for start in &starts {
        fixture.store.begin_cycle(start).await.unwrap();
    }
    fixture.store.finish_cycle(&report(&starts[0])).await.unwrap();
    fixture.store.fail_cycle(&starts[1].id, "no price at all").await.unwrap();
    let left = fixture.store.fail_running_cycles("the program ended").await.unwrap();
    assert_eq!(left, std::slice::from_ref(&starts[2].id));
    let lines = fixture.store.cycles(9).await.unwrap();
    let reasons: Vec<Option<&str>> = lines.iter().map(|line| line.failure.as_deref()).collect();
    assert_eq!(reasons, [Some("the program ended"), Some("no price at all"), None]);
    assert!(matches!(
        fixture.store.fail_cycle(&starts[0].id, "late").await,
        Err(StoreError::UnknownCycle(_))
    ));
}

#[tokio::test]
async fn what_belongs_to_no_cycle_is_refused() {
    let fixture = Fixture::new();
    let strange = cycle_start(1);
    assert!(matches!(fixture.store.finish_cycle(&report(&strange)).await, Err(StoreError::UnknownCycle(_))));
    assert!(fixture.store.put_model_call(&model_call(&strange.id, 1, "0")).await.is_err());
    assert!(fixture.store.put_decisions(&strange.id, &[proposal("a", "BTCUSDT")]).await.is_err());
    let settled =
        fixture.store.settle_decision(&strange.id, &account("a"), &symbol("BTCUSDT"), &refused()).await;
    assert!(matches!(settled, Err(StoreError::UnknownDecision { .. })));
}

#[tokio::test]
async fn a_cycle_cannot_begin_twice() {
    let fixture = Fixture::new();
    fixture.store.begin_cycle(&cycle_start(1)).await.unwrap();
    assert!(fixture.store.begin_cycle(&cycle_start(1)).await.is_err());
}

#[tokio::test]
async fn events_come_back_in_the_order_they_were_told() {
    let fixture = Fixture::new();
    let cycle = cycle_start(1).id;
    let envelope = |seq, event| Envelope { seq, at: at(1), cycle: Some(cycle.clone()), event };
    let told = [
        envelope(7, Event::CycleStarted { trigger: Trigger::Manual }),
        // The desk started anew: its count did as well.
        envelope(1, Event::ModelTurn { iteration: 1 }),
    ];
    for event in &told {
        fixture.store.put_event(event).await.unwrap();
    }
    assert_eq!(fixture.store.events_of(&cycle).await.unwrap(), told);
    let kind: String =
        fixture.stranger().query_row("SELECT kind FROM events WHERE seq = 7", [], |row| row.get(0)).unwrap();
    assert_eq!(kind, "cycle_started");
}

#[tokio::test]
async fn halts_of_one_scope_stand_side_by_side_by_hand_and_each_is_replaced_and_forgotten_alone() {
    let fixture = Fixture::new();
    let store = fixture.store.at("here");
    let elsewhere = fixture.store.at("elsewhere");
    let halt = |origin: HaltOrigin, level, second| Halt {
        scope: HaltScope::Account(account("a")),
        level,
        origin,
        reason: "why".into(),
        since: at(second),
        until: Some(at(second + 60)),
    };
    let operators = halt(HaltOrigin::Operator, HaltLevel::Frozen, 1);
    let guards = halt(HaltOrigin::Guard(Rule::DailyLoss), HaltLevel::NoEntries, 2);
    for halt in [&operators, &guards] {
        store.put_halt(halt).await.unwrap();
        elsewhere.put_halt(halt).await.unwrap();
    }
    assert_eq!(store.halts().await.unwrap(), [operators.clone(), guards.clone()]);
    let loosened = halt(HaltOrigin::Operator, HaltLevel::NoEntries, 3);
    store.put_halt(&loosened).await.unwrap();
    assert_eq!(store.halts().await.unwrap(), [guards.clone(), loosened.clone()]);
    store.remove_halts(std::slice::from_ref(&loosened)).await.unwrap();
    assert_eq!(store.halts().await.unwrap(), std::slice::from_ref(&guards));
    assert_eq!(elsewhere.halts().await.unwrap(), [operators, guards], "another venue's are its own");
}
