//! The frontend over loopback: real HTTP, real request plane, discovery in memory, scripted workers.
//! Must clean up by dropping: servers, tasks and files end with their owners.

mod client;
mod disagg;
mod failures;
mod serving;
mod shutdown;
mod worker;

use std::net::IpAddr;
use std::time::Duration;

use dynamo_runtime::transport::TransportSettings;
use dynamo_runtime::{Discovery, ModelCard, ModelType, PushClient};

use crate::fixture;
use crate::flags::HttpSettings;
use crate::{Frontend, FrontendConfig};

const LOCAL: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);
const MODEL: &str = "Org/Echo-Model";

/// A frontend with an empty graph around it.
struct World {
    frontend: Frontend,
    discovery: Discovery,
    card: ModelCard,
    _model: tempfile::TempDir,
}

impl World {
    async fn start(change: impl FnOnce(&mut FrontendConfig)) -> Self {
        let model = fixture::model_dir();
        let card = ModelCard::from_local_dir(model.path(), MODEL).expect("the fixture makes a card");
        let mut config = FrontendConfig {
            host: LOCAL,
            port: 0,
            patience: Duration::from_secs(2),
            http: HttpSettings { pre_drain: Duration::from_millis(300), ..HttpSettings::default() },
            ..FrontendConfig::default()
        };
        change(&mut config);
        let discovery = Discovery::memory();
        let client = PushClient::start(LOCAL, TransportSettings::default()).await.expect("a port is free");
        let frontend = Frontend::start(config, discovery.clone(), client).await.expect("a port is free");
        Self { frontend, discovery, card, _model: model }
    }

    fn prefill_card(&self) -> ModelCard {
        ModelCard { model_type: ModelType::PREFILL, ..self.card.clone() }
    }

    /// Waits until the model list holds exactly `count` names.
    async fn models(&self, count: usize) {
        for _ in 0..500 {
            let answer = client::get(self.frontend.address(), "/v1/models").await;
            if answer.json()["data"].as_array().map(Vec::len) == Some(count) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("the frontend did not come to {count} models");
    }

    async fn metrics(&self) -> String {
        client::get(self.frontend.address(), "/metrics").await.body
    }

    /// Waits until the metrics hold a line.
    async fn metric(&self, line: &str) {
        let mut last = String::new();
        for _ in 0..500 {
            last = self.metrics().await;
            if last.lines().any(|candidate| candidate == line) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("`{line}` is not in\n{last}");
    }
}
