//! One cycle, down to the exact words the model saw and said.

use super::unreadable;
use crate::desk::floor::Floor;
use crate::domain::{CycleId, CyclePage, TurnPage, Untrusted};
use crate::store::{ModelCall, StoreError};

impl Floor {
    pub(super) async fn cycle_page(&self, id: &CycleId) -> Result<CyclePage, String> {
        let store = &self.shared.store;
        let line = store.cycle_line(id).await.map_err(|error| unreadable(&error))?;
        let line = line.ok_or_else(|| format!("there is no cycle {id} in this store"))?;
        let behind = async {
            let (system_prompt, user_prompt) = store.prompts_of(id).await?;
            Ok::<_, StoreError>(CyclePage {
                line,
                report: store.report(id).await?,
                system_prompt,
                user_prompt,
                turns: store.model_calls_of(id).await?.into_iter().map(turn).collect(),
                tool_calls: store.tool_calls_of(id).await?,
                orders: store.orders_of_cycle(id).await?,
                fills: store.fills_of_cycle(id).await?,
            })
        };
        behind.await.map_err(|error| unreadable(&error))
    }
}

fn turn(call: ModelCall) -> TurnPage {
    TurnPage {
        iteration: call.iteration,
        request_bytes: call.request.len() as u64,
        response: Untrusted::new(String::from_utf8_lossy(&call.response)),
        stop_reason: call.stop_reason,
        usage: call.usage,
        ms: call.ms,
        error: call.error,
    }
}
