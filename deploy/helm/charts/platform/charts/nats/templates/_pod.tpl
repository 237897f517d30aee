{{/* The pod of the server and its containers. */}}

{{/* Name of the volume and of the claims of a store ("jetstream" or "resolver"): call with (list . PVC-VALUES SUFFIX). */}}
{{- define "nats.claimName" -}}
{{- default (include "nats.cut" (list (include "nats.fullname" (index . 0)) (index . 2) 63)) (default dict (index . 1)).name -}}
{{- end -}}

{{/* JSON list of what the server mounts: name, mountPath, and source, the volume's source (none: a claim of the StatefulSet). */}}
{{- define "nats.volumes" -}}
{{- $config := .Values.config -}}
{{- $volumes := list (dict "name" "config" "mountPath" "/etc/nats-config" "source" (dict "configMap" (dict "name" (include "nats.configMapName" .)))) -}}
{{- $volumes = append $volumes (dict "name" "pid" "mountPath" "/var/run/nats" "source" (dict "emptyDir" dict)) -}}
{{- if ($config.jetstream).enabled -}}
{{- $file := default dict $config.jetstream.fileStore -}}
{{- $folder := default "/data" $file.dir -}}
{{- if and $file.enabled ($file.pvc).enabled -}}
{{- $volumes = append $volumes (dict "name" (include "nats.claimName" (list . $file.pvc "-js")) "mountPath" $folder) -}}
{{- else -}}
{{- $volumes = append $volumes (dict "name" "jetstream" "mountPath" $folder "source" (dict "emptyDir" dict)) -}}
{{- end -}}
{{- end -}}
{{- with $config.resolver -}}
{{- if .enabled -}}
{{- $folder := default "/data/resolver" .dir -}}
{{- if (.pvc).enabled -}}
{{- $volumes = append $volumes (dict "name" (include "nats.claimName" (list $ .pvc "-resolver")) "mountPath" $folder) -}}
{{- else -}}
{{- $volumes = append $volumes (dict "name" "resolver" "mountPath" $folder "source" (dict "emptyDir" dict)) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- range $listener := include "nats.listeners" . | fromJsonArray -}}
{{- $section := index $config $listener.name -}}
{{- with include "nats.tlsSecret" (list $ $listener.name $section) -}}
{{- $volumes = append $volumes (dict "name" (printf "%s-tls" $listener.name) "mountPath" (include "nats.tlsFolder" (list $listener.name $section.tls)) "source" (dict "secret" (dict "secretName" .))) -}}
{{- end -}}
{{- end -}}
{{- with include "nats.caVolume" . | fromJson -}}{{- $volumes = append $volumes . -}}{{- end -}}
{{- toJson $volumes -}}
{{- end -}}

{{/* JSON of the volume with the CA; {} without one. */}}
{{- define "nats.caVolume" -}}
{{- $ca := default dict .Values.tlsCA -}}
{{- if $ca.enabled -}}
{{- $source := dict -}}
{{- if $ca.secretName -}}{{- $source = dict "secret" (dict "secretName" $ca.secretName) -}}
{{- else if $ca.configMapName -}}{{- $source = dict "configMap" (dict "name" $ca.configMapName) -}}
{{- else -}}
{{- fail "nats.tlsCA.enabled: the CA must be in a Secret or a ConfigMap of the release namespace; set nats.tlsCA.secretName or nats.tlsCA.configMapName" -}}
{{- end -}}
{{- toJson (dict "name" "tls-ca" "mountPath" (default "/etc/nats-ca-cert" $ca.dir) "source" $source) -}}
{{- else -}}
{}
{{- end -}}
{{- end -}}

{{- define "nats.probe" -}}
httpGet:
  path: {{ index . 0 }}
  port: monitor
  {{- if index . 1 }}
  scheme: HTTPS
  {{- end }}
initialDelaySeconds: 10
timeoutSeconds: 5
periodSeconds: {{ index . 2 }}
successThreshold: 1
failureThreshold: {{ index . 3 }}
{{- end -}}

{{/* YAML of the server's container. */}}
{{- define "nats.serverContainer" -}}
{{- $values := .Values.container -}}
{{- $monitor := default dict .Values.config.monitor -}}
name: nats
{{ include "nats.image" (list . $values.image) }}
# The program by name, not the entry point of the image: any image that has it on its PATH will do.
command:
  - nats-server
args:
  - --config
  - /etc/nats-config/nats.conf
env:
  - name: POD_NAME
    valueFrom:
      fieldRef:
        fieldPath: metadata.name
  - name: SERVER_NAME
    value: {{ printf "%s$(POD_NAME)" (default "" .Values.config.serverNamePrefix) | quote }}
  {{- with $values.env }}
  {{- include "nats.env" . | nindent 2 }}
  {{- end }}
ports:
  {{- range $listener := include "nats.listeners" . | fromJsonArray }}
  {{- $own := default dict (index (default dict $values.ports) $listener.name) }}
  - {{ merge (dict "name" $listener.name "containerPort" (int $listener.port)) $own | toJson }}
  {{- end }}
volumeMounts:
  {{- range include "nats.volumes" . | fromJsonArray }}
  - {{ pick . "name" "mountPath" | toJson }}
  {{- end }}
