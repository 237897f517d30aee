{{/* Lines of NOTES about what was installed (charts.md section 12); warnings are in _warnings.tpl. */}}

{{/* Names of the parts whose pods are in the release namespace, as their label has them. Call with (list ROOT OPERATOR SCOPE). */}}
{{- define "dynamo-platform.parts" -}}
{{- $root := index . 0 -}}
{{- $parts := list (include "dynamo-operator.name" (index . 2)) -}}
{{- with index $root.Subcharts "nats" -}}
{{- if eq (include "nats.namespace" .) .Release.Namespace -}}{{- $parts = append $parts (include "nats.name" .) -}}{{- end -}}
{{- end -}}
{{- with index $root.Subcharts "etcd" -}}{{- $parts = append $parts (include "etcd.name" .) -}}{{- end -}}
{{- join "," $parts -}}
{{- end -}}

{{/* Call with (list OPERATOR SCOPE). */}}
{{- define "dynamo-platform.metrics" -}}
{{- $scope := index . 1 -}}
{{- $who := ternary "for accounts that may get /metrics" "for everybody" (eq (include "dynamo-operator.metricsAuthentication" $scope) "true") -}}
{{- if ((index . 0).metricsService).enabled -}}
Service {{ include "dynamo-operator.fullname" $scope }}, over HTTPS, {{ $who }}
{{- if and (include "dynamo-operator.metricsAuthentication" $scope) (include "dynamo-operator.clusterObjects" $scope) }} (ClusterRole {{ include "dynamo-operator.clusterPrefix" $scope }}-metrics-reader)
{{- end -}}
{{- else -}}
port {{ include "dynamo-operator.metricsPort" $scope }} of the pod, {{ $who }}; no Service
{{- end -}}
{{- end -}}

{{/* How frontends of graphs are reached that do not say it themselves. */}}
{{- define "dynamo-platform.access" -}}
{{- $dynamo := default dict .dynamo -}}
{{- $suffix := default "local" $dynamo.ingressHostSuffix -}}
{{- $ways := list -}}
{{- if ($dynamo.ingress).enabled -}}
{{- $ways = append $ways (printf "Ingress (class %s), host GRAPH-NAME.%s" (default "of the cluster" $dynamo.ingress.className) $suffix) -}}
{{- end -}}
{{- if and ($dynamo.istio).enabled ($dynamo.istio).gateway -}}
{{- $ways = append $ways (printf "VirtualService at gateway %s, host GRAPH-NAME.%s" $dynamo.istio.gateway $suffix) -}}
{{- end -}}
{{- default "port-forward (step 5)" (join "; " $ways) -}}
{{- end -}}

{{/* Namespaces that restricted operators have claimed: a cluster-wide one keeps out of them. Call with the operator's scope. */}}
{{- define "dynamo-platform.claims" -}}
{{- if not (include "dynamo-operator.restricted" .) -}}
{{- $claimed := list -}}
{{- range (lookup "coordination.k8s.io/v1" "Lease" "" "").items -}}
{{- if eq .metadata.name "dynamo-operator-namespace-scope" -}}{{- $claimed = append $claimed .metadata.namespace -}}{{- end -}}
{{- end -}}
{{- with $claimed }}
  left alone    namespaces with an operator of their own: {{ join ", " (sortAlpha .) }}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* Values of v0.9 that nothing reads. Call with the values of the operator. */}}
{{- define "dynamo-platform.deadValues" -}}
{{- $warnings := list -}}
{{- $dynamo := default dict .dynamo -}}
{{- if $dynamo.dynamoIngressSuffix -}}
{{- $warnings = append $warnings "dynamo-operator.dynamo.dynamoIngressSuffix: no effect; the key is dynamo-operator.dynamo.ingressHostSuffix." -}}
{{- end -}}
{{- if eq (toString ($dynamo.dockerRegistry).secure) "false" -}}
{{- $warnings = append $warnings "dynamo-operator.dynamo.dockerRegistry.secure: no effect; how a registry is reached is set at the nodes." -}}
{{- end -}}
{{- if or (($dynamo.mpiRun).sshKeygen).tolerations (($dynamo.mpiRun).sshKeygen).affinity -}}
{{- $warnings = append $warnings "dynamo-operator.dynamo.mpiRun.sshKeygen.tolerations, .affinity: no effect; the operator makes the key, not a job." -}}
{{- end -}}
{{- if or (eq (toString (.serviceAccount).create) "false") (.serviceAccount).name -}}
{{- $warnings = append $warnings "dynamo-operator.serviceAccount: no effect; the operator's account is always made." -}}
{{- end -}}
{{- if and ((.controllerManager).podDisruptionBudget).enabled (lt (int .controllerManager.replicas) 2) -}}
{{- $warnings = append $warnings "dynamo-operator.controllerManager.podDisruptionBudget: protects nothing with less than two replicas, and minAvailable then keeps nodes from being drained." -}}
{{- end -}}
{{- toYaml $warnings -}}
{{- end -}}
