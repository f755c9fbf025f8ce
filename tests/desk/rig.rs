//! A desk, its world and its analyst, put together in this process.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::StreamExt;
use http_body_util::{BodyExt, Full};
use jarvis::config::Settings;
use jarvis::desk::prompt::{Language, PromptFiles, Templates};
use jarvis::desk::sizing::CoinAllocation;
use jarvis::desk::{AccountTerms, DeskParts, Floor};
use jarvis::domain::{AccountState, CycleReport, ManualClock, Timestamp, Trigger};
use jarvis::exchange::{Credentials, ExchangeClient, Limits};
use jarvis::llm::{LlmClient, LlmOptions, Recorded};
use jarvis::market::{Simsar, SimsarOptions, SourceAddresses};
use jarvis::net::{NetError, Transport};
use jarvis::store::Store;
use jarvis::world::analyst::{AnalystOptions, router};
use jarvis::world::{Histories, World, WorldOptions};
use secrecy::SecretString;
use serde_json::{Value, json};

/// Where everything is reached; nothing ever looks it up.
const HERE: &str = "http://here";

/// More patience with the model than any machine needs: only a test of a silent one takes less.
const PATIENCE: Duration = Duration::from_hours(1);

/// How a rig is put together.
pub struct Plan {
    pub settings: Settings,
    pub analyst: AnalystOptions,
    /// Takes the place of the world's headlines, in every category.
    pub headlines: Vec<String>,
    pub strict_tools: bool,
    /// Plays this back instead of asking the analyst.
    pub recorded: Option<Recorded>,
    /// What the model says instead of the analyst, answer by answer.
    pub script: Vec<Bytes>,
    /// Whether each answer of the script falls silent after its last byte instead of ending.
    pub falls_silent: bool,
    /// Tries the model's client makes, as long as nothing of an answer has come.
    pub attempts: u32,
    /// Prompt files here win over the compiled-in ones.
    pub settings_dir: Option<PathBuf>,
    /// How long the model may be silent.
    pub patience: Duration,
    /// The model the price is looked up for.
    pub priced_as: Option<&'static str>,
    /// A world that is there already; it has the accounts of the settings.
    pub world: Option<Arc<World>>,
    /// What stands between simsar and its sources, if anything; the accounts are reached past it.
    pub between: Option<Between>,
}

/// Answers in the place of a source, or lets the request through to the world.
pub type Between = Arc<dyn Fn(&str) -> Option<Instead> + Send + Sync>;

/// What a source does instead of answering.
#[derive(Debug, Clone, Copy)]
pub enum Instead {
    /// No connection can be made.
    Dead,
    /// It never answers.
    Silent,
    /// It says this: status, `retry-after`, body.
    Says(u16, Option<&'static str>, &'static str),
    /// What it really says, cut in the middle.
    Cut,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            settings: Settings::default(),
            analyst: AnalystOptions::default(),
            headlines: Vec::new(),
            strict_tools: true,
            recorded: None,
            script: Vec::new(),
            falls_silent: false,
            attempts: 1,
            settings_dir: None,
            patience: PATIENCE,
            priced_as: Some("claude-sonnet-4-6"),
            world: None,
            between: None,
        }
    }
}

/// A desk that runs.
pub struct Rig {
    pub floor: Arc<Floor>,
    pub store: Store,
    _folder: tempfile::TempDir,
}

pub fn now() -> Timestamp {
    Timestamp::from_timestamp_millis(1_772_438_700_000).unwrap()
}

impl Rig {
    pub async fn new(plan: Plan) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("jarvis.db")).unwrap().at("rig");
        let wall = Arc::new(ManualClock::new(now()));
        let world = plan.world.clone().unwrap_or_else(|| world(&plan.settings));
        let headlines: Arc<[String]> = plan.headlines.clone().into();
        let told = middleware::from_fn_with_state(headlines, other_headlines);
        let transport = Transport::in_process(world.router().layer(told));
        let accounts = accounts(&plan.settings, &world, &transport, &wall);
        let symbols = accounts.first().unwrap().0.symbols.clone();
        let options = SimsarOptions {
            addresses: SourceAddresses::one_host(HERE),
            finnhub_token: Some(SecretString::from("token")),
            symbols,
            concurrency: 16,
            built_in: true,
            data_dir: None,
        };
        let parts = DeskParts {
            clock: world.clock(),
            wall,
            store: store.clone(),
            simsar: Simsar::new(options, meddled(transport, plan.between.clone()), world.clock()),
            llm: model(&plan),
            accounts,
            prompts: prompts(&plan),
            install: "rig".into(),
            built_in_market: true,
            data_dir: None,
            settings: plan.settings,
        };
        Self { floor: Floor::open(parts).await.unwrap(), store, _folder: folder }
    }

    pub async fn cycle(&self) -> CycleReport {
        self.floor.run_cycle(Trigger::Manual).await.unwrap()
    }

    /// What the exchange says the accounts hold.
    pub async fn accounts(&self) -> Vec<AccountState> {
        self.floor.look_again().await;
        self.floor.bulletin().read(|snapshot| snapshot.accounts.clone())
    }
}

