//! The table of rules, in the order of the document made from it.
//! One line of facts per rule; a rule without a file of cases does not compile in tests.

use super::{
    Enforced::{Admission, Schema},
    Kind::{self, Checkpoint, Component, Graph, Model, Request, ScalingAdapter, WorkerMetadata},
    Level::{Error, Warning},
    On::{Both, Update},
    Reason::{Forbidden, Immutable, Invalid, Required},
    RuleSpec,
};

macro_rules! rules {
    ($($name:ident $id:literal [$($kind:ident)+] $on:ident $level:ident $reason:ident $enforced:ident
        $words:literal, $source:literal;)+) => {
        /// A rule of the table.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Rule {
            $($name,)+
        }

        impl Rule {
            /// Every rule, in the order of the table.
            pub const ALL: &'static [Self] = &[$(Self::$name),+];

            /// What is known about the rule.
            #[must_use]
            pub const fn spec(self) -> &'static RuleSpec {
                match self {
                    $(Self::$name => {
                        const KINDS: &[Kind] = &[$($kind),+];
                        &RuleSpec {
                            id: $id,
                            kinds: KINDS,
                            on: $on,
                            level: $level,
                            reason: $reason,
                            enforced: $enforced,
                            words: $words,
                            source: $source,
                        }
                    })+
                }
            }

            /// The rule's file of cases: manifests that meet it and manifests that break it.
            #[cfg(feature = "testing")]
            #[must_use]
            pub fn cases(self) -> &'static str {
                match self {
                    $(Self::$name => {
                        include_str!(concat!("../../../tests/rules/cases/", $id, ".yaml"))
                    })+
                }
            }
        }
    };
}

