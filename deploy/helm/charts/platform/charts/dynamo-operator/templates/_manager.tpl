{{/* The pods that run the operator's program. Arguments of the manager are in the order of charts.md section 5; ours come last. */}}

{{- define "dynamo-operator.managerArgs" -}}
{{- $restricted := include "dynamo-operator.restricted" . -}}
{{- $fullname := include "dynamo-operator.fullname" . -}}
{{- $dynamo := default dict .Values.dynamo -}}
{{- $args := default list .Values.controllerManager.manager.args -}}
{{- $args = concat $args (list "--leader-elect" (printf "--leader-election-id=%s" (include "dynamo-operator.leaderElectionId" .))) -}}
{{- if $restricted -}}
{{- $namespace := include "dynamo-operator.restrictedNamespace" . -}}
{{- $args = concat $args (list (printf "--restrictedNamespace=%s" $namespace) (printf "--leader-election-namespace=%s" $namespace)) -}}
{{- else -}}
{{- $args = append $args (printf "--leader-election-namespace=%s" (default "kube-system" (.Values.controllerManager.leaderElection).namespace)) -}}
{{- end -}}
{{- $args = concat $args (include "dynamo-operator.addressArgs" . | fromYamlArray) -}}
{{- with include "dynamo-operator.istioGateway" . -}}{{- $args = append $args (printf "--istio-virtual-service-gateway=%s" .) -}}{{- end -}}
{{- if ($dynamo.ingress).enabled -}}
{{- with $dynamo.ingress.className -}}{{- $args = append $args (printf "--ingress-controller-class-name=%s" .) -}}{{- end -}}
{{- with $dynamo.ingress.tlsSecretName -}}{{- $args = append $args (printf "--ingress-controller-tls-secret-name=%s" .) -}}{{- end -}}
{{- end -}}
{{- with $dynamo.ingressHostSuffix -}}{{- $args = append $args (printf "--ingress-host-suffix=%s" .) -}}{{- end -}}
{{- if $dynamo.virtualServiceSupportsHTTPS -}}{{- $args = append $args "--virtual-service-supports-https=true" -}}{{- end -}}
{{- with $dynamo.groveTerminationDelay -}}{{- $args = append $args (printf "--grove-termination-delay=%s" .) -}}{{- end -}}
{{- with .Values.modelExpressURL -}}{{- $args = append $args (printf "--model-express-url=%s" .) -}}{{- end -}}
{{- with ($dynamo.metrics).prometheusEndpoint -}}{{- $args = append $args (printf "--prometheus-endpoint=%s" .) -}}{{- end -}}
{{- with ($dynamo.mpiRun).secretName -}}
{{- $args = concat $args (list (printf "--mpi-run-ssh-secret-name=%s" .) (printf "--mpi-run-ssh-secret-namespace=%s" $.Release.Namespace)) -}}
{{- end -}}
{{- if not $restricted -}}
{{- range list "dgdr-profiling" "planner" "epp" -}}
{{- $args = append $args (printf "--%s-cluster-role-name=%s-%s" . $fullname .) -}}
{{- end -}}
{{- end -}}
{{- $args = append $args (printf "--discovery-backend=%s" .Values.discoveryBackend) -}}
{{- if $restricted -}}
{{- with .Values.namespaceRestriction.lease -}}
{{- with .duration -}}{{- $args = append $args (printf "--namespace-scope-lease-duration=%s" .) -}}{{- end -}}
{{- with .renewInterval -}}{{- $args = append $args (printf "--namespace-scope-lease-renew-interval=%s" .) -}}{{- end -}}
{{- end -}}
{{- end -}}
{{- $args = append $args (printf "--operator-version=%s" .Chart.AppVersion) -}}
{{- $webhooks := include "dynamo-operator.webhooks" . -}}
{{- if $webhooks -}}{{- $args = append $args "--enable-webhooks=true" -}}{{- end -}}
{{- $args = concat $args (include "dynamo-operator.checkpointArgs" . | fromYamlArray) -}}
{{- if $webhooks -}}
{{- $args = concat $args (include "dynamo-operator.webhookArgs" . | fromYamlArray) -}}
{{- end -}}
{{- /* The operator's own account scales what its adapters own; the exact name, since a suffix would trust strangers. */ -}}
{{- $args = append $args (printf "--trusted-service-account=%s/%s" .Release.Namespace (include "dynamo-operator.managerAccount" .)) -}}
{{- $args = concat $args (include "dynamo-operator.routeArgs" . | fromYamlArray) -}}
{{- $args = concat $args (include "dynamo-operator.metricsArgs" . | fromYamlArray) -}}
{{- $args = concat $args (include "dynamo-operator.secretArgs" . | fromYamlArray) -}}
{{- toYaml $args -}}
{{- end -}}

