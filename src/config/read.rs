//! From the file's text to checked settings.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use rust_decimal::Decimal;
use toml::de::DeTable;

use super::account::{self, AccountSettings};
use super::error::ConfigError;
use super::secret::{self, SecretRef};
use super::settings::{KeyHeader, MarketSource, PriceSettings, PromptLanguage, Provider, Settings};
use super::toml_reader::{Entry, Section, Source};
use super::values::StopLoss;
use super::{Environment, paths};
use crate::domain::{Confidence, Mode, Profile, Usdt};

/// The settings file with every default and its comment, as a new operator gets it.
pub const DEFAULT_FILE: &str = include_str!("jarvis.toml");

/// Settings with where they came from.
#[derive(Debug, Clone, PartialEq)]
pub struct Loaded {
    /// What was set, and the defaults for the rest.
    pub settings: Settings,
    /// The file that was read; `None` when there is none and the defaults hold.
    pub file: Option<PathBuf>,
    /// The settings folder, whether it exists or not: prompts and themes found there win over the built-in ones.
    pub directory: PathBuf,
    /// Where each secret's owner stands in the file.
    lines: BTreeMap<String, usize>,
}

/// Reads and checks the settings, and that every secret they need can be had.
pub fn load(explicit: Option<&Path>, environment: Environment<'_>) -> Result<Loaded, ConfigError> {
    let loaded = read(explicit, environment)?;
    loaded.check_secrets(environment)?;
    Ok(loaded)
}

/// Like [`load`], but leaves the secrets alone: for a desk whose keys come from elsewhere, as with `--world`.
pub fn read(explicit: Option<&Path>, environment: Environment<'_>) -> Result<Loaded, ConfigError> {
    let file = match explicit {
        Some(file) => file.to_owned(),
        None => paths::settings_file(environment)?,
    };
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty());
    let directory = folder.unwrap_or(Path::new(".")).to_owned();
    let text = match std::fs::read_to_string(&file) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return if explicit.is_some() {
                Err(ConfigError::Missing { file })
            } else {
                Ok(Loaded { settings: Settings::default(), file: None, directory, lines: BTreeMap::new() })
            };
        }
        Err(error) => return Err(ConfigError::Unreadable { file, reason: error.to_string() }),
    };
    let (settings, lines) = parse(&file, &text)?;
    Ok(Loaded { settings, file: Some(file), directory, lines })
}

impl Loaded {
    /// Whether every secret the mode and the provider need is named, present and private.
    pub fn check_secrets(&self, environment: Environment<'_>) -> Result<(), ConfigError> {
        if self.settings.mode != Mode::Paper {
            for account in self.settings.accounts.iter().filter(|account| account.enabled) {
                let owner = format!("account.{}", account.name);
                let why = format!("mode {} needs the account's own key", self.settings.mode);
                self.need(&owner, "api_key", account.api_key.as_ref(), &why, environment)?;
                self.need(&owner, "api_secret", account.api_secret.as_ref(), &why, environment)?;
            }
        }
        // Without a key there are other sources; a key that is named and missing is a slip all the same.
        if (self.settings.mode != Mode::Paper || self.settings.is_paper_on_real_prices())
            && let Some(named) = &self.settings.market.finnhub_api_key
        {
            self.need(
                "market",
                "finnhub_api_key",
                Some(named),
                "news and the calendar name a key",
                environment,
            )?;
        }
        let model = &self.settings.model;
        let may_do_without =
            model.provider == Provider::OpenAi && model.is_local() && model.api_key.is_none();
        if model.provider != Provider::Builtin && !may_do_without {
            let why = format!("provider {} needs a key", self.settings.model.provider.as_str());
            self.need("model", "api_key", self.settings.model.api_key.as_ref(), &why, environment)?;
        }
        Ok(())
    }

