//! The prompt as a whole, on the sample input.

use super::*;

fn rendered(language: Language) -> RenderedPrompt {
    let templates = Templates::load(None, language).unwrap();
    render(&templates, &sample::full()).unwrap()
}

#[test]
fn the_turkish_prompt_reads_as_agreed() {
    insta::assert_snapshot!("user_tr", rendered(Language::Tr).user);
}

#[test]
fn the_english_prompt_reads_as_agreed() {
    insta::assert_snapshot!("user_en", rendered(Language::En).user);
}
