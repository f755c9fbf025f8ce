//! The alarms that nobody has acknowledged yet, so that neither an end nor a crash makes them go away.

use super::Store;
use super::error::StoreError;
use crate::domain::Alarm;

impl Store {
    /// The open alarms of this venue as they were kept last, oldest first.
    pub async fn open_alarms(&self) -> Result<Vec<Alarm>, StoreError> {
        let kept = self.meta(&self.alarms_key()).await?;
        Ok(kept.map(|text| serde_json::from_str(&text)).transpose()?.unwrap_or_default())
    }

    /// Keeps the open alarms of this venue in the place of those kept before.
    pub async fn keep_open_alarms(&self, open: &[Alarm]) -> Result<(), StoreError> {
        self.set_meta(&self.alarms_key(), &serde_json::to_string(open)?).await
    }

    fn alarms_key(&self) -> String {
        format!("open alarms {}", self.venue())
    }
}
