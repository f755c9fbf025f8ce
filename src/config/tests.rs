use std::path::PathBuf;

use proptest::prelude::*;
use rust_decimal::Decimal;

use super::*;
use crate::domain::{Mode, Profile, Usdt};

fn nothing(_: &str) -> Option<String> {
    None
}

/// Writes `text` to a file of its own and loads it.
fn load_text(text: &str, environment: Environment<'_>) -> Result<Loaded, ConfigError> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("jarvis.toml");
    std::fs::write(&file, text).unwrap();
    load(Some(&file), environment)
}

fn settings(text: &str) -> Settings {
    load_text(text, &nothing).unwrap().settings
}

/// The refusal without its folder: `jarvis.toml, line 2: …`.
fn refusal(text: &str) -> String {
    let error = load_text(text, &nothing).unwrap_err().to_string();
    error[error.find("jarvis.toml").unwrap()..].to_owned()
}

#[test]
fn the_commented_file_says_exactly_the_defaults() {
    assert_eq!(settings(DEFAULT_FILE), Settings::default());
}

#[test]
fn every_optional_key_of_the_commented_file_works_when_its_comment_sign_is_removed() {
    let is_key = |rest: &str| rest.starts_with('[') || rest.contains(" = \"") || rest.contains(" = [");
    let uncommented: Vec<&str> = DEFAULT_FILE
        .lines()
        .map(|line| line.strip_prefix("# ").filter(|rest| is_key(rest)).unwrap_or(line))
        .collect();
    assert!(uncommented.join("\n").contains("\nws_url"));
    let settings = settings(&uncommented.join("\n"));
    assert_eq!(settings.exchange.ws_url.as_deref(), Some("ws://127.0.0.1:8080"));
    assert_eq!(settings.console.keys["quit"], ["q", "ctrl-c"]);
    assert_eq!(settings.accounts[0].api_secret, Some(SecretRef::Variable("MIRAT_API_SECRET".into())));
}

#[test]
fn without_a_file_the_first_desk_stands_on_paper() {
    let home = tempfile::tempdir().unwrap();
    let place = home.path().to_str().unwrap().to_owned();
    let loaded = load(None, &|name| (name == "XDG_CONFIG_HOME").then(|| place.clone())).unwrap();
    assert_eq!((loaded.file, loaded.directory), (None, home.path().join("jarvis")));
    let settings = loaded.settings;
    assert_eq!((settings.mode, settings.profile, settings.dry_run), (Mode::Paper, Profile::Guarded, false));
    let names: Vec<&str> = settings.accounts.iter().map(|account| account.name.as_str()).collect();
    assert_eq!(names, ["mirat", "mevlut", "tugrul"]);
    assert!(settings.accounts.iter().all(|account| account.symbols.len() == 10 && account.leverage == 3));
    assert_eq!(settings.model.provider, Provider::Builtin);
}

