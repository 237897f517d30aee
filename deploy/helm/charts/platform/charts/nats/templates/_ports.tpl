{{/* YAML of the port of a Service: call with a listener. A mesh reads the protocol. */}}
{{- define "nats.servicePort" -}}
{{- $web := has .name (list "websocket" "monitor" "profiling") -}}
name: {{ .name }}
port: {{ int .port }}
targetPort: {{ .name }}
appProtocol: {{ ternary (ternary "https" "http" .tls) (ternary "tls" "tcp" .tls) $web }}
{{- end -}}
