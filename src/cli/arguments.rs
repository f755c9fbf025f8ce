//! What can be written on the command line.

use std::net::SocketAddr;
use std::path::PathBuf;

use chrono::{NaiveDate, NaiveDateTime, NaiveTime, TimeDelta};
use clap::{Args, Parser, ValueEnum};
use rust_decimal::Decimal;

use crate::domain::{AccountName, HaltLevel, Symbol, Timestamp};
use crate::world::analyst::Fault;

/// A terminal trading console: a model decides once an hour, code guards and executes, an operator watches.
#[derive(Debug, Parser)]
#[command(name = "jarvis", version, about, max_term_width = 100)]
pub struct Arguments {
    /// Options every command takes.
    #[command(flatten)]
    pub global: Global,
    /// Watch without being able to command.
    #[arg(long)]
    pub read_only: bool,
    /// Print a line for every event of record instead of drawing: for screen readers and pipes
    #[arg(long)]
    pub plain: bool,
    /// What to do; the console when absent.
    #[command(subcommand)]
    pub command: Option<Subcommand>,
}

/// Options every command takes.
#[derive(Debug, Clone, Args)]
pub struct Global {
    /// Settings file [default: $XDG_CONFIG_HOME/jarvis/jarvis.toml]
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Folder of the journal, the logs and the embedded world [default: $XDG_DATA_HOME/jarvis]
    #[arg(long, global = true, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// Trade on a world served by `jarvis world`
    #[arg(long, global = true, value_name = "URL")]
    pub world: Option<String>,
    /// One JSON document on stdout and nothing else there
    #[arg(long, global = true)]
    pub json: bool,
    /// Colours of the console
    #[arg(long, global = true, value_enum, default_value_t = Color::Auto)]
    pub color: Color,
    /// Say more; twice for everything
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,
    /// Say only what failed
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub quiet: bool,
}

/// How many colours the terminal gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Color {
    /// As the terminal says.
    Auto,
    /// None: bold and reverse only.
    Never,
    /// The sixteen of the terminal's palette.
    #[value(name = "16")]
    Sixteen,
    /// The 256 of xterm.
    #[value(name = "256")]
    TwoHundredFiftySix,
    /// 24 bit.
    True,
}

/// The subcommands.
#[derive(Debug, clap::Subcommand)]
pub enum Subcommand {
    /// Run the desk without a console; consoles attach to it
    Serve,
    /// Look at a desk that `jarvis serve` runs, and command it
    Attach(AttachOptions),
    /// Run one cycle now, then exit
    Cycle(CycleOptions),
    /// Serve the market-data API over TCP
    Simsar(SimsarOptions),
    /// Serve the offline world over TCP
    World(WorldOptions),
    /// Draw every screen as SVG, from the real views on a fixed seed
    Screenshots(ScreenshotOptions),
    /// The exact text of the next call, and the checks on it
    Prompt {
        /// What to do with it.
        #[command(subcommand)]
        command: PromptCommand,
    },
    /// Stop a coin, an account or the whole desk from trading, also while a desk runs
    Halt(HaltOptions),
    /// Take a halt back
    Resume(ScopeOptions),
    /// Say what is halted
    Halts,
    /// Write a commented settings file
    Init,
}

/// `jarvis prompt`
#[derive(Debug, clap::Subcommand)]
pub enum PromptCommand {
    /// Print the exact text of the next call
    Show,
    /// Check the prompt files and the text they would give now
    Lint,
    /// Show what changed between two prompts
    Diff {
        /// A file, the beginning of a content hash, or a cycle (its user prompt)
        old: String,
        /// The same, for the newer one
        new: String,
    },
}

/// Recorded candles instead of a made-up market.
#[derive(Debug, Clone, Args)]
pub struct RecordedOptions {
    /// Folder of SYMBOL-{1h,4h,1d}.csv files with recorded candles; needs --from
    #[arg(long, value_name = "DIR", requires = "from")]
    pub candles: Option<PathBuf>,
    /// Market time the recorded candles stand at: RFC 3339, seconds optional, or a date; UTC
    #[arg(long, value_name = "TIME", requires = "candles", value_parser = parse_time)]
    pub from: Option<Timestamp>,
}

/// `jarvis attach`
#[derive(Debug, Args)]
pub struct AttachOptions {
    /// Watch without being able to command
    #[arg(long)]
    pub read_only: bool,
    /// Print a line for every event of record instead of drawing: for screen readers and pipes
    #[arg(long)]
    pub plain: bool,
}

