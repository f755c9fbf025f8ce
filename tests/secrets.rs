//! Keys are planted where an operator keeps them, the real program runs on them through good days and bad ones, and
//! then everything it wrote or printed is searched for them in every usual encoding.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io::Read;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use hmac::{Hmac, KeyInit, Mac};
use jarvis::domain::{AccountName, SystemClock, Usdt};
use jarvis::world::{World, WorldKey, WorldOptions};
use portable_pty::{CommandBuilder, PtySize, native_pty_system};
use sha2::Sha256;
use tower::ServiceExt;

/// Characters that JSON and URLs escape, so that no encoding is the plain text in disguise.
const API_KEY: &str = r#"Kx"9%+/planted\exchange&key~7731"#;
const API_SECRET: &str = r#"Sx"2%+/planted\exchange&secret~4482"#;
const MODEL_KEY: &str = r#"Mx"5%+/planted\model&key~9057"#;
const NEWS_TOKEN: &str = r#"Fx"8%+/planted\news&token~1269"#;
const PLANTED: [&str; 4] = [API_KEY, API_SECRET, MODEL_KEY, NEWS_TOKEN];

/// A world behind the planted keys: what comes in with them is signed anew with the world's own.
struct Exchange {
    world: Arc<World>,
    key: WorldKey,
    /// Answers every request with an error that quotes it whole, as a careless server in between does.
    quoting: AtomicBool,
    /// Does so with requests for a private stream.
    streamless: AtomicBool,
    /// Planted keys that arrived, and what was made from them: signatures.
    arrived: Mutex<BTreeSet<&'static str>>,
    derived: Mutex<BTreeSet<String>>,
}

impl Exchange {
    fn serve() -> (Arc<Self>, SocketAddr) {
        let options = WorldOptions {
            seed: 3,
            accounts: vec![AccountName::new("mirat").unwrap()],
            balance: Usdt::of(1000.into()),
            speed: 1.0,
            token_delay: Duration::ZERO,
            enforce_limits: false,
            recorded: None,
            state_file: None,
        };
        let world = World::open(options, Arc::new(SystemClock)).unwrap();
        let key = world.keys().remove(0);
        let exchange = Arc::new(Self {
            world,
            key,
            quoting: AtomicBool::new(false),
            streamless: AtomicBool::new(false),
            arrived: Mutex::default(),
            derived: Mutex::default(),
        });
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let serving = Arc::clone(&exchange);
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async move {
                tokio::spawn(Arc::clone(&serving.world).drive());
                let listener = tokio::net::TcpListener::from_std(listener).unwrap();
                axum::serve(listener, Router::new().fallback(answer).with_state(serving)).await.unwrap();
            });
        });
        (exchange, address)
    }

    fn note(&self, what: &'static str, found: Option<&http::HeaderValue>) {
        let bare = |found: &http::HeaderValue| {
            let text = String::from_utf8_lossy(found.as_bytes()).into_owned();
            text.trim_start_matches("Bearer ") == what
        };
        if found.is_some_and(bare) {
            self.arrived.lock().unwrap().insert(what);
        }
    }

    fn sign(secret: &str, payload: &str) -> String {
        let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
        mac.update(payload.as_bytes());
        hex::encode(mac.finalize().into_bytes())
    }

    /// The text with its signature replaced by the world's, after checking that it was made with the planted secret.
    fn signed_anew(&self, text: &str) -> String {
        let Some((payload, signature)) = text.split_once("&signature=") else { return text.to_owned() };
        if Self::sign(API_SECRET, payload) == signature {
            self.arrived.lock().unwrap().insert(API_SECRET);
        }
        self.derived.lock().unwrap().insert(signature.to_owned());
        format!("{payload}&signature={}", Self::sign(&self.key.api_secret, payload))
    }
}

async fn answer(State(exchange): State<Arc<Exchange>>, request: Request) -> Response {
    let (mut parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, 16 << 20).await.unwrap();
    exchange.note(API_KEY, parts.headers.get("x-mbx-apikey"));
    exchange.note(MODEL_KEY, parts.headers.get("authorization"));
    exchange.note(NEWS_TOKEN, parts.headers.get("x-finnhub-token"));
    let is_listen_key = parts.uri.path() == "/fapi/v1/listenKey";
    if exchange.quoting.load(Ordering::SeqCst) || is_listen_key && exchange.streamless.load(Ordering::SeqCst)
    {
        let mut quoted = format!("{} {}\n", parts.method, parts.uri);
        for (name, value) in &parts.headers {
            writeln!(quoted, "{name}: {}", String::from_utf8_lossy(value.as_bytes())).unwrap();
        }
        quoted.push_str(&String::from_utf8_lossy(&body));
        let status = if parts.uri.path().starts_with("/v1/") { 401 } else { 400 };
        return Response::builder().status(status).body(Body::from(quoted)).unwrap();
    }
    let is_keyed = parts.headers.contains_key("x-mbx-apikey");
    let mut body = body;
    if is_keyed {
        parts.headers.insert("x-mbx-apikey", exchange.key.api_key.parse().unwrap());
        if let Some(query) = parts.uri.query() {
            let path = format!("{}?{}", parts.uri.path(), exchange.signed_anew(query));
            parts.uri = path.parse().unwrap();
        }
        body = exchange.signed_anew(&String::from_utf8_lossy(&body)).into();
        parts.headers.remove("content-length");
    }
    exchange.world.router().oneshot(Request::from_parts(parts, Body::from(body))).await.unwrap()
}

