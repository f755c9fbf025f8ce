//! What the journal takes and what it does not: how it is told, and what is known of it afterwards.

use super::resolving::rename;
use super::watching::hanging_disk;
use super::*;
use crate::domain::{CycleId, Event, Severity};

#[tokio::test]
async fn every_step_of_an_order_is_told_with_what_is_known_by_then() {
    let room = Room::new();
    let (_, mut told) = room.desk.shared.bulletin.subscribe();
    let mut next = || match &told.try_recv().unwrap().event {
        Event::Order { state, quantity, price, .. } => {
            (*state, quantity.map(|quantity| quantity.to_string()), price.map(|price| price.to_string()))
        }
        other => panic!("{other:?}"),
    };
    let order = room.journaled().await;
    assert_eq!(next(), (OrderState::Sent, Some("0.003".to_owned()), None));
    let learned = journal::Learned {
        price: "60000".parse().ok(),
        executed: "0.002".parse().ok(),
        ..journal::Learned::default()
    };
    room.desk.learn(&order, OrderState::Filled, learned).await;
    assert_eq!(next(), (OrderState::Filled, Some("0.002".to_owned()), Some("60000".to_owned())));
}

#[tokio::test]
async fn what_a_cycle_wanted_is_told_within_it_and_what_others_did_is_not() {
    let room = Room::new();
    let (_, mut told) = room.desk.shared.bulletin.subscribe();
    let order = room.journaled().await;
    assert_eq!(told.try_recv().unwrap().cycle, None, "an operator's");
    let cycle = CycleId::from_stored("c1".to_owned());
    for (cause, expected) in
        [(Cause::Cycle(cycle.clone()), Some(cycle)), (Cause::Guardian("naked".to_owned()), None)]
    {
        let order = journal::Journaled { cause, ..order.clone() };
        room.desk.learn(&order, OrderState::Accepted, journal::Learned::default()).await;
        assert_eq!(told.try_recv().unwrap().cycle, expected);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn from_an_order_on_its_coin_may_have_fills_that_are_not_booked_whether_or_not_the_disk_answers() {
    for hangs in [false, true] {
        let room = Room::new();
        room.fake.set("/fapi/v1/userTrades", "[]");
        room.desk.book_fills(&btc()).await;
        assert!(!room.desk.is_unbooked(&btc()));
        let hog = hangs.then(|| hanging_disk(&room));
        let cause = Cause::Guardian("test".to_owned());
        let written = room.desk.journal_in_time(&draft(&cause, OrderPurpose::Emergency, 1, &btc())).await;
        assert_eq!(written.is_err(), hangs, "{written:?}");
        assert!(room.desk.is_unbooked(&btc()), "{written:?}");
        if let Some(hog) = hog {
            hog.execute_batch("ROLLBACK").unwrap();
        }
    }
}

#[tokio::test]
async fn what_protects_leaves_without_an_entry_with_an_alarm_and_is_known_as_ours() {
    for (purpose, words) in [
        (OrderPurpose::Stop, "a BTCUSDT: a stop is placed without a journal entry"),
        (OrderPurpose::Emergency, "a BTCUSDT: a close is sent without a journal entry"),
    ] {
        let room = Room::new();
        let cause = Cause::Guardian("test".to_owned());
        rename(&room, "orders", "away");
        let order = room.desk.journal_or_alarm(&draft(&cause, purpose, 1, &btc())).await;
        rename(&room, "away", "orders");
        let alarms = room.desk.shared.bulletin.read(|present| present.alarms.clone());
        assert_eq!((alarms.len(), alarms[0].severity), (1, Severity::Critical), "{alarms:?}");
        assert!(alarms[0].text.starts_with(words), "{alarms:?}");
        assert_eq!(room.store.order(&order.id).await.unwrap(), None);
        assert_eq!(
            room.desk.look_for_others(vec![order.id], false).await.unwrap(),
            None,
            "no copy of us sent it"
        );
    }
}