    fn need(
        &self,
        owner: &str,
        key: &str,
        reference: Option<&SecretRef>,
        why: &str,
        environment: Environment<'_>,
    ) -> Result<(), ConfigError> {
        let problem = match reference {
            None => format!("{why}: name an environment variable with {key}_env or a file with {key}_file"),
            Some(reference) => match secret::secret(reference, environment) {
                Ok(_) => return Ok(()),
                Err(error) => format!("{why}: {error}"),
            },
        };
        // The key as it is written in the file, so that it can be searched for.
        let ending = if matches!(reference, Some(SecretRef::File(_))) { "file" } else { "env" };
        Err(ConfigError::Secret {
            file: self.file.clone(),
            line: self.lines.get(owner).copied(),
            key: format!("{owner}.{key}_{ending}"),
            problem,
        })
    }
}

type Lines = BTreeMap<String, usize>;

fn parse(file: &Path, text: &str) -> Result<(Settings, Lines), ConfigError> {
    let source = Source { file, text };
    let table = DeTable::parse(text).map_err(|error| ConfigError::Syntax {
        file: file.to_owned(),
        line: source.line(error.span().map_or(0, |span| span.start)),
        reason: error.message().to_owned(),
    })?;
    let mut root = Section::root(source, table.get_ref());
    let mut settings = Settings::default();
    let modes = [Mode::Paper, Mode::Testnet, Mode::Live].map(|mode| (mode.as_str(), mode));
    root.word("mode", &mut settings.mode, &modes)?;
    root.boolean("dry_run", &mut settings.dry_run)?;
    root.boolean("stay_armed", &mut settings.stay_armed)?;
    let profiles = [Profile::Classic, Profile::Guarded].map(|profile| (profile.as_str(), profile));
    root.word("profile", &mut settings.profile, &profiles)?;
    let mut lines = Lines::new();
    read_schedule(root.section("schedule")?, &mut settings)?;
    let model = root.section("model")?;
    lines.insert("model".to_owned(), model.line());
    read_model(model, &mut settings)?;
    let mut market = root.section("market")?;
    lines.insert("market".to_owned(), market.line());
    let sources = [("world", MarketSource::World), ("binance", MarketSource::Binance)];
    market.word("source", &mut settings.market.source, &sources)?;
    settings.market.finnhub_api_key = market.secret("finnhub_api_key_env", "finnhub_api_key_file")?;
    market.whole("concurrency", &mut settings.market.concurrency, 1..=256)?;
    if let Some(entry) = market.take("base_url") {
        settings.market.base_url = Some(loopback_address(&entry, ["http", "https"])?);
    }
    market.finish()?;
    let only_here = settings.is_paper_on_real_prices();
    read_exchange(root.section("exchange")?, &mut settings, only_here)?;
    read_world(root.section("world")?, &mut settings, only_here)?;
    read_risk(root.section("risk")?, &mut settings)?;
    read_console(root.section("console")?, &mut settings)?;
    if let Some(sections) = root.sections("account")? {
        settings.accounts = read_accounts(sections, &mut lines)?;
    }
    refuse_idle_desk(source, &settings, &lines)?;
    root.finish()?;
    Ok((settings, lines))
}

fn read_schedule(mut section: Section<'_>, settings: &mut Settings) -> Result<(), ConfigError> {
    const ALLOWED: &str = "six cron fields in UTC, seconds first, such as \"0 5 * * * *\"";
    if let Some(entry) = section.take("cron") {
        let cron = entry.string(ALLOWED)?;
        // The scheduler's own parser decides: what passes here cannot be refused there.
        let parsed = tokio_cron_scheduler::Job::new(cron, |_, _| {});
        parsed.map_err(|_| entry.refuse(ALLOWED))?;
        cron.clone_into(&mut settings.schedule.cron);
    }
    section.finish()
}

