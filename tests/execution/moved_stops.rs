//! Stops that an operator or somebody else moved: one rests at every moment, at the place that was wanted.

use super::halts::stops_of;
use crate::common::faults::{Fate, REFUSED_STOP};
use crate::common::oracle::{STOP_LIMIT_MS, verdict};
use crate::common::{Bench, Desk, Setup, symbol};
use jarvis::domain::{ClientOrderId, Command, Direction, Event, OrderPurpose, OrderState, Price, Side};
use jarvis::exchange::{Outcome, StopOrder, StopSize};
use rust_decimal::Decimal;

fn at_share(entry: Price, share: &str) -> Price {
    let share: Decimal = share.parse().unwrap();
    Price::new((entry.value() * share).round_dp(1)).unwrap()
}

/// Asks for another stop of the first account's long.
async fn move_stop(bench: &Bench, desk: &Desk, id: u64, trigger: Price) {
    let (account, symbol) = (bench.names[0].clone(), symbol("BTCUSDT"));
    desk.command(id, Command::MoveStop { account, symbol, direction: Direction::Long, trigger }).await;
}

#[test]
fn a_moved_stop_is_never_missing_stays_where_it_was_put_and_comes_back_there() {
    let bench = Bench::new(&Setup::default());
    bench.faults.latency(100, 100);
    bench.live(async |bench| {
        let desk = bench.open().await;
        desk.cycle(bench, &[(0, "BTCUSDT", "LONG", "0.9")]).await;
        let entry = bench.truth(0).positions().await.unwrap()[0].entry;
        let wanted = at_share(entry, "0.91");
        let before = bench.faults.windows().len();
        let (_, mut events) = desk.floor.bulletin().subscribe();
        move_stop(bench, &desk, 1, wanted).await;
        desk.wait(60).await;
        let stops = stops_of(bench, 0, "BTCUSDT").await;
        assert_eq!(stops.len(), 1, "{stops:?}");
        assert_eq!((stops[0].trigger, stops[0].close_position), (Some(wanted), true));
        assert_eq!(bench.faults.windows().len(), before, "there was no moment without a stop");
        let mut told = Vec::new();
        while let Ok(envelope) = events.try_recv() {
            if let Event::Order { purpose: OrderPurpose::Stop, state, .. } = envelope.event {
                told.push(state);
            }
        }
        let bridge_and_stop = [OrderState::Sent, OrderState::Accepted, OrderState::Cancelled].repeat(2);
        assert_eq!(
            told, bridge_and_stop,
            "the bridge comes, the old one goes; the new one comes, the bridge goes"
        );
        // Somebody takes it away: the operator's word still counts.
        let id = stops[0].client_order_id.clone().unwrap();
        bench.truth(0).cancel_algo(&id).await.accepted().unwrap();
        bench.faults.look(0).await;
        desk.wait(20).await;
        assert_eq!(stops_of(bench, 0, "BTCUSDT").await[0].trigger, Some(wanted));
        // The next position begins anew.
        desk.cycle(bench, &[(0, "BTCUSDT", "CLOSE", "0.9")]).await;
        desk.cycle(bench, &[(0, "BTCUSDT", "LONG", "0.9")]).await;
        desk.wait(60).await;
        let wrong = verdict(bench, &desk, 16_000).await;
        assert!(wrong.is_empty(), "{wrong:#?}");
        desk.end().await;
    });
}

#[test]
fn a_stop_is_not_moved_to_where_it_could_not_protect() {
    let bench = Bench::new(&Setup::default());
    bench.live(async |bench| {
        let desk = bench.open().await;
        desk.cycle(bench, &[(0, "BTCUSDT", "LONG", "0.9")]).await;
        let entry = bench.truth(0).positions().await.unwrap()[0].entry;
        let before = stops_of(bench, 0, "BTCUSDT").await;
        let off_grid = Price::new(entry.value() * Decimal::new(95, 2) + Decimal::new(123_456, 7)).unwrap();
        for (id, trigger) in [(1, at_share(entry, "1.01")), (2, at_share(entry, "0.4")), (3, off_grid)] {
            move_stop(bench, &desk, id, trigger).await;
        }
        desk.wait(20).await;
        assert_eq!(stops_of(bench, 0, "BTCUSDT").await, before);
        desk.end().await;
    });
}

