//! The prompt files as an operator edits them.

use crate::desk::floor::Floor;
use crate::desk::prompt::lint::{Remark, Weight};
use crate::domain::{PromptFile, PromptPage};

impl Floor {
    /// One prompt file, the first when none is named.
    pub(super) fn prompt_page(&self, name: Option<&str>) -> Result<PromptPage, String> {
        let prompts = &self.prompts;
        let names = prompts.names();
        let name = name.unwrap_or(names[0]);
        let read = |name: &str| prompts.text(name).map_err(|error| error.to_string());
        let (text, is_override) = read(name)?;
        let files = names
            .into_iter()
            .map(|name| Ok(PromptFile { name: name.to_owned(), is_override: read(name)?.1 }))
            .collect::<Result<_, String>>()?;
        let findings = if is_override { prompts.check(name, &text) } else { Vec::new() };
        Ok(PromptPage {
            files,
            name: name.to_owned(),
            built_in: prompts.built_in(name).map_err(|error| error.to_string())?.to_owned(),
            findings: findings.iter().map(told).collect(),
            text,
        })
    }
}

/// A remark in one line, its weight first.
pub(super) fn told(remark: &Remark) -> String {
    let weight = match remark.weight {
        Weight::Error => "error",
        Weight::Warning => "warning",
        Weight::Note => "note",
    };
    format!("{weight}: {}", remark.text)
}