fn read_model(mut section: Section<'_>, settings: &mut Settings) -> Result<(), ConfigError> {
    let model = &mut settings.model;
    let providers = [Provider::Builtin, Provider::Anthropic, Provider::OpenAi];
    let providers = providers.map(|provider| (provider.as_str(), provider));
    section.word("provider", &mut model.provider, &providers)?;
    if let Some(entry) = section.take("base_url") {
        // The analyst is a part of this program: an address elsewhere would be given the book, and the key, unpaid for.
        model.base_url = Some(match model.provider {
            Provider::Builtin => loopback_address(&entry, ["http", "https"])?,
            Provider::Anthropic | Provider::OpenAi => service_address(&entry)?,
        });
    }
    if let Some(entry) = section.take("id") {
        const ALLOWED: &str = "a model's id, such as \"claude-sonnet-4-6\"";
        let id = entry.string(ALLOWED)?;
        if id.is_empty() || !id.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(entry.refuse(ALLOWED));
        }
        id.clone_into(&mut model.id);
    }
    model.api_key = section.secret("api_key_env", "api_key_file")?;
    if model.api_key.is_none() {
        let usual = match model.provider {
            Provider::Anthropic => Some("ANTHROPIC_API_KEY"),
            Provider::OpenAi if !model.is_local() => Some("OPENAI_API_KEY"),
            Provider::OpenAi | Provider::Builtin => None,
        };
        model.api_key = usual.map(|variable| SecretRef::Variable(variable.to_owned()));
    }
    let headers = [KeyHeader::Bearer, KeyHeader::XApiKey].map(|word| (word.as_str(), word));
    section.word("auth", &mut model.auth, &headers)?;
    section.optional_whole("idle_seconds", &mut model.idle_seconds, 5..=3000)?;
    section.optional_boolean("strict_tools", &mut model.strict_tools)?;
    section.optional_boolean("prompt_cache", &mut model.prompt_cache)?;
    section.whole("max_tokens", &mut model.max_tokens, 512..=128_000)?;
    section.whole("max_iterations", &mut model.max_iterations, 1..=50)?;
    section.whole("cycle_seconds", &mut model.cycle_seconds, 10..=3000)?;
    section.whole("cycle_tokens", &mut model.cycle_tokens, 1000..=100_000_000)?;
    section.whole("daily_tokens", &mut model.daily_tokens, 1000..=10_000_000_000)?;
    section.whole("daily_seconds", &mut model.daily_seconds, 10..=86_400)?;
    for (key, target) in
        [("cycle_budget_usd", &mut model.cycle_budget_usd), ("daily_budget_usd", &mut model.daily_budget_usd)]
    {
        if let Some(entry) = section.take(key) {
            *target = dollars(&entry)?;
        }
    }
    model.price = read_price(&mut section)?;
    if let Some(entry) = section.take("confidence_threshold") {
        let number = entry.decimal().and_then(|number| Confidence::new(number.normalize()).ok());
        model.confidence_threshold =
            number.ok_or_else(|| entry.refuse("a number from 0 to 1, such as 0.75"))?;
    }
    let languages = [PromptLanguage::Turkish, PromptLanguage::English].map(|word| (word.as_str(), word));
    section.word("prompt", &mut model.prompt, &languages)?;
    section.finish()
}

/// The operator's own price: input and output go together, the cache's may follow from them.
fn read_price(section: &mut Section<'_>) -> Result<Option<PriceSettings>, ConfigError> {
    const TOGETHER: &str = "price_input and price_output together, in US dollars for a million tokens";
    let mut take = |key| section.take(key);
    let (input, output) = (take("price_input"), take("price_output"));
    let (cache_write, cache_read) = (take("price_cache_write"), take("price_cache_read"));
    let (input, output) = match (input, output) {
        (Some(input), Some(output)) => (dollars(&input)?, dollars(&output)?),
        (one, other) => {
            let lonely = one.or(other).or(cache_write).or(cache_read);
            return lonely.map_or(Ok(None), |entry| Err(entry.refuse(TOGETHER)));
        }
    };
    let cache_write = cache_write.map(|entry| dollars(&entry)).transpose()?;
    let cache_read = cache_read.map(|entry| dollars(&entry)).transpose()?;
    Ok(Some(PriceSettings { input, output, cache_write, cache_read }))
}