/// A home folder with settings for the exchange at `address`, the keys in the environment and in private files.
struct Home {
    folder: tempfile::TempDir,
    printed: Vec<(String, Vec<u8>)>,
}

impl Home {
    fn new(address: SocketAddr) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let secret = folder.path().join("exchange-secret");
        let model = folder.path().join("model-key");
        for (path, text) in [(&secret, API_SECRET), (&model, MODEL_KEY)] {
            std::fs::write(path, text).unwrap();
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
        }
        let settings = format!(
            r#"
            mode = "testnet"
            [schedule]
            cron = "0 0 0 1 1 *"
            [model]
            provider = "anthropic"
            base_url = "http://{address}"
            api_key_file = "{}"
            [market]
            base_url = "http://{address}"
            [exchange]
            base_url = "http://{address}"
            [[account]]
            name = "mirat"
            symbols = ["BTCUSDT", "ETHUSDT"]
            api_key_env = "PLANTED_KEY"
            api_secret_file = "{}"
            "#,
            model.display(),
            secret.display()
        );
        let config = folder.path().join(".config/jarvis");
        std::fs::create_dir_all(&config).unwrap();
        std::fs::write(config.join("jarvis.toml"), settings).unwrap();
        Self { folder, printed: Vec::new() }
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn environment(&self) -> [(&'static str, String); 5] {
        [
            ("HOME", self.path().display().to_string()),
            ("PLANTED_KEY", API_KEY.to_owned()),
            ("FINNHUB_API_KEY", NEWS_TOKEN.to_owned()),
            ("RUST_BACKTRACE", "full".to_owned()),
            ("TERM", "xterm-256color".to_owned()),
        ]
    }

    fn run(&mut self, arguments: &[&str]) -> Output {
        let output = assert_cmd::Command::cargo_bin("jarvis")
            .unwrap()
            .env_clear()
            .envs(self.environment())
            .args(arguments)
            .output()
            .unwrap();
        self.printed.push((format!("stdout of {arguments:?}"), output.stdout.clone()));
        self.printed.push((format!("stderr of {arguments:?}"), output.stderr.clone()));
        output
    }

    /// The console with its own log, at an exchange that opens no private stream and quotes who asked for one: once it
    /// shows the account and has something in its log, it is asked to end.
    fn run_console(&mut self, exchange: &Exchange) {
        let size = PtySize { rows: 40, cols: 120, pixel_width: 0, pixel_height: 0 };
        let pty = native_pty_system().openpty(size).unwrap();
        let mut command = CommandBuilder::new(env!("CARGO_BIN_EXE_jarvis"));
        command.env_clear();
        for (name, value) in self.environment() {
            command.env(name, value);
        }
        command.arg("-vv");
        exchange.streamless.store(true, Ordering::SeqCst);
        let mut child = pty.slave.spawn_command(command).unwrap();
        drop(pty.slave);
        let mut reader = pty.master.try_clone_reader().unwrap();
        let mut screen = vt100::Parser::new(size.rows, size.cols, 0);
        let mut all = Vec::new();
        let mut buffer = [0; 4096];
        let mut asked = false;
        while let Ok(length @ 1..) = reader.read(&mut buffer) {
            screen.process(&buffer[..length]);
            all.extend_from_slice(&buffer[..length]);
            let shows = screen.screen().contents().contains("mirat");
            if shows && !asked && self.logs().iter().any(|file| std::fs::metadata(file).unwrap().len() > 0) {
                let id = child.process_id().unwrap().to_string();
                assert!(std::process::Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
                asked = true;
            }
        }
        assert!(child.wait().unwrap().success(), "{}", screen.screen().contents());
        self.printed.push(("the screen".to_owned(), all));
        self.printed.push(("the screen's text".to_owned(), screen.screen().contents().into_bytes()));
    }

    fn logs(&self) -> Vec<PathBuf> {
        let mut files = Vec::new();
        let folder = self.path().join(".local/share/jarvis/logs");
        if folder.exists() {
            collect(&folder, &mut files);
        }
        files
    }

    /// Everything that was printed or lies in the home folder, but for the files that hold the keys by design.
    fn everything(&self) -> Vec<(String, Vec<u8>)> {
        let mut all = self.printed.clone();
        let mut files = Vec::new();
        collect(self.path(), &mut files);
        files.retain(|file| {
            let name = file.file_name().unwrap().to_string_lossy();
            !["exchange-secret", "model-key"].contains(&name.as_ref())
        });
        // The bytes of all files first: whoever opens a database and closes it takes its write-ahead log away.
        for file in &files {
            all.push((file.display().to_string(), std::fs::read(file).unwrap()));
        }
        for file in files.iter().filter(|file| file.extension().is_some_and(|extension| extension == "db")) {
            all.append(&mut rows(file));
        }
        all
    }
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { collect(&path, files) } else { files.push(path) }
    }
}

/// Every value of every table, and what it unpacks to.
fn rows(file: &Path) -> Vec<(String, Vec<u8>)> {
    let database = rusqlite::Connection::open(file).unwrap();
    let mut tables = database.prepare("SELECT name FROM sqlite_master WHERE type = 'table'").unwrap();
    let tables: Vec<String> = tables.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
    let mut all = Vec::new();
    for table in tables {
        let mut select = database.prepare(&format!("SELECT * FROM \"{table}\"")).unwrap();
        let columns = select.column_count();
        let mut found = select.query([]).unwrap();
        while let Some(row) = found.next().unwrap() {
            for column in 0..columns {
                let value = row.get_ref(column).unwrap();
                let Some(bytes) = value.as_bytes_or_null().unwrap_or_default() else { continue };
                if bytes.starts_with(&[0x1f, 0x8b]) {
                    let mut plain = Vec::new();
                    flate2::read::GzDecoder::new(bytes).read_to_end(&mut plain).unwrap();
                    all.push((format!("{table}, unpacked"), plain));
                }
                all.push((table.clone(), bytes.to_vec()));
            }
        }
    }
    all
}

fn base64(bytes: &[u8], alphabet_end: [u8; 2]) -> String {
    let mut alphabet: Vec<u8> = (b'A'..=b'Z').chain(b'a'..=b'z').chain(b'0'..=b'9').collect();
    alphabet.extend(alphabet_end);
    let mut out = String::new();
    for chunk in bytes.chunks_exact(3) {
        let joined = u32::from(chunk[0]) << 16 | u32::from(chunk[1]) << 8 | u32::from(chunk[2]);
        for shift in [18, 12, 6, 0] {
            out.push(char::from(alphabet[(joined >> shift & 63) as usize]));
        }
    }
    out
}

/// A secret as it might be written: each with the name of the way.
fn forms(secret: &str) -> Vec<(String, String)> {
    let mut all = vec![
        ("plain".to_owned(), secret.to_owned()),
        ("reversed".to_owned(), secret.chars().rev().collect()),
        ("JSON".to_owned(), serde_json::to_string(secret).unwrap().trim_matches('"').to_owned()),
        ("debug".to_owned(), format!("{secret:?}").trim_matches('"').to_owned()),
        ("hex".to_owned(), hex::encode(secret)),
        ("HEX".to_owned(), hex::encode_upper(secret)),
        ("bytes".to_owned(), format!("{:?}", secret.as_bytes()).trim_matches(['[', ']']).to_owned()),
    ];
    let mut percent = [String::new(), String::new(), String::new()];
    let mut unicode = String::new();
    for byte in secret.bytes() {
        write!(percent[0], "%{byte:02X}").unwrap();
        let plain = byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
        for (text, upper) in [(1, true), (2, false)] {
            match (plain, upper) {
                (true, _) => percent[text].push(char::from(byte)),
                (false, true) => write!(percent[text], "%{byte:02X}").unwrap(),
                (false, false) => write!(percent[text], "%{byte:02x}").unwrap(),
            }
        }
        write!(unicode, "\\u{byte:04x}").unwrap();
    }
    all.extend(percent.map(|text| ("percent".to_owned(), text)));
    all.push(("unicode escapes".to_owned(), unicode));
    for end in [*b"+/", *b"-_"] {
        for before in 0..3 {
            let mut padded = vec![0; before];
            padded.extend(secret.bytes());
            let text = base64(&padded, end);
            // The first group is shared with what stands before.
            all.push((format!("base64 at {before}"), text[if before == 0 { 0 } else { 4 }..].to_owned()));
        }
    }
    all
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle)
}

