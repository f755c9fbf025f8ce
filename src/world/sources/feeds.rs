//! The newsroom's stories on Finnhub's wire and as RSS 2.0.

use std::fmt::Write as _;

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use super::news::{Category, Story, stories};
use super::{BUILT_IN, Parameters, Sources, finnhub_error, format_time, has_token};

/// Stories in one answer.
const MOST: usize = 100;

#[derive(Serialize)]
struct FinnhubStory {
    category: &'static str,
    /// Unix seconds.
    datetime: i64,
    headline: String,
    id: i64,
    image: &'static str,
    related: &'static str,
    source: &'static str,
    summary: String,
    url: String,
}

/// `GET /api/v1/news?category=general&minId=0`: newest first.
pub(super) async fn finnhub_news(
    State(sources): State<Sources>,
    Query(parameters): Parameters,
    headers: HeaderMap,
) -> Response {
    if !has_token(&parameters, &headers) {
        return finnhub_error(StatusCode::UNAUTHORIZED, "Please use an API key.");
    }
    let Some(category) = parameters.get("category").and_then(|word| Category::parse(word)) else {
        return finnhub_error(
            StatusCode::UNPROCESSABLE_ENTITY,
            "category: one of general, forex, crypto, merger is wanted",
        );
    };
    let Ok(after) = parameters.get("minId").map_or(Ok(0), |text| text.parse::<i64>()) else {
        return finnhub_error(StatusCode::UNPROCESSABLE_ENTITY, "minId: a whole number is wanted");
    };
    let found = stories(&sources.market(), category, sources.now());
    let rows: Vec<FinnhubStory> = found
        .into_iter()
        .filter(|story| story.id > after)
        .take(MOST)
        .map(|story| FinnhubStory {
            category: story.category.as_str(),
            datetime: story.at_ms / 1000,
            url: link(&story),
            headline: story.headline,
            id: story.id,
            image: "",
            related: story.related,
            source: BUILT_IN,
            summary: story.summary,
        })
        .collect();
    Json(rows).into_response()
}

/// An address that can never lead anywhere.
fn link(story: &Story) -> String {
    format!("https://built-in.invalid/{}/{}", story.category.as_str(), story.id)
}

/// `GET /rss/{general|crypto|forex}`, with or without `.xml`.
pub(super) async fn rss(State(sources): State<Sources>, Path(feed): Path<String>) -> Response {
    let word = feed.strip_suffix(".xml").unwrap_or(&feed);
    let Some(category) = Category::parse(word).filter(|category| *category != Category::Merger) else {
        return (StatusCode::NOT_FOUND, "feeds: general, crypto, forex").into_response();
    };
    let now = sources.now();
    let found = stories(&sources.market(), category, now);
    ([(header::CONTENT_TYPE, "application/rss+xml; charset=utf-8")], document(&found, category, now))
        .into_response()
}

fn document(stories: &[Story], category: Category, now: i64) -> String {
    let word = category.as_str();
    let mut xml = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<rss version=\"2.0\"><channel>\
         <title>{BUILT_IN}: {word}</title><link>https://built-in.invalid/{word}</link>\
         <description>Made-up stories about a made-up market</description><lastBuildDate>{}</lastBuildDate>\n",
        rfc822(now)
    );
    for story in stories.iter().take(MOST) {
        let address = link(story);
        // writing to a string cannot fail
        let _ = writeln!(
            xml,
            "<item><title>{}</title><link>{address}</link><guid isPermaLink=\"true\">{address}</guid>\
             <pubDate>{}</pubDate><description>{}</description><category>{word}</category></item>",
            escape(&story.headline),
            rfc822(story.at_ms),
            escape(&story.summary),
        );
    }
    xml + "</channel></rss>\n"
}

fn rfc822(at_ms: i64) -> String {
    format_time(at_ms, 0, "%a, %d %b %Y %H:%M:%S +0000")
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