/// An amount of US dollars, in quotes like all money.
fn dollars(entry: &Entry<'_>) -> Result<Decimal, ConfigError> {
    const ALLOWED: &str = "an amount of US dollars from 0 to 100000, in quotes, such as \"5.00\"";
    let amount = Decimal::from_str_exact(entry.string(ALLOWED)?).ok();
    amount
        .filter(|amount| (Decimal::ZERO..=Decimal::from(100_000)).contains(amount))
        .ok_or_else(|| entry.refuse(ALLOWED))
}

/// `paper_on_real_prices`: orders are filled by the embedded exchange, and another one is a contradiction.
fn read_exchange(
    mut section: Section<'_>,
    settings: &mut Settings,
    paper_on_real_prices: bool,
) -> Result<(), ConfigError> {
    const NONE_BESIDE: &str = "leave it out: with market.source = \"binance\" the built-in exchange fills the orders of \
                               paper money. A stand-in for Binance's prices is market.base_url";
    let (base_url, ws_url) = (section.take("base_url"), section.take("ws_url"));
    if let Some(entry) = base_url.as_ref().or(ws_url.as_ref()).filter(|_| paper_on_real_prices) {
        return Err(entry.refuse(NONE_BESIDE));
    }
    if let Some(entry) = base_url {
        settings.exchange.base_url = Some(loopback_address(&entry, ["http", "https"])?);
    }
    if let Some(entry) = ws_url {
        settings.exchange.ws_url = Some(loopback_address(&entry, ["ws", "wss"])?);
    }
    section.finish()
}

/// `real_prices`: market time is then wall time.
fn read_world(
    mut section: Section<'_>,
    settings: &mut Settings,
    real_prices: bool,
) -> Result<(), ConfigError> {
    const REAL_TIME: &str = "1: with market.source = \"binance\" prices come when they come";
    const BALANCE: &str = "an amount of USDT above zero, in quotes, such as \"1000\"";
    const SPEED: &str = "seconds of market time in a second, from 0 (stands still) to 86400";
    let world = &mut settings.world;
    section.whole("seed", &mut world.seed, 0..=i64::MAX.unsigned_abs())?;
    if let Some(entry) = section.take("balance") {
        let amount = entry.string(BALANCE)?.parse::<Usdt>().ok().filter(|amount| *amount > Usdt::ZERO);
        world.balance = amount.ok_or_else(|| entry.refuse(BALANCE))?;
    }
    if let Some(entry) = section.take("speed") {
        let speed = entry.decimal().and_then(|number| f64::try_from(number).ok());
        let speed = speed.filter(|speed| (0.0..=86_400.0).contains(speed));
        world.speed = speed.ok_or_else(|| entry.refuse(SPEED))?;
        if real_prices && (world.speed - 1.0).abs() > f64::EPSILON {
            return Err(entry.refuse(REAL_TIME));
        }
    }
    section.whole("token_delay_ms", &mut world.token_delay_ms, 0..=10_000)?;
    section.finish()
}

fn read_risk(mut section: Section<'_>, settings: &mut Settings) -> Result<(), ConfigError> {
    let mut of_margin = false;
    section.word("stop_basis", &mut of_margin, &[("price", false), ("margin", true)])?;
    let risk = &mut settings.risk;
    risk.stop_loss = match (section.take("stop_loss"), of_margin) {
        (Some(entry), true) => StopLoss::Margin(entry.parsed()?),
        (Some(entry), false) => StopLoss::Price(entry.parsed()?),
        (None, of_margin) => StopLoss::ten_percent(of_margin),
    };
    section.parsed("margin_share", &mut risk.margin_share)?;
    section.parsed("target_volatility", &mut risk.target_volatility)?;
    risk.guards.read(&mut section)?;
    section.finish()
}

