//! simsar: the market-data API, its sources, its indicators, and the brief the desk reads before each call.
//!
//! [`Simsar`] is the one door. The desk asks it for a [`Brief`], the model's tool asks it by path
//! ([`Simsar::call`]), and anybody with an HTTP client asks its [`Simsar::router`]; all three read the same shelves,
//! so a datum is fetched once however many want it. [`follow_marks`] is the live side.

pub mod api;
pub mod brief;
pub mod error;
pub mod indicators;
pub mod reading;
pub mod simsar;
pub mod sources;
pub mod statistics;
pub mod stream;

mod addresses;
mod calendar_file;
mod circuit;
mod fallbacks;
mod live;
mod shelf;
#[cfg(test)]
mod test_sources;
mod upstream;
mod vitals;

pub use addresses::SourceAddresses;
pub use api::ToolAnswer;
pub use brief::{Brief, CoinBrief};
pub use error::SourceError;
pub use reading::Reading;
pub use simsar::{Simsar, SimsarOptions};
pub use sources::alternative_me::FearGreed;
pub use sources::binance::{CandleWindow, Premium};
pub use sources::finnhub::{CalendarEntry, Headline, NewsCategory};
pub use sources::rss::FeedAddress;
pub use sources::yahoo::{IndexBar, IndexChart};
pub use stream::follow_marks;
