//! The console from outside: what its screens show, what its keys do.

#[cfg(test)]
mod behaviour;
#[cfg(test)]
mod colours;
#[cfg(test)]
mod driver;
#[cfg(test)]
mod fixture;
#[cfg(test)]
#[allow(clippy::cast_possible_wrap, clippy::cast_possible_truncation, reason = "small numbers")]
mod history;
#[cfg(test)]
mod kept;
#[cfg(test)]
#[allow(clippy::cast_possible_truncation, reason = "random numbers below small ends")]
mod monkey;
#[cfg(test)]
#[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, reason = "made-up candles")]
mod pages;
#[cfg(test)]
mod real_terminal;
#[cfg(test)]
mod robustness;
#[cfg(test)]
mod said;
#[cfg(test)]
mod screens;
#[cfg(test)]
mod told;
#[cfg(test)]
mod walks;
