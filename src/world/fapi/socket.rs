//! Websocket sessions: the same code over TCP and within the process.

use std::collections::BTreeSet;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use http::StatusCode;
use serde_json::{Value, json};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{Notify, broadcast, mpsc};

use super::feed::{Delivery, Signal};
use super::params::Params;
use super::streams::{Route, Stream, render};
use crate::domain::Symbol;
use crate::world::World;
use crate::world::engine::AccountId;
use crate::world::faults::Farewell;

/// Messages that may wait for a slow reader.
pub(super) const QUEUE: usize = 1024;
/// Longest life of a connection.
pub(super) const LIFE: Duration = Duration::from_hours(24);
/// Streams of one connection.
const MOST_STREAMS: usize = 1024;
/// Commands of one connection in a second.
const COMMANDS_A_SECOND: u32 = 10;

/// A websocket without a network: text messages both ways. The world closes by dropping its ends.
#[derive(Debug)]
pub struct WorldSocket {
    /// What the client says.
    pub to_world: mpsc::Sender<String>,
    /// What the world says.
    pub from_world: mpsc::Receiver<String>,
    /// Rung when the stream is dead although its ends are there: whoever carries it answers no ping any more.
    pub dead: Arc<Notify>,
}

/// Opens a session within the process; a path that is none of the exchange's closes at once.
pub(crate) fn open(world: Arc<World>, path_and_query: &str) -> WorldSocket {
    let (to_world, incoming) = mpsc::channel(QUEUE);
    let (outgoing, from_world) = mpsc::channel(QUEUE);
    let (path, query) = path_and_query.split_once('?').unwrap_or((path_and_query, ""));
    let mut dead = Arc::default();
    if let Ok(session) = Session::new(world, path, query)
        && let Ok(runtime) = tokio::runtime::Handle::try_current()
    {
        dead = Arc::clone(&session.dead);
        runtime.spawn(session.run(incoming, outgoing));
    }
    WorldSocket { to_world, from_world, dead }
}

/// A user stream on a connection.
#[derive(Debug)]
struct UserStream {
    key: String,
    account: AccountId,
    /// The allow-list of event names; absent lets all through.
    events: Option<Vec<String>>,
    expired: bool,
}

/// One connection: what it subscribed, and what it must still be told.
pub(super) struct Session {
    world: Arc<World>,
    route: Route,
    /// Whether listen keys mean something here: on the private route and on the unrouted paths.
    takes_keys: bool,
    /// Whether messages are wrapped with their stream's name.
    combined: bool,
    streams: Vec<Stream>,
    users: Vec<UserStream>,
    /// Market time of the last rendering, ms.
    rendered_ms: i64,
    /// Listens from the first moment, so that nothing is missed before the session runs.
    signals: broadcast::Receiver<Signal>,
    /// Events held back behind the next one, with their streams.
    held: Vec<(String, String)>,
    /// Whether it has fallen silent for good.
    silent: bool,
    /// Tells whoever carries the session that it is dead.
    pub(super) dead: Arc<Notify>,
    /// The second of the last command, wall time, and how many came in it.
    commands: (i64, u32),
    /// How long it lives, and how it ends then.
    pub(super) life: (Duration, Farewell),
    /// How it was closed, when the world closed it on purpose.
    pub(super) farewell: Arc<OnceLock<Farewell>>,
}

/// The other side is gone.
struct Gone;

impl Session {
    /// Reads the URL, or tells how it is refused.
    pub(super) fn new(world: Arc<World>, path: &str, query: &str) -> Result<Self, StatusCode> {
        let mut parts = path.trim_matches('/').split('/').map(|part| {
            Params::parse(&format!("part={part}"), "").get("part").unwrap_or_default().to_owned()
        });
        let mut part = parts.next().ok_or(StatusCode::NOT_FOUND)?;
        let (route, takes_keys) = match part.as_str() {
            "public" => (Route::Public, false),
            "market" => (Route::Market, false),
            "private" => (Route::Private, true),
            _ => (Route::Public, true),
        };
        if matches!(part.as_str(), "public" | "market" | "private") {
            part = parts.next().ok_or(StatusCode::NOT_FOUND)?;
        }
        let combined = match part.as_str() {
            "ws" => false,
            "stream" => true,
            _ => return Err(StatusCode::NOT_FOUND),
        };
        let rendered_ms = world.core().played_ms;
        let mut session = Self {
            signals: world.feed().listen(),
            world,
            route,
            takes_keys,
            combined,
            streams: Vec::new(),
            users: Vec::new(),
            rendered_ms,
            held: Vec::new(),
            silent: false,
            dead: Arc::default(),
            commands: (0, 0),
            life: (LIFE, Farewell::Bare),
            farewell: Arc::default(),
        };
        for name in parts.filter(|name| !name.is_empty()) {
            session.subscribe(&name, None);
        }
        session.read_query(query);
        // One too many is enough to see that it asks for too much.
        if session.names().count() > MOST_STREAMS { Err(StatusCode::BAD_REQUEST) } else { Ok(session) }
    }

