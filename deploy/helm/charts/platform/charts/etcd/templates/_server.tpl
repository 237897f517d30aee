{{/* The server is told everything by ETCD_* variables, which every etcd reads, and started by its name: no image needs a shell. */}}

{{/* A name of the headless Service. */}}
{{- define "etcd.memberHost" -}}
{{- printf "%s.%s.%s" (index . 1) (include "etcd.headlessServiceName" (index . 0)) (include "etcd.serviceDomain" (index . 0)) -}}
{{- end -}}

{{/* The list of env. */}}
{{- define "etcd.variables" -}}
{{- $client := include "etcd.clientScheme" . -}}
{{- $peer := include "etcd.peerScheme" . -}}
{{- $own := include "etcd.memberHost" (list . "$(ETCD_NAME)") -}}
{{- $members := list -}}
{{- range until (int .Values.replicaCount) -}}
{{- $name := printf "%s-%d" (include "etcd.statefulSetName" $) . -}}
{{- $members = append $members (printf "%s=%s://%s:2380" $name $peer (include "etcd.memberHost" (list $ $name))) -}}
{{- end -}}
- name: ETCD_NAME
  valueFrom:
    fieldRef:
      fieldPath: metadata.name
- name: ETCD_DATA_DIR
  value: /bitnami/etcd/data
- name: ETCD_LISTEN_CLIENT_URLS
  value: {{ $client }}://0.0.0.0:2379
- name: ETCD_ADVERTISE_CLIENT_URLS
  value: {{ printf "%s://%s:2379,%s" $client $own (include "etcd.clientURL" .) | quote }}
- name: ETCD_LISTEN_PEER_URLS
  value: {{ $peer }}://0.0.0.0:2380
- name: ETCD_INITIAL_ADVERTISE_PEER_URLS
  value: {{ printf "%s://%s:2380" $peer $own | quote }}
- name: ETCD_INITIAL_CLUSTER
  value: {{ join "," $members | quote }}
- name: ETCD_INITIAL_CLUSTER_STATE
  value: {{ default "new" .Values.initialClusterState }}
- name: ETCD_INITIAL_CLUSTER_TOKEN
  value: {{ include "etcd.fullname" . | quote }}
{{- if include "etcd.observed" . }}
# The probes ask here, without certificate and password.
- name: ETCD_LISTEN_METRICS_URLS
  value: http://0.0.0.0:2381
{{- end }}
{{- with .Values.logLevel }}
- name: ETCD_LOG_LEVEL
  value: {{ . }}
{{- end }}
{{- with .Values.autoCompactionMode }}
- name: ETCD_AUTO_COMPACTION_MODE
  value: {{ . }}
{{- end }}
{{- with .Values.autoCompactionRetention }}
- name: ETCD_AUTO_COMPACTION_RETENTION
  value: {{ include "etcd.text" . | quote }}
{{- end }}
{{- include "etcd.tlsVariables" (list .Values.auth.client "/certs/client" "ETCD_") }}
{{- include "etcd.tlsVariables" (list .Values.auth.peer "/certs/peer" "ETCD_PEER_") }}
# For the program of Bitnami's image, when the command is changed to start it.
- name: ALLOW_NONE_AUTHENTICATION
  value: {{ ternary "no" "yes" (include "etcd.rbac" . | eq "true") | quote }}
{{- with .Values.extraEnvVars }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* Call with (list SECTION FOLDER PREFIX). */}}
{{- define "etcd.tlsVariables" -}}
{{- $values := default dict (index . 0) -}}
{{- $folder := index . 1 -}}
{{- $prefix := index . 2 -}}
{{- if $values.useAutoTLS }}
- name: {{ $prefix }}AUTO_TLS
  value: "true"
{{- else if $values.secureTransport }}
- name: {{ $prefix }}CERT_FILE
  value: {{ printf "%s/%s" $folder (default "cert.pem" $values.certFilename) | quote }}
