//! One word for where an object stands (`api.md` 13), by which metrics count objects (`operator-process.md` 11).
//! Reads the status alone; must not decide anything about the object.

use super::{
    CheckpointPhase, DynamoCheckpoint, DynamoComponentDeployment, DynamoGraphDeployment,
    DynamoGraphDeploymentRequest, DynamoGraphDeploymentScalingAdapter,
    DynamoGraphDeploymentScalingAdapterStatus, DynamoModel, DynamoModelStatus, RequestState,
};
use crate::conditions::{TRUE, state, types};

/// A kind whose objects are counted by their state.
pub trait State {
    /// The word for where the object stands; never empty.
    fn state(&self) -> &str;
}

impl State for DynamoGraphDeployment {
    /// `status.state` as it is, `unknown` without one.
    fn state(&self) -> &str {
        self.status.as_ref().and_then(|status| status.state.as_deref()).unwrap_or(state::UNKNOWN)
    }
}

impl State for DynamoGraphDeploymentRequest {
    /// `status.state` as it is, `unknown` without one.
    fn state(&self) -> &str {
        let state = self.status.as_ref().and_then(|status| status.state.as_ref());
        state.map(RequestState::as_str).filter(|text| !text.is_empty()).unwrap_or(state::UNKNOWN)
    }
}

impl State for DynamoComponentDeployment {
    /// `ready` when the condition Available is true.
    fn state(&self) -> &str {
        let mut conditions = self.status.iter().flat_map(|status| &status.conditions);
        ready_or_not(conditions.any(|it| it.type_ == types::AVAILABLE && it.status == TRUE))
    }
}

impl State for DynamoModel {
    /// `ready` when there are endpoints and all are ready. A base model has none that is.
    fn state(&self) -> &str {
        let ready = |status: &DynamoModelStatus| {
            status.total_endpoints > 0 && status.ready_endpoints == status.total_endpoints
        };
        ready_or_not(self.status.as_ref().is_some_and(ready))
    }
}

impl State for DynamoGraphDeploymentScalingAdapter {
    /// `ready` when autoscalers can use it: its selector is set and there are replicas.
    fn state(&self) -> &str {
        let ready = |status: &DynamoGraphDeploymentScalingAdapterStatus| {
            status.selector.is_some() && status.replicas.is_some_and(|replicas| replicas > 0)
        };
        ready_or_not(self.status.as_ref().is_some_and(ready))
    }
}

impl State for DynamoCheckpoint {
    /// `status.phase` as it is, `unknown` without one.
    fn state(&self) -> &str {
        let phase = self.status.as_ref().and_then(|status| status.phase.as_ref());
        phase.map(CheckpointPhase::as_str).filter(|text| !text.is_empty()).unwrap_or(state::UNKNOWN)
    }
}

fn ready_or_not(ready: bool) -> &'static str {
    if ready { state::READY } else { state::NOT_READY }
}