fn read_console(mut section: Section<'_>, settings: &mut Settings) -> Result<(), ConfigError> {
    const ALLOWED: &str = "a theme's name: small letters, digits and '-', such as \"dark\"";
    if let Some(entry) = section.take("theme") {
        let name = entry.string(ALLOWED)?;
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_".contains(&byte);
        if name.is_empty() || !name.bytes().all(plain) {
            return Err(entry.refuse(ALLOWED));
        }
        name.clone_into(&mut settings.console.theme);
    }
    if let Some(entry) = section.take("time_zone") {
        const ALLOWED: &str = "\"UTC\" or an offset from it such as \"+03:00\"";
        let text = entry.string(ALLOWED)?;
        let zone = if text.eq_ignore_ascii_case("utc") { "+00:00" } else { text };
        settings.console.time_zone = zone.parse().map_err(|_| entry.refuse(ALLOWED))?;
    }
    section.boolean("mouse", &mut settings.console.mouse)?;
    section.boolean("ascii", &mut settings.console.ascii)?;
    if let Some(entry) = section.take("keys") {
        settings.console.keys =
            entry.word_lists("an action's name = a key, or a list of keys, each a text")?;
    }
    section.finish()
}

fn read_accounts(sections: Vec<Section<'_>>, lines: &mut Lines) -> Result<Vec<AccountSettings>, ConfigError> {
    account::read_all(sections, |name, line| {
        lines.insert(format!("account.{name}"), line);
    })
}

/// A desk without a single account would pay for decisions nobody carries out.
fn refuse_idle_desk(source: Source<'_>, settings: &Settings, lines: &Lines) -> Result<(), ConfigError> {
    if settings.accounts.iter().any(|account| account.enabled) {
        return Ok(());
    }
    let first = settings.accounts.first().and_then(|account| lines.get(&format!("account.{}", account.name)));
    Err(ConfigError::Value {
        file: source.file.to_owned(),
        line: first.copied().unwrap_or(1),
        key: "account.enabled".to_owned(),
        found: "false for every account".to_owned(),
        allowed: "at least one enabled account; `dry_run = true` pauses trading".to_owned(),
    })
}

/// An address a key is sent to: encrypted, or on this machine.
fn service_address(entry: &Entry<'_>) -> Result<String, ConfigError> {
    const ALLOWED: &str = "an https address, or http on loopback, such as \"https://api.anthropic.com\"";
    let text = entry.string(ALLOWED)?;
    let address = Address::of(text).filter(|address| match address.scheme.as_str() {
        "https" => true,
        "http" => address.loopback,
        _ => false,
    });
    address.map(|_| without_slash(text)).ok_or_else(|| entry.refuse(ALLOWED))
}

/// An override of the exchange or of the data providers: a mistake or a trick here must send neither signed orders nor
/// tokens to a stranger.
fn loopback_address(entry: &Entry<'_>, schemes: [&str; 2]) -> Result<String, ConfigError> {
    let [plain, secure] = schemes;
    let allowed =
        format!("an address on this machine only, such as \"{plain}://127.0.0.1:8080\" (or {secure}://)");
    let text = entry.string(&allowed)?;
    Address::of(text)
        .filter(|address| address.loopback && schemes.contains(&address.scheme.as_str()))
        .map(|_| without_slash(text))
        .ok_or_else(|| entry.refuse(&allowed))
}

/// Whether an address is on this machine.
pub(super) fn is_loopback(address: &str) -> bool {
    Address::of(address).is_some_and(|address| address.loopback)
}

fn without_slash(address: &str) -> String {
    address.trim_end_matches('/').to_owned()
}

/// What matters about an address.
struct Address {
    scheme: String,
    loopback: bool,
}

impl Address {
    fn of(text: &str) -> Option<Self> {
        let uri: http::Uri = text.parse().ok()?;
        let authority = uri.authority()?;
        // A user part can make a strange host look like ours to a human eye.
        if authority.as_str().contains('@') {
            return None;
        }
        let host = authority.host().trim_start_matches('[').trim_end_matches(']');
        let loopback =
            host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
        Some(Self { scheme: uri.scheme_str()?.to_owned(), loopback })
    }
}