#[test]
fn every_guard_has_a_key_that_sets_its_limit_and_a_word_that_switches_it_off() {
    let keys = [
        ("stale_data", "\"0.5%\""),
        ("price_sanity", "\"0.5%\""),
        ("daily_loss", "\"5%\""),
        ("drawdown", "\"20%\""),
        ("maximum_positions", "3"),
        ("cooldown", "\"30m\""),
        ("expected_move", "2.5"),
        ("event_blackout", "\"1h\""),
        ("long_bias", "\"70%\""),
        ("turnover", "\"500%\""),
        ("exposure", "\"200%\""),
        ("exposure_direction", "\"120%\""),
        ("minimum_hold", "\"90m\""),
        ("confidence_scale", "\"25%\""),
    ];
    let file = |value: &dyn Fn(&'static str) -> &'static str| {
        let lines: Vec<String> = keys.iter().map(|(key, set)| format!("{key} = {}", value(set))).collect();
        settings(&format!("[risk]\n{}", lines.join("\n"))).risk.guards
    };
    assert_eq!(file(&|_| "\"off\""), GuardSettings::off());
    let set = file(&|set| set);
    let default = GuardSettings::default();
    assert!(set.stale_data != default.stale_data && set.price_sanity == set.stale_data);
    assert_eq!(set.daily_loss.unwrap().share(), Decimal::new(5, 2));
    assert_eq!(set.drawdown.unwrap().share(), Decimal::new(2, 1));
    assert_eq!((set.maximum_positions, set.expected_move), (Some(3), Some(Decimal::new(25, 1))));
    let spans = [set.cooldown, set.event_blackout, set.minimum_hold].map(|span| span.unwrap().to_string());
    assert_eq!(spans, ["30m", "1h", "90m"]);
    let parts = [set.long_bias, set.confidence_scale].map(|part| part.unwrap().to_string());
    assert_eq!(parts, ["70%", "25%"]);
    let multiples =
        [set.turnover, set.exposure, set.exposure_direction].map(|times| times.unwrap().to_string());
    assert_eq!(multiples, ["500%", "200%", "120%"]);
    let hedge = settings("[risk]\nhedge_correlation = 0.7").risk.guards.hedge_correlation;
    assert_eq!(hedge, Decimal::new(7, 1));
}

#[test]
fn a_file_in_the_settings_folder_is_found_and_a_named_file_that_is_missing_is_refused() {
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join("jarvis");
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(folder.join("jarvis.toml"), "dry_run = true\n").unwrap();
    let place = home.path().to_str().unwrap().to_owned();
    let loaded = load(None, &|name| (name == "XDG_CONFIG_HOME").then(|| place.clone())).unwrap();
    assert!(loaded.settings.dry_run);
    assert_eq!(loaded.file, Some(folder.join("jarvis.toml")));
    let missing = folder.join("other.toml");
    assert_eq!(load(Some(&missing), &nothing).unwrap_err(), ConfigError::Missing { file: missing });
}

#[test]
fn every_key_reaches_its_setting() {
    let settings = settings(
        r#"
        mode = "paper"
        dry_run = true
        profile = "classic"
        schedule.cron = "30 0 */2 * * *"
        [model]
        provider = "builtin"
        base_url = "http://localhost:9/"
        id = "some-model"
        api_key_env = "KEY"
        max_tokens = 512
        max_iterations = 3
        cycle_seconds = 60
        cycle_tokens = 50000
        cycle_budget_usd = "0.25"
        daily_budget_usd = "2.50"
        daily_tokens = 2000000
        daily_seconds = 7200
        auth = "x-api-key"
        idle_seconds = 45
        strict_tools = false
        prompt_cache = true
        price_input = "1"
        price_output = "2.5"
        price_cache_read = "0.05"
        confidence_threshold = 0.8
        prompt = "en"
        [market]
        concurrency = 20
        base_url = "http://localhost:81/"
        [exchange]
        base_url = "http://[::1]:80"
        ws_url = "ws://127.0.0.2:80"
        [world]
        seed = 7
        balance = "250.50"
        speed = 2.5
        token_delay_ms = 0
        [risk]
        stop_loss = "12%"
        stop_basis = "margin"
        margin_share = "5%"
        target_volatility = "1.5%"
        [console]
        theme = "light"
        [[account]]
        name = "one"
        symbols = ["BTCUSDT"]
        leverage = 125
        allocation = "25 USDT"
        api_key_file = "keys/one"
        api_secret_env = "S"
        [[account]]
        name = "two"
        enabled = false
        "#,
    );
    assert!(settings.dry_run);
    assert_eq!(settings.profile, Profile::Classic);
    assert_eq!(settings.schedule.cron, "30 0 */2 * * *");
    let model = &settings.model;
    assert_eq!(model.base_url.as_deref(), Some("http://localhost:9"));
    assert_eq!((model.id.as_str(), model.max_tokens, model.max_iterations), ("some-model", 512, 3));
    assert_eq!((model.cycle_seconds, model.cycle_tokens), (60, 50_000));
    assert_eq!((model.cycle_budget_usd, model.daily_budget_usd), (Decimal::new(25, 2), Decimal::new(25, 1)));
    assert_eq!((model.daily_tokens, model.daily_seconds, model.auth), (2_000_000, 7200, KeyHeader::XApiKey));
    assert_eq!(
        (model.idle_seconds, model.strict_tools, model.prompt_cache),
        (Some(45), Some(false), Some(true))
    );
    let price = PriceSettings {
        input: Decimal::ONE,
        output: Decimal::new(25, 1),
        cache_write: None,
        cache_read: Some(Decimal::new(5, 2)),
    };
    assert_eq!(model.price, Some(price));
    assert_eq!(model.confidence_threshold.value(), Decimal::new(8, 1));
    assert_eq!(model.prompt, PromptLanguage::English);
    assert_eq!(settings.market.concurrency, 20);
    assert_eq!(settings.market.base_url.as_deref(), Some("http://localhost:81"));
    assert_eq!(settings.exchange.base_url.as_deref(), Some("http://[::1]:80"));
    assert_eq!((settings.world.seed, settings.world.token_delay_ms), (7, 0));
    assert_eq!(settings.world.balance, Usdt::of(Decimal::new(25050, 2)));
    assert!((settings.world.speed - 2.5).abs() < f64::EPSILON);
    assert_eq!(settings.risk.stop_loss, StopLoss::Margin("12%".parse().unwrap()));
    assert_eq!(settings.risk.margin_share.to_string(), "5%");
    assert_eq!(settings.risk.target_volatility.to_string(), "1.5%");
    assert_eq!(settings.console.theme, "light");
    let [one, two] = settings.accounts.as_slice() else { panic!("two accounts") };
    assert_eq!((one.symbols.len(), one.leverage, one.enabled), (1, 125, true));
    assert_eq!(one.allocation, Allocation::Amount(Usdt::of(Decimal::from(25))));
    assert!(matches!(&one.api_key, Some(SecretRef::File(path)) if path.is_absolute()), "{:?}", one.api_key);
    assert_eq!((two.symbols.len(), two.enabled), (10, false));
}

#[test]
fn the_basis_of_the_stop_does_not_depend_on_the_order_of_the_keys() {
    let one = settings("[risk]\nstop_basis = \"margin\"\nstop_loss = \"20%\"");
    let other = settings("[risk]\nstop_loss = \"20%\"\nstop_basis = \"margin\"");
    assert_eq!(one, other);
    assert_eq!(settings("[risk]\nstop_basis = \"margin\"").risk.stop_loss, StopLoss::ten_percent(true));
}

#[test]
fn an_unknown_key_is_refused_with_its_line_and_the_nearest_known_one() {
    let text = refusal("mode = \"paper\"\n[model]\nmax_token = 9\n");
    assert!(
        text.starts_with("jarvis.toml, line 3: unknown key model.max_token; did you mean model.max_tokens?"),
        "{text}"
    );
    let text = refusal("\nmodle = \"paper\"\n");
    assert!(text.starts_with("jarvis.toml, line 2: unknown key modle; did you mean model?"), "{text}");
    let text = refusal("[[account]]\nname = \"a\"\n\n[[account]]\nname = \"b\"\nlevreage = 3\n");
    assert!(
        text.starts_with("jarvis.toml, line 6: unknown key account.levreage; did you mean account.leverage?"),
        "{text}"
    );
    assert!(refusal("xyzzyplugh = 1").contains("known here: mode, dry_run, stay_armed, profile, schedule"));
    assert!(refusal("[acount]\nname = \"a\"").contains("line 1: unknown key acount; did you mean account?"));
}

#[test]
fn every_bad_value_is_refused_with_line_key_value_and_what_is_allowed() {
    let cases = [
        ("mode = \"papre\"", 1, "mode is \"papre\"; allowed: one of \"paper\", \"testnet\", \"live\""),
        ("dry_run = \"no\"", 1, "dry_run is \"no\"; allowed: true or false"),
        ("profile = 1", 1, "profile is 1; allowed: one of \"classic\", \"guarded\""),
        ("[schedule]\ncron = \"61 5 * * * *\"", 2, "schedule.cron is"),
        ("[schedule]\ncron = \"5 * * * *\"", 2, "six cron fields"),
        ("[model]\nprovider = \"gemini\"", 2, "one of \"builtin\", \"anthropic\", \"openai\""),
        ("[model]\ndaily_budget_usd = 5", 2, "an amount of US dollars"),
        ("[model]\ndaily_tokens = 999", 2, "1000 to 10000000000"),
        ("[model]\ndaily_seconds = 86401", 2, "10 to 86400"),
        ("[model]\nauth = \"basic\"", 2, "one of \"bearer\", \"x-api-key\""),
        ("[model]\ncycle_budget_usd = \"-1\"", 2, "an amount of US dollars"),
        ("[model]\nid = \"x\"\nprice_input = \"1\"", 3, "price_input and price_output together"),
        ("[model]\nprice_cache_read = \"1\"", 2, "price_input and price_output together"),
        (
            "[model]\nmax_tokens = 511",
            2,
            "model.max_tokens is 511; allowed: a whole number from 512 to 128000",
        ),
        ("[model]\nmax_tokens = \"8192\"", 2, "model.max_tokens is \"8192\""),
        ("[model]\nmax_tokens = 8192.0", 2, "model.max_tokens is 8192.0"),
        ("[model]\nmax_iterations = 0", 2, "from 1 to 50"),
        ("[model]\nconfidence_threshold = 1.1", 2, "is 1.1; allowed: a number from 0 to 1"),
        ("[model]\nconfidence_threshold = -0.1", 2, "a number from 0 to 1"),
        ("[model]\nconfidence_threshold = nan", 2, "is nan; allowed: a number from 0 to 1"),
        ("[model]\nconfidence_threshold = \"high\"", 2, "a number from 0 to 1"),
        ("[model]\nid = \"\"", 2, "a model's id"),
        ("[model]\nprovider = \"openai\"\nbase_url = \"http://example.com\"", 3, "an https address"),
        ("[model]\nprovider = \"anthropic\"\nbase_url = \"https://a@example.com\"", 3, "an https address"),
        ("[model]\nbase_url = \"https://example.com\"", 2, "on this machine only"),
        ("[model]\nidle_seconds = 4", 2, "from 5 to 3000"),
        ("[model]\nstrict_tools = 1", 2, "true or false"),
        ("[model]\nprompt = \"de\"", 2, "one of \"tr\", \"en\""),
        ("[market]\nconcurrency = 0", 2, "a whole number from 1 to 256"),
        ("[market]\nbase_url = \"https://fapi.binance.com\"", 2, "on this machine only"),
        ("[market]\nsource = \"kraken\"", 2, "one of \"world\", \"binance\""),
        (
            "[market]\nsource = \"binance\"\n[world]\nseed = 2\nspeed = 60",
            5,
            "world.speed is 60; allowed: 1: with",
        ),
        ("[world]\nspeed = 0\n[market]\nsource = \"binance\"", 2, "prices come when they come"),
        (
            "[market]\nsource = \"binance\"\n[exchange]\nws_url = \"ws://127.0.0.1:1\"",
            4,
            "the built-in exchange fills the orders",
        ),
        (
            "[exchange]\nbase_url = \"http://127.0.0.1:1\"\n[market]\nsource = \"binance\"",
            2,
            "allowed: leave it out",
        ),
        ("[exchange]\nbase_url = \"https://fapi.binance.com\"", 2, "on this machine only"),
        ("[exchange]\nbase_url = \"http://127.0.0.1@evil.example\"", 2, "on this machine only"),
        ("[exchange]\nbase_url = \"http://127.0.0.1.evil.example\"", 2, "on this machine only"),
        ("[exchange]\nws_url = \"http://127.0.0.1\"", 2, "ws://127.0.0.1"),
        ("[world]\nseed = -1", 2, "world.seed is -1"),
        ("[world]\nbalance = 1000", 2, "in quotes"),
        ("[world]\nbalance = \"0\"", 2, "above zero"),
        ("[world]\nspeed = -1", 2, "from 0 (stands still)"),
        ("[world]\nspeed = inf", 2, "from 0 (stands still)"),
        ("[risk]\nstop_loss = 0.1", 2, "risk.stop_loss is 0.1; allowed: a text in quotes"),
        ("[risk]\nstop_loss = \"10\"", 2, "percent points with the sign"),
        ("[risk]\nstop_basis = \"entry\"", 2, "one of \"price\", \"margin\""),
        ("[risk]\nmargin_share = \"0%\"", 2, "percent points with the sign, above 0%"),
        ("[risk]\ntarget_volatility = \"-2%\"", 2, "percent points"),
        ("[risk]\nmaximum_positions = 0", 2, "a whole number from 1 to 1000, or \"off\""),
        ("[risk]\nmaximum_positions = 2.5", 2, "a whole number from 1 to 1000"),
        ("[risk]\nmaximum_positions = \"none\"", 2, "a whole number from 1 to 1000"),
        ("[risk]\nminimum_hold = \"3\"", 2, "as in \"30m\" or \"4h\""),
        ("[risk]\nminimum_hold = 3", 2, "a text in quotes"),
        ("[risk]\nexposure = \"0%\"", 2, "up to 10000%"),
        ("[risk]\nexpected_move = 0", 2, "a number above 0 and up to 100, or \"off\""),
        ("[risk]\nhedge_correlation = 1.1", 2, "a number above 0 and up to 1"),
        ("[risk]\nhedge_correlation = \"off\"", 2, "a number above 0 and up to 1"),
        ("[risk]\nlong_bias = \"120%\"", 2, "up to 100%"),
        ("[risk]\ncooldwon = \"4h\"", 2, "cooldown"),
        ("[console]\ntheme = \"../dark\"", 2, "a theme's name"),
        ("account = []", 1, "account is empty; allowed: one or more sections, each written [[account]]"),
        ("[account]\nname = \"a\"", 1, "each written [[account]]"),
        ("\n[[account]]\nleverage = 3", 2, "account.name is missing; allowed: a name of its own"),
        ("[[account]]\nname = \"Mirat\"", 2, "account.name is \"Mirat\"; allowed: 1 to 24 small letters"),
        ("[[account]]\nname = \"a\"\n[[account]]\nname = \"a\"", 4, "account.name is a for the second time"),
        (
            "[[account]]\nname = \"a\"\nleverage = -3",
            3,
            "account.leverage is -3; allowed: a whole number from 1 to 125",
        ),
        ("[[account]]\nname = \"a\"\nleverage = 126", 3, "account.leverage is 126"),
        ("[[account]]\nname = \"a\"\nsymbols = []", 3, "account.symbols is empty"),
        ("[[account]]\nname = \"a\"\nsymbols = [\n \"BTCUSDT\",\n \"btc\"]", 5, "account.symbols is \"btc\""),
        ("[[account]]\nname = \"a\"\nsymbols = [\"BTCUSDT\", \"BTCUSDT\"]", 3, "BTCUSDT for the second time"),
        ("[[account]]\nname = \"a\"\nsymbols = [\"BTCUSDC\"]", 3, "contracts in USDT"),
        ("[[account]]\nname = \"a\"\nallocation = \"25\"", 3, "\"25 USDT\""),
        ("[[account]]\nname = \"a\"\nallocation = \"-5 USDT\"", 3, "an amount above zero"),
        ("[[account]]\nname = \"a\"\nenabled = false", 1, "at least one enabled account"),
        (
            "[[account]]\nname = \"a\"\napi_key_env = \"A\"\napi_key_file = \"b\"",
            4,
            "together with account.api_key_env",
        ),
        ("mode = \"paper\"\nmode = \"live\"", 2, "duplicate key"),
        ("mode = \"paper\"\n[model\n", 2, ""),
    ];
    for (text, line, expected) in cases {
        let refusal = refusal(text);
        assert!(refusal.starts_with(&format!("jarvis.toml, line {line}: ")), "{text}\n{refusal}");
        assert!(refusal.contains(expected), "{text}\n{refusal}");
    }
}

#[test]
fn a_key_pasted_in_place_of_its_name_is_refused_without_repeating_it() {
    for text in ["[model]\napi_key_env = \"sk-ant-secret\"", "[model]\napi_key = \"sk-ant-secret\""] {
        let refusal = refusal(text);
        assert!(refusal.contains("line 2") && !refusal.contains("sk-ant"), "{refusal}");
    }
}

#[test]
fn a_control_character_in_a_value_does_not_reach_the_message() {
    let refusal = refusal("mode = \"a\\u001b[2Jb\"");
    assert!(refusal.chars().all(|character| !character.is_control()), "{refusal:?}");
}

const TRADING: &str = "mode = \"testnet\"\n[[account]]\nname = \"a\"\napi_key_env = \"K\"\napi_secret_env = \"S\"\n\
                       [[account]]\nname = \"b\"\nenabled = false\n";

#[test]
fn trading_modes_need_the_keys_of_every_enabled_account() {
    let both = |name: &str| ["K", "S"].contains(&name).then(|| "x".to_owned());
    assert_eq!(load_text(TRADING, &both).unwrap().settings.mode, Mode::Testnet);
    let one = |name: &str| (name == "K").then(|| "x".to_owned());
    let refusal = load_text(TRADING, &one).unwrap_err().to_string();
    assert!(refusal.contains("line 2: account.a.api_secret_env: mode testnet needs"), "{refusal}");
    assert!(refusal.contains("export S="), "{refusal}");
    let unnamed = load_text("mode = \"live\"\n", &both).unwrap_err().to_string();
    assert!(
        unnamed.contains("account.mirat.api_key_env: mode live needs the account's own key"),
        "{unnamed}"
    );
    assert!(unnamed.contains("api_key_env") && unnamed.contains("api_key_file"), "{unnamed}");
}

#[test]
fn a_real_model_needs_a_key_and_looks_for_it_where_its_maker_says() {
    let text = "\n[model]\nprovider = \"anthropic\"\n";
    let refusal = refusal(text);
    assert!(
        refusal.starts_with("jarvis.toml, line 2: model.api_key_env: provider anthropic needs a key"),
        "{refusal}"
    );
    assert!(refusal.contains("ANTHROPIC_API_KEY"), "{refusal}");
    let key = |name: &str| (name == "ANTHROPIC_API_KEY").then(|| "k".to_owned());
    assert_eq!(load_text(text, &key).unwrap().settings.model.provider, Provider::Anthropic);
}

#[test]
fn finnhubs_key_may_be_absent_but_not_where_the_settings_name_it() {
    let keys = |name: &str| ["K", "S"].contains(&name).then(|| "x".to_owned());
    assert_eq!(load_text(TRADING, &keys).unwrap().settings.market.finnhub_api_key, None);
    let text =
        format!("[market]\nfinnhub_api_key_env = \"NEWS_KEY\"\n{TRADING}").replace("mode = \"testnet\"", "");
    let text = format!("mode = \"testnet\"\n{text}");
    let refusal = load_text(&text, &keys).unwrap_err().to_string();
    assert!(refusal.contains("jarvis.toml, line 2: market.finnhub_api_key_env: "), "{refusal}");
    assert!(refusal.contains("export NEWS_KEY="), "{refusal}");
    let all = |name: &str| Some(name.to_owned());
    let named = load_text(&text, &all).unwrap().settings.market.finnhub_api_key;
    assert_eq!(named, Some(SecretRef::Variable("NEWS_KEY".to_owned())));
    let paper = text.replace("testnet", "paper");
    assert!(load_text(&paper, &keys).is_ok(), "a world's news need no key");
}

#[test]
fn paper_money_meets_real_prices_where_the_settings_say_so() {
    let real =
        settings("[market]\nsource = \"binance\"\nbase_url = \"http://127.0.0.1:1\"\n[world]\nspeed = 1");
    assert_eq!(real.market.source, MarketSource::Binance);
    assert!(real.is_paper_on_real_prices());
    assert!(!settings("[market]\nsource = \"world\"\n[world]\nspeed = 60").is_paper_on_real_prices());
    assert!(!settings("").is_paper_on_real_prices());
    let both = |name: &str| ["K", "S"].contains(&name).then(|| "x".to_owned());
    let testnet =
        format!("{TRADING}[market]\nsource = \"binance\"\n[exchange]\nbase_url = \"http://127.0.0.1:1\"\n");
    let testnet = load_text(&testnet, &both).unwrap().settings;
    assert!(!testnet.is_paper_on_real_prices(), "the money there is the test network's");
    let key = "[market]\nsource = \"binance\"\nfinnhub_api_key_env = \"NEWS_KEY\"\n";
    let refusal = refusal(key);
    assert!(refusal.contains("line 1: market.finnhub_api_key_env"), "real news need the key: {refusal}");
}

#[test]
fn a_world_brings_its_own_keys_so_reading_does_not_ask_for_any() {
    let folder = tempfile::tempdir().unwrap();
    let file: PathBuf = folder.path().join("jarvis.toml");
    std::fs::write(&file, "[model]\nprovider = \"anthropic\"\n").unwrap();
    assert!(load(Some(&file), &nothing).is_err());
    assert!(read(Some(&file), &nothing).is_ok());
}

proptest! {
    #[test]
    fn no_text_makes_the_reader_panic(text in "([a-z_]{1,8} ?= ?[a-z0-9\"\\[\\]{}.%-]{0,9}\n|\\[{1,2}[a-z]{1,8}\\]{1,2}\n|\\PC{0,9})*") {
        let _ = load_text(&text, &nothing);
    }

    #[test]
    fn a_threshold_is_accepted_exactly_when_it_lies_within_0_and_1(hundredths in -300_i64..300) {
        let number = Decimal::new(hundredths, 2);
        let loaded = load_text(&format!("[model]\nconfidence_threshold = {number}"), &nothing);
        let read = loaded.ok().map(|loaded| loaded.settings.model.confidence_threshold.value());
        prop_assert_eq!(read, (0..=100).contains(&hundredths).then_some(number));
    }

    #[test]
    fn leverage_is_accepted_exactly_from_1_to_125(leverage in -200_i64..400) {
        let loaded = load_text(&format!("[[account]]\nname = \"a\"\nleverage = {leverage}"), &nothing);
        prop_assert_eq!(loaded.is_ok(), (1..=125).contains(&leverage));
    }
}

#[test]
fn chat_completions_need_a_key_unless_they_run_on_this_machine() {
    let local = "[model]\nprovider = \"openai\"\nbase_url = \"http://127.0.0.1:11434\"\nid = \"qwen3\"\n";
    let model = load_text(local, &nothing).unwrap().settings.model;
    assert_eq!((model.provider, model.api_key.is_none(), model.is_local()), (Provider::OpenAi, true, true));
    let away = "[model]\nprovider = \"openai\"\nid = \"x\"\n";
    let refusal = load_text(away, &nothing).unwrap_err().to_string();
    assert!(
        refusal.contains("provider openai needs a key") && refusal.contains("OPENAI_API_KEY"),
        "{refusal}"
    );
}
