//! The private stream's events.

use rust_decimal::Decimal;
use serde_json::{Value, json};

use super::feed::{Feed, Whose};
use super::wire::{average, fixed, money};
use crate::domain::Symbol;
use crate::world::engine::{
    AlgoOrder, Engine, Execution, Happening, MarginCallRow, MarginType, Order, OrderKind, OrderStatus,
    PositionReport, Trade, What,
};

/// Digits of a contract's prices and quantities.
fn digits(engine: &Engine, symbol: &Symbol) -> (u32, u32) {
    engine
        .contracts()
        .get(symbol)
        .map_or((8, 8), |contract| (contract.price_digits(), contract.quantity_digits()))
}

/// Sends what the engine told to the account's sessions.
pub(crate) fn publish(feed: &Feed, engine: &Engine, happening: &Happening, wall_ms: i64) {
    let (account, time) = (happening.account, happening.time);
    let send = |event: &'static str, symbol: Option<&Symbol>, text: &Value| {
        let whose = Whose { account, name: &engine.account(account).name, symbol };
        feed.user(whose, event, text, wall_ms);
    };
    match &happening.what {
        What::Order { order, execution } => {
            let digits = digits(engine, &order.symbol);
            if let Execution::Trade(trade) = execution {
                send("TRADE_LITE", Some(&order.symbol), &trade_lite(order, trade, time, digits));
            }
            send("ORDER_TRADE_UPDATE", Some(&order.symbol), &order_update(order, execution, time, digits));
            if order.kind == OrderKind::Liquidation
                && !order.is_open()
                && let Execution::Trade(trade) = execution
            {
                feed.liquidation(&order.symbol, &force_order(order, trade, time, digits));
            }
        }
        What::Balance { reason, symbol, wallet, cross_wallet, change, position } => {
            let mut body = json!({
                "m": reason,
                "B": [{"a": "USDT", "wb": money(*wallet), "cw": money(*cross_wallet), "bc": money(*change)}],
            });
            let shown: Vec<Value> = position
                .iter()
                // A funding fee of a cross position moves the balance only.
                .filter(|position| *reason != "FUNDING_FEE" || position.margin == MarginType::Isolated)
                .map(position_row)
                .collect();
            body["P"] = Value::Array(shown);
            if let Some(symbol) = symbol {
                body["S"] = json!(symbol);
            }
            let changed = symbol.as_ref().or_else(|| position.as_ref().map(|position| &position.symbol));
            send(
                "ACCOUNT_UPDATE",
                changed,
                &json!({
                    "e": "ACCOUNT_UPDATE", "E": time, "T": time, "a": body,
                }),
            );
        }
        What::Algo(algo) => {
            let digits = digits(engine, &algo.symbol);
            send("ALGO_UPDATE", Some(&algo.symbol), &algo_update(algo, time, digits));
        }
        What::MarginCall { cross_wallet, positions } => {
            let symbol = positions.first().map(|row| &row.symbol);
            send("MARGIN_CALL", symbol, &margin_call(*cross_wallet, positions, time));
        }
        What::Leverage { symbol, leverage } => send(
            "ACCOUNT_CONFIG_UPDATE",
            Some(symbol),
            &json!({
                "e": "ACCOUNT_CONFIG_UPDATE", "E": time, "T": time, "ac": {"s": symbol, "l": leverage},
            }),
        ),
    }
}

fn margin_call(cross_wallet: Option<Decimal>, positions: &[MarginCallRow], time: i64) -> Value {
    let rows: Vec<Value> = positions
        .iter()
        .map(|row| {
            json!({
                "s": row.symbol, "ps": "BOTH", "pa": row.amount.normalize().to_string(), "mt": row.margin.as_str(),
                "iw": money(row.isolated_wallet), "mp": money(row.mark), "up": money(row.unrealized),
                "mm": money(row.maintenance),
            })
        })
        .collect();
    let mut body = json!({"e": "MARGIN_CALL", "E": time, "p": rows});
    if let Some(wallet) = cross_wallet {
        body["cw"] = json!(money(wallet));
    }
    body
}

fn position_row(position: &PositionReport) -> Value {
    json!({
        "s": position.symbol,
        "pa": position.amount.normalize().to_string(),
        "ep": average(position.entry, 8),
        "bep": average(position.break_even, 8),
        "cr": money(position.realized),
        "up": money(position.unrealized),
        "mt": match position.margin { MarginType::Isolated => "isolated", MarginType::Cross => "cross" },
        "iw": money(position.isolated_wallet),
        "ps": "BOTH",
    })
}

