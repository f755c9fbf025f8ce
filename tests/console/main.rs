//! The console from outside: what its screens show, what its keys do.

#[cfg(test)]
mod fixture;
#[cfg(test)]
mod screens;
#[cfg(test)]
mod zz_look;
