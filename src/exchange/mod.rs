//! Binance USDⓈ-M futures: signed REST calls, symbol rules, the private user stream, errors.
