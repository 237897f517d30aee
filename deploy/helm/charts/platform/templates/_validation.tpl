{{/* Values of several parts that do not go together. What one part can judge by itself is checked in its own chart. */}}

{{/* JSON list of the names that two parts could both take: part, kind, namespace, name. */}}
{{- define "dynamo-platform.takenNames" -}}
{{- $taken := list -}}
{{- with index .Subcharts "dynamo-operator" -}}
{{- $names := list (include "dynamo-operator.webhookService" .) -}}
{{- if (.Values.metricsService).enabled -}}{{- $names = append $names (include "dynamo-operator.fullname" .) -}}{{- end -}}
{{- $namespace := .Release.Namespace -}}
{{- range $names -}}
{{- $taken = append $taken (dict "part" "dynamo-operator" "kind" "Service" "namespace" $namespace "name" .) -}}
{{- end -}}
{{- end -}}
{{- with index .Subcharts "nats" -}}
{{- $place := dict "part" "nats" "namespace" (include "nats.namespace" .) -}}
{{- if (.Values.service).enabled -}}{{- $taken = append $taken (merge (dict "kind" "Service" "name" (include "nats.serviceName" .)) $place) -}}{{- end -}}
{{- $taken = append $taken (merge (dict "kind" "Service" "name" (include "nats.headlessServiceName" .)) $place) -}}
{{- $taken = append $taken (merge (dict "kind" "StatefulSet" "name" (include "nats.statefulSetName" .)) $place) -}}
{{- end -}}
{{- with index .Subcharts "etcd" -}}
{{- $place := dict "part" "etcd" "namespace" .Release.Namespace -}}
{{- $taken = append $taken (merge (dict "kind" "Service" "name" (include "etcd.fullname" .)) $place) -}}
{{- $taken = append $taken (merge (dict "kind" "Service" "name" (include "etcd.headlessServiceName" .)) $place) -}}
{{- $taken = append $taken (merge (dict "kind" "StatefulSet" "name" (include "etcd.statefulSetName" .)) $place) -}}
{{- end -}}
{{- toJson $taken -}}
{{- end -}}

{{/* Helm would make one of two objects with one name, and say nothing or fail in the middle. */}}
{{- define "dynamo-platform.validate" -}}
{{- $holders := dict -}}
{{- range include "dynamo-platform.takenNames" . | fromJsonArray -}}
{{- $key := printf "%s %s/%s" .kind .namespace .name -}}
{{- $other := get $holders $key -}}
{{- if and $other (ne $other .part) -}}
{{- fail (printf "%s.fullnameOverride, %s.fullnameOverride: both parts would make the %s %q in namespace %s (release %q). Names must differ: set one of the two values to a name of its own, or choose another release name" $other .part .kind .name .namespace $.Release.Name) -}}
{{- end -}}
{{- $_ := set $holders $key .part -}}
{{- end -}}
{{- end -}}