/// `jarvis cycle`
#[derive(Debug, Args)]
pub struct CycleOptions {
    /// Compute and store everything, send no order
    #[arg(long)]
    pub dry_run: bool,
    /// Play a stored cycle back from its recorded answers, without a network and without trading: its id, or latest
    #[arg(long = "recorded", value_name = "CYCLE", conflicts_with_all = ["dry_run", "candles", "from"])]
    pub played_back: Option<String>,
    /// A recorded market.
    #[command(flatten)]
    pub recorded: RecordedOptions,
}

/// What a halt covers: the whole desk when nothing is named.
#[derive(Debug, Clone, Args)]
pub struct ScopeOptions {
    /// One coin, in every account
    #[arg(long, value_name = "SYMBOL", value_parser = parse_coin, conflicts_with = "account")]
    pub coin: Option<Symbol>,
    /// One account
    #[arg(long, value_name = "NAME")]
    pub account: Option<AccountName>,
}

/// `jarvis halt`
#[derive(Debug, Args)]
pub struct HaltOptions {
    /// What it covers.
    #[command(flatten)]
    pub scope: ScopeOptions,
    /// How far it goes
    #[arg(long, value_enum, default_value_t = Level::NoEntries)]
    pub level: Level,
    /// How long, in market time: 90s, 30m, 2h or 1d; until resumed when absent
    #[arg(long = "for", value_name = "TIME", value_parser = parse_duration)]
    pub duration: Option<TimeDelta>,
    /// Why; shown wherever the halt is
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
}

/// How far a halt goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Level {
    /// Nothing is opened; the model may still close
    NoEntries,
    /// The model changes nothing; stops are kept, an operator may close
    Frozen,
    /// Everything is closed at market and nothing is opened afterwards
    Flattened,
}

impl From<Level> for HaltLevel {
    fn from(level: Level) -> Self {
        match level {
            Level::NoEntries => Self::NoEntries,
            Level::Frozen => Self::Frozen,
            Level::Flattened => Self::Flattened,
        }
    }
}

/// `jarvis simsar`
#[derive(Debug, Args)]
pub struct SimsarOptions {
    /// Address to listen on; loopback unless you say otherwise, port 0 for any free one
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:0")]
    pub listen: SocketAddr,
}

/// `jarvis world`
#[derive(Debug, Args)]
pub struct WorldOptions {
    /// Address to listen on; loopback unless you say otherwise, port 0 for any free one
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:0")]
    pub listen: SocketAddr,
    /// Seed of everything that is made up [default: from the settings]
    #[arg(long)]
    pub seed: Option<u64>,
    /// A recorded market.
    #[command(flatten)]
    pub recorded: RecordedOptions,
    /// Folder with recorded Fear & Greed and Dow Jones files
    #[arg(long = "macro", value_name = "DIR", requires = "candles")]
    pub macro_dir: Option<PathBuf>,
    /// Seconds of market time in a second of wall time; 0 stands still
    #[arg(long, default_value_t = 1.0, value_parser = parse_speed)]
    pub speed: f64,
    /// Names of the accounts, separated by commas [default: from the settings]
    #[arg(long, value_delimiter = ',', value_name = "a,b,c")]
    pub accounts: Vec<AccountName>,
    /// USDT each account starts with [default: from the settings]
    #[arg(long, value_name = "USDT", value_parser = parse_balance)]
    pub balance: Option<Decimal>,
    /// Milliseconds between pieces of the analyst's text
    #[arg(long, value_name = "MS", default_value_t = 0)]
    pub token_delay: u64,
    /// How the built-in analyst goes wrong, such as malformed-rows, refuse or stall
    #[arg(long, value_name = "NAME")]
    pub analyst_fault: Option<Fault>,
    /// Whether request limits are enforced like the real ones
    #[arg(long, value_enum, default_value_t = Limits::None)]
    pub limits: Limits,
    /// Keep the world in this file across restarts
    #[arg(long, value_name = "FILE")]
    pub state: Option<PathBuf>,
}

/// Whether request limits are enforced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Limits {
    /// Reported in headers only.
    None,
    /// Enforced like the real ones.
    Real,
}

/// `jarvis screenshots`
#[derive(Debug, Args)]
pub struct ScreenshotOptions {
    /// Folder for the pictures
    #[arg(value_name = "DIR")]
    pub directory: PathBuf,
}