{{/* Settings of checkpoints. An unknown type gets the common flags only, and the operator takes it for pvc. */}}
{{- define "dynamo-operator.checkpointArgs" -}}
{{- $args := list -}}
{{- if (.Values.checkpoint).enabled -}}
{{- $checkpoint := .Values.checkpoint -}}
{{- $storage := default dict $checkpoint.storage -}}
{{- $type := default "" $storage.type -}}
{{- $args = append $args "--checkpoint-enabled=true" -}}
{{- $args = append $args (printf "--checkpoint-storage-type=%s" $type) -}}
{{- $args = append $args (printf "--checkpoint-signal-host-path=%s" (default "" $storage.signalHostPath)) -}}
{{- $args = append $args (printf "--checkpoint-init-container-image=%s" (default "" $checkpoint.initContainerImage)) -}}
{{- $args = append $args (printf "--checkpoint-ready-for-checkpoint-file-path=%s" (default "" $checkpoint.readyForCheckpointFilePath)) -}}
{{- $args = append $args (printf "--checkpoint-restore-marker-file-path=%s" (default "" $checkpoint.restoreMarkerFilePath)) -}}
{{- $place := default dict (index $storage $type) -}}
{{- if eq $type "pvc" -}}
{{- $args = append $args (printf "--checkpoint-pvc-name=%s" (default "" $place.pvcName)) -}}
{{- $args = append $args (printf "--checkpoint-pvc-base-path=%s" (default "" $place.basePath)) -}}
{{- else if has $type (list "s3" "oci") -}}
{{- $args = append $args (printf "--checkpoint-%s-uri=%s" $type (default "" $place.uri)) -}}
{{- with $place.credentialsSecretRef -}}
{{- $args = append $args (printf "--checkpoint-%s-credentials-secret=%s" $type .) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- toYaml $args -}}
{{- end -}}

{{/* What every Ingress and every route of a VirtualService gets. */}}
{{- define "dynamo-operator.routeArgs" -}}
{{- $dynamo := default dict .Values.dynamo -}}
{{- $args := list -}}
{{- range $key, $value := ($dynamo.ingress).annotations -}}
{{- $args = append $args (printf "--ingress-annotations=%s=%s" $key $value) -}}
{{- end -}}
{{- with ($dynamo.istio).timeout -}}{{- $args = append $args (printf "--virtual-service-timeout=%s" .) -}}{{- end -}}
{{- with ($dynamo.istio).retries -}}
{{- with .attempts -}}{{- $args = append $args (printf "--virtual-service-retry-attempts=%d" (int .)) -}}{{- end -}}
{{- with .perTryTimeout -}}{{- $args = append $args (printf "--virtual-service-retry-per-try-timeout=%s" .) -}}{{- end -}}
{{- with .retryOn -}}{{- $args = append $args (printf "--virtual-service-retry-on=%s" .) -}}{{- end -}}
{{- end -}}
{{- toYaml $args -}}
{{- end -}}

{{/* Secrets of the release namespace that the operator makes or hands to pods of graphs. */}}
{{- define "dynamo-operator.secretArgs" -}}
{{- $dynamo := default dict .Values.dynamo -}}
{{- $args := list -}}
{{- if include "dynamo-operator.makesMpiSecret" . -}}{{- $args = append $args "--mpi-run-ssh-keygen=true" -}}{{- end -}}
{{- with ($dynamo.natsAuth).secretName -}}{{- $args = append $args (printf "--nats-auth-secret=%s" .) -}}{{- end -}}
{{- with ($dynamo.etcdAuth).secretName -}}{{- $args = append $args (printf "--etcd-auth-secret=%s" .) -}}{{- end -}}
{{- with ($dynamo.natsTLS).caSecretName -}}{{- $args = append $args (printf "--nats-tls-ca-secret=%s" .) -}}{{- end -}}
{{- toYaml $args -}}
{{- end -}}

