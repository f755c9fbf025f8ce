//! Puts a desk together from the settings and a venue.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use secrecy::SecretString;

use super::failure::Failure;
use super::setup::environment;
use super::venue::{self, Venue};
use crate::config::{
    self, AccountSettings, Allocation, KeyHeader, MarketSettings, PromptLanguage, Provider, Settings,
};
use crate::desk::prompt::{Language, PromptFiles, Templates};
use crate::desk::{AccountTerms, DeskParts, Floor};
use crate::domain::{AccountName, Symbol};
use crate::exchange::{ExchangeClient, Limits};
use crate::llm::price::{self, ModelPrice};
use crate::llm::{Auth, LlmClient, LlmOptions, Protocol, capability};
use crate::market::{Simsar, SimsarOptions, SourceAddresses};
use crate::net::Transport;
use crate::store::{Start, Store};
use crate::world::analyst;

/// Puts the desk together and lets it recover.
pub async fn open(
    settings: &Settings,
    settings_dir: &Path,
    venue: &Venue,
    store: &Store,
    install: Arc<str>,
    data_dir: Option<&Path>,
) -> Result<Arc<Floor>, Failure> {
    store.at(&venue.id).claim_for_venue().await?;
    let prompts = PromptFiles::open(settings_dir, language(settings))?;
    let parts = parts(settings, prompts, venue, store, install, data_dir)?;
    Ok(Floor::open(parts).await?)
}

/// After a lost journal or a loop of crashes a desk opens nothing until an operator resumes it. It has opened nothing by
/// then.
pub async fn doubt(
    floor: &Floor,
    start: &Start,
    lost: Option<String>,
    data_dir: &Path,
) -> Result<(), Failure> {
    if let Some(crashes) = start.crash_loop()? {
        let reason = format!("the {crashes} starts before this one did not end in order, within ten minutes");
        floor.begin_closing_only(&reason).await;
    }
    if let Some(lost) = lost
        && floor.begin_closing_only(&lost).await
    {
        Store::loss_is_known(data_dir)?;
    }
    Ok(())
}

/// Puts a desk together that only looks: nothing is recovered, protected or written. It holds the prompt files as they
/// stand, so that what is wrong with them can be said.
pub async fn open_for_looking(
    settings: &Settings,
    settings_dir: &Path,
    venue: &Venue,
    store: &Store,
) -> Result<Arc<Floor>, Failure> {
    let prompts = PromptFiles::holding(Templates::load(Some(settings_dir), language(settings))?);
    let parts = parts(settings, prompts, venue, store, "looking".into(), None)?;
    Ok(Floor::open_for_looking(parts).await?)
}

fn language(settings: &Settings) -> Language {
    match settings.model.prompt {
        PromptLanguage::Turkish => Language::Tr,
        PromptLanguage::English => Language::En,
    }
}

fn parts(
    settings: &Settings,
    prompts: PromptFiles,
    venue: &Venue,
    store: &Store,
    install: Arc<str>,
    data_dir: Option<&Path>,
) -> Result<DeskParts, Failure> {
    let accounts = accounts(settings, venue)?;
    let symbols = Symbol::each_once(accounts.iter().flat_map(|(terms, _)| &terms.symbols));
    let decisions = accounts.iter().map(|(terms, _)| terms.symbols.len()).sum();
    Ok(DeskParts {
        clock: Arc::clone(&venue.clock),
        wall: Arc::clone(&venue.wall),
        store: store.at(&venue.id),
        simsar: simsar(settings, venue, symbols, data_dir)?,
        llm: model(settings, venue, decisions)?,
        accounts,
        prompts,
        install,
        built_in_market: venue.built_in,
        data_dir: data_dir.map(Path::to_owned),
        settings: settings.clone(),
    })
}

/// The market-data API over a venue's sources.
pub fn simsar(
    settings: &Settings,
    venue: &Venue,
    symbols: Vec<Symbol>,
    data_dir: Option<&Path>,
) -> Result<Simsar, Failure> {
    let options = SimsarOptions {
        addresses: if venue.built_in {
            SourceAddresses::one_host(&venue.base_url)
        } else {
            venue::sources(settings)
        },
        finnhub_token: if venue.built_in {
            Some(SecretString::from("built-in"))
        } else {
            finnhub_key(&settings.market, &environment)?
        },
        symbols,
        concurrency: settings.market.concurrency,
        built_in: venue.built_in,
        // What a world makes up is not kept among what was really read.
        data_dir: data_dir.filter(|_| !venue.built_in).map(Path::to_owned),
    };
    Ok(Simsar::new(options, venue.data.clone(), Arc::clone(&venue.clock)))
}