/// RFC 3339 with seconds optional, or a date; UTC when no zone is written.
fn parse_time(text: &str) -> Result<Timestamp, String> {
    let zoned = text.parse::<Timestamp>().ok();
    let short = |format| NaiveDateTime::parse_from_str(text, format).ok().map(|time| time.and_utc());
    let date = || text.parse::<NaiveDate>().ok().map(|date| date.and_time(NaiveTime::MIN).and_utc());
    zoned
        .or_else(|| short("%Y-%m-%dT%H:%MZ"))
        .or_else(|| short("%Y-%m-%dT%H:%M"))
        .or_else(|| short("%Y-%m-%dT%H:%M:%S"))
        .or_else(|| {
            text.rsplit_once(['+', '-'])
                .and_then(|_| chrono::DateTime::parse_from_str(text, "%Y-%m-%dT%H:%M%:z").ok())
                .map(|time| time.to_utc())
        })
        .or_else(date)
        .ok_or_else(|| {
            "write a time such as 2025-10-10T12:00:00Z or 2025-10-10T12:00Z, or a date such as 2025-10-10"
                .to_owned()
        })
}

/// A coin's name in either case, with or without the USDT it is traded in: `ada` as the console says it, or `ADAUSDT`.
fn parse_coin(text: &str) -> Result<Symbol, String> {
    let mut name = text.to_ascii_uppercase();
    if !["USDT", "USDC"].iter().any(|quote| name.ends_with(quote)) {
        name.push_str("USDT");
    }
    Symbol::new(&name).map_err(|error| error.to_string())
}

/// A whole number with its unit: s, m, h or d; at least a second, at most a year.
fn parse_duration(text: &str) -> Result<TimeDelta, String> {
    let allowed = || "write a number with its unit, such as 90s, 30m, 2h or 1d, at most 365d".to_owned();
    let unit = text.chars().next_back().ok_or_else(allowed)?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3_600,
        'd' => 86_400,
        _ => return Err(allowed()),
    };
    let count: i64 = text[..text.len() - unit.len_utf8()].parse().map_err(|_| allowed())?;
    count
        .checked_mul(seconds)
        .filter(|seconds| (1..=365 * 86_400).contains(seconds))
        .and_then(TimeDelta::try_seconds)
        .ok_or_else(allowed)
}

fn parse_speed(text: &str) -> Result<f64, String> {
    let allowed = "a number from 0 (stands still) to 100000";
    text.parse().ok().filter(|speed| (0.0..=100_000.0).contains(speed)).ok_or_else(|| allowed.to_owned())
}

fn parse_balance(text: &str) -> Result<Decimal, String> {
    let allowed = "an amount of USDT from 0 to 1000000000";
    let most = Decimal::from(1_000_000_000_u32);
    Decimal::from_str_exact(text)
        .ok()
        .filter(|balance| (Decimal::ZERO..=most).contains(balance))
        .ok_or_else(|| allowed.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn a_time_may_leave_out_seconds_zone_and_clock() {
        let noon: Timestamp = "2025-10-10T12:00:00Z".parse().unwrap();
        for text in [
            "2025-10-10T12:00:00Z",
            "2025-10-10T12:00Z",
            "2025-10-10T12:00",
            "2025-10-10T12:00:00",
            "2025-10-10T14:00+02:00",
        ] {
            assert_eq!(parse_time(text), Ok(noon), "{text}");
        }
        assert_eq!(parse_time("2025-10-10"), Ok("2025-10-10T00:00:00Z".parse().unwrap()));
        assert!(parse_time("yesterday").is_err());
    }

    #[test]
    fn a_duration_needs_its_unit_and_has_an_end() {
        assert_eq!(parse_duration("90s"), Ok(TimeDelta::seconds(90)));
        assert_eq!(parse_duration("2h"), Ok(TimeDelta::hours(2)));
        assert_eq!(parse_duration("1d"), Ok(TimeDelta::days(1)));
        for bad in ["", "h", "2", "0m", "-1h", "1.5h", "366d", "9223372036854775807d", "2ü"] {
            assert!(parse_duration(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn speeds_and_balances_out_of_range_are_refused() {
        for bad in ["-1", "NaN", "inf", "fast"] {
            assert!(parse_speed(bad).is_err(), "{bad}");
        }
        for bad in ["-1", "1e3000", "much"] {
            assert!(parse_balance(bad).is_err(), "{bad}");
        }
    }
}