{{/* The operator answers one second before the API server stops waiting, and needs one itself: not below 2 s. */}}
{{- define "dynamo-operator.webhookArgs" -}}
{{- $own := eq (include "dynamo-operator.certificateMode" .) "operator" -}}
- --webhook-certificate-mode={{ ternary "operator" "files" $own }}
- --webhook-service={{ include "dynamo-operator.webhookService" . }}
- --webhook-namespace={{ .Release.Namespace }}
- --webhook-timeout={{ include "dynamo-operator.webhookTimeout" . | int | max 2 }}s
{{- if $own }}
- --webhook-certificate-secret={{ include "dynamo-operator.certificateSecret" . }}
- --webhook-certificate-validity={{ include "dynamo-operator.certificateValidity" . }}
{{- end }}
{{- if include "dynamo-operator.readsConfigurations" . }}
- --webhook-validating-configuration={{ include "dynamo-operator.validatingConfiguration" . }}
- --webhook-mutating-configuration={{ include "dynamo-operator.mutatingConfiguration" . }}
{{- end }}
{{- end -}}

{{/* Arguments of the two hook jobs. */}}
{{- define "dynamo-operator.generateArgs" -}}
- webhook-certificate
- generate
- --webhook-certificate-secret={{ include "dynamo-operator.certificateSecret" . }}
- --webhook-service={{ include "dynamo-operator.webhookService" . }}
- --webhook-namespace={{ .Release.Namespace }}
- --webhook-certificate-validity={{ include "dynamo-operator.certificateValidity" . }}
{{- end -}}

{{- define "dynamo-operator.injectArgs" -}}
- webhook-certificate
- inject
- --webhook-certificate-secret={{ include "dynamo-operator.certificateSecret" . }}
- --webhook-namespace={{ .Release.Namespace }}
- --webhook-validating-configuration={{ include "dynamo-operator.validatingConfiguration" . }}
- --webhook-mutating-configuration={{ include "dynamo-operator.mutatingConfiguration" . }}
{{- end -}}

{{/* Where the pods of the operator and of its jobs may run, and as whom: call with (list . TOLERATIONS). */}}
{{- define "dynamo-operator.podPlacement" -}}
{{- $tolerations := index . 1 -}}
{{- with index . 0 -}}
securityContext:
  runAsNonRoot: true
  seccompProfile:
    type: RuntimeDefault
{{- with .Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.controllerManager.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.controllerManager.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.controllerManager.priorityClassName }}
priorityClassName: {{ . | quote }}
{{- end }}
{{- end -}}
{{- end -}}

{{/* A probe with the user's fields over the default ones: call with (list DEFAULT USER). Another handler takes the place of
the default one; a pod has one per probe. Field by field: `merge` functions would not take over a zero. */}}
{{- define "dynamo-operator.probe" -}}
{{- $probe := index . 0 -}}
{{- $own := default dict (index . 1) -}}
{{- if or $own.exec $own.tcpSocket $own.grpc -}}{{- $probe = omit $probe "httpGet" -}}{{- end -}}
{{- range $key, $value := $own -}}
{{- if and (eq $key "httpGet") (hasKey $probe $key) -}}
{{- range $field, $content := $value -}}{{- $_ := set $probe.httpGet $field $content -}}{{- end -}}
{{- else -}}
{{- $_ := set $probe $key $value -}}
{{- end -}}
{{- end -}}
{{- toYaml $probe -}}
{{- end -}}

{{- define "dynamo-operator.managerProgram" -}}
{{- $image := .Values.controllerManager.manager.image -}}
image: {{ include "dynamo-operator.image" . | quote }}
{{- with $image.pullPolicy }}
imagePullPolicy: {{ . }}
{{- end }}
command:
  - /manager
{{- end -}}

{{/* The domain is part of the certificate's names. */}}
{{- define "dynamo-operator.managerEnv" -}}
env:
  - name: KUBERNETES_CLUSTER_DOMAIN
    value: {{ include "dynamo-operator.clusterDomain" . | quote }}
{{- end -}}

{{- define "dynamo-operator.managerLimits" -}}
{{- with .Values.controllerManager.manager.resources }}
resources:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.controllerManager.manager.containerSecurityContext }}
securityContext:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}
