//! What the store promises, tried on real files.

mod damage;
mod durability;
mod journal;
mod money;
mod record;
mod starts;
mod venues;
