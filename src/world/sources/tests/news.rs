//! The newsroom.

use super::*;

#[tokio::test]
async fn stories_have_finnhubs_shape_newest_first() {
    for category in ["general", "crypto", "forex"] {
        let answer = json(&format!("/api/v1/news?category={category}")).await;
        let stories = answer.as_array().unwrap();
        assert!(stories.len() > 3, "{category}: {}", stories.len());
        for story in stories {
            assert_eq!(
                keys(story),
                ["category", "datetime", "headline", "id", "image", "related", "source", "summary", "url"]
            );
            assert_eq!(story["category"], category);
            assert_eq!(story["source"], BUILT_IN);
            assert!(story["datetime"].as_i64().unwrap() * 1000 <= at(NOW));
            assert!(!story["headline"].as_str().unwrap().is_empty());
        }
        let ids: Vec<i64> = stories.iter().map(|story| story["id"].as_i64().unwrap()).collect();
        assert!(ids.windows(2).all(|pair| pair[0] > pair[1]), "{ids:?}");
        let later = json(&format!("/api/v1/news?category={category}&minId={}", ids[2])).await;
        assert_eq!(later.as_array().unwrap()[..], stories[..2]);
    }
}

#[tokio::test]
async fn a_story_once_out_stays_as_it_is() {
    let early = json("/api/v1/news?category=crypto").await;
    let late = json_at("/api/v1/news?category=crypto", "2026-11-21T15:47:10Z").await;
    let late = late.as_array().unwrap();
    let newest_day = at(NOW) / 1000 - 86_400;
    for story in early.as_array().unwrap() {
        if story["datetime"].as_i64().unwrap() > newest_day {
            assert!(late.contains(story), "{story}");
        }
    }
}

#[tokio::test]
async fn a_jump_makes_a_headline_afterwards_and_never_before() {
    let moment = at(NOW) + 60_000;
    let mut market = MARKET.clone();
    let bitcoin = Symbol::new("BTCUSDT").unwrap();
    let price = market.quote(&bitcoin, at(NOW)).unwrap().last;
    market.extend_to(moment + 7_200_000);
    market.jump(&bitcoin, moment, (price * Decimal::new(85, 2)).round_dp(1)).unwrap();
    let clock = Arc::new(ManualClock::new(NOW.parse().unwrap()));
    let router = router(Arc::new(RwLock::new(market)), clock.clone(), None);
    let headlines = async |now: i64, category: &str| -> Vec<(i64, String)> {
        clock.set(chrono::DateTime::from_timestamp_millis(now).unwrap());
        let path = format!("/api/v1/news?category={category}");
        let body = ask(router.clone(), &path, Some("k")).await.2;
        let stories: Vec<Value> = serde_json::from_str(&body).unwrap();
        stories
            .iter()
            .map(|story| (story["datetime"].as_i64().unwrap() * 1000, story["headline"].to_string()))
            .collect()
    };
    let of_the_jump = |found: &(i64, String)| found.1.contains("Bitcoin") && found.1.contains("in minutes");
    let before = headlines(moment, "crypto").await;
    assert!(!before.iter().any(|found| of_the_jump(found) && found.0 > moment - 600_000));
    let after = headlines(moment + 1_800_000, "crypto").await;
    let story = after.iter().find(|found| of_the_jump(found)).expect("a headline about the jump");
    assert!(story.0 > moment, "news follow prices");
    let general = headlines(moment + 1_800_000, "general").await;
    assert!(general.iter().any(|found| found.1.contains("risk appetite")), "{general:?}");
}

#[tokio::test]
async fn feeds_are_well_formed_rss() {
    for feed in ["general", "crypto", "forex", "crypto.xml"] {
        let (status, kind, body) = get_at(&format!("/rss/{feed}"), NOW).await;
        assert_eq!(status, StatusCode::OK);
        assert!(kind.starts_with("application/rss+xml"));
        assert!(
            body.starts_with("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<rss version=\"2.0\"><channel>")
        );
        assert!(body.contains(&format!("<title>{BUILT_IN}: ")));
        for tag in ["item", "title", "link", "guid", "pubDate", "description"] {
            let opened =
                body.matches(&format!("<{tag}>")).count() + body.matches(&format!("<{tag} ")).count();
            assert_eq!(opened, body.matches(&format!("</{tag}>")).count(), "{tag}");
        }
        assert!(!body.replace("&amp;", "").replace("&lt;", "").replace("&gt;", "").contains('&'));
        let date = body.split("<pubDate>").nth(1).unwrap().split('<').next().unwrap();
        assert!(chrono::DateTime::parse_from_rfc2822(date).is_ok(), "{date}");
    }
}

#[tokio::test]
async fn a_great_figure_is_awaited_and_then_reported() {
    let morning = json_at("/api/v1/news?category=general", "2026-12-04T06:00:00Z").await.to_string();
    assert!(morning.contains("Traders wait for US Non-Farm Employment Change"), "{morning}");
    assert!(!morning.contains("\"US Non-Farm"));
    let noon = json_at("/api/v1/news?category=general", "2026-12-04T13:45:00Z").await.to_string();
    assert!(noon.contains("\"US Non-Farm Employment Change: "), "{noon}");
}
