//! The sources, one file each: what is asked, what comes back, and how it lies.

pub mod alternative_me;
pub mod binance;
pub(crate) mod fair_economy;
pub mod finnhub;
pub mod fred;
pub mod rss;
pub mod yahoo;

pub(super) mod wire;