fn trade_lite(order: &Order, trade: &Trade, time: i64, (price, quantity): (u32, u32)) -> Value {
    json!({
        "e": "TRADE_LITE", "E": time, "T": trade.time, "s": order.symbol,
        "q": fixed(order.quantity, quantity), "p": fixed(order.price, price), "m": trade.maker,
        "c": order.client_id, "S": order.side, "L": fixed(trade.price, price),
        "l": fixed(trade.quantity, quantity), "t": trade.id, "i": order.id,
    })
}

/// What everybody is told of a liquidation: the exchange shows it as the limit order it sent.
fn force_order(order: &Order, last: &Trade, time: i64, (price, quantity): (u32, u32)) -> Value {
    json!({
        "e": "forceOrder", "E": time, "st": 1,
        "o": {
            "s": order.symbol, "S": order.side, "o": "LIMIT", "f": "IOC", "q": fixed(order.quantity, quantity),
            "p": fixed(last.price, price), "ap": average(order.average(), price), "X": order.status.as_str(),
            "l": fixed(last.quantity, quantity), "z": fixed(order.executed, quantity), "T": last.time,
        },
    })
}

fn order_update(order: &Order, execution: &Execution, time: i64, (price, quantity): (u32, u32)) -> Value {
    let word = match execution {
        Execution::New => "NEW",
        Execution::Canceled => "CANCELED",
        Execution::Expired => "EXPIRED",
        Execution::Calculated => "CALCULATED",
        Execution::Amended => "AMENDMENT",
        Execution::Trade(_) => "TRADE",
    };
    let status = if matches!(execution, Execution::New | Execution::Calculated) {
        OrderStatus::New
    } else {
        order.status
    };
    let trade = match execution {
        Execution::Trade(trade) => Some(trade),
        _ => None,
    };
    let mut body = json!({
        "s": order.symbol, "c": order.client_id, "S": order.side, "o": order.kind.as_str(),
        "f": order.time_in_force.as_str(), "q": fixed(order.quantity, quantity), "p": fixed(order.price, price),
        "ap": average(order.average(), price), "sp": "0", "x": word, "X": status.as_str(), "i": order.id,
        "l": fixed(trade.map_or(Decimal::ZERO, |trade| trade.quantity), quantity),
        "z": fixed(order.executed, quantity),
        "L": fixed(trade.map_or(Decimal::ZERO, |trade| trade.price), price),
        "T": order.updated, "t": trade.map_or(0, |trade| trade.id),
        "b": "0", "a": "0", "m": trade.is_some_and(|trade| trade.maker),
        "R": order.reduce_only, "wt": "CONTRACT_PRICE", "ot": order.kind.as_str(), "ps": "BOTH",
        "cp": order.close_position, "pP": false, "si": 0, "ss": 0,
        "rp": money(trade.map_or(Decimal::ZERO, |trade| trade.realized)),
        "V": "EXPIRE_MAKER", "pm": "NONE", "gtd": order.good_till, "er": order.expiry_reason.to_string(),
    });
    if let Some(trade) = trade {
        body["N"] = json!("USDT");
        body["n"] = json!(money(trade.commission));
    }
    json!({"e": "ORDER_TRADE_UPDATE", "E": time, "T": time, "o": body})
}

fn algo_update(algo: &AlgoOrder, time: i64, (price, quantity): (u32, u32)) -> Value {
    let mut body = json!({
        "caid": algo.client_id, "aid": algo.id, "at": "CONDITIONAL", "o": algo.kind.as_str(), "s": algo.symbol,
        "S": algo.side, "ps": "BOTH", "f": algo.time_in_force.as_str(), "q": fixed(algo.quantity, quantity),
        "X": algo.status.as_str(), "tp": fixed(algo.trigger_price, price), "p": fixed(algo.price, price),
        "V": "EXPIRE_MAKER", "wt": algo.working.as_str(), "pm": "NONE", "cp": algo.close_position,
        "pP": algo.price_protect, "R": algo.reduce_only, "tt": algo.triggered, "gtd": algo.good_till,
    });
    if let Some(order) = algo.actual_order {
        body["ai"] = json!(order.to_string());
        body["ap"] = json!(average(algo.actual_price, price));
        body["aq"] = json!(fixed(algo.actual_quantity, quantity));
        body["act"] = json!(if algo.kind.is_limit() { "LIMIT" } else { "MARKET" });
    }
    if let Some(reason) = &algo.fail_reason {
        body["rm"] = json!(reason);
    }
    json!({"e": "ALGO_UPDATE", "T": time, "E": time, "o": body})
}
