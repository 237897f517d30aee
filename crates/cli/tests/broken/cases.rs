//! The mistakes. Data only.

/// One mistake: what stands in a good manifest, what stands there instead (`@` marks the place that is to be named), the
/// field, and words of the message that tell the fix.
pub(super) struct Case(
    pub(super) &'static str,
    pub(super) &'static str,
    pub(super) &'static str,
    pub(super) &'static str,
);

/// Mistakes that refuse a manifest.
pub(super) const REFUSED: &[Case] = &[
    // The text.
    Case("  labels:\n    team", "@\tlabels:\n    team", "", "indent with spaces"),
    Case(
        "      replicas: 1\n",
        "      replicas: 1\n      @replicas: 2\n",
        "",
        "stands here again, after line 21",
    ),
    Case(
        "  backendFramework: vllm\n",
        "  backendFramework: vllm@: x\n",
        "",
        "put a text that holds ': ' in quotes",
    ),
    Case(
        "args: [\"-m\", \"dynamo.vllm\"]",
        "args: [\"-m\", \"dynamo.vllm\"\n          @ports:",
        "",
        "close the bracket",
    ),
    // What it is.
    Case(
        "kind: DynamoGraphDeployment\n",
        "@kind: DynamoGraphDeploymnt\n",
        "kind",
        "did you mean \"DynamoGraphDeployment\"?",
    ),
    Case(
        "apiVersion: nvidia.com/v1alpha1",
        "@apiVersion: nvidia.com/v1beta1",
        "apiVersion",
        "did you mean nvidia.com/v1alpha1?",
    ),
    Case(
        "apiVersion: nvidia.com/v1alpha1",
        "@apiVersion: nvida.com/v1alpha1",
        "apiVersion",
        "did you mean nvidia.com/v1alpha1?",
    ),
    Case("apiVersion: nvidia.com/v1alpha1\n", "@", "apiVersion", "did you mean nvidia.com/v1alpha1?"),
    // Metadata.
    Case("metadata:\n  name: chat\n", "@metadata:\n", "metadata.name", "is required"),
    Case("  name: chat\n", "  @name: Chat_Graph\n", "metadata.name", "a-z, 0-9, '-' and '.'"),
    Case("  name: chat\n", "  @name: 7\n", "metadata.name", "put it in quotes, as \"7\""),
    Case("    team: search", "    @team: true", "metadata.labels[team]", "put it in quotes, as \"true\""),
    // The graph.
    Case(
        "  services:\n    Frontend:",
        "  services: {}\n  @srvices:\n    Frontend:",
        "spec.srvices",
        "did you mean \"services\"?",
    ),
    Case(
        "backendFramework: vllm",
        "@backendFramework: vlm",
        "spec.backendFramework",
        "did you mean \"vllm\"?",
    ),
    Case(
        "  - name: LOG\n    value: debug",
        "  - name: LOG\n    @value: 1",
        "spec.envs[0].value",
        "put it in quotes, as \"1\"",
    ),
    Case("  - name: LOG\n", "  - @name: A=B\n", "spec.envs[0].name", "no '='"),
    Case("    value: debug", "    @value: debug\n    valueFrom: {}", "spec.envs[0].value", "take one out"),
    Case(
        "  - name: cache\n    create: true\n    size: 10Gi",
        "  - @create: true\n    size: 10Gi",
        "spec.pvcs[0].name",
        "is required",
    ),
    Case("    size: 10Gi\n", "    @size: 10GB\n", "spec.pvcs[0].size", "is not a quantity"),
    Case("    storageClass: standard\n", "@", "spec.pvcs[0].storageClass", "is required when create is true"),
    Case(
        "  services:\n",
        "  restart: {@id: \"\"}\n  services:\n",
        "spec.restart.id",
        "a new one for each restart",
    ),
    Case(
        "  services:\n",
        "  restart: {id: r1, strategy: {@type: sequencial}}\n  services:\n",
        "spec.restart.strategy.type",
        "did you mean \"Sequential\"?",
    ),
    Case(
        "  services:\n",
        "  restart: {id: r1, strategy: {@order: [Frontend, Wrker]}}\n  services:\n",
        "spec.restart.strategy.order",
        "unknown service",
    ),
    // Services.
    Case("    Worker:\n", "    @Wor ker:\n", "spec.services[Wor ker]", "becomes a label value"),
    Case("    Worker:\n", "    @WORKER_A:\n", "spec.services[WORKER_A]", "a-z, 0-9 and '-'"),
    Case(
        "    Worker:\n",
        "    @frontend:\n",
        "spec.services[frontend]",
        "names must differ in more than case",
    ),
    Case(
        "      replicas: 2\n",
        "      @replicas: two\n",
        "spec.services[Worker].replicas",
        "must be a whole number",
    ),
    Case(
        "      replicas: 2\n",
        "      @replicas: \"2\"\n",
        "spec.services[Worker].replicas",
        "take the quotes away",
    ),
    Case(
        "      replicas: 2\n",
        "      @replicas: -2\n",
        "spec.services[Worker].replicas",
        "must be non-negative",
    ),
    Case(
        "      replicas: 2\n",
        "      @replicas: 1.5\n",
        "spec.services[Worker].replicas",
        "must be a whole number",
    ),
    Case(
        "      replicas: 2\n",
        "      @replica: 2\n",
        "spec.services[Worker].replica",
        "did you mean \"replicas\"?",
    ),
    Case(
        "      replicas: 2\n",
        "      multinode: {@nodeCount: 1}\n",
        "spec.services[Worker].multinode.nodeCount",
        "must be 2 or more",
    ),
    Case(
        "        host: chat\n",
        "@",
        "spec.services[Frontend].ingress.host",
        "is required when ingress is enabled",
    ),
    Case(
        "        host: chat\n",
        "        host: Chat_1\n",
        "spec.services[Frontend].ingress",
        "must be a DNS subdomain",
    ),
    Case(
        "          gpu: \"1\"",
        "          @gpu: 1",
        "spec.services[Worker].resources.limits.gpu",
        "put it in quotes, as \"1\"",
    ),
    Case(
        "          gpu: \"1\"",
        "          @gpu: \"0.5\"",
        "spec.services[Worker].resources.limits.gpu",
        "must be a whole number",
    ),
    Case(
        "          gpu: \"1\"",
        "          @gpus: \"1\"",
        "spec.services[Worker].resources.limits.gpus",
        "did you mean \"gpu\"?",
    ),
    Case(
        "          memory: 32Gi",
        "          @memory: 32 Gi",
        "spec.services[Worker].resources.limits.memory",
        "is not a quantity",
    ),
    Case(
        "          memory: 32Gi",
        "          @memory: 32GiB",
        "spec.services[Worker].resources.limits.memory",
        "is not a quantity",
    ),
    Case(
        "          cpu: \"8\"",
        "          @cpu: \"-8\"",
        "spec.services[Worker].resources.limits.cpu",
        "must not be negative",
    ),
    Case(
        "          memory: 16Gi",
        "          @memory: 64Gi",
        "spec.services[Worker].resources.requests.memory",
        "raise the limit or ask for less",
    ),
    Case(
        "        size: 8Gi\n",
        "        disabled: false\n",
        "spec.services[Worker].sharedMemory.size",
        "is required when disabled is false",
    ),
    Case(
        "      envFromSecret: hf-token",
        "      @envFromSecret: HF_TOKEN",
        "spec.services[Worker].envFromSecret",
        "must be a DNS subdomain",
    ),
    Case(
        "        mountPoint: /cache",
        "        mountPoint: \"\"",
        "spec.services[Worker].volumeMounts[0].mountPoint",
        "is required when useAsCompilationCache is false",
    ),
    Case(
        "      - name: cache\n        mountPoint: /cache",
        "      - name: cache\n        mountPoint: /cache\n      - name: other\n        @mountPoint: /cache",
        "spec.services[Worker].volumeMounts[1].mountPoint",
        "is already taken by",
    ),
    Case(
        "        periodSeconds: 10",
        "        @periodSeconds: -10",
        "spec.services[Worker].readinessProbe.periodSeconds",
        "of a probe",
    ),
    Case(
        "        periodSeconds: 10",
        "        tcpSocket: {port: 9090}",
        "spec.services[Worker].readinessProbe",
        "has several handlers",
    ),
    Case(
        "          port: 9090",
        "          @port: 90900",
        "spec.services[Worker].readinessProbe.httpGet.port",
        "1 to 65535",
    ),
    Case(
        "        serviceAccountName: worker",
        "        @serviceAccountName: Worker_1",
        "spec.services[Worker].extraPodSpec.serviceAccountName",
        "must be a DNS subdomain",
    ),
    Case(
        "          image: example.com/engine:1\n",
        "@",
        "spec.services[Worker].extraPodSpec.mainContainer.image",
        "there is no default image",
    ),
    Case(
        "          image: example.com/engine:1\n",
        "          @image: \" example.com/engine:1\"\n",
        "spec.services[Worker].extraPodSpec.mainContainer.image",
        "take them out",
    ),
    Case(
        "          args: [\"-m\", \"dynamo.vllm\"]",
        "          @args: -m dynamo.vllm",
        "spec.services[Worker].extraPodSpec.mainContainer.args",
        "begin each item with \"- \"",
    ),
    Case(
        "          args: [\"-m\", \"dynamo.vllm\"]",
        "          args: [\"-m\", \"dynamo.vllm\", \"--port\", @8000]",
        "spec.services[Worker].extraPodSpec.mainContainer.args[3]",
        "put it in quotes, as \"8000\"",
    ),
    Case(
        "            containerPort: 5000",
        "            @containerPort: 0",
        "spec.services[Worker].extraPodSpec.mainContainer.ports[0].containerPort",
        "1 to 65535",
    ),
    Case(
        "        - name: side\n",
        "        - @name: main\n",
        "spec.services[Worker].extraPodSpec.containers[0].name",
        "use mainContainer",
    ),
    Case(
        "        - name: side\n",
        "        - @name: Side\n",
        "spec.services[Worker].extraPodSpec.containers[0].name",
        "must be a DNS label",
    ),
    Case(
        "        containers:\n",
        "        @containerz:\n",
        "spec.services[Worker].extraPodSpec.containerz",
        "did you mean \"containers\"?",
    ),
    Case(
        "        serviceAccountName: worker",
        "        @restartPolicy: Never",
        "spec.services[Worker].extraPodSpec.restartPolicy",
        "leave it out",
    ),
    Case(
        "          command: [python3]",
        "          volumeMounts: [{@name: data, mountPath: /data}]",
        "spec.services[Worker].extraPodSpec.mainContainer.volumeMounts[0].name",
        "add it to extraPodSpec.volumes",
    ),
    Case(
        "      sharedMemory:\n        size: 8Gi",
        "      @sharedMemory: 8Gi",
        "spec.services[Worker].sharedMemory",
        "must be fields (lines of key: value), not text",
    ),
    Case(
        "      sharedMemory:\n        size: 8Gi",
        "      @checkpoint: {enabled: true}",
        "spec.services[Worker].checkpoint",
        "give checkpointRef, or identity with model and backendFramework",
    ),
    // Other kinds.
    Case("  dynamoNamespace: dynamo\n", "@", "spec.dynamoNamespace", "set it to the Dynamo namespace"),
    Case("  modelType: lora\n", "  @modelType: LoRA\n", "spec.modelType", "did you mean \"lora\"?"),
    Case(
        "    uri: hf://org/adapter",
        "    @uri: https://org/adapter",
        "spec.source.uri",
        "must start with 's3://' or 'hf://'",
    ),
    Case("  replicas: 3\n", "  @replicas: -3\n", "spec.replicas", "must be 0 or more"),
    Case("    serviceName: Worker\n", "@", "spec.dgdRef.serviceName", "is required"),
    Case("  backend: vllm\n", "  @backend: auto\n", "spec.backend", "must be one of"),
    Case(
        "    profilerImage: example.com/profiler:1\n",
        "@",
        "spec.profilingConfig.profilerImage",
        "is required",
    ),
];

