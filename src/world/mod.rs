//! The offline world: everything made up lives here. It speaks the real wires and shares no wire type with the clients.

pub mod analyst;
pub mod engine;
pub mod fapi;
pub mod market;
pub mod sources;
