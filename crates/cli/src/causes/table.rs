//! The causes by rank, each with its name for programs and its meaning.
//! Words only: which cause holds is judged elsewhere.

use serde::Serialize;

/// Why a graph is not ready. Of causes that were found at the same place the first one of this list is read first:
/// what no waiting repairs, then what ends containers, then what keeps them from running, then what may just take time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum Kind {
    Deleting,
    OperatorSilent,
    Invalid,
    NoOrchestrator,
    WebhookDown,
    AdmissionDenied,
    QuotaExceeded,
    AccountMissing,
    PodSecurity,
    ApiMissing,
    NameTaken,
    WriteFailed,
    Paused,
    ImageMissing,
    ObjectMissing,
    ClaimMissing,
    ImagePull,
    ContainerRefused,
    ModelLoad,
    OutOfMemory,
    CrashLoop,
    NoGpu,
    ClaimUnbound,
    Unschedulable,
    MountFails,
    ProbeFails,
    PodOver,
    NotReadyYet,
    Late,
    Starting,
}

impl Kind {
    /// All of them, by rank.
    pub const ALL: [Self; 30] = [
        Self::Deleting,
        Self::OperatorSilent,
        Self::Invalid,
        Self::NoOrchestrator,
        Self::WebhookDown,
        Self::AdmissionDenied,
        Self::QuotaExceeded,
        Self::AccountMissing,
        Self::PodSecurity,
        Self::ApiMissing,
        Self::NameTaken,
        Self::WriteFailed,
        Self::Paused,
        Self::ImageMissing,
        Self::ObjectMissing,
        Self::ClaimMissing,
        Self::ImagePull,
        Self::ContainerRefused,
        Self::ModelLoad,
        Self::OutOfMemory,
        Self::CrashLoop,
        Self::NoGpu,
        Self::ClaimUnbound,
        Self::Unschedulable,
        Self::MountFails,
        Self::ProbeFails,
        Self::PodOver,
        Self::NotReadyYet,
        Self::Late,
        Self::Starting,
    ];

    /// The cause in a few words.
    pub fn title(self) -> &'static str {
        match self {
            Self::Deleting => "the graph is being deleted",
            Self::OperatorSilent => "no operator has judged the graph as it is now",
            Self::Invalid => "the specification breaks rules",
            Self::NoOrchestrator => "a service spans several nodes and the orchestrator for that is missing",
            Self::WebhookDown => "an admission webhook does not answer",
            Self::AdmissionDenied => "an admission webhook refuses an object",
            Self::QuotaExceeded => "the quota of the namespace is used up",
            Self::AccountMissing => "a ServiceAccount is missing",
            Self::PodSecurity => "the pod security level of the namespace refuses the pods",
            Self::ApiMissing => "an optional API is not installed",
            Self::NameTaken => "an object of the same name belongs to somebody else",
            Self::WriteFailed => "an object could not be written",
            Self::Paused => "the Deployment is paused",
            Self::ImageMissing => "the image cannot be had",
            Self::ImagePull => "the image is not pulled yet",
            Self::ObjectMissing => "a Secret or ConfigMap is missing",
            Self::ClaimMissing => "a PersistentVolumeClaim is missing",
            Self::ContainerRefused => "the node refuses to make the container",
            Self::ModelLoad => "the model cannot be loaded",
            Self::OutOfMemory => "a container needs more memory than its limit",
            Self::CrashLoop => "a container ends again and again",
            Self::NoGpu => "no node has enough free GPUs",
            Self::ClaimUnbound => "a PersistentVolumeClaim has no volume",
            Self::Unschedulable => "no node takes the pod",
            Self::MountFails => "a volume cannot be mounted",
            Self::ProbeFails => "a probe fails",
            Self::PodOver => "a pod is over",
            Self::NotReadyYet => "a container runs and is not ready yet",
            Self::Late => "the roll-out takes longer than its deadline",
            Self::Starting => "pods are starting",
        }
    }

    /// Whether the cause may go away while everybody waits.
    pub fn waiting_may_help(self) -> bool {
        !matches!(
            self,
            Self::Deleting
                | Self::Invalid
                | Self::NoOrchestrator
                | Self::NameTaken
                | Self::ImageMissing
                | Self::ObjectMissing
                | Self::ClaimMissing
                | Self::Paused
        )
    }

    /// Whether the graph must be changed before anything else can happen: nothing outside of it repairs this.
    pub fn ends_waiting(self) -> bool {
        matches!(self, Self::Deleting | Self::Invalid | Self::NoOrchestrator)
    }
}

#[cfg(test)]
mod tests {
    use super::{super::Level, *};
    use crate::causes::Cause;

    #[test]
    fn every_cause_has_its_rank_its_words_and_something_to_do() {
        assert!(Kind::ALL.is_sorted());
        assert_eq!(Kind::ALL.len(), Kind::Starting as usize + 1);
        for kind in Kind::ALL {
            let cause = Cause::of(Level::Pod, kind, ("Pod", "g-worker-1".to_owned()), "why");
            assert!(!kind.title().is_empty() && !cause.next("ns", "g").is_empty(), "{kind:?}");
            assert!(!(kind.ends_waiting() && kind.waiting_may_help()), "{kind:?}");
        }
    }
}