fn prompts(plan: &Plan) -> PromptFiles {
    match &plan.settings_dir {
        Some(folder) => PromptFiles::open(folder, Language::En).unwrap(),
        None => PromptFiles::holding(Templates::load(None, Language::En).unwrap()),
    }
}

/// The transport with somebody in between.
fn meddled(inner: Transport, between: Option<Between>) -> Transport {
    let Some(between) = between else { return inner };
    Transport::from_service(tower::service_fn(move |request: http::Request<Bytes>| {
        let (inner, instead) = (inner.clone(), between(request.uri().path()));
        async move {
            let said = |status: u16, retry_after: Option<&str>, body: Bytes| {
                let mut response = http::Response::builder().status(status);
                if let Some(seconds) = retry_after {
                    response = response.header("retry-after", seconds);
                }
                let body = Full::new(body).map_err(|never| match never {});
                response.body(body.boxed_unsync()).unwrap()
            };
            match instead {
                None => inner.send(request).await,
                Some(Instead::Dead) => Err(NetError::NotSent {
                    host: "here".to_owned(),
                    reason: "connection refused".to_owned(),
                }),
                Some(Instead::Silent) => std::future::pending().await,
                Some(Instead::Says(status, retry_after, body)) => {
                    Ok(said(status, retry_after, Bytes::from_static(body.as_bytes())))
                }
                Some(Instead::Cut) => {
                    let whole = inner.send(request).await?.into_body().collect().await?.to_bytes();
                    Ok(said(200, None, whole.slice(..whole.len() / 2)))
                }
            }
        }
    }))
}

/// The worlds of most tests differ in nothing that their prices know of.
static HISTORIES: Histories = Histories::new();

pub fn world(settings: &Settings) -> Arc<World> {
    let options = WorldOptions {
        seed: settings.world.seed,
        accounts: settings.accounts.iter().map(|account| account.name.clone()).collect(),
        balance: settings.world.balance,
        speed: 0.0,
        token_delay: Duration::ZERO,
        enforce_limits: false,
        recorded: None,
        state_file: None,
    };
    World::open_from(&HISTORIES, options, Arc::new(ManualClock::new(now()))).unwrap()
}

fn accounts(
    settings: &Settings,
    world: &World,
    transport: &Transport,
    wall: &Arc<ManualClock>,
) -> Vec<(AccountTerms, ExchangeClient)> {
    let limits = Arc::new(Limits::default());
    let keys = world.keys();
    settings
        .accounts
        .iter()
        .zip(keys)
        .map(|(account, key)| {
            let terms = AccountTerms {
                name: account.name.clone(),
                leverage: account.leverage,
                symbols: account.symbols.clone(),
                allocation: CoinAllocation::Equal { coins: account.symbols.len() },
                stop_distance: settings.risk.stop_loss.price_percent(account.leverage).unwrap(),
            };
            let credentials = Credentials {
                api_key: SecretString::from(key.api_key),
                api_secret: SecretString::from(key.api_secret),
            };
            let wall = Arc::clone(wall) as Arc<dyn jarvis::domain::Clock>;
            let client =
                ExchangeClient::sharing(transport.clone(), HERE, credentials, wall, Arc::clone(&limits));
            (terms, client)
        })
        .collect()
}

fn model(plan: &Plan) -> LlmClient {
    let mut options = LlmOptions::new(
        plan.settings.model.provider.as_str(),
        "http://model",
        plan.settings.model.id.clone(),
        SecretString::from("key"),
    );
    options.strict_tools = plan.strict_tools;
    options.price = plan.priced_as.and_then(jarvis::llm::price::of);
    options.attempts = plan.attempts;
    options.idle_timeout = plan.patience;
    match &plan.recorded {
        Some(recorded) => recorded.client(options),
        None if !plan.script.is_empty() => LlmClient::new(Transport::in_process(scripted(plan)), options),
        None => LlmClient::new(Transport::in_process(router(plan.analyst)), options),
    }
}

/// A model that says what is written, once each.
fn scripted(plan: &Plan) -> Router {
    let script: VecDeque<Bytes> = plan.script.clone().into();
    let script = Arc::new(Mutex::new(script));
    let falls_silent = plan.falls_silent;
    Router::new().fallback(move || {
        let next = script.lock().unwrap().pop_front().expect("a request too many");
        let said = futures_util::stream::iter([Ok::<_, std::io::Error>(next)]);
        let body = if falls_silent {
            Body::from_stream(said.chain(futures_util::stream::pending()))
        } else {
            Body::from_stream(said)
        };
        async move { ([("content-type", "text/event-stream")], body) }
    })
}

/// Lets other headlines through than the world's, if there are any.
async fn other_headlines(State(headlines): State<Arc<[String]>>, request: Request, next: Next) -> Response {
    if headlines.is_empty() || !request.uri().path().ends_with("/news") {
        return next.run(request).await;
    }
    let stories: Vec<Value> = (0_i64..)
        .zip(headlines.iter())
        .map(|(number, headline)| {
            json!({
                "category": "top news", "datetime": now().timestamp() - 60 * (number + 1), "headline": headline,
                "id": number + 1, "image": "", "related": "", "source": "Wire", "summary": headline,
                "url": "http://news.invalid/1",
            })
        })
        .collect();
    axum::Json(stories).into_response()
}