/// Mistakes of which the API server says nothing: accepted with a warning.
pub(super) const WARNED: &[Case] = &[
    Case("    value: debug", "    @value:", "spec.envs[0].value", "take the field out"),
    Case("    value: debug", "    @value: on", "spec.envs[0].value", "put it in quotes, as \"on\""),
    Case(
        "      replicas: 2\n",
        "      scalingAdapter: {enabled: true}\n      @replicas: 2\n",
        "spec.services[Worker].replicas",
        "scale the DynamoGraphDeploymentScalingAdapter",
    ),
    Case(
        "          command: [python3]",
        "          command: [@python3 -m dynamo.vllm]",
        "spec.services[Worker].extraPodSpec.mainContainer.command[0]",
        "one item for each word",
    ),
    Case(
        "          args: [\"-m\", \"dynamo.vllm\"]",
        "          args: [a, @\"&&\", b]",
        "spec.services[Worker].extraPodSpec.mainContainer.args[1]",
        "[/bin/sh, -c]",
    ),
    Case("  services:\n", "  @restart: {id: r1}\n  services:\n", "spec.restart", "take it out of manifests"),
    Case(
        "      - name: cache\n",
        "      - @name: cahce\n",
        "spec.services[Worker].volumeMounts[0].name",
        "is not in spec.pvcs",
    ),
];
