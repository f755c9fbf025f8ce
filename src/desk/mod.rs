//! The trading floor: cycle, prompt, answer, signals, guards, execution, guardian, schedule.

pub mod prompt;