    fn read_query(&mut self, query: &str) {
        let mut key: Option<String> = None;
        for pair in query.split('&') {
            let Some((name, _)) = pair.split_once('=') else { continue };
            let parsed = Params::parse(pair, "");
            let Some(value) = parsed.get(name) else { continue };
            match name {
                "streams" => {
                    for name in value.split('/').filter(|name| !name.is_empty()) {
                        self.subscribe(name, None);
                    }
                }
                "listenKey" => {
                    if let Some(key) = key.replace(value.to_owned()) {
                        self.subscribe(&key, None);
                    }
                }
                "events" => {
                    if let Some(key) = key.take() {
                        let events = value.split('/').map(ToOwned::to_owned).collect();
                        self.subscribe(&key, Some(events));
                    }
                }
                _ => {}
            }
        }
        if let Some(key) = key {
            self.subscribe(&key, None);
        }
    }

    /// Adds a stream or a user stream. Names that mean nothing here stay silent, as on the live exchange.
    fn subscribe(&mut self, name: &str, events: Option<Vec<String>>) {
        if self.names().any(|known| known == name) || self.names().count() > MOST_STREAMS {
            return;
        }
        let owner = if self.takes_keys {
            self.world.core().listen_keys.account(name, self.world.wall_ms())
        } else {
            None
        };
        match owner {
            Some(account) => {
                self.users.push(UserStream { key: name.to_owned(), account, events, expired: false });
            }
            None => self.streams.push(Stream::new(name, self.route)),
        }
    }

    fn names(&self) -> impl Iterator<Item = &str> {
        let users = self.users.iter().map(|user| user.key.as_str());
        self.streams.iter().map(|stream| stream.name.as_str()).chain(users)
    }

    /// Speaks and listens until one side is gone.
    pub(super) async fn run(mut self, mut incoming: mpsc::Receiver<String>, outgoing: mpsc::Sender<String>) {
        let end = tokio::time::sleep(self.life.0);
        tokio::pin!(end);
        loop {
            let went_well = tokio::select! {
                // What has happened is told before a command is heard, so that a command marks a moment.
                biased;
                signal = self.signals.recv() => match signal {
                    Ok(Signal::Tick) => self.tick(&outgoing).await,
                    Ok(Signal::User { account, event, text, delivery }) => {
                        self.user_event(account, event, &text, delivery, &outgoing).await
                    }
                    Ok(Signal::Liquidation { symbol, text }) => {
                        self.liquidation(&symbol, &text, &outgoing).await
                    }
                    Ok(Signal::End { account, farewell }) => self.end(account, farewell),
                    // Too slow to keep up: the exchange disconnects, the client starts over.
                    Err(RecvError::Lagged(_) | RecvError::Closed) => Err(Gone),
                },
                message = incoming.recv() => match message {
                    Some(text) => self.hear(&text, &outgoing).await,
                    None => Err(Gone),
                },
                () = &mut end => Err(self.close(self.life.1)),
            };
            if went_well.is_err() {
                return;
            }
        }
    }

    async fn tick(&mut self, outgoing: &mpsc::Sender<String>) -> Result<(), Gone> {
        let (messages, now) = render(&self.world, &mut self.streams, self.rendered_ms);
        self.rendered_ms = now;
        for (name, message) in messages {
            let delivery = self.delivery_of(&name);
            self.deliver(&name, &message, delivery, outgoing).await?;
        }
        self.let_go(outgoing).await?;
        self.expire_keys(outgoing).await
    }

    /// What becomes of a public stream's message.
    fn delivery_of(&self, name: &str) -> Delivery {
        let symbol = name.split('@').next().unwrap_or_default().to_ascii_uppercase();
        self.world.feed().delivery(name, None, Some(&symbol), self.world.wall_ms())
    }

