//! When an empty answer is believed, and what is still covered by a stop.

use std::collections::{BTreeMap, BTreeSet};

use tokio::time::Instant;

use super::*;

const UNREADABLE: &str = "<html>bad gateway</html>";
const BOUGHT: &str = r#"[{"id":1,"orderId":1,"side":"BUY","price":"60000","qty":"0.01","commission":"0.3",
    "commissionAsset":"USDT","realizedPnl":"0","time":1772400001000}]"#;
const BOTH: &str = r#"[{"id":1,"orderId":1,"side":"BUY","price":"60000","qty":"0.01","commission":"0.3",
    "commissionAsset":"USDT","realizedPnl":"0","time":1772400001000},
    {"id":2,"orderId":2,"side":"SELL","price":"61000","qty":"0.01","commission":"0.3",
    "commissionAsset":"USDT","realizedPnl":"10","time":1772400002000}]"#;

/// A stop of ours or of another hand, whole or a part.
fn stop(id: &str, symbol: &str, status: &str, is_whole: bool) -> String {
    format!(
        r#"{{"algoId":1,"clientAlgoId":"{id}","symbol":"{symbol}","side":"SELL","orderType":"STOP_MARKET",
            "algoStatus":"{status}","triggerPrice":"54000","quantity":"0.01","closePosition":{is_whole},
            "reduceOnly":true}}"#
    )
}

fn whole(symbol: &str) -> String {
    format!("[{}]", stop("web-1", symbol, "NEW", true))
}

/// A room in which this was traded.
fn room(traded: &str) -> Room {
    let room = Room::new();
    room.fake.set_turns("/fapi/v1/userTrades", &[traded, "[]"]);
    room
}

fn ours(number: u32) -> String {
    format!("j2s{}{number:0>24}", tag_of("test"))
}

