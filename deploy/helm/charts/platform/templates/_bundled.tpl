{{/* What the platform knows of its bundled parts and the operator does not: a subchart sees its own values only. */}}

{{/* Address of the bundled NATS, by the rules of its chart; empty when it is off. Call with the scope of the platform. */}}
{{- define "dynamo-platform.natsAddress" -}}
{{- with index .Subcharts "nats" -}}
{{- $nats := default dict .Values.config.nats -}}
{{- $scheme := ternary "tls" "nats" (not (empty ($nats.tls).enabled)) -}}
{{- $domain := include "dynamo-platform.clusterDomain" $ -}}
{{- printf "%s://%s.%s.svc.%s:%d" $scheme (include "nats.serviceName" .) (include "nats.namespace" .) $domain (default 4222 $nats.port | int) -}}
{{- end -}}
{{- end -}}

{{/* Address of the bundled etcd; without a scheme, as v0.9 has it, unless it is TLS. */}}
{{- define "dynamo-platform.etcdAddress" -}}
{{- with index .Subcharts "etcd" -}}
{{- $address := printf "%s.%s.svc.%s:%d" (include "etcd.fullname" .) .Release.Namespace (include "dynamo-platform.clusterDomain" $) (include "etcd.clientPort" . | int) -}}
{{- if eq (include "etcd.clientScheme" .) "https" -}}https://{{- end -}}
{{- $address -}}
{{- end -}}
{{- end -}}

{{- define "dynamo-platform.clusterDomain" -}}
{{- default "cluster.local" (default dict (index .Values "dynamo-operator")).kubernetesClusterDomain -}}
{{- end -}}

{{/* JSON of how etcd's chart runs the operator's program. The operator may be off; its values are here all the same. */}}
{{- define "dynamo-platform.operatorProgram" -}}
{{- $operator := default dict (index .Values "dynamo-operator") -}}
{{- $image := default dict (($operator.controllerManager).manager).image -}}
{{- $program := dict "image" (printf "%s:%s" $image.repository (toString (default .Chart.Version $image.tag))) -}}
{{- with $image.pullPolicy -}}{{- $_ := set $program "pullPolicy" . -}}{{- end -}}
{{- with $operator.imagePullSecrets -}}{{- $_ := set $program "pullSecrets" . -}}{{- end -}}
{{- toJson $program -}}
{{- end -}}