fn leaks(everything: &[(String, Vec<u8>)], secret: &str) -> Vec<String> {
    let forms = forms(secret);
    let mut found = Vec::new();
    for (place, bytes) in everything {
        for (form, text) in &forms {
            if contains(bytes, text.as_bytes()) {
                found.push(format!("{}… as {form} in {place}", &secret[..2]));
            }
        }
    }
    found
}

#[test]
fn no_planted_key_is_found_in_anything_the_program_writes() {
    let (exchange, address) = Exchange::serve();
    let mut home = Home::new(address);

    // A good day: a cycle that trades, the prompt, settings for a newcomer, and the console.
    let cycle = home.run(&["cycle", "--json", "-vv"]);
    assert!(
        matches!(cycle.status.code(), Some(0 | 4)),
        "{}{}",
        String::from_utf8_lossy(&cycle.stdout),
        String::from_utf8_lossy(&cycle.stderr)
    );
    home.run(&["prompt", "show", "-vv"]);
    home.run(&["prompt", "show", "--json", "-vv"]);
    let new_settings = home.path().join("new.toml").display().to_string();
    assert!(home.run(&["init", "-vv", "--config", &new_settings]).status.success());
    home.run_console(&exchange);
    let arrived = exchange.arrived.lock().unwrap().clone();
    assert_eq!(arrived, PLANTED.into(), "every planted key was used on the way");

    // A bad day: everything it sends comes back in errors.
    exchange.quoting.store(true, Ordering::SeqCst);
    assert!(!home.run(&["cycle", "-vv"]).status.success());
    assert!(!home.run(&["cycle", "--json", "-vv"]).status.success());
    home.run(&["prompt", "show", "-vv"]);

    // A start that fails: the key file is open to others, then empty of the key's own place.
    let secret = home.path().join("exchange-secret");
    std::fs::set_permissions(&secret, std::fs::Permissions::from_mode(0o640)).unwrap();
    let refused = home.run(&["cycle", "-vv"]);
    assert_eq!(refused.status.code(), Some(3), "{}", String::from_utf8_lossy(&refused.stderr));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("chmod 600"));

    let everything = home.everything();
    assert!(everything.len() > 100, "{} places", everything.len());
    let mut found: Vec<String> = PLANTED.iter().flat_map(|secret| leaks(&everything, secret)).collect();
    let derived = exchange.derived.lock().unwrap().clone();
    assert!(derived.len() > 10, "{derived:?}");
    for (place, bytes) in &everything {
        let told = derived.iter().filter(|secret| contains(bytes, secret.as_bytes()));
        found.extend(told.map(|_| format!("a signature in {place}")));
    }
    assert_eq!(found, Vec::<String>::new());

    let files = home.logs();
    assert!(!files.is_empty());
    for file in files {
        let facts = std::fs::metadata(&file).unwrap();
        assert!(facts.len() > 0);
        assert_eq!(facts.permissions().mode() & 0o777, 0o600, "{}", file.display());
    }
}

