//! One cycle, down to the exact words the model saw and said.

use super::unreadable;
use crate::desk::floor::Floor;
use crate::domain::{CycleId, CyclePage, ToolCallPage, ToolCallRecord, TurnPage, Untrusted};
use crate::store::{ModelCall, StoreError};

impl Floor {
    pub(super) async fn cycle_page(&self, id: &CycleId) -> Result<CyclePage, String> {
        let store = &self.shared.store;
        let line = store.cycle_line(id).await.map_err(|error| unreadable(&error))?;
        let line = line.ok_or_else(|| format!("there is no cycle {id} in this store"))?;
        let behind = async {
            let (system_prompt, user_prompt) = store.prompts_of(id).await?.unzip();
            Ok::<_, StoreError>(CyclePage {
                line,
                report: store.report(id).await?,
                system_prompt: system_prompt.map(Untrusted::new),
                user_prompt: user_prompt.map(Untrusted::new),
                turns: store.model_calls_of(id).await?.into_iter().map(turn).collect(),
                tool_calls: store.tool_calls_of(id).await?.into_iter().map(tool_call).collect(),
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
        request_id: call.request_id,
        rate_limits: call.rate_limits,
        usage: call.usage,
        ms: call.ms,
        error: call.error,
    }
}

fn tool_call((iteration, call, body): (u32, ToolCallRecord, Vec<u8>)) -> ToolCallPage {
    ToolCallPage {
        iteration,
        endpoint: call.endpoint,
        params: Untrusted::new(call.params.to_string()),
        status: call.status,
        bytes: call.bytes,
        ms: call.ms,
        body: Untrusted::new(String::from_utf8_lossy(&body)),
    }
}