    /// Ends or silences the session if it carries the account's stream, or any when none is named.
    fn end(&mut self, account: Option<AccountId>, farewell: Option<Farewell>) -> Result<(), Gone> {
        if !account.is_none_or(|account| self.users.iter().any(|user| user.account == account)) {
            return Ok(());
        }
        if let Some(farewell) = farewell {
            return Err(self.close(farewell));
        }
        self.fall_silent();
        Ok(())
    }

    /// Remembers for whoever carries the session how it closes.
    fn close(&self, farewell: Farewell) -> Gone {
        // Whoever closed it first was heard first.
        let _first = self.farewell.set(farewell);
        Gone
    }

    /// Tells a liquidation on the streams for it.
    async fn liquidation(
        &mut self,
        symbol: &Symbol,
        text: &str,
        outgoing: &mpsc::Sender<String>,
    ) -> Result<(), Gone> {
        let telling = self.streams.iter().filter(|stream| stream.tells_liquidation(symbol));
        let names: Vec<String> = telling.map(|stream| stream.name.clone()).collect();
        for name in names {
            let delivery = self.delivery_of(&name);
            self.deliver(&name, text, delivery, outgoing).await?;
        }
        Ok(())
    }

    fn fall_silent(&mut self) {
        self.silent = true;
        self.dead.notify_one();
    }

    /// A key that ran out is told once; its socket stays open but mute.
    async fn expire_keys(&mut self, outgoing: &mpsc::Sender<String>) -> Result<(), Gone> {
        let wall = self.world.wall_ms();
        let mut expired = Vec::new();
        {
            let core = self.world.core();
            for user in self.users.iter_mut().filter(|user| !user.expired) {
                if core.listen_keys.account(&user.key, wall).is_none() {
                    user.expired = true;
                    if lets_through(user.events.as_deref(), "listenKeyExpired") {
                        expired.push((user.key.clone(), core.played_ms));
                    }
                }
            }
        }
        for (key, now) in expired {
            let event = json!({"e": "listenKeyExpired", "E": now, "listenKey": key});
            self.send(&key, &event.to_string(), outgoing).await?;
        }
        Ok(())
    }

    async fn user_event(
        &mut self,
        account: AccountId,
        event: &str,
        text: &str,
        delivery: Delivery,
        outgoing: &mpsc::Sender<String>,
    ) -> Result<(), Gone> {
        let wanted = |user: &&UserStream| {
            user.account == account && !user.expired && lets_through(user.events.as_deref(), event)
        };
        let keys: Vec<String> = self.users.iter().filter(wanted).map(|user| user.key.clone()).collect();
        for key in keys {
            self.deliver(&key, text, delivery, outgoing).await?;
        }
        Ok(())
    }

    /// Sends one event as the weather lets it.
    async fn deliver(
        &mut self,
        name: &str,
        text: &str,
        delivery: Delivery,
        outgoing: &mpsc::Sender<String>,
    ) -> Result<(), Gone> {
        match delivery {
            Delivery::Lost => return Ok(()),
            Delivery::Held => {
                self.held.push((name.to_owned(), text.to_owned()));
                return Ok(());
            }
            Delivery::Silent => {
                self.fall_silent();
                return Ok(());
            }
            Delivery::Cut(farewell) => return Err(self.close(farewell)),
            Delivery::Doubled => self.send(name, text, outgoing).await?,
            Delivery::Plain => {}
        }
        self.send(name, text, outgoing).await?;
        self.let_go(outgoing).await
    }

    /// Sends what was held back.
    async fn let_go(&mut self, outgoing: &mpsc::Sender<String>) -> Result<(), Gone> {
        for (name, text) in std::mem::take(&mut self.held) {
            self.send(&name, &text, outgoing).await?;
        }
        Ok(())
    }

    /// Sends one event, wrapped on combined connections.
    async fn send(&self, name: &str, text: &str, outgoing: &mpsc::Sender<String>) -> Result<(), Gone> {
        if self.silent {
            return Ok(());
        }
        let text = if self.combined {
            format!("{{\"stream\":{},\"data\":{text}}}", json!(name))
        } else {
            text.to_owned()
        };
        outgoing.send(text).await.map_err(|_| Gone)
    }

