//! What the store promises, tried on real files.

mod durability;
mod journal;
mod money;
mod record;
mod venues;
