//! One `[[account]]` of the settings.

use super::error::ConfigError;
use super::secret::SecretRef;
use super::toml_reader::{Entry, Section};
use crate::domain::{AccountName, Symbol, Usdt};

/// The accounts of the first desk.
const NAMES: [&str; 3] = ["mirat", "mevlut", "tugrul"];

/// The coins of the first desk.
const COINS: [&str; 10] = [
    "BTCUSDT", "ETHUSDT", "SOLUSDT", "BNBUSDT", "XRPUSDT", "DOGEUSDT", "ADAUSDT", "AVAXUSDT", "LINKUSDT",
    "PAXGUSDT",
];

/// The exchange's own limit for its largest contracts.
const HIGHEST_LEVERAGE: u32 = 125;

/// One trading account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountSettings {
    /// Its own name.
    pub name: AccountName,
    /// The coins it may trade; never empty, no coin twice.
    pub symbols: Vec<Symbol>,
    /// Leverage of its openings, 1 to 125.
    pub leverage: u32,
    /// How its money is spread over the coins.
    pub allocation: Allocation,
    /// The exchange's API key.
    pub api_key: Option<SecretRef>,
    /// The secret the requests are signed with.
    pub api_secret: Option<SecretRef>,
    /// Whether it takes part at all.
    pub enabled: bool,
}

/// How an account's money is spread over its coins (profile `classic`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Allocation {
    /// Margin of a coin = equity ÷ number of the account's coins.
    Equal,
    /// A fixed margin a coin.
    Amount(Usdt),
}

impl AccountSettings {
    /// An account with the default coins, leverage and allocation.
    fn named(name: AccountName) -> Self {
        Self {
            name,
            symbols: COINS.iter().filter_map(|coin| Symbol::new(coin).ok()).collect(),
            leverage: 3,
            allocation: Allocation::Equal,
            api_key: None,
            api_secret: None,
            enabled: true,
        }
    }
}

/// The three accounts that exist without a settings file.
pub(super) fn defaults() -> Vec<AccountSettings> {
    NAMES.iter().filter_map(|name| AccountName::new(name).ok()).map(AccountSettings::named).collect()
}

/// Reads all accounts; `place` is told the line each begins at.
pub(super) fn read_all(
    sections: Vec<Section<'_>>,
    mut place: impl FnMut(&AccountName, usize),
) -> Result<Vec<AccountSettings>, ConfigError> {
    let mut accounts: Vec<AccountSettings> = Vec::new();
    for section in sections {
        let line = section.line();
        let account = read(section, &accounts)?;
        place(&account.name, line);
        accounts.push(account);
    }
    Ok(accounts)
}

fn read(mut section: Section<'_>, before: &[AccountSettings]) -> Result<AccountSettings, ConfigError> {
    const NAME: &str = "a name of its own, such as \"mirat\"";
    let name = section.required("name", NAME)?;
    let mut account = AccountSettings::named(name.parsed()?);
    if before.iter().any(|other| other.name == account.name) {
        return Err(name.refuse_as(&format!("{} for the second time", account.name), NAME));
    }
    if let Some(symbols) = section.take("symbols") {
        account.symbols = read_symbols(&symbols)?;
    }
    section.whole("leverage", &mut account.leverage, 1..=HIGHEST_LEVERAGE)?;
    if let Some(allocation) = section.take("allocation") {
        account.allocation = read_allocation(&allocation)?;
    }
    account.api_key = section.secret("api_key_env", "api_key_file")?;
    account.api_secret = section.secret("api_secret_env", "api_secret_file")?;
    section.boolean("enabled", &mut account.enabled)?;
    section.finish()?;
    Ok(account)
}

fn read_symbols(entry: &Entry<'_>) -> Result<Vec<Symbol>, ConfigError> {
    const ALLOWED: &str = "a list of contracts in USDT, each once, such as [\"BTCUSDT\", \"ETHUSDT\"]";
    let mut symbols: Vec<Symbol> = Vec::new();
    for item in entry.list(ALLOWED)? {
        let symbol: Symbol = item.parsed()?;
        if !symbol.as_str().ends_with("USDT") || symbol.as_str() == "USDT" {
            return Err(item.refuse(ALLOWED));
        }
        if symbols.contains(&symbol) {
            return Err(item.refuse_as(&format!("{symbol} for the second time"), ALLOWED));
        }
        symbols.push(symbol);
    }
    if symbols.is_empty() { Err(entry.refuse_as("empty", ALLOWED)) } else { Ok(symbols) }
}

fn read_allocation(entry: &Entry<'_>) -> Result<Allocation, ConfigError> {
    const ALLOWED: &str = "\"equal\" or an amount above zero such as \"25 USDT\"";
    let text = entry.string(ALLOWED)?.trim();
    if text == "equal" {
        return Ok(Allocation::Equal);
    }
    text.strip_suffix("USDT")
        .and_then(|amount| amount.parse::<Usdt>().ok())
        .filter(|amount| *amount > Usdt::ZERO)
        .map(Allocation::Amount)
        .ok_or_else(|| entry.refuse(ALLOWED))
}