    async fn hear(&mut self, text: &str, outgoing: &mpsc::Sender<String>) -> Result<(), Gone> {
        if self.silent {
            return Ok(());
        }
        if self.world.enforces_limits() && !self.counts_command() {
            return Err(Gone);
        }
        let before = self.streams.len();
        let reply = self.command(text);
        outgoing.send(reply.to_string()).await.map_err(|_| Gone)?;
        // What was just subscribed speaks at once.
        let added = self.streams.get_mut(before..).unwrap_or_default();
        let (messages, _) = render(&self.world, added, self.rendered_ms);
        for (name, message) in messages {
            self.send(&name, &message, outgoing).await?;
        }
        Ok(())
    }

    /// Whether a command still fits into this second; who sends more is disconnected.
    fn counts_command(&mut self) -> bool {
        let second = self.world.wall_ms().div_euclid(1000);
        if self.commands.0 != second {
            self.commands = (second, 0);
        }
        self.commands.1 += 1;
        self.commands.1 <= COMMANDS_A_SECOND
    }

    /// Carries out one command; the answer echoes its id as it came.
    fn command(&mut self, text: &str) -> Value {
        let Ok(Value::Object(command)) = serde_json::from_str::<Value>(text) else {
            return json!({"code": 3, "msg": "Invalid JSON: expected value at line 1 column 1"});
        };
        // Numbers as documented, and the texts that the official clients send.
        let id = match command.get("id") {
            Some(id) if id.is_u64() || id.is_string() => id,
            _ => {
                return json!({"code": 2, "msg": "Invalid request: request ID must be an unsigned integer"});
            }
        };
        let refused = |code: u8, why: &str| json!({"code": code, "msg": why, "id": id});
        let invalid = |what: &str| refused(2, &format!("Invalid request: {what}"));
        let names = || -> Option<Vec<&str>> {
            command.get("params")?.as_array()?.iter().map(Value::as_str).collect()
        };
        match command.get("method").and_then(Value::as_str) {
            Some("SUBSCRIBE") => {
                let Some(names) = names() else { return invalid("params must be a list of strings") };
                let together: BTreeSet<&str> = self.names().chain(names.iter().copied()).collect();
                if together.len() > MOST_STREAMS {
                    return invalid(&format!("a connection carries at most {MOST_STREAMS} streams"));
                }
                for name in names {
                    self.subscribe(name, None);
                }
                json!({"result": null, "id": id})
            }
            Some("UNSUBSCRIBE") => {
                let Some(names) = names() else { return invalid("params must be a list of strings") };
                self.streams.retain(|stream| !names.contains(&stream.name.as_str()));
                self.users.retain(|user| !names.contains(&user.key.as_str()));
                json!({"result": null, "id": id})
            }
            Some("LIST_SUBSCRIPTIONS") => json!({"result": self.names().collect::<Vec<_>>(), "id": id}),
            Some(method @ ("SET_PROPERTY" | "GET_PROPERTY")) => {
                let params = command.get("params").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
                match self.property(method == "SET_PROPERTY", params) {
                    Ok(result) => json!({"result": result, "id": id}),
                    Err((code, why)) => refused(code, why),
                }
            }
            Some(other) => invalid(&format!(
                "unknown variant `{other}`, expected one of SUBSCRIBE, UNSUBSCRIBE, LIST_SUBSCRIPTIONS, SET_PROPERTY, GET_PROPERTY"
            )),
            None => invalid("missing field `method`"),
        }
    }

    /// Reads or sets the one property there is: whether messages are wrapped. What is wrong comes with its code.
    fn property(&mut self, is_set: bool, params: &[Value]) -> Result<Value, (u8, &'static str)> {
        let most = if is_set { 2 } else { 1 };
        if params.len() > most {
            return Err((2, "Invalid request: too many parameters"));
        }
        match params.first().and_then(Value::as_str) {
            Some("combined") if is_set => {
                let wanted = params.get(1).and_then(Value::as_bool);
                self.combined = wanted.ok_or((1, "Invalid value type: expected Boolean"))?;
                Ok(Value::Null)
            }
            Some("combined") => Ok(Value::Bool(self.combined)),
            Some(_) => Err((0, "Unknown property")),
            None => Err((2, "Invalid request: property name must be a string")),
        }
    }
}

fn lets_through(events: Option<&[String]>, event: &str) -> bool {
    events.is_none_or(|events| events.iter().any(|allowed| allowed == event))
}
