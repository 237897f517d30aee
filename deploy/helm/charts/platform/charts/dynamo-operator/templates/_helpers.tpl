{{/* Names, labels and images: charts.md section 2. Every name is cut to 63 before a suffix is added. */}}

{{- define "dynamo-operator.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{- define "dynamo-operator.fullname" -}}
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

{{- define "dynamo-operator.selectorLabels" -}}
app.kubernetes.io/name: {{ include "dynamo-operator.name" . | quote }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end -}}

{{- define "dynamo-operator.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" | quote }}
{{ include "dynamo-operator.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service | quote }}
{{- end -}}

{{/* Labels of objects that belong to a part of the operator. Call with (list . "component"). */}}
{{- define "dynamo-operator.componentLabels" -}}
{{- $root := index . 0 -}}
app.kubernetes.io/component: {{ index . 1 | quote }}
app.kubernetes.io/created-by: dynamo-operator
app.kubernetes.io/part-of: dynamo-operator
{{ include "dynamo-operator.labels" $root }}
{{- end -}}

{{- define "dynamo-operator.managerAccount" -}}
{{- printf "%s-controller-manager" (include "dynamo-operator.fullname" .) -}}
{{- end -}}

{{/* "true" when the operator serves one namespace only, else empty. */}}
{{- define "dynamo-operator.restricted" -}}
{{- if (.Values.namespaceRestriction).enabled -}}true{{- end -}}
{{- end -}}

{{/* The namespace of a restricted operator (RNS in charts.md): the target, or the release namespace when none is named. */}}
{{- define "dynamo-operator.restrictedNamespace" -}}
{{- default .Release.Namespace (.Values.namespaceRestriction).targetNamespace -}}
{{- end -}}

{{/* Where pods of graphs find what the chart makes for them: the served namespace, else that of the release. */}}
{{- define "dynamo-operator.podNamespace" -}}
{{- ternary (include "dynamo-operator.restrictedNamespace" .) .Release.Namespace (eq (include "dynamo-operator.restricted" .) "true") -}}
{{- end -}}

{{/* "true" when objects without a namespace may be made; a restricted operator can do without them. */}}
{{- define "dynamo-operator.clusterObjects" -}}
{{- $refused := eq (toString (.Values.namespaceRestriction).clusterObjects) "false" -}}
{{- if not (and (include "dynamo-operator.restricted" .) $refused) -}}true{{- end -}}
{{- end -}}

{{/* "true" when a restricted operator serves a namespace that is not its own. */}}
{{- define "dynamo-operator.servesAnotherNamespace" -}}
{{- if and (include "dynamo-operator.restricted" .) (ne .Release.Namespace (include "dynamo-operator.restrictedNamespace" .)) -}}true{{- end -}}
{{- end -}}

{{- define "dynamo-operator.leaderElectionId" -}}
{{- default "dynamo.nvidia.com" ((.Values.controllerManager).leaderElection).id -}}
{{- end -}}

{{/* A number read from a values file is a float; print a whole one as people wrote it, not as 2.025e+07. */}}
{{- define "dynamo-operator.imageTag" -}}
{{- $tag := .Values.controllerManager.manager.image.tag -}}
{{- if kindIs "float64" $tag -}}{{- $tag = int64 $tag -}}{{- end -}}
{{- default .Chart.AppVersion (toString (default "" $tag)) -}}
{{- end -}}

{{/* The operator's image, by its digest or by its tag. */}}
{{- define "dynamo-operator.image" -}}
{{- $image := .Values.controllerManager.manager.image -}}
{{- if $image.digest -}}
{{- printf "%s@%s" $image.repository $image.digest -}}
{{- else -}}
{{- printf "%s:%s" $image.repository (include "dynamo-operator.imageTag" .) -}}
{{- end -}}
{{- end -}}

{{- define "dynamo-operator.clusterDomain" -}}
{{- default "cluster.local" .Values.kubernetesClusterDomain -}}
{{- end -}}

{{/* "true" when the operator is told to expose graphs through Istio; both values are needed (charts.md section 3). */}}
{{- define "dynamo-operator.istioGateway" -}}
{{- $istio := default dict (.Values.dynamo).istio -}}
{{- if $istio.enabled -}}{{- default "" $istio.gateway -}}{{- end -}}
{{- end -}}
