{{/* Names, labels and images: charts.md section 4. */}}

{{- define "etcd.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{/* As the chart by Bitnami has it. One exception: a release whose name contains "nats" and "etcd", where both charts would call
their objects by the release's name alone. */}}
{{- define "etcd.fullname" -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- $shared := and (contains "nats" .Release.Name) (contains "etcd" .Release.Name) -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 63 | trimSuffix "-" -}}
{{- else if and (contains $name .Release.Name) (not $shared) -}}
{{- .Release.Name | trunc 63 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 63 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* The full name with a suffix, not longer than Kubernetes takes: call with (list . SUFFIX LIMIT). It is cut, with a hash of it. */}}
{{- define "etcd.cut" -}}
{{- $name := include "etcd.fullname" (index . 0) -}}
{{- $suffix := index . 1 -}}
{{- $limit := index . 2 -}}
{{- if gt (add (len $name) (len $suffix)) $limit -}}
{{- $room := sub $limit (add (len $suffix) 9) | int -}}
{{- printf "%s-%s%s" (trunc $room $name | trimSuffix "-") (sha256sum $name | trunc 8) $suffix -}}
{{- else -}}
{{- print $name $suffix -}}
{{- end -}}
{{- end -}}

{{/* A StatefulSet puts 11 characters behind its name into a label of its pods. */}}
{{- define "etcd.statefulSetName" -}}
{{- include "etcd.cut" (list . "" 52) -}}
{{- end -}}

{{- define "etcd.headlessServiceName" -}}
{{- include "etcd.cut" (list . "-headless" 63) -}}
{{- end -}}

{{/* What follows the name of a Service. Without a cluster domain the search path of the pods completes it. */}}
{{- define "etcd.serviceDomain" -}}
{{- .Release.Namespace }}.svc{{- with .Values.clusterDomain -}}.{{ . }}{{- end -}}
{{- end -}}

{{- define "etcd.clientScheme" -}}
{{- ternary "https" "http" (eq (include "etcd.secure" .Values.auth.client) "true") -}}
{{- end -}}

{{- define "etcd.peerScheme" -}}
{{- ternary "https" "http" (eq (include "etcd.secure" .Values.auth.peer) "true") -}}
{{- end -}}

{{/* "true" when auth.client or auth.peer asks for TLS. */}}
{{- define "etcd.secure" -}}
{{- if . -}}{{- if or .secureTransport .useAutoTLS -}}true{{- end -}}{{- end -}}
{{- end -}}

{{/* Address of the clients, as a URL. */}}
{{- define "etcd.clientURL" -}}
{{- printf "%s://%s.%s:%d" (include "etcd.clientScheme" .) (include "etcd.fullname" .) (include "etcd.serviceDomain" .) (include "etcd.clientPort" . | int) -}}
{{- end -}}

{{- define "etcd.clientPort" -}}
{{- default 2379 ((.Values.service).ports).client -}}
{{- end -}}

{{- define "etcd.peerPort" -}}
{{- default 2380 ((.Values.service).ports).peer -}}
{{- end -}}

{{- define "etcd.selectorLabels" -}}
app.kubernetes.io/name: {{ include "etcd.name" . | quote }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
app.kubernetes.io/component: etcd
{{- end -}}

{{- define "etcd.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" | quote }}
{{ include "etcd.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service | quote }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* Metadata of an object: call with (list . NAME) or (list . NAME ANNOTATIONS). */}}
{{- define "etcd.metadata" -}}
{{- $root := index . 0 -}}
{{- $annotations := deepCopy (default dict $root.Values.commonAnnotations) -}}
{{- if eq (len .) 3 -}}{{- $annotations = mergeOverwrite $annotations (default dict (index . 2)) -}}{{- end -}}
metadata:
  name: {{ index . 1 | quote }}
  namespace: {{ $root.Release.Namespace | quote }}
  labels:
    {{- include "etcd.labels" $root | nindent 4 }}
  {{- with $annotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end -}}

{{/* Text of a value: call with the value. A number that was not quoted in a value file is a float; a whole one is printed as people
wrote it, not as 2.0250101e+07. */}}
{{- define "etcd.text" -}}
{{- $whole := false -}}
{{- if kindIs "float64" . -}}{{- $whole = eq . (floor .) -}}{{- end -}}
{{- ternary (int64 .) . $whole -}}
{{- end -}}

{{/* image and imagePullPolicy of the server. global.security.allowInsecureImages is not needed: any image may be named. */}}
{{- define "etcd.image" -}}
{{- $image := .Values.image -}}
{{- $registry := default $image.registry (.Values.global).imageRegistry -}}
{{- $path := ternary $image.repository (printf "%s/%s" $registry $image.repository) (empty $registry) -}}
image: {{ ternary (printf "%s:%s" $path (include "etcd.text" $image.tag)) (printf "%s@%s" $path $image.digest) (empty $image.digest) | quote }}
{{- with $image.pullPolicy }}
imagePullPolicy: {{ . }}
{{- end }}
{{- end -}}

{{/* imagePullSecrets: names, or maps with a name. */}}
{{- define "etcd.pullSecrets" -}}
{{- $names := list -}}
{{- range concat (default list (.Values.global).imagePullSecrets) (default list .Values.image.pullSecrets) -}}
{{- $names = append $names (kindIs "map" . | ternary . (dict "name" .)) -}}
{{- end -}}
{{- with uniq $names }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* Where the pods may run, and pod security "restricted". */}}
{{- define "etcd.placement" -}}
automountServiceAccountToken: false
# The server would take variables such as ETCD_PORT, which Kubernetes makes from the names of Services, for its own.
enableServiceLinks: false
{{- include "etcd.pullSecrets" . }}
{{- if (.Values.podSecurityContext).enabled }}
securityContext:
  {{- omit .Values.podSecurityContext "enabled" | toYaml | nindent 2 }}
{{- end }}
{{- with .Values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.priorityClassName }}
priorityClassName: {{ . | quote }}
{{- end }}
{{- end -}}

{{- define "etcd.containerSecurity" -}}
{{- if (.Values.containerSecurityContext).enabled }}
securityContext:
  {{- omit .Values.containerSecurityContext "enabled" | toYaml | nindent 2 }}
{{- end }}
{{- end -}}