lifecycle:
  preStop:
    exec:
      # Clients are told to leave, a few at a time, before the server ends.
      command:
        - nats-server
        - -sl=ldm=/var/run/nats/nats.pid
{{- if $monitor.enabled }}
{{- $tls := ($monitor.tls).enabled }}
startupProbe:
  {{- include "nats.probe" (list "/healthz" $tls 10 90) | nindent 2 }}
readinessProbe:
  {{- include "nats.probe" (list "/healthz?js-server-only=true" $tls 10 3) | nindent 2 }}
livenessProbe:
  {{- include "nats.probe" (list "/healthz?js-enabled-only=true" $tls 30 3) | nindent 2 }}
{{- end }}
{{ include "nats.containerSecurity" . }}
{{- end -}}

{{/* YAML of the container that sends the server a SIGHUP when its files change. */}}
{{- define "nats.reloaderContainer" -}}
{{- $values := .Values.reloader -}}
name: reloader
{{ include "nats.image" (list . $values.image) }}
args:
  - -pid
  - /var/run/nats/nats.pid
  - -config
  - /etc/nats-config/nats.conf
  {{- range include "nats.configuration" . | fromJson | include "nats.watchedFiles" | fromJsonArray }}
  - -config
  - {{ . | quote }}
  {{- end }}
{{- with $values.env }}
env:
  {{- include "nats.env" . | nindent 2 }}
{{- end }}
volumeMounts:
  {{- $mounts := (include "nats.changed" (list (include "nats.serverContainer" .) .Values.container "container.patch") | fromYaml).volumeMounts }}
  {{- range $mount := $mounts }}
  {{- $shared := eq $mount.name "pid" }}
  {{- range $prefix := $values.natsVolumeMountPrefixes }}
  {{- if hasPrefix $prefix $mount.mountPath }}{{ $shared = true }}{{ end }}
  {{- end }}
  {{- if $shared }}
  - {{ toJson $mount }}
  {{- end }}
  {{- end }}
{{ include "nats.containerSecurity" . }}
{{- end -}}

{{- define "nats.exporterContainer" -}}
{{- $values := .Values.promExporter -}}
{{- $monitor := .Values.config.monitor -}}
name: prom-exporter
{{ include "nats.image" (list . $values.image) }}
args:
  - -port={{ default 7777 $values.port | int }}
  - -connz
  - -routez
  - -subz
  - -varz
  - -prefix=nats
  - -use_internal_server_id
  {{- if (.Values.config.jetstream).enabled }}
  - -jsz=all
  {{- end }}
  {{- if (.Values.config.leafnodes).enabled }}
  - -leafz
  {{- end }}
  {{- if (.Values.config.gateway).enabled }}
  - -gatewayz
  {{- end }}
  - {{ printf "%s://localhost:%d/" (ternary "https" "http" (not (empty ($monitor.tls).enabled))) (default 8222 $monitor.port | int) }}
{{- with $values.env }}
env:
  {{- include "nats.env" . | nindent 2 }}
{{- end }}
ports:
  - name: prom-metrics
    containerPort: {{ default 7777 $values.port | int }}
{{ include "nats.containerSecurity" . }}
{{- end -}}

{{/* YAML of the pod template. */}}
{{- define "nats.podTemplate" -}}
metadata:
  labels:
    {{- include "nats.selectorLabels" . | nindent 4 }}
    app.kubernetes.io/component: nats
  {{- if (.Values.podTemplate).configChecksumAnnotation }}
  annotations:
    # The reloader reads a new configuration at once, but not every setting can change in a running server.
    checksum/config: {{ include "nats.configurationText" . | sha256sum }}
  {{- end }}
spec:
  # Nothing in this pod talks to Kubernetes.
  automountServiceAccountToken: false
  enableServiceLinks: false
  {{- if (.Values.serviceAccount).enabled }}
  serviceAccountName: {{ default (include "nats.fullname" .) .Values.serviceAccount.name | quote }}
  {{- end }}
  {{- if (.Values.reloader).enabled }}
  # The reloader signals the server.
  shareProcessNamespace: true
  {{- end }}
  # Lame-duck mode takes 10 s and 30 s, then the streams are closed.
  terminationGracePeriodSeconds: 60
  {{- include "nats.podSecurity" . | nindent 2 }}
  containers:
    - {{ include "nats.changed" (list (include "nats.serverContainer" .) .Values.container "container.patch") | nindent 6 | trim }}
    {{- if (.Values.reloader).enabled }}
    - {{ include "nats.changed" (list (include "nats.reloaderContainer" .) .Values.reloader "reloader.patch") | nindent 6 | trim }}
    {{- end }}
    {{- if (.Values.promExporter).enabled }}
    - {{ include "nats.changed" (list (include "nats.exporterContainer" .) .Values.promExporter "promExporter.patch") | nindent 6 | trim }}
    {{- end }}
  volumes:
    {{- range include "nats.volumes" . | fromJsonArray }}
    {{- if .source }}
    - {{ merge (dict "name" .name) .source | toJson }}
    {{- end }}
    {{- end }}
  {{- with (.Values.podTemplate).topologySpreadConstraints }}
  topologySpreadConstraints:
    {{- range $key, $constraint := . }}
    {{- $selector := dict "matchLabels" (merge (dict "app.kubernetes.io/component" "nats") (include "nats.selectorLabels" $ | fromYaml)) }}
    - {{ merge (dict "topologyKey" $key) $constraint (dict "labelSelector" $selector) | toJson }}
    {{- end }}
  {{- end }}
{{- end -}}
