{{/* Names: charts.md sections 2 and 14. Objects of the model begin with model.shortName, the others with the fullname. */}}

{{- define "dynamo-gaie.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{- define "dynamo-gaie.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 63 | trimSuffix "-" -}}
{{- else -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- if contains $name .Release.Name -}}
{{- .Release.Name | trunc 63 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 63 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "dynamo-gaie.labels" -}}
app.kubernetes.io/name: {{ include "dynamo-gaie.name" . | quote }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end -}}

{{- define "dynamo-gaie.picker" -}}
{{- printf "%s-epp" .Values.model.shortName -}}
{{- end -}}

{{- define "dynamo-gaie.pool" -}}
{{- printf "%s-pool" .Values.model.shortName -}}
{{- end -}}

{{- define "dynamo-gaie.configMap" -}}
{{- printf "%s-epp-config" (include "dynamo-gaie.fullname" .) -}}
{{- end -}}

{{- define "dynamo-gaie.roles" -}}
{{- printf "%s-epp" (include "dynamo-gaie.fullname" .) -}}
{{- end -}}

{{/* No other release has this name: the fullname is unique in its namespace, and neither part can hold a colon. */}}
{{- define "dynamo-gaie.clusterRole" -}}
{{- printf "%s:%s" (include "dynamo-gaie.roles" .) .Release.Namespace -}}
{{- end -}}

{{- define "dynamo-gaie.serviceAccount" -}}
{{- $account := default dict .Values.serviceAccount -}}
{{- if $account.name -}}
{{- $account.name -}}
{{- else if $account.create -}}
{{- include "dynamo-gaie.roles" . -}}
{{- else -}}
default
{{- end -}}
{{- end -}}

{{/* The Dynamo namespace of the graph's pods, which is also a label of them. */}}
{{- define "dynamo-gaie.dynamoNamespace" -}}
{{- $graph := required "set dynamoGraphDeploymentName to the name of your DynamoGraphDeployment" .Values.dynamoGraphDeploymentName -}}
{{- $namespace := printf "%s-%s" .Release.Namespace $graph -}}
{{- if gt (len $namespace) 63 -}}
{{- fail (printf "dynamoGraphDeploymentName %q: the label value %q has %d characters, more than 63; use a shorter name of the graph or of the namespace" $graph $namespace (len $namespace)) -}}
{{- end -}}
{{- $namespace -}}
{{- end -}}

{{- define "dynamo-gaie.gatewayNamespace" -}}
{{- default .Release.Namespace .Values.httpRoute.gatewayNamespace -}}
{{- end -}}

{{/* Host of a server of the platform. Call with (list . "nats"). */}}
{{- define "dynamo-gaie.platformHost" -}}
{{- $root := index . 0 -}}
{{- $release := default "dynamo-platform" $root.Values.platformReleaseName -}}
{{- printf "%s-%s.%s" $release (index . 1) (default $root.Release.Namespace $root.Values.platformNamespace) -}}
{{- end -}}

{{/* A variable's value as text; a large number keeps its digits (Helm reads every number of a file as a float). */}}
{{- define "dynamo-gaie.text" -}}
{{- if and (kindIs "float64" .) (eq . (floor .)) -}}{{ int64 . }}{{- else if not (kindIs "invalid" .) -}}{{ . }}{{- end -}}
{{- end -}}