rules! {
    // Graphs: the graph itself.
    ServicesMissing "services-missing" [Graph] Both Error Required Admission
        "spec.services must have at least one service", "operator-process 7";
    OriginVersionInvalid "origin-version-invalid" [Graph] Both Error Invalid Admission
        "annotation nvidia.com/dynamo-operator-origin-version has invalid value…must be valid semver",
        "operator-process 7";
    OriginVersionChanged "origin-version-changed" [Graph] Update Warning Immutable Admission
        "metadata.annotations[nvidia.com/dynamo-operator-origin-version]…says which operator version made the graph",
        "ours: it should stay as stamped (operator-process weak spot 16)";
    GraphNameInvalid "graph-name-invalid" [Graph] Both Error Invalid Admission
        "metadata.name…becomes a label value",
        "ours: the API server refuses the label of the Dynamo namespace or of the discovery account";
    ServiceNameInvalid "service-name-invalid" [Graph Component] Both Error Invalid Admission
        "the derived name of the Service must be at most 63 characters",
        "ours: the API server refuses the Service";
    ServiceNameTaken "service-name-taken" [Graph] Both Error Invalid Admission
        "is also the derived name of service…names must differ in more than case",
        "ours: both would be one object (operator-process weak spot 16)";
    GroveNameLong "grove-name-long" [Graph] Both Warning Invalid Admission
        "Grove allows 45 characters",
        "ours: Grove would refuse the PodCliqueSet (multinode 4.5); no graph uses Grove yet";
    DiscoveryBackendUnknown "discovery-backend-unknown" [Graph Component] Both Error Invalid Admission
        "nvidia.com/dynamo-discovery-backend…must be kubernetes or etcd",
        "ours: enum check of api weak spots, operator-process weak spot 16";
    PvcNameMissing "pvc-name-missing" [Graph] Both Error Required Admission
        "spec.pvcs[…].name is required", "operator-process 7";
    PvcCreateIncomplete "pvc-create-incomplete" [Graph] Both Error Required Admission
        "is required when create is true", "operator-process 7";
    PvcNameTaken "pvc-name-taken" [Graph] Both Error Invalid Admission
        "is already the name of spec.pvcs[", "ours: two entries of one claim contradict each other (api weak spots)";
    RestartIdMissing "restart-id-missing" [Graph] Both Error Required Admission
        "spec.restart.id is required", "operator-process 7";
    RestartOrderParallel "restart-order-parallel" [Graph] Both Error Invalid Admission
        "spec.restart.strategy.order cannot be specified when strategy is parallel", "operator-process 7";
    RestartOrderRepeated "restart-order-repeated" [Graph] Both Error Invalid Admission
        "spec.restart.strategy.order must be unique", "operator-process 7";
    RestartOrderLength "restart-order-length" [Graph] Both Error Invalid Admission
        "order must have the same number of unique services as the deployment", "operator-process 7";
    RestartOrderUnknown "restart-order-unknown" [Graph] Both Error Invalid Admission
        "order contains unknown service:", "operator-process 7";
    DeploymentConfigInvalid "deployment-config-invalid" [Graph] Both Error Invalid Admission
        "DYN_DEPLOYMENT_CONFIG", "ours: nothing can be made (workload 4.1)";
    EppRepeated "epp-repeated" [Graph] Both Error Forbidden Admission
        "a graph has at most one EPP component", "ours: which one is used is chance (api weak spots)";

    // Graphs: changes.
    BackendImmutable "backend-immutable" [Graph Component] Update Error Immutable Admission
        "spec.backendFramework is immutable and cannot be changed after creation", "operator-process 7";
    NodeTopologyImmutable "node-topology-immutable" [Graph] Update Error Immutable Admission
        "cannot change node topology (between single-node and multi-node) after creation", "operator-process 7";
    ServicesImmutable "services-immutable" [Graph] Update Error Immutable Admission
        "service topology is immutable and cannot be modified after creation:", "operator-process 7";
    ReplicasOfAdapter "replicas-of-adapter" [Graph] Update Error Forbidden Admission
        "replicas cannot be modified directly when scaling adapter is enabled…DynamoGraphDeploymentScalingAdapter",
        "operator-process 7, weak spot 14";

    // Services of graphs and component deployments: contract.
    DynamoNamespaceIgnored "dynamo-namespace-ignored" [Graph Component] Both Warning Invalid Admission
        "dynamoNamespace is deprecated and ignored…Value '…' will be replaced with '", "operator-process 7";
    AutoscalingIgnored "autoscaling-ignored" [Graph Component] Both Warning Invalid Admission
        "autoscaling is deprecated and ignored…DynamoGraphDeploymentScalingAdapter", "operator-process 7";
    ReplicasNegative "replicas-negative" [Graph Component] Both Error Invalid Admission
        "replicas must be non-negative", "operator-process 7";
    IngressHostMissing "ingress-host-missing" [Graph Component] Both Error Required Admission
        "ingress.host is required when ingress is enabled", "operator-process 7";
    MountPointMissing "mount-point-missing" [Graph Component] Both Error Required Admission
        "mountPoint is required when useAsCompilationCache is false", "operator-process 7";
    SharedMemorySizeMissing "shared-memory-size-missing" [Graph Component] Both Error Required Admission
        "sharedMemory.size is required when disabled is false", "operator-process 7";
    EppApiMissing "epp-api-missing" [Graph] Both Error Forbidden Admission
        "cannot deploy EPP component:…InferencePool API group (inference.networking.k8s.io) is not available in the cluster",
        "operator-process 7";
    EppMultinode "epp-multinode" [Graph Component] Both Error Forbidden Admission
        "EPP component cannot be multinode", "operator-process 7";
    EppReplicas "epp-replicas" [Graph Component] Both Error Invalid Admission
        "EPP component must have exactly 1 replica (found…replicas)", "operator-process 7";
    EppConfigMissing "epp-config-missing" [Graph Component] Both Error Required Admission
        "eppConfig is required for EPP components", "operator-process 7";
    EppConfigEmpty "epp-config-empty" [Graph Component] Both Error Required Admission
        "eppConfig: either configMapRef or config must be specified", "operator-process 7";
    EppConfigTwice "epp-config-twice" [Graph Component] Both Error Invalid Admission
        "configMapRef and config are mutually exclusive", "operator-process 7";
    EppConfigMapNameMissing "epp-config-map-name-missing" [Graph Component] Both Error Required Admission
        "eppConfig.configMapRef.name is required", "operator-process 7";
    DynamoNamespaceMissing "dynamo-namespace-missing" [Component] Both Error Required Admission
        "spec.dynamoNamespace is required in a component deployment", "ours: the Service would select nothing (api 4)";
    BackendMismatch "backend-mismatch" [Graph Component] Both Error Invalid Admission
        "backend framework mismatch", "ours: nothing can be made (workload 6.7)";
    BackendAmbiguous "backend-ambiguous" [Graph Component] Both Error Invalid Admission
        "runs several backends", "ours: nothing can be made (workload 6.7)";
    CachePointMissing "cache-point-missing" [Graph Component] Both Error Required Admission
        "mountPoint is required: only the vllm backend has a default place", "ours: nothing can be made (api 5)";

    // Services of graphs and component deployments: what the API server or the kubelet would refuse later.
    ImageMissing "image-missing" [Graph Component] Both Error Required Admission
        "image is required", "ours: the API server refuses a container without an image (workload 6.1)";
    ImageBlank "image-blank" [Graph Component] Both Error Invalid Admission
        "has spaces around it", "ours: no pod is made of such an image";
    ContainerNameInvalid "container-name-invalid" [Graph Component] Both Error Invalid Admission
        "must be a DNS label", "ours: the API server refuses the container";
    ContainerNameTaken "container-name-taken" [Graph Component] Both Error Invalid Admission
        "is already the name of", "ours: the API server refuses two containers of one name";
    SidecarNamedMain "sidecar-named-main" [Graph Component] Both Error Invalid Admission
        "is the name of the component's own container", "ours: the API server refuses two containers of one name";
    VariableNameInvalid "variable-name-invalid" [Graph Component] Both Error Invalid Admission
        "must be the name of a variable", "ours: the API server refuses the container";
    VariableSource "variable-source" [Graph Component] Both Error Invalid Admission
        "valueFrom", "ours: the API server refuses a variable with several sources or none";
    PortInvalid "port-invalid" [Graph Component] Both Error Invalid Admission
        "must be a port", "ours: the API server refuses the container";
    ProbeHandlerMissing "probe-handler-missing" [Graph Component] Both Warning Required Admission
        "has no handler", "ours: the API server refuses the Deployment, but published manifests have it (workload 6.3)";
    ProbeHandlers "probe-handlers" [Graph Component] Both Error Invalid Admission
        "has several handlers", "ours: the API server refuses the container";
    ProbeTiming "probe-timing" [Graph Component] Both Error Invalid Admission
        "of a probe", "ours: the API server refuses the container";
    RestartPolicyFixed "restart-policy-fixed" [Graph Component] Both Error Invalid Admission
        "restartPolicy…must be Always", "ours: the API server refuses the Deployment";
    QuantityInvalid "quantity-invalid" [Graph Component Request] Both Error Invalid Admission
        "is not a quantity", "ours: operator-process weak spot 16, api weak spots";
    QuantityNegative "quantity-negative" [Graph Component Request] Both Error Invalid Admission
        "must not be negative", "ours: the API server refuses the container";
    QuantityFraction "quantity-fraction" [Graph Component Request] Both Error Invalid Admission
        "must be a whole number", "ours: the API server refuses a part of a device";
    RequestOverLimit "request-over-limit" [Graph Component Request] Both Error Invalid Admission
        "is more than the limit", "ours: the API server refuses the container";
    RequestNotLimit "request-not-limit" [Graph Component Request] Both Error Invalid Admission
        "must have a limit equal to its request", "ours: the API server refuses to overcommit devices";
    ResourceNameInvalid "resource-name-invalid" [Graph Component Request] Both Error Invalid Admission
        "is no name of a resource", "ours: the API server refuses the container";
    GpuRequestIgnored "gpu-request-ignored" [Graph Component] Both Warning Invalid Admission
        "resources.requests.gpu is ignored", "ours: the pod gets no GPU (known failure; workload 6.4)";
    MountNameMissing "mount-name-missing" [Graph Component] Both Error Required Admission
        "name is required: the name of the claim", "ours: the API server refuses the volume";
    MountPointTaken "mount-point-taken" [Graph Component] Both Error Invalid Admission
        "is already taken by", "ours: the API server refuses two mounts at one path";
    MountVolumeUnknown "mount-volume-unknown" [Graph Component] Both Error Invalid Admission
        "is no volume of the pod", "ours: the API server refuses the container";
    MountClaimUnknown "mount-claim-unknown" [Graph] Both Warning Invalid Admission
        "is not in spec.pvcs", "ours: pods wait for a claim that nobody makes (operator-process weak spot 16)";
    ClaimNameInvalid "claim-name-invalid" [Graph Component] Both Error Invalid Admission
        "must be a DNS", "ours: the API server refuses the claim or the volume";
    SecretNameInvalid "secret-name-invalid" [Graph Component] Both Error Invalid Admission
        "must be a DNS subdomain", "ours: the API server refuses the reference";
    AccountNameInvalid "account-name-invalid" [Graph Component] Both Error Invalid Admission
        "must be a DNS subdomain", "ours: the API server refuses the pod";
    IngressIgnored "ingress-ignored" [Graph Component] Both Warning Invalid Admission
        "ingress is enabled without effect", "ours: nothing is made (api 5; operator-process weak spot 16)";
    IngressHostInvalid "ingress-host-invalid" [Graph Component] Both Error Invalid Admission
        "ingress…the host name must be a DNS subdomain", "ours: the API server refuses the Ingress";
    LabelKeyInvalid "label-key-invalid" [Graph Component Request] Both Error Invalid Admission
        "is no key of a label", "ours: the API server refuses the object";
    LabelValueInvalid "label-value-invalid" [Graph Component Request] Both Error Invalid Admission
        "becomes a label value", "ours: the API server refuses the object";
    SelectorOverridden "selector-overridden" [Graph Component] Both Error Forbidden Admission
        "is how the Deployment finds its pods", "ours: the API server refuses the Deployment";
    AnnotationKeyInvalid "annotation-key-invalid" [Graph Component Request] Both Error Invalid Admission
        "is no key of an annotation", "ours: the API server refuses the object";
    RollingBudgetInvalid "rolling-budget-invalid" [Graph Component] Both Error Invalid Admission
        "must be a whole number or a percentage", "ours: the API server refuses the Deployment";
    RollingBudgetZero "rolling-budget-zero" [Graph Component] Both Error Invalid Admission
        "must not both be 0", "ours: the API server refuses the Deployment";
    DeploymentStrategyUnknown "deployment-strategy-unknown" [Graph Component] Both Warning Invalid Admission
        "nvidia.com/deployment-strategy…is taken as RollingUpdate", "ours: the annotation says nothing (api 12)";

    // Models.
    ModelNameMissing "model-name-missing" [Model] Both Error Required Admission
        "spec.modelName is required", "operator-process 7";
    BaseModelNameMissing "base-model-name-missing" [Model] Both Error Required Admission
        "spec.baseModelName is required", "operator-process 7";
    LoraSourceMissing "lora-source-missing" [Model] Both Error Required Admission
        "spec.source is required when modelType is 'lora'", "operator-process 7";
    LoraUriMissing "lora-uri-missing" [Model] Both Error Required Admission
        "spec.source.uri must be specified when modelType is 'lora'", "operator-process 7";
    LoraUriScheme "lora-uri-scheme" [Model] Both Error Invalid Admission
        "source URI must start with 's3://' or 'hf://', got:", "operator-process 7";
    ModelTypeImmutable "model-type-immutable" [Model] Update Error Immutable Admission
        "spec.modelType is immutable", "operator-process 7";
    BaseModelNameImmutable "base-model-name-immutable" [Model] Update Error Immutable Admission
        "spec.baseModelName is immutable", "operator-process 7";

    // Requests.
    ProfilerImageMissing "profiler-image-missing" [Request] Both Error Required Admission
        "spec.profilingConfig.profilerImage is required", "operator-process 7";
    ProfilingConfigMissing "profiling-config-missing" [Request] Both Error Required Admission
        "spec.profilingConfig.config is required and must not be empty", "operator-process 7";
    GpuDiscoveryRestricted "gpu-discovery-restricted" [Request] Both Error Forbidden Admission
        "spec.enableGpuDiscovery can only be set to true for cluster-wide operators. Namespace-restricted operators cannot access cluster nodes…hardware.min_num_gpus_per_engine…hardware.max_num_gpus_per_engine…hardware.num_gpus_per_node",
        "operator-process 7";
    ProfilingConfigUnreadable "profiling-config-unreadable" [Request] Both Error Invalid Admission
        "failed to parse spec.profilingConfig.config:", "operator-process 7";
    ProfilingBackendOverwritten "profiling-backend-overwritten" [Request] Both Warning Invalid Admission
        "spec.profilingConfig.config.engine.backend (…) will be overwritten by spec.backend (", "operator-process 7";
    ProfilingModelOverwritten "profiling-model-overwritten" [Request] Both Warning Invalid Admission
        "spec.profilingConfig.config.deployment.model (…) will be overwritten by spec.model (", "operator-process 7";
    ProfilingSectionInvalid "profiling-section-invalid" [Request] Both Error Invalid Admission
        "must be an object", "ours: the request would fail without naming the field (api 7)";
    RequestNameLong "request-name-long" [Request] Both Error Invalid Admission
        "the name of the profiling Job", "ours: the API server refuses the Job";
    RequestReferenceInvalid "request-reference-invalid" [Request] Both Error Invalid Admission
        "must be a DNS", "ours: the API server refuses the Job or the graph";
    RequestChangeIgnored "request-change-ignored" [Request] Update Warning Immutable Admission
        "changes of spec have no effect", "ours: the controller ignores them (operator-process 7, api weak spots)";

    // What the schema refuses.
    ServicesTooMany "services-too-many" [Graph] Both Error Invalid Schema
        "must have at most 25 items", "operator-process 7";
    PvcsTooMany "pvcs-too-many" [Graph] Both Error Invalid Schema
        "must have at most 100 items", "operator-process 7";
    PvcCreateSchema "pvc-create-schema" [Graph] Both Error Required Schema
        "When create is true, size, storageClass, and volumeAccessMode are required", "operator-process 7, api 3";
    CheckpointIncomplete "checkpoint-incomplete" [Graph Component] Both Error Required Schema
        "either checkpointRef or both identity.model and identity.backendFramework must be specified",
        "operator-process 7, api 5";
    CheckpointModeUnknown "checkpoint-mode-unknown" [Graph Component] Both Error Invalid Schema
        "supported values: \"Auto\", \"Manual\"", "api 5";
    BackendUnknown "backend-unknown" [Graph Component] Both Error Invalid Schema
        "spec.backendFramework: Unsupported value", "operator-process 7, api 3";
    ReplicasMinimum "replicas-minimum" [Graph Component] Both Error Invalid Schema
        "should be greater than or equal to 0", "operator-process 7, api 5";
    NodeCountMinimum "node-count-minimum" [Graph Component] Both Error Invalid Schema
        "should be greater than or equal to 2", "operator-process 7, api 5";
    RestartIdLength "restart-id-length" [Graph] Both Error Required Schema
        "spec.restart.id…should be at least 1 chars long", "operator-process 7, api 3";
    RestartTypeUnknown "restart-type-unknown" [Graph] Both Error Invalid Schema
        "supported values: \"Sequential\", \"Parallel\"", "operator-process 7, api 3";
    SizePattern "size-pattern" [Graph Component] Both Error Invalid Schema
        "should match", "api 2";
    GraphFieldMissing "graph-field-missing" [Graph Component] Both Error Required Schema
        "Required value", "api 3, api 5";
    ModelTypeUnknown "model-type-unknown" [Model] Both Error Invalid Schema
        "supported values: \"base\", \"lora\", \"adapter\"", "operator-process 7, api 9";
    ModelFieldMissing "model-field-missing" [Model] Both Error Required Schema
        "Required value", "api 9";
    RequestBackendUnknown "request-backend-unknown" [Request] Both Error Invalid Schema
        "spec.backend: Unsupported value", "operator-process 7, api 7";
    RequestFieldMissing "request-field-missing" [Request] Both Error Required Schema
        "Required value", "api 7";
    AdapterReplicasMinimum "adapter-replicas-minimum" [ScalingAdapter] Both Error Invalid Schema
        "spec.replicas…should be greater than or equal to 0", "api 8";
    AdapterReferenceEmpty "adapter-reference-empty" [ScalingAdapter] Both Error Required Schema
        "should be at least 1 chars long", "api 8";
    AdapterFieldMissing "adapter-field-missing" [ScalingAdapter] Both Error Required Schema
        "Required value", "api 8";
    CheckpointIdentityImmutable "checkpoint-identity-immutable" [Checkpoint] Update Error Immutable Schema
        "spec.identity is immutable", "operator-process 7, api 10";
    CheckpointBackendUnknown "checkpoint-backend-unknown" [Checkpoint] Both Error Invalid Schema
        "spec.identity.backendFramework: Unsupported value", "api 10";
    CheckpointNumberMinimum "checkpoint-number-minimum" [Checkpoint] Both Error Invalid Schema
        "should be greater than or equal to 1", "api 10";
    CheckpointFieldMissing "checkpoint-field-missing" [Checkpoint] Both Error Required Schema
        "Required value", "api 10";
    WorkerDataMissing "worker-data-missing" [WorkerMetadata] Both Error Required Schema
        "spec.data: Required value", "api 11";
}
