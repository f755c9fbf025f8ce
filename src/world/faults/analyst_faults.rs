//! The analyst's bad days by name.

use crate::world::analyst::Fault;

const NAMES: [(&str, Fault); 11] = [
    ("truncate", Fault::Truncate),
    ("prose_only", Fault::ProseOnly),
    ("refuse", Fault::Refuse),
    ("stall", Fault::Stall),
    ("overload", Fault::Overload),
    ("overload_mid_stream", Fault::OverloadMidStream),
    ("malformed_rows", Fault::MalformedRows),
    ("duplicates", Fault::Duplicates),
    ("hallucinated_coin", Fault::HallucinatedCoin),
    ("always_long", Fault::AlwaysLong),
    ("gullible", Fault::Gullible),
];

/// The fault a name stands for; else which there are.
pub(super) fn named(name: &str) -> Result<Fault, String> {
    NAMES.iter().find(|(known, _)| *known == name).map(|(_, fault)| *fault).ok_or_else(|| {
        let known: Vec<&str> = NAMES.iter().map(|(name, _)| *name).collect();
        format!("unknown analyst fault `{name}`, expected one of {}", known.join(", "))
    })
}
