//! Whatever the exchange answers, a read is an answer or an error, and a failing answer to an order is never taken for
//! an acceptance.
#![no_main]

mod support;

use std::sync::Arc;

use jarvis::domain::{ClientOrderId, ManualClock, Side, Symbol, Timestamp};
use jarvis::exchange::{Credentials, ExchangeClient, MarketOrder, Outcome, TradesFrom};
use libfuzzer_sys::fuzz_target;

const STATUSES: [u16; 10] = [200, 200, 200, 400, 401, 403, 408, 429, 500, 503];

fuzz_target!(|data: &[u8]| {
    let [which, status, body @ ..] = data else { return };
    let status = STATUSES[usize::from(*status) % STATUSES.len()];
    let client = ExchangeClient::new(
        support::answering(status, "application/json", body),
        "http://exchange",
        Credentials { api_key: "key".into(), api_secret: "secret".into() },
        Arc::new(ManualClock::new(Timestamp::UNIX_EPOCH)),
    );
    let symbol = Symbol::new("BTCUSDT").expect("a symbol");
    let id = ClientOrderId::new("a").expect("a name");
    support::block_on(async {
        let failed = match which % 17 {
            0 => client.exchange_info().await.is_err(),
            1 => client.account().await.is_err(),
            2 => client.positions().await.is_err(),
            3 => client.symbol_configs(None).await.is_err(),
            4 => client.position_mode().await.is_err(),
            5 => match client.leverage_brackets(None).await {
                Ok(rows) => {
                    for row in &rows {
                        let _ = (row.largest_notional(3), row.maintenance(1000.into()));
                    }
                    false
                }
                Err(_) => true,
            },
            6 => client.open_orders(None).await.is_err(),
            // A status that fails may still say "no such order", which is an answer.
            7 => client.order(&symbol, &id).await.is_err() || status >= 400,
            8 => client.open_algo_orders(None).await.is_err(),
            9 => client.algo_order(&id).await.is_err() || status >= 400,
            10 => client.user_trades(&symbol, TradesFrom::Id(1)).await.is_err(),
            11 => client.income(None).await.is_err(),
            12 => client.commission_rate(&symbol).await.is_err(),
            13 => client.account_flags().await.is_err(),
            14 => !matches!(client.cancel_algo(&id).await, Outcome::Accepted(())),
            15 => !client.cancel_all(&symbol).await.is_complete(),
            _ => {
                let order = MarketOrder {
                    symbol,
                    side: Side::Buy,
                    quantity: "1".parse().expect("a quantity"),
                    reduce_only: false,
                    client_order_id: id,
                };
                let outcome = client.place_market(&order).await;
                assert!(!matches!(outcome, Outcome::NotSent(_)), "{outcome:?}");
                !matches!(outcome, Outcome::Accepted(_))
            }
        };
        assert!(failed || status < 400, "a failing answer was taken for a success");
    });
});
