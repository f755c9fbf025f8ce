//! The prompt files as an operator edits them.

use crate::desk::floor::Floor;
use crate::desk::prompt::lint::Remark;
use crate::domain::{PromptFile, PromptPage, PromptRemark};

impl Floor {
    /// One prompt file, the first that is used when none is named.
    pub(super) fn prompt_page(&self, name: Option<&str>) -> Result<PromptPage, String> {
        let prompts = &self.prompts;
        let names = prompts.names();
        let is_used = |name: &str| prompts.uses(name);
        let name = name.or_else(|| names.into_iter().find(|name| is_used(name))).unwrap_or(names[0]);
        let read = |name: &str| prompts.text(name).map_err(|error| error.to_string());
        let (text, is_override) = read(name)?;
        let files = names
            .into_iter()
            .map(|name| {
                Ok(PromptFile { name: name.to_owned(), is_override: read(name)?.1, is_used: is_used(name) })
            })
            .collect::<Result<_, String>>()?;
        let remarks = if is_override { prompts.check(name, &text) } else { Vec::new() };
        Ok(PromptPage {
            files,
            name: name.to_owned(),
            built_in: prompts.built_in(name).map_err(|error| error.to_string())?.to_owned(),
            remarks: remarks.into_iter().map(told).collect(),
            is_usable: !is_override || prompts.is_usable(name, &text),
            text,
        })
    }
}

/// A remark as a console is told it.
pub(super) fn told(remark: Remark) -> PromptRemark {
    PromptRemark { weight: remark.weight, text: remark.text }
}
