//! Whatever bytes come, the program goes on, and hears the next key.

use std::time::Duration;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use crate::pty::{Console, assert_restored};

/// What a broken line leaves behind: beginnings without an end.
#[rustfmt::skip]
const BEGINNINGS: &[&str] = &[
    "\u{1b}", "\u{1b}[", "\u{1b}[?", "\u{1b}[<", "\u{1b}[<0;", "\u{1b}[M", "\u{1b}[1;", "\u{1b}O", "\u{1b}P",
    "\u{1b}]", "\u{1b}_", "\u{1b}[201~", "\u{1b}[?2026", "\u{1b}[?1;2c",
];

/// Bytes that are sent: more by `JARVIS_MONKEY_BYTES`.
fn how_many() -> usize {
    std::env::var("JARVIS_MONKEY_BYTES").ok().and_then(|number| number.parse().ok()).unwrap_or(3_000)
}

fn seed() -> u64 {
    std::env::var("JARVIS_MONKEY_SEED").ok().and_then(|number| number.parse().ok()).unwrap_or(7)
}

/// Waits until the console shows a screen by its key, out of whatever is open. The silence between two tries ends what
/// was begun; a paste that was never ended takes the longest.
fn hears_keys(console: &mut Console) {
    for wait in [100, 200, 2_500, 2_500, 5_000, 10_000].map(Duration::from_millis) {
        for _ in 0..2 {
            console.press("\u{1b}");
            console.shows_within(wait, |_| false);
        }
        console.press("7");
        if !console.shows_within(wait, |text| text.contains("[7 Log]")) {
            continue;
        }
        console.press("1");
        if console.shows_within(wait, |text| text.contains("[1 Desk]")) {
            return;
        }
    }
    panic!("no key is heard any more; the screen:\n{}", console.text());
}

#[test]
fn no_bytes_make_the_console_deaf() {
    let seed = seed();
    println!("seed {seed}; JARVIS_MONKEY_SEED and JARVIS_MONKEY_BYTES take others");
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut console = Console::start(40, 120, &[]);
    console.wait_for("the desk", |text| text.contains("[Accounts]"));
    let mut sent = 0;
    while sent < how_many() {
        let mut burst = Vec::new();
        for _ in 0..=random.next_u32() % 200 {
            let [kind, byte, ..] = random.next_u32().to_le_bytes();
            match kind % 8 {
                0 => burst.extend_from_slice(BEGINNINGS[usize::from(byte) % BEGINNINGS.len()].as_bytes()),
                1 => burst.push(byte),
                _ => burst.push(b' ' + byte % 95),
            }
        }
        // Neither what leaves, nor what leaves through the palette or asks for leaving.
        burst.retain(|byte| !matches!(byte, b'q' | 3 | b'u'));
        console.press_bytes(&burst);
        sent += burst.len();
        hears_keys(&mut console);
    }
    // A paste whose end was lost.
    console.press("\u{1b}[200~flatten");
    hears_keys(&mut console);
    console.press("q");
    // Something was begun on the way, most likely.
    if console.shows_within(Duration::from_secs(1), |text| text.contains("[y/N]")) {
        console.press("y");
    }
    let (code, screen) = console.end();
    assert_eq!(code, 0);
    assert_restored(&screen);
}