/// The key the settings name, which must be there, or the one in the usual variable, which may be.
fn finnhub_key(
    market: &MarketSettings,
    environment: config::Environment<'_>,
) -> Result<Option<SecretString>, Failure> {
    match &market.finnhub_api_key {
        Some(named) => Ok(Some(config::secret(named, environment)?)),
        None => Ok(environment(MarketSettings::FINNHUB_VARIABLE).map(SecretString::from)),
    }
}

/// Every enabled account of the settings that the venue has keys for; on a served world, every account it has.
fn accounts(settings: &Settings, venue: &Venue) -> Result<Vec<(AccountTerms, ExchangeClient)>, Failure> {
    warn_of_missing(settings, venue);
    let limits = Arc::new(if venue.limited { Limits::budgeted() } else { Limits::default() });
    let mut accounts = Vec::new();
    for (name, credentials) in &venue.keys {
        let Some(account) = terms_of(settings, name) else { continue };
        let stop_distance = settings
            .risk
            .stop_loss
            .price_percent(account.leverage)
            .map_err(|error| Failure::failed(format!("account {name}: {error}")))?;
        let terms = AccountTerms {
            name: name.clone(),
            leverage: account.leverage,
            allocation: match account.allocation {
                Allocation::Equal => {
                    crate::desk::sizing::CoinAllocation::Equal { coins: account.symbols.len() }
                }
                Allocation::Amount(amount) => crate::desk::sizing::CoinAllocation::Amount(amount.value()),
            },
            symbols: account.symbols,
            stop_distance,
        };
        let client = ExchangeClient::sharing(
            venue.transport.clone(),
            venue.base_url.clone(),
            credentials.clone(),
            Arc::clone(&venue.wall),
            Arc::clone(&limits),
        );
        accounts.push((terms, client));
    }
    if accounts.is_empty() {
        return Err(Failure::failed(
            "no account is enabled that this venue knows; enable one in the settings",
        ));
    }
    Ok(accounts)
}

/// Names the enabled accounts of the settings that the venue does not know: they do not trade, and that should not go
/// unnoticed. Accounts that nobody wrote down are not missed.
fn warn_of_missing(settings: &Settings, venue: &Venue) {
    if settings.accounts == Settings::default().accounts {
        return;
    }
    for name in missing_accounts(settings, venue.keys.iter().map(|(name, _)| name)) {
        tracing::warn!(
            account = %name,
            venue = %venue.id,
            "this account is in the settings and not at this venue: it does not trade here"
        );
    }
}

fn missing_accounts<'a>(
    settings: &'a Settings,
    known: impl Iterator<Item = &'a AccountName>,
) -> Vec<&'a AccountName> {
    let known: Vec<_> = known.collect();
    let enabled = settings.accounts.iter().filter(|account| account.enabled).map(|account| &account.name);
    enabled.filter(|name| !known.contains(name)).collect()
}

/// The settings of an account; an account only the world knows trades on the terms of a default one.
fn terms_of(settings: &Settings, name: &AccountName) -> Option<AccountSettings> {
    match settings.accounts.iter().find(|account| &account.name == name) {
        Some(account) => account.enabled.then(|| account.clone()),
        None => Settings::default().accounts.first().cloned(),
    }
}

