//! What an account is known to stand in: halts, a journal that forgot, coins in hand, settings that were changed.

use super::*;
use crate::domain::{ClientOrderId, Halt, HaltLevel, HaltOrigin, HaltScope, Untrusted};

fn halt(origin: HaltOrigin, level: HaltLevel) -> Halt {
    let scope = HaltScope::Desk;
    Halt { scope, level, origin, reason: Untrusted::new(""), since: at(0), until: None }
}

#[tokio::test]
async fn an_order_of_ours_that_the_journal_does_not_know_halts_openings_until_it_is_accepted() {
    let unknown = || ClientOrderId::new(format!("j2s{}{}", tag_of("test"), "0".repeat(24))).unwrap();
    for is_dry in [false, true] {
        let room = Room::new();
        let known = room.journaled().await.id;
        room.desk.shared.dry_run.store(is_dry, Ordering::SeqCst);
        let found = room.desk.look_for_others(vec![known, unknown()], true).await.unwrap();
        assert_eq!(found.is_none(), is_dry);
        assert_eq!(room.desk.has_lost_orders(), !is_dry);
        let Some(halt) = found else { continue };
        assert_eq!(halt.level, HaltLevel::NoEntries);
        assert!(halt.reason.raw().starts_with("the exchange knows 1 of our orders"), "{:?}", halt.reason);
        room.desk.accept_other_desks().await;
        assert!(!room.desk.has_lost_orders());
        assert_eq!(room.store.accepted_installs(room.desk.name()).await.unwrap(), [unknown().to_string()]);
        // The next run of the same journal.
        let again =
            AccountDesk::new(room.desk.terms.clone(), room.desk.client.clone(), room.desk.shared.clone());
        again.recall_accepted().await;
        assert_eq!(again.look_for_others(vec![unknown()], true).await.unwrap(), None);
    }
}

#[tokio::test]
async fn nothing_is_opened_before_the_past_was_compared_with_the_journal() {
    let room = Room::new();
    let why = room.desk.compare_past_once(&btc()).await.unwrap_err();
    assert!(why.starts_with("the account's fills are not all read yet"), "{why}");
    room.fake.set("/fapi/v1/userTrades", "[]");
    room.fake.set("/fapi/v1/openAlgoOrders", "<html>bad gateway</html>");
    let why = room.desk.compare_past_once(&btc()).await.unwrap_err();
    assert!(why.starts_with("what the exchange knows of our orders cannot be read"), "{why}");
    let lost = format!(
        r#"[{{"algoId":1,"clientAlgoId":"j2s{}{}","symbol":"BTCUSDT","side":"SELL","orderType":"STOP_MARKET",
            "algoStatus":"NEW","triggerPrice":"50000","closePosition":true}}]"#,
        tag_of("test"),
        "0".repeat(24)
    );
    room.fake.set("/fapi/v1/openAlgoOrders", lost);
    let why = room.desk.compare_past_once(&btc()).await.unwrap_err();
    assert!(why.contains("the journal was lost"), "{why}");
    assert_eq!(room.desk.shared.halts.in_force(at(0)).len(), 1, "and stays halted");
    assert_eq!(room.desk.compare_past_once(&btc()).await, Ok(()), "the halt speaks from here on");
}

#[tokio::test]
async fn what_the_desk_halted_is_loosened_neither_by_itself_nor_by_an_operators_weaker_halt() {
    let room = Room::new();
    let shared = &room.desk.shared;
    let level = || shared.halts.standing(&HaltScope::Desk).unwrap().level;
    assert!(shared.impose(halt(HaltOrigin::Desk, HaltLevel::Frozen)).await);
    for (looser, is_taken) in
        [(HaltLevel::NoEntries, false), (HaltLevel::Frozen, false), (HaltLevel::Flattened, true)]
    {
        assert_eq!(shared.impose(halt(HaltOrigin::Desk, looser)).await, is_taken, "{looser:?}");
    }
    assert_eq!(level(), HaltLevel::Flattened);
    assert!(shared.impose(halt(HaltOrigin::Operator, HaltLevel::NoEntries)).await);
    assert_eq!((level(), room.store.halts().await.unwrap().len()), (HaltLevel::Flattened, 2));
    let told = shared.bulletin.read(|present| present.halts.clone());
    assert_eq!((told.len(), told[0].level), (1, HaltLevel::Flattened));
    let told = room.store.operator_actions_since(at(-1)).await.unwrap();
    assert_eq!(told.len(), 1, "only the operator's is the operator's");
}

#[tokio::test]
async fn an_operator_may_loosen_an_operators_halt() {
    let room = Room::new();
    let shared = &room.desk.shared;
    for level in [HaltLevel::Flattened, HaltLevel::NoEntries] {
        assert!(shared.impose(halt(HaltOrigin::Operator, level)).await);
        assert_eq!(shared.halts.standing(&HaltScope::Desk).unwrap().level, level);
    }
    assert_eq!(room.store.halts().await.unwrap().len(), 1);
}