#[test]
fn a_moved_stop_survives_every_fault_of_its_way_without_a_gap() {
    let fates = [
        ("lost", Fate::LoseAnswer),
        ("dropped", Fate::DropBefore),
        ("refused", Fate::answer(false, 400, REFUSED_STOP)),
        ("reset", Fate::Reset),
    ];
    for (name, fate) in fates {
        for which in 0..2 {
            for cancels in [false, true] {
                let bench = Bench::new(&Setup::default());
                bench.faults.latency(100, 100);
                bench.live(async |bench| {
                    let desk = bench.open().await;
                    desk.cycle(bench, &[(0, "BTCUSDT", "LONG", "0.9")]).await;
                    let entry = bench.truth(0).positions().await.unwrap()[0].entry;
                    let before = bench.faults.windows().len();
                    let fate = fate.clone();
                    let left = std::sync::atomic::AtomicI64::new(which);
                    bench.faults.rule(move |call| {
                        let hit = if cancels { call.is("DELETE", "/algoOrder") } else { call.is_stop() };
                        let now = hit && left.fetch_sub(1, std::sync::atomic::Ordering::SeqCst) == 0;
                        now.then(|| fate.clone())
                    });
                    let trigger = at_share(entry, "0.95");
                    move_stop(bench, &desk, 1, trigger).await;
                    desk.wait(40).await;
                    bench.faults.heal();
                    desk.wait(240).await;
                    let stops = stops_of(bench, 0, "BTCUSDT").await;
                    assert_eq!(stops.len(), 1, "{name} {which} {cancels}: {stops:#?} {:#?}", desk.alarms());
                    assert_eq!(bench.faults.windows().len(), before, "{name} {which} {cancels}");
                    desk.end().await;
                });
            }
        }
    }
}

async fn stop_by_hand(bench: &Bench, id: &str, side: Side, trigger: Price, size: StopSize) {
    let stop = StopOrder {
        symbol: symbol("BTCUSDT"),
        side,
        trigger,
        size,
        client_order_id: ClientOrderId::new(id).unwrap(),
    };
    let placed = bench.truth(0).place_stop(&stop).await;
    assert!(matches!(placed, Outcome::Accepted(_)), "{placed:?}");
}

#[test]
fn a_stop_of_a_wrong_price_or_too_many_of_them_become_one_at_its_place() {
    for several in [false, true] {
        let bench = Bench::new(&Setup::default());
        bench.faults.latency(50, 50);
        bench.live(async |bench| {
            let desk = bench.open().await;
            desk.cycle(bench, &[(0, "BTCUSDT", "LONG", "0.9")]).await;
            let held = bench.truth(0).positions().await.unwrap()[0].clone();
            if several {
                let size = StopSize::ReduceOnly(held.quantity);
                stop_by_hand(bench, "web-second", Side::Sell, at_share(held.entry, "0.85"), size).await;
            } else {
                let id = stops_of(bench, 0, "BTCUSDT").await[0].client_order_id.clone().unwrap();
                bench.truth(0).cancel_algo(&id).await.accepted().unwrap();
                let far = at_share(held.entry, "0.75");
                stop_by_hand(bench, "web-far", Side::Sell, far, StopSize::WholePosition).await;
            }
            let before = bench.faults.windows().len();
            desk.wait(60).await;
            assert_eq!(stops_of(bench, 0, "BTCUSDT").await.len(), 1);
            assert_eq!(bench.faults.windows().len(), before, "repaired without a gap");
            let alarms = desk.alarms();
            assert!(alarms.iter().any(|alarm| alarm.contains("web-")), "{alarms:?}");
            let wrong = verdict(bench, &desk, STOP_LIMIT_MS).await;
            assert!(wrong.is_empty(), "{wrong:#?}");
            desk.end().await;
        });
    }
}
