//! jarvis: a terminal trading console. ARCHITECTURE.md is the map of the rooms.

pub mod cli;
pub mod config;
pub mod console;
pub mod desk;
pub mod domain;
pub mod exchange;
pub mod llm;
pub mod market;
pub mod net;
pub mod store;
pub mod world;
