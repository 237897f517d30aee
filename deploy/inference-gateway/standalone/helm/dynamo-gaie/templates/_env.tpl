{{/*
Variables of the picker, in the order of the contract (charts.md section 14): of two of one name the later counts.
Call with (list . DYNAMO_NAMESPACE).
*/}}
{{- define "dynamo-gaie.env" -}}
{{- $root := index . 0 -}}
{{- $dynamoNamespace := index . 1 -}}
{{- with $root.Values.epp -}}
{{- if .useDynamo }}
- name: POD_NAMESPACE
  valueFrom:
    fieldRef:
      fieldPath: metadata.namespace
- name: POD_NAME
  valueFrom:
    fieldRef:
      fieldPath: metadata.name
- name: POD_UID
  valueFrom:
    fieldRef:
      fieldPath: metadata.uid
{{- if .dynamo.useEtcd }}
- name: ETCD_ENDPOINTS
  value: {{ printf "%s:2379" (include "dynamo-gaie.platformHost" (list $root "etcd")) | quote }}
{{- else }}
- name: DYN_DISCOVERY_BACKEND
  value: kubernetes
{{- end }}
- name: NATS_SERVER
  value: {{ printf "nats://%s:4222" (include "dynamo-gaie.platformHost" (list $root "nats")) | quote }}
- name: DYN_NAMESPACE
  value: {{ $dynamoNamespace | quote }}
- name: DYN_KV_BLOCK_SIZE
  value: {{ include "dynamo-gaie.text" .dynamo.kvBlockSize | quote }}
- name: USE_STREAMING
  value: "true"
- name: HF_TOKEN
  valueFrom:
    secretKeyRef:
      name: hf-token-secret
      key: HF_TOKEN
      optional: true
{{- if and $root.Values.model.identifier (not (include "dynamo-gaie.names" (list .extraEnv "DYN_MODEL"))) }}
- name: DYN_MODEL
  value: {{ $root.Values.model.identifier | quote }}
{{- end }}
{{- end }}
{{- range .extraEnv }}
- name: {{ .name | quote }}
  {{- if .valueFrom }}
  valueFrom:
    {{- toYaml .valueFrom | nindent 4 }}
  {{- else }}
  value: {{ include "dynamo-gaie.text" .value | quote }}
  {{- end }}
{{- end }}
{{- with .rustLog }}
- name: RUST_LOG
  value: {{ . | quote }}
{{- end }}
{{- end -}}
{{- end -}}

{{/* "true" when a list of variables has one of this name, else empty. Call with (list LIST NAME). */}}
{{- define "dynamo-gaie.names" -}}
{{- $name := index . 1 -}}
{{- $found := false -}}
{{- range index . 0 -}}
{{- if eq .name $name -}}{{- $found = true -}}{{- end -}}
{{- end -}}
{{- if $found -}}true{{- end -}}
{{- end -}}