/// `decisions` is how many an answer has to hold.
fn model(settings: &Settings, venue: &Venue, decisions: usize) -> Result<LlmClient, Failure> {
    let own_url = settings.model.base_url.clone();
    let (transport, base_url, key) = match settings.model.provider {
        Provider::Builtin if own_url.is_none() && venue.built_in => {
            (venue.transport.clone(), venue.base_url.clone(), SecretString::from("built-in"))
        }
        // Away from a world the built-in analyst still answers, alone and in this process.
        Provider::Builtin if own_url.is_none() => {
            let options = analyst::AnalystOptions {
                token_delay: Duration::from_millis(settings.world.token_delay_ms),
                ..Default::default()
            };
            (
                Transport::in_process(analyst::router(options)),
                "http://built-in".to_owned(),
                SecretString::from("built-in"),
            )
        }
        Provider::Builtin | Provider::Anthropic | Provider::OpenAi => {
            let key = match &settings.model.api_key {
                Some(key) => config::secret(key, &environment)?,
                None => SecretString::from("built-in"),
            };
            let usual = match settings.model.provider {
                Provider::OpenAi => "https://api.openai.com",
                Provider::Builtin | Provider::Anthropic => "https://api.anthropic.com",
            };
            (Transport::network()?, own_url.unwrap_or_else(|| usual.to_owned()), key)
        }
    };
    let mut options =
        LlmOptions::new(settings.model.provider.as_str(), base_url, settings.model.id.clone(), key);
    options.max_tokens = output_tokens(&settings.model, decisions)?;
    options.is_simulated = settings.model.provider == Provider::Builtin;
    options.auth = match settings.model.auth {
        KeyHeader::Bearer => Auth::Bearer,
        KeyHeader::XApiKey => Auth::XApiKey,
    };
    if settings.model.provider == Provider::OpenAi {
        options.protocol = Protocol::ChatCompletions;
    }
    let is_own = is_own(&settings.model);
    // Who speaks chat completions may or may not hold a model to a schema; text with a fence works everywhere.
    let is_strict = !is_own && settings.model.provider != Provider::OpenAi;
    options.strict_tools = settings.model.strict_tools.unwrap_or(is_strict);
    options.caches = settings.model.prompt_cache.unwrap_or(!is_own);
    // A model of one's own may read a long prompt for minutes before it says a word.
    let idle = settings.model.idle_seconds.unwrap_or(if is_own { 600 } else { 90 });
    options.idle_timeout = Duration::from_secs(idle);
    if let Some(price) = price_of(&settings.model) {
        options.price = Some(price);
    }
    Ok(LlmClient::new(transport, options))
}

/// Output tokens that one decision takes, with room to spare.
const TOKENS_A_DECISION: usize = 75;
/// Output tokens of the analysis and whatever else is said.
const TOKENS_BESIDE: usize = 1_500;
/// Output tokens that a model which thinks unasked may take for that.
const TOKENS_OF_THINKING: usize = 8_000;
/// Output tokens a second that a slow hour of a provider still brings.
const TOKENS_A_SECOND: u64 = 60;
/// The most that any model may be asked for.
const MOST_OUTPUT: u32 = 128_000;

/// The output tokens to ask for: those of the settings, or more where all decisions need more. An answer that cannot fit
/// would be cut off every hour, at its full price.
fn output_tokens(model: &config::ModelSettings, decisions: usize) -> Result<u32, Failure> {
    let known = capability::of(&model.id);
    let thinking = if known.is_some_and(|known| known.thinks) { TOKENS_OF_THINKING } else { 0 };
    let needed = decisions * TOKENS_A_DECISION + TOKENS_BESIDE + thinking;
    let most = known.map_or(MOST_OUTPUT, |known| known.most_output);
    let asked = u32::try_from(needed).unwrap_or(u32::MAX).max(model.max_tokens);
    if needed > usize::try_from(most).unwrap_or(usize::MAX) {
        return Err(Failure::settings(format!(
            "{decisions} decisions take about {needed} output tokens, and {} writes at most {most}; enable fewer accounts or \
             coins, or run two desks",
            model.id
        )));
    }
    let seconds = needed as u64 / TOKENS_A_SECOND + 30;
    if model.provider != Provider::Builtin && seconds > model.cycle_seconds {
        tracing::warn!(
            "{decisions} decisions may take the model {seconds} s, and model.cycle_seconds allows {}; a cycle that runs out \
             of time trades nothing",
            model.cycle_seconds
        );
    }
    Ok(asked.min(most))
}

/// Whether a model on this machine is one's own: no vendor's, reached through something here.
fn is_own(model: &config::ModelSettings) -> bool {
    model.provider != Provider::Builtin && model.is_local() && price::of(&model.id).is_none()
}

