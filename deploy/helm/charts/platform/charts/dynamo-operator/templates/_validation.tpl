{{/* Values that would install something broken: charts.md section 13. Included at the top of the Deployment. */}}

{{- define "dynamo-operator.validate" -}}
{{- $election := default dict .Values.controllerManager.leaderElection -}}
{{- if not (include "dynamo-operator.restricted" .) -}}
{{- include "dynamo-operator.validateAlone" . -}}
{{- $id := default "" $election.id -}}
{{- if and $id (ne $id "dynamo.nvidia.com") -}}
{{- fail (printf "VALIDATION WARNING: Using custom leader election ID '%s' in a cluster-wide installation. Two cluster-wide operators with different IDs would both act on every object (split-brain). Remove controllerManager.leaderElection.id, or set namespaceRestriction.enabled=true." $id) -}}
{{- end -}}
{{- if eq (default "" $election.namespace) .Release.Namespace -}}
{{- fail (printf "WARNING: Leader election namespace is set to the same as release namespace '%s'. Cluster-wide operators in different namespaces would not see each other's Lease (split-brain). Remove controllerManager.leaderElection.namespace (default: kube-system)." .Release.Namespace) -}}
{{- end -}}
{{- end -}}
{{- if include "dynamo-operator.restricted" . -}}
{{- include "dynamo-operator.validateLease" . -}}
{{- end -}}
{{- $backend := default "" .Values.discoveryBackend -}}
{{- if not (has $backend (list "kubernetes" "etcd")) -}}
{{- fail (printf "VALIDATION ERROR: discoveryBackend must be 'kubernetes' (default) or 'etcd'. Got: '%v'" $backend) -}}
{{- end -}}
{{- include "dynamo-operator.validateImage" . -}}
{{- include "dynamo-operator.validateRegistry" . -}}
{{- include "dynamo-operator.validateMetrics" . -}}
{{- include "dynamo-operator.validateClusterObjects" . -}}
{{- include "dynamo-operator.validateDisruptionBudget" . -}}
{{- if eq (include "dynamo-operator.certificateMode" .) "cert-manager" -}}
{{- $issuer := default dict .Values.webhook.certManager.issuerRef -}}
{{- if and (or $issuer.kind $issuer.group) (not $issuer.name) -}}
{{- fail "VALIDATION ERROR: webhook.certManager.issuerRef has a kind or a group, but no name. Set webhook.certManager.issuerRef.name to the issuer, or remove issuerRef: the chart then makes a CA of its own." -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* A whole reference in one of the parts would become one that no registry knows. */}}
{{- define "dynamo-operator.validateImage" -}}
{{- $image := .Values.controllerManager.manager.image -}}
{{- if contains "@" $image.repository -}}
{{- fail (printf "VALIDATION ERROR: controllerManager.manager.image.repository is the image without tag and digest. Got: '%s'. Put what follows the @ into controllerManager.manager.image.digest." $image.repository) -}}
{{- end -}}
{{- $tag := include "dynamo-operator.imageTag" . -}}
{{- if regexMatch "[:@]" $tag -}}
{{- fail (printf "VALIDATION ERROR: controllerManager.manager.image.tag must be a tag alone, without : and @. Got: '%s'. Put a digest into controllerManager.manager.image.digest." $tag) -}}
{{- end -}}
{{- end -}}

{{/* Without objects of the cluster's scope there are no webhooks, and no token can be reviewed. */}}
{{- define "dynamo-operator.validateClusterObjects" -}}
{{- if not (include "dynamo-operator.clusterObjects" .) -}}
{{- if include "dynamo-operator.webhooks" . -}}
{{- fail "VALIDATION ERROR: namespaceRestriction.clusterObjects is false, but webhook.enabled needs cluster-scoped webhook configurations. Set webhook.enabled=false: the operator then checks objects before it acts on them." -}}
{{- end -}}
{{- if and (.Values.metricsService).enabled (include "dynamo-operator.metricsAuthentication" .) -}}
{{- fail "VALIDATION ERROR: namespaceRestriction.clusterObjects is false, but metricsService.authentication needs a ClusterRole to review tokens. Set metricsService.authentication=false (anybody may read the metrics) or metricsService.enabled=false." -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "dynamo-operator.validateDisruptionBudget" -}}
{{- $budget := default dict .Values.controllerManager.podDisruptionBudget -}}
{{- if and $budget.enabled (not (kindIs "invalid" $budget.minAvailable)) (not (kindIs "invalid" $budget.maxUnavailable)) -}}
{{- fail "VALIDATION ERROR: controllerManager.podDisruptionBudget has minAvailable and maxUnavailable; Kubernetes takes one. Set the other to null." -}}
{{- end -}}
{{- end -}}

{{/* What the operator would refuse at its start. An empty value is the operator's default. */}}
{{- define "dynamo-operator.validateLease" -}}
{{- $lease := default dict .Values.namespaceRestriction.lease -}}
{{- $duration := default "30s" $lease.duration -}}
{{- $interval := default "10s" $lease.renewInterval -}}
{{- range $key, $value := dict "duration" $duration "renewInterval" $interval -}}
{{- if lt (include "dynamo-operator.seconds" $value | float64) 1.0 -}}
{{- fail (printf "VALIDATION ERROR: namespaceRestriction.lease.%s must be at least 1s. Got: '%s'" $key $value) -}}
{{- end -}}
{{- end -}}
{{- /* A Lease says whole seconds. */ -}}
{{- if le (include "dynamo-operator.seconds" $duration | float64 | floor) (include "dynamo-operator.seconds" $interval | float64) -}}
{{- fail (printf "VALIDATION ERROR: namespaceRestriction.lease.renewInterval must be shorter than namespaceRestriction.lease.duration, which counts in whole seconds. Got: '%s' and '%s'" $interval $duration) -}}
{{- end -}}
{{- end -}}

{{/* Seconds of a Go duration whose form the values schema has checked. */}}
{{- define "dynamo-operator.seconds" -}}
{{- $units := dict "ns" 1e-9 "us" 1e-6 "µs" 1e-6 "ms" 1e-3 "s" 1.0 "m" 60.0 "h" 3600.0 -}}
{{- $sum := 0.0 -}}
{{- range regexFindAll "[0-9.]+[a-zµ]+" . -1 -}}
{{- $number := regexFind "[0-9.]+" . -}}
{{- $sum = addf $sum (mulf (float64 $number) (get $units (trimPrefix $number .))) -}}
{{- end -}}
{{- $sum -}}
{{- end -}}