- name: {{ $prefix }}KEY_FILE
  value: {{ printf "%s/%s" $folder (default "key.pem" $values.certKeyFilename) | quote }}
{{- with include "etcd.caFile" (list $values $folder) }}
- name: {{ $prefix }}TRUSTED_CA_FILE
  value: {{ . | quote }}
{{- end }}
{{- if $values.enableAuthentication }}
- name: {{ $prefix }}CLIENT_CERT_AUTH
  value: "true"
{{- end }}
{{- end }}
{{- end -}}

{{/* Path of the CA: call with (list SECTION FOLDER). Empty when none is named and no client must show a certificate. */}}
{{- define "etcd.caFile" -}}
{{- $values := index . 0 -}}
{{- $name := default (ternary "ca.crt" "" (not (empty $values.enableAuthentication))) $values.caFilename -}}
{{- with $name -}}{{- printf "%s/%s" (index $ 1) . -}}{{- end -}}
{{- end -}}

{{/* Whether the port of probes and metrics is open. */}}
{{- define "etcd.observed" -}}
{{- if or ((.Values.metrics).podMonitor).enabled (.Values.startupProbe).enabled (.Values.livenessProbe).enabled (.Values.readinessProbe).enabled -}}true{{- end -}}
{{- end -}}

{{/* A probe: call with (list . NAME PATH). */}}
{{- define "etcd.probe" -}}
{{- $values := index (index . 0).Values (index . 1) -}}
{{- if ($values).enabled }}
{{ index . 1 }}:
  httpGet:
    path: {{ index . 2 }}
    port: metrics
  {{- omit $values "enabled" | toYaml | nindent 2 }}
{{- end }}
{{- end -}}

{{- define "etcd.probes" -}}
{{- include "etcd.probe" (list . "startupProbe" "/health") }}
{{- /* A member that lost its leader must not be restarted for that. */}}
{{- include "etcd.probe" (list . "livenessProbe" "/health?serializable=true") }}
{{- include "etcd.probe" (list . "readinessProbe" "/health") }}
{{- end -}}

{{/* JSON list of the Secrets with certificates: name, folder, secret. */}}
{{- define "etcd.certificates" -}}
{{- $root := . -}}
{{- $found := list -}}
{{- range $part := list "client" "peer" -}}
{{- $values := default dict (index $root.Values.auth $part) -}}
{{- if and $values.secureTransport (not $values.useAutoTLS) -}}
{{- $secret := default (printf "%s-%s-tls" (include "etcd.fullname" $root) $part) $values.existingSecret -}}
{{- $found = append $found (dict "name" (printf "certs-%s" $part) "folder" (printf "/certs/%s" $part) "secret" $secret) -}}
{{- end -}}
{{- end -}}
{{- toJson $found -}}
{{- end -}}

{{- define "etcd.certificateMounts" -}}
{{- range include "etcd.certificates" . | fromJsonArray }}
- name: {{ .name }}
  mountPath: {{ .folder }}
  readOnly: true
{{- end }}
{{- end -}}

{{- define "etcd.volumes" -}}
{{- if not .Values.persistence.enabled }}
- name: data
  emptyDir: {}
{{- end }}
{{- /* The keys of a certificate are for the group of the pod only. */}}
{{- range include "etcd.certificates" . | fromJsonArray }}
- name: {{ .name }}
  secret:
    secretName: {{ .secret | quote }}
    defaultMode: 288
{{- end }}
{{- with .Values.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "etcd.affinity" -}}
{{- if .Values.affinity -}}
{{- toYaml .Values.affinity -}}
{{- else if and (gt (int .Values.replicaCount) 1) .Values.podAntiAffinityPreset -}}
{{- $term := dict "topologyKey" "kubernetes.io/hostname" "labelSelector" (dict "matchLabels" (include "etcd.selectorLabels" . | fromYaml)) -}}
podAntiAffinity:
{{- if eq .Values.podAntiAffinityPreset "hard" }}
  requiredDuringSchedulingIgnoredDuringExecution:
    - {{ toYaml $term | nindent 6 | trim }}
{{- else }}
  preferredDuringSchedulingIgnoredDuringExecution:
    - weight: 100
      podAffinityTerm:
        {{- toYaml $term | nindent 8 }}
{{- end }}
{{- end -}}
{{- end -}}