#[test]
fn every_encoding_of_a_secret_is_found_wherever_it_stands() {
    let engine_encoded = |before: &str| {
        let text = format!("{before}{MODEL_KEY}xx");
        base64(text.as_bytes(), *b"+/")
    };
    let places = [
        format!("a {MODEL_KEY} b"),
        MODEL_KEY.chars().rev().collect(),
        serde_json::json!({ "key": MODEL_KEY }).to_string(),
        format!("{:?}", Some(MODEL_KEY)),
        hex::encode(MODEL_KEY),
        hex::encode_upper(MODEL_KEY),
        "Mx%225%25%2B%2Fplanted%5Cmodel%26key~9057".to_owned(),
        engine_encoded(""),
        engine_encoded("a"),
        engine_encoded("ab"),
        format!("{:?}", MODEL_KEY.as_bytes()),
    ];
    for place in places {
        assert!(!leaks(&[("here".to_owned(), place.clone().into_bytes())], MODEL_KEY).is_empty(), "{place}");
    }
    assert!(leaks(&[("here".to_owned(), b"nothing of the kind".to_vec())], MODEL_KEY).is_empty());
}

#[test]
fn key_files_that_others_may_read_are_refused_whatever_the_width() {
    let (_exchange, address) = Exchange::serve();
    for mode in [0o604, 0o640, 0o620, 0o601, 0o644, 0o666, 0o777] {
        let mut home = Home::new(address);
        let file = home.path().join("model-key");
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).unwrap();
        let refused = home.run(&["cycle"]);
        let told = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert_eq!(refused.status.code(), Some(3), "{mode:o}: {told}");
        assert!(told.contains("model.api_key_file") && told.contains("line "), "{told}");
        // Refused before anything was opened.
        assert!(!home.path().join(".local/share/jarvis/jarvis.db").exists());
    }
}