#[tokio::test(start_paused = true)]
async fn a_coin_is_flat_when_its_fills_say_so_or_when_it_is_empty_again_and_no_whole_stop_rests() {
    let held = position("0.01", "50000");
    let part = format!("[{}]", stop("web-1", "BTCUSDT", "NEW", false));
    let over = format!("[{}]", stop("web-1", "BTCUSDT", "FINISHED", true));
    let rests =
        "position unclear: the exchange shows none in BTCUSDT, but a stop over the whole position rests";
    for (traded, later, stops, waits, expected) in [
        ("[]", "[]", "[]".to_owned(), false, Ok(())),
        (BOTH, "[]", "[]".to_owned(), false, Ok(())),
        ("[]", "[]", part, false, Ok(())),
        ("[]", "[]", over, false, Ok(())),
        ("[]", "[]", whole("ETHUSDT"), false, Ok(())),
        ("[]", "[]", whole("BTCUSDT"), true, Err(rests)),
        (BOUGHT, "[]", "[]".to_owned(), true, Ok(())),
        (BOUGHT, "[]", whole("BTCUSDT"), true, Err(rests)),
        (
            BOUGHT,
            held.as_str(),
            "[]".to_owned(),
            true,
            Err("a position is there after all (our fills add up to 0.01)"),
        ),
    ] {
        let room = room(traded);
        room.fake.set("/fapi/v3/positionRisk", later);
        room.fake.set("/fapi/v1/openAlgoOrders", stops.as_str());
        let began = Instant::now();
        let found = room.desk.sure_that_flat(&btc()).await;
        assert_eq!(found, expected.map_err(str::to_owned), "{traded} {stops}");
        assert_eq!(began.elapsed() >= Duration::from_secs(10), waits, "{traded} {stops}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_asked_is_a_doubt() {
    for (traded, stops, words) in
        [(UNREADABLE, "[]", "its fills cannot be read"), ("[]", UNREADABLE, "openAlgoOrders")]
    {
        let room = Room::new();
        room.fake.set("/fapi/v1/userTrades", traded);
        room.fake.set("/fapi/v1/openAlgoOrders", stops);
        let doubt = room.desk.doubt_that_flat(&btc()).await.unwrap();
        assert!(doubt.contains(words), "{doubt}");
    }
}

/// What is said against a reading of the account as it is now.
async fn unclear(room: &Room, with_stops: bool) -> BTreeMap<Symbol, String> {
    let held = room.desk.client.held().await.unwrap();
    room.desk.unclear_coins(&held, with_stops).await
}

#[tokio::test(start_paused = true)]
async fn an_empty_reading_that_contradicts_our_fills_is_believed_ten_seconds_later() {
    let room = room(BOUGHT);
    let said =
        "position unclear: the exchange shows none in BTCUSDT, but our fills add up to 0.01".to_owned();
    for _ in 0..2 {
        for (seconds, is_in_doubt) in [(0, true), (9, true), (1, false), (60, false)] {
            tokio::time::advance(Duration::from_secs(seconds)).await;
            let expected = is_in_doubt.then(|| (btc(), said.clone()));
            assert_eq!(unclear(&room, false).await.into_iter().next(), expected, "{seconds} s later");
        }
        // Seen again: the next empty reading is a new one.
        room.fake.set("/fapi/v3/positionRisk", position("0.01", "50000"));
        assert_eq!(unclear(&room, true).await, BTreeMap::new(), "what is told is not in doubt");
        room.fake.set("/fapi/v3/positionRisk", "[]");
    }
}

#[tokio::test(start_paused = true)]
async fn a_whole_stop_that_rests_keeps_a_coin_in_doubt_for_as_long_as_it_does() {
    let room = room("[]");
    for (stops, held, is_in_doubt) in [
        (whole("BTCUSDT"), "[]".to_owned(), true),
        (whole("BTCUSDT"), position("0.01", "50000"), false),
        (format!("[{}]", stop("web-1", "BTCUSDT", "NEW", false)), "[]".to_owned(), false),
        (format!("[{}]", stop("web-1", "BTCUSDT", "FINISHED", true)), "[]".to_owned(), false),
        (whole("ETHUSDT"), "[]".to_owned(), true),
    ] {
        room.fake.set("/fapi/v1/openAlgoOrders", stops.as_str());
        room.fake.set("/fapi/v3/positionRisk", held.as_str());
        tokio::time::advance(Duration::from_mins(1)).await;
        let doubts = unclear(&room, true).await;
        assert_eq!(doubts.len(), usize::from(is_in_doubt), "{stops} {held}: {doubts:?}");
        for (coin, doubt) in doubts {
            let expected = format!(
                "position unclear: the exchange shows none in {coin}, but a stop over the whole position rests"
            );
            assert_eq!(doubt, expected);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_stops_of_all_coins_are_read_only_where_they_are_asked_for_or_something_is_in_doubt() {
    for (traded, with_stops, is_read) in [("[]", false, false), ("[]", true, true), (BOUGHT, false, true)] {
        let room = room(traded);
        unclear(&room, with_stops).await;
        assert_eq!(room.fake.asked("GET /fapi/v1/openAlgoOrders").len(), usize::from(is_read), "{traded}");
    }
}

#[tokio::test(start_paused = true)]
async fn while_the_journal_cannot_be_read_every_coin_that_reads_empty_is_in_doubt() {
    let room = room("[]");
    unclear(&room, false).await;
    super::resolving::rename(&room, "fills", "away");
    let doubts = unclear(&room, false).await;
    assert!(doubts[&btc()].contains("no such table"), "{doubts:?}");
}

#[tokio::test]
async fn a_stop_of_ours_is_swept_only_from_a_coin_that_is_surely_flat_and_in_nobodys_hand() {
    let stops = format!("[{}]", stop(&ours(1), "BTCUSDT", "NEW", true));
    let held = position("0.01", "50000");
    for (name, held, traded, is_dry, is_swept) in [
        ("flat", "[]", "[]", false, true),
        ("a dry run", "[]", "[]", true, false),
        ("held", held.as_str(), "[]", false, false),
        ("not told", UNREADABLE, "[]", false, false),
        ("bought", "[]", BOUGHT, false, false),
        ("not booked", "[]", UNREADABLE, false, false),
    ] {
        let room = Room::new();
        room.fake.set("/fapi/v3/positionRisk", held);
        room.fake.set("/fapi/v1/userTrades", traded);
        room.fake.set("/fapi/v1/openAlgoOrders", stops.as_str());
        room.desk.shared.dry_run.store(is_dry, Ordering::SeqCst);
        let coin = room.desk.hold_coin(&btc()).await;
        assert!(!room.desk.remove_orphan(&btc()).await, "{name}: somebody works on it");
        drop(coin);
        assert_eq!(room.desk.remove_orphan(&btc()).await, is_swept, "{name}");
        assert_eq!(room.fake.asked("DELETE /fapi/v1/algoOrder").len(), usize::from(is_swept), "{name}");
    }
}

#[tokio::test]
async fn only_our_own_stops_without_a_position_are_orphans() {
    let stops = [(ours(1), "BTCUSDT"), ("web-1".to_owned(), "BTCUSDT"), (ours(2), "ETHUSDT")];
    let rows = stops.each_ref().map(|(id, coin)| stop(id, coin, "NEW", true));
    let room = Room::new();
    room.fake.set("/fapi/v1/openAlgoOrders", format!("[{}]", rows.join(",")));
    for (held, expected) in
        [("[]".to_owned(), vec!["BTCUSDT", "ETHUSDT"]), (position("0.01", "50000"), vec!["ETHUSDT"])]
    {
        room.fake.set("/fapi/v3/positionRisk", held);
        let seen = room.desk.look().await.unwrap();
        let orphans: Vec<String> =
            room.desk.orphaned_stops(&seen).into_iter().map(|(coin, _)| coin.to_string()).collect();
        assert_eq!(orphans, expected);
    }
}

#[tokio::test]
async fn what_a_vanished_position_brought_is_told_once_and_by_whoever_has_its_coin() {
    let room = room(BOTH);
    let coin = room.desk.hold_coin(&btc()).await;
    assert_eq!(room.desk.book_vanished(&btc()).await, None, "somebody closes it");
    drop(coin);
    assert_eq!(room.desk.book_vanished(&btc()).await, Some("10".parse().unwrap()));
    assert_eq!(room.desk.book_vanished(&btc()).await, None, "nothing new");
}

#[tokio::test]
async fn a_glance_sees_everything_covered_only_where_every_answer_says_so() {
    let held = position("0.01", "50000");
    let short = position("-0.01", "70000");
    let part = format!("[{}]", stop("web-1", "BTCUSDT", "NEW", false));
    let too_small = part.replace(r#""quantity":"0.01""#, r#""quantity":"0.009""#);
    for (name, held, stops, is_all, is_coin) in [
        ("whole", held.as_str(), whole("BTCUSDT").as_str(), true, true),
        ("a part as large", held.as_str(), part.as_str(), true, true),
        ("a part too small", held.as_str(), too_small.as_str(), false, false),
        ("the other way", short.as_str(), whole("BTCUSDT").as_str(), false, false),
        ("none", held.as_str(), "[]", false, false),
        ("stops not told", held.as_str(), UNREADABLE, false, false),
        ("positions not told", UNREADABLE, whole("BTCUSDT").as_str(), false, false),
        ("flat", "[]", "[]", true, false),
    ] {
        let room = Room::new();
        room.fake.set("/fapi/v3/positionRisk", held);
        room.fake.set("/fapi/v1/openAlgoOrders", stops);
        assert_eq!(room.desk.is_all_covered().await, is_all, "{name}");
        assert_eq!(room.desk.are_covered(&BTreeSet::from([btc()])).await, is_coin, "{name}");
        assert!(room.desk.are_covered(&BTreeSet::new()).await || held == UNREADABLE, "{name}");
    }
}

#[tokio::test]
async fn who_opened_a_position_is_taken_for_us_while_the_journal_cannot_say() {
    let room = room("[]");
    room.fake.set("/fapi/v3/positionRisk", position("0.01", "50000"));
    let held = room.desk.client.positions().await.unwrap().remove(0);
    assert!(!room.desk.opened_by_us(&held).await);
    super::resolving::rename(&room, "orders", "away");
    assert!(room.desk.opened_by_us(&held).await);
}