#[tokio::test]
async fn an_order_of_a_stop_in_doubt_blocks_no_coin_and_one_at_market_does() {
    for (purpose, blocks) in [
        (OrderPurpose::Open, true),
        (OrderPurpose::Close, true),
        (OrderPurpose::Emergency, true),
        (OrderPurpose::Stop, false),
    ] {
        let room = Room::new();
        let intent = OrderIntent { purpose, ..left_open(&room, "j1", btc()) };
        room.store.record_intent(&intent).await.unwrap();
        room.desk.recall_unresolved().await;
        assert_eq!(room.desk.is_unresolved(&btc()), blocks, "{purpose:?}");
        let other = OrderIntent { account: AccountName::new("b").unwrap(), ..left_open(&room, "j2", btc()) };
        let room = Room::new();
        room.store.record_intent(&other).await.unwrap();
        room.desk.recall_unresolved().await;
        assert!(!room.desk.is_unresolved(&btc()), "another account's");
    }
}

#[tokio::test]
async fn what_happened_to_settings_at_the_exchange_is_looked_at_again_where_it_differs() {
    let room = Room::new();
    let prepared = || room.desk.is_prepared(&btc());
    for (symbol, leverage, stays) in [
        (Some(btc()), Some(3), true),
        (Some(btc()), Some(4), false),
        (Some(btc()), None, false),
        (None, Some(3), false),
    ] {
        room.desk.set_prepared(&btc());
        room.desk.one_way.store(true, Ordering::SeqCst);
        room.desk.settings_changed(symbol.as_ref(), leverage);
        assert_eq!(prepared(), stays, "{symbol:?} {leverage:?}");
        assert_eq!(room.desk.one_way.load(Ordering::SeqCst), symbol.is_some(), "{symbol:?} {leverage:?}");
    }
}

#[tokio::test]
async fn an_account_is_busy_while_a_coin_is_held_or_an_orders_fate_is_unknown() {
    let room = Room::new();
    assert!(!room.desk.is_busy());
    let held = room.desk.hold_coin(&btc()).await;
    assert!(room.desk.is_busy());
    drop(held);
    assert!(!room.desk.is_busy());
    room.desk.set_unresolved(&btc(), Unresolved::OPENING);
    assert!(room.desk.is_busy());
    room.desk.set_unresolved(&btc(), Unresolved::NONE);
    assert!(!room.desk.is_busy());
}

#[tokio::test]
async fn an_order_that_ended_is_not_asked_about_again() {
    let room = Room::new();
    let order = room.journaled().await;
    let ended = OrderUpdate::at(at(1));
    room.store.update_order(&order.id, OrderState::Rejected, ended).await.unwrap();
    let listed = room.store.order(&order.id).await.unwrap().unwrap();
    assert!(room.desk.resolve(&listed).await);
    assert!(room.fake.asked.lock().unwrap().is_empty());
}

#[tokio::test]
async fn what_may_leave_follows_from_dry_run_and_arming() {
    use Licence::{Everything, Nothing, Reductions};
    let room = Room::new();
    let of = |names: &[&str]| names.iter().map(|name| AccountName::new(name).unwrap()).collect();
    let arming = |armed: &[&str], guarded: &[&str]| Some(Arming { armed: of(armed), guarded: of(guarded) });
    let cycle = Cause::Cycle(crate::domain::CycleId::from_stored("c1".to_owned()));
    let others = [Cause::Operator("close".to_owned()), Cause::Guardian("naked".to_owned())];
    for (armed, licence, is_never_armed) in [
        (None, Everything, false),
        (arming(&["a"], &["a"]), Everything, false),
        (arming(&["b"], &["a", "b"]), Reductions, false),
        (arming(&["b"], &["b"]), Nothing, true),
    ] {
        *room.desk.shared.arming.write().unwrap() = armed;
        for is_dry in [false, true] {
            room.desk.shared.dry_run.store(is_dry, Ordering::SeqCst);
            let licence = if is_dry { Nothing } else { licence };
            let desk = &room.desk;
            assert_eq!(desk.licence(), licence);
            assert_eq!((desk.is_dry(), desk.may_open()), (licence == Nothing, licence == Everything));
            assert_eq!(desk.is_never_armed(), is_never_armed);
            assert_eq!(desk.keeps_back(&cycle), licence != Everything, "the model's close, {licence:?}");
            for cause in &others {
                assert_eq!(desk.keeps_back(cause), licence == Nothing, "{cause:?}, {licence:?}");
            }
        }
    }
}

#[tokio::test]
async fn rules_that_are_told_count_at_once_and_are_kept_for_their_own_venue_alone() {
    let room = Room::new();
    room.desk.shared.keep_rules([(btc(), rules())].into()).await;
    assert_eq!(room.desk.shared.rules_of(&btc()), Some(rules()));
    let again = Room::new();
    let elsewhere = Shared { store: room.store.at("elsewhere"), ..again.desk.shared.clone() };
    elsewhere.recall_rules().await;
    assert_eq!(elsewhere.rules_of_stop(&btc()), None);
}
