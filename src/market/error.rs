//! Why a source gave nothing usable.

use std::sync::Arc;
use std::time::Duration;

use crate::domain::Untrusted;
use crate::net::NetError;

/// A source that could not be read. Every message names the source, and says nothing the source wrote unsanitised.
#[derive(Debug, Clone, thiserror::Error)]
pub enum SourceError {
    /// No usable answer came back.
    #[error("{upstream}: {error}")]
    Network {
        /// Which source.
        upstream: Arc<str>,
        /// What happened on the way.
        error: NetError,
    },
    /// The source asks for a pause; nothing is sent to it before it is over.
    #[error("{upstream}: rate-limited, asks to wait {} s", wait.as_secs().max(1))]
    RateLimited {
        /// Which source.
        upstream: Arc<str>,
        /// How long it wants to be left alone.
        wait: Duration,
    },
    /// It failed several times in a row and is left alone for a while.
    #[error("{upstream}: failed too often; asked again in {} s", left.as_secs().max(1))]
    Resting {
        /// Which source.
        upstream: Arc<str>,
        /// How long it is still left alone.
        left: Duration,
    },
    /// The source refuses the key, or the key's plan does not cover this.
    #[error("{upstream}: the key has no access to this (HTTP {status}); check the key and its plan")]
    NoAccess {
        /// Which source.
        upstream: Arc<str>,
        /// 401 or 403.
        status: u16,
    },
    /// The source understood and said no.
    #[error("{upstream}: answered HTTP {status}{}", detail(*code, message))]
    Refused {
        /// Which source.
        upstream: Arc<str>,
        /// HTTP status.
        status: u16,
        /// The source's own error code, where it has one (Binance: `-1121` is an unknown symbol).
        code: Option<i64>,
        /// What it said.
        message: Untrusted,
    },
    /// The answer is not what the source is documented to send.
    #[error("{upstream}: unusable answer: {reason}")]
    Malformed {
        /// Which source.
        upstream: Arc<str>,
        /// What is wrong with it.
        reason: String,
    },
    /// A well-formed answer with nothing in it.
    #[error("{upstream}: has no {what}")]
    Empty {
        /// Which source.
        upstream: Arc<str>,
        /// What was asked for.
        what: &'static str,
    },
    /// Neither the source nor the one that stands in for it could be read.
    #[error("{first}; {then}")]
    Both {
        /// What the source said.
        first: Box<SourceError>,
        /// What its stand-in said.
        then: Box<SourceError>,
    },
    /// No key was given for a source that needs one.
    #[error(
        "{upstream}: no key is set; put one in FINNHUB_API_KEY, or name its place with market.finnhub_api_key_env"
    )]
    NoKey {
        /// Which source.
        upstream: Arc<str>,
    },
}

fn detail(code: Option<i64>, message: &Untrusted) -> String {
    let message = message.line(120);
    match (code, message.is_empty()) {
        (Some(code), false) => format!(" ({code}: {message})"),
        (Some(code), true) => format!(" ({code})"),
        (None, false) => format!(" ({message})"),
        (None, true) => String::new(),
    }
}

impl SourceError {
    /// The source it is about.
    pub fn upstream(&self) -> &str {
        match self {
            Self::Network { upstream, .. }
            | Self::RateLimited { upstream, .. }
            | Self::Resting { upstream, .. }
            | Self::NoAccess { upstream, .. }
            | Self::Refused { upstream, .. }
            | Self::Malformed { upstream, .. }
            | Self::Empty { upstream, .. }
            | Self::NoKey { upstream } => upstream,
            Self::Both { first, .. } => first.upstream(),
        }
    }

    /// Whether the key is missing or not allowed to read this: asking again does not help.
    pub fn is_no_access(&self) -> bool {
        match self {
            Self::NoAccess { .. } | Self::NoKey { .. } => true,
            Self::Both { first, .. } => first.is_no_access(),
            _ => false,
        }
    }

    /// Whether the exchange said that it does not know the symbol (Binance code -1121).
    pub fn is_unknown_symbol(&self) -> bool {
        matches!(self, Self::Refused { code: Some(-1121), .. })
    }
}
