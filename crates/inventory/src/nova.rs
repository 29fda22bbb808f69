//! In: a server's id.
//! Out: what Nova keeps of its console, or by name why there is none.
//! Never: changes a server, waits longer than it was told to, or asks for more than a few consoles at once.

use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use tokio::sync::Semaphore;
use uuid::Uuid;

use crate::console::Silence;
use crate::error::CloudError;
use crate::keystone::{Keystone, Service};

/// Consoles that are asked for at once: Nova's compute nodes answer them one by one.
const AT_ONCE: usize = 4;
/// libvirt keeps 100 KiB; what is longer is no console.
const LONGEST: usize = 1 << 20;

/// Nova's API, as far as it is needed.
pub(crate) struct Nova {
    keystone: Arc<Keystone>,
    places: Semaphore,
}

#[derive(Deserialize)]
struct Output {
    output: Option<String>,
}

impl Nova {
    pub(crate) fn new(keystone: Arc<Keystone>) -> Self {
        Self {
            keystone,
            places: Semaphore::new(AT_ONCE),
        }
    }

    /// All that is kept of a console.
    ///
    /// # Errors
    /// By name, why there is nothing.
    pub(crate) async fn console(
        &self,
        server: Uuid,
        patience: Duration,
    ) -> Result<String, Silence> {
        let asked = async {
            let _place = self.places.acquire().await;
            self.ask(server).await
        };
        match tokio::time::timeout(patience, asked).await {
            Ok(outcome) => outcome,
            Err(_late) => Err(Silence::Failed(format!(
                "Nova did not give its console within {} s",
                patience.as_secs_f32()
            ))),
        }
    }

    async fn ask(&self, server: Uuid) -> Result<String, Silence> {
        let failed = |error: CloudError| Silence::Failed(error.to_string());
        let server = server.hyphenated().to_string();
        // Without a length: all that is kept. With one, Nova counts lines from the end, and the block is at the begin.
        let path = ["v2.1", "servers", server.as_str(), "action"];
        let body = r#"{"os-getConsoleOutput":{}}"#;
        let answer = self.keystone.post(Service::Nova, &path, body).await;
        let answer = answer.map_err(failed)?;
        match answer.status {
            404 => return Err(Silence::Missing),
            409 => return Err(Silence::NotReady),
            501 => return Err(Silence::NotKept),
            _ => {}
        }
        let what = answer.what.clone();
        let body = answer.success().map_err(failed)?;
        let garbage = |why: String| {
            failed(CloudError::Garbage {
                service: "Nova",
                what: what.clone(),
                why,
            })
        };
        let read = serde_json::from_slice::<Output>(&body);
        let text = read
            .map_err(|error| garbage(format!("line {}: no console in it", error.line())))?
            .output
            .unwrap_or_default();
        match text.len() {
            0..=LONGEST => Ok(text),
            _ => Err(garbage(format!("a console of more than {LONGEST} bytes"))),
        }
    }
}
