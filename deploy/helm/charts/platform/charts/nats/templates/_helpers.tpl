{{/* Names, labels, images and variables: charts.md section 4. */}}

{{- define "nats.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{/* As the chart of the NATS project has it. One exception: a release whose name contains "nats" and "etcd", where both charts
would call their objects by the release's name alone. */}}
{{- define "nats.fullname" -}}
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

{{/* A name that is not longer than Kubernetes takes: call with (list NAME SUFFIX LIMIT). The name is cut, with a hash of it. */}}
{{- define "nats.cut" -}}
{{- $name := index . 0 -}}
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
{{- define "nats.statefulSetName" -}}
{{- default (include "nats.cut" (list (include "nats.fullname" .) "" 52)) (.Values.statefulSet).name -}}
{{- end -}}

{{- define "nats.serviceName" -}}
{{- default (include "nats.fullname" .) (.Values.service).name -}}
{{- end -}}

{{- define "nats.headlessServiceName" -}}
{{- default (include "nats.cut" (list (include "nats.fullname" .) "-headless" 63)) (.Values.headlessService).name -}}
{{- end -}}

{{- define "nats.configMapName" -}}
{{- default (printf "%s-config" (include "nats.fullname" .)) (.Values.configMap).name -}}
{{- end -}}

{{- define "nats.namespace" -}}
{{- default .Release.Namespace .Values.namespaceOverride -}}
{{- end -}}

{{- define "nats.selectorLabels" -}}
app.kubernetes.io/name: {{ include "nats.name" . | quote }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end -}}

{{/* Call with (list . "component"). */}}
{{- define "nats.labels" -}}
{{- $root := index . 0 -}}
helm.sh/chart: {{ printf "%s-%s" $root.Chart.Name $root.Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" | quote }}
{{ include "nats.selectorLabels" $root }}
app.kubernetes.io/component: {{ index . 1 }}
app.kubernetes.io/version: {{ $root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ $root.Release.Service | quote }}
{{- with (($root.Values.global).labels) }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* Metadata of an object: call with (list . "component" NAME). */}}
{{- define "nats.metadata" -}}
{{- $root := index . 0 -}}
metadata:
  name: {{ index . 2 | quote }}
  namespace: {{ include "nats.namespace" $root | quote }}
  labels:
    {{- include "nats.labels" (list $root (index . 1)) | nindent 4 }}
{{- end -}}

{{/* Text of a value: call with the value. A number that was not quoted in a value file is a float; a whole one is printed as people
wrote it, not as 2.0250101e+07. */}}
{{- define "nats.text" -}}
{{- $whole := false -}}
{{- if kindIs "float64" . -}}{{- $whole = eq . (floor .) -}}{{- end -}}
{{- ternary (int64 .) . $whole -}}
{{- end -}}

{{/* image and imagePullPolicy: call with (list . IMAGE-VALUES). */}}
{{- define "nats.image" -}}
{{- $common := default dict ((index . 0).Values.global).image -}}
{{- $image := default dict (index . 1) -}}
{{- $registry := default $common.registry $image.registry -}}
{{- $path := printf "%s:%s" $image.repository (include "nats.text" $image.tag) -}}
{{- if $registry -}}{{- $path = printf "%s/%s" $registry $path -}}{{- end -}}
image: {{ default $path $image.fullImageName | quote }}
{{- with default $common.pullPolicy $image.pullPolicy }}
imagePullPolicy: {{ . }}
{{- end }}
{{- end -}}

{{/* Entries of env from a map NAME: VALUE or NAME: {valueFrom: ...}. */}}
{{- define "nats.env" -}}
{{- $variables := list -}}
{{- range $name, $value := . -}}
{{- if kindIs "map" $value -}}
{{- $variables = append $variables (merge (dict "name" $name) $value) -}}
{{- else if not (kindIs "invalid" $value) -}}
{{- $variables = append $variables (dict "name" $name "value" (include "nats.text" $value)) -}}
{{- end -}}
{{- end -}}
{{- toYaml $variables -}}
{{- end -}}

{{/* Pod security "restricted" for the pods of this chart; `podTemplate.merge` changes it. */}}
{{- define "nats.podSecurity" -}}
securityContext:
  runAsNonRoot: true
  # The images of NATS would run as root.
  runAsUser: 1000
  runAsGroup: 1000
  fsGroup: 1000
  # Large volumes are not walked through at every start.
  fsGroupChangePolicy: OnRootMismatch
  seccompProfile:
    type: RuntimeDefault
{{- with ((.Values.global).image).pullSecretNames }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . | quote }}
  {{- end }}
{{- end }}
{{- end -}}

{{- define "nats.containerSecurity" -}}
securityContext:
  allowPrivilegeEscalation: false
  capabilities:
    drop:
      - ALL
  readOnlyRootFilesystem: true
{{- end -}}