/// The price the operator set, or nothing for a model of one's own on this machine; `None` leaves it to the table.
fn price_of(model: &config::ModelSettings) -> Option<ModelPrice> {
    match model.price {
        Some(own) => {
            let mut price = ModelPrice::of_input_and_output(own.input, own.output);
            price.cache_write = own.cache_write.unwrap_or(price.cache_write);
            price.cache_read = own.cache_read.unwrap_or(price.cache_read);
            Some(price)
        }
        None => is_own(model).then_some(ModelPrice::FREE),
    }
}

#[cfg(test)]
mod tests {
    use rust_decimal::Decimal;

    use super::*;

    #[test]
    fn finnhubs_key_comes_from_where_the_settings_say_and_else_from_its_usual_variable() {
        use secrecy::ExposeSecret;
        let environment = |name: &str| match name {
            "FINNHUB_API_KEY" => Some("usual".to_owned()),
            "OWN" => Some("own".to_owned()),
            _ => None,
        };
        let mut market = MarketSettings::default();
        let key = |market: &MarketSettings| {
            finnhub_key(market, &environment).map(|key| key.map(|key| key.expose_secret().to_owned()))
        };
        assert_eq!(key(&market).ok().flatten().as_deref(), Some("usual"));
        market.finnhub_api_key = Some(config::SecretRef::Variable("OWN".to_owned()));
        assert_eq!(key(&market).ok().flatten().as_deref(), Some("own"));
        market.finnhub_api_key = Some(config::SecretRef::Variable("NOWHERE".to_owned()));
        assert!(key(&market).is_err(), "a key that is named must be there");
        assert!(matches!(finnhub_key(&MarketSettings::default(), &|_| None), Ok(None)));
    }

    #[test]
    fn enabled_accounts_that_a_venue_does_not_know_are_missed() {
        let mut settings = Settings::default();
        settings.accounts[2].enabled = false;
        let known = [AccountName::new("mevlut").unwrap(), AccountName::new("stranger").unwrap()];
        let missed = missing_accounts(&settings, known.iter());
        assert_eq!(missed, [&AccountName::new("mirat").unwrap()]);
    }

    #[test]
    fn as_many_output_tokens_are_asked_for_as_all_decisions_take_and_no_more_than_the_model_has() {
        let mut model = config::ModelSettings::default();
        let asked = |model: &config::ModelSettings, decisions| {
            output_tokens(model, decisions).map_err(|failure| failure.message().to_owned())
        };
        assert_eq!(asked(&model, 30), Ok(8192));
        assert_eq!(asked(&model, 300), Ok(24_000));
        model.max_tokens = 128_000;
        model.id = "claude-haiku-4-5".to_owned();
        assert_eq!(asked(&model, 300), Ok(64_000));
        let told = asked(&model, 900).unwrap_err();
        assert!(
            told.contains("900 decisions") && told.contains("claude-haiku-4-5 writes at most 64000"),
            "{told}"
        );
        (model.id, model.max_tokens) = ("claude-sonnet-5-5".to_owned(), 512);
        assert_eq!(asked(&model, 30), Ok(11_750), "with room for thinking");
    }

    #[test]
    fn a_price_of_the_settings_goes_first_and_a_local_model_is_free_unless_a_vendor_sells_it() {
        let mut model = config::ModelSettings::default();
        assert_eq!(price_of(&model), None, "the built-in analyst's estimate comes from the table");
        model.provider = Provider::OpenAi;
        assert_eq!(price_of(&model), None, "an unknown price is not taken for zero");
        model.base_url = Some("http://127.0.0.1:11434".to_owned());
        assert_eq!(price_of(&model), None, "whoever stands between, the vendor is paid");
        model.id = "claude-haiku-4-5-20251001".to_owned();
        assert_eq!(price_of(&model), None);
        model.id = "qwen3:32b".to_owned();
        assert_eq!(price_of(&model), Some(ModelPrice::FREE));
        model.price = Some(config::PriceSettings {
            input: Decimal::ONE_HUNDRED,
            output: Decimal::ONE_THOUSAND,
            cache_write: None,
            cache_read: Some(Decimal::ONE),
        });
        let own = price_of(&model).unwrap();
        assert_eq!((own.input, own.output), (Decimal::ONE_HUNDRED, Decimal::ONE_THOUSAND));
        assert_eq!((own.cache_write, own.cache_read), (Decimal::from(125), Decimal::ONE));
    }
}
