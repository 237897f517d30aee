{{/* Addresses of NATS and etcd: charts.md sections 3 and 5. */}}

{{/* The user's own address, else that of the bundled server, if the platform has one. It says so in `bundled`, which is no value
of the user's. */}}
{{- define "dynamo-operator.natsAddress" -}}
{{- if .Values.natsAddr -}}
{{- .Values.natsAddr -}}
{{- else if (.Values.nats).enabled -}}
{{- default "" (.Values.bundled).natsAddress -}}
{{- end -}}
{{- end -}}

{{- define "dynamo-operator.etcdAddress" -}}
{{- default (default "" (.Values.bundled).etcdAddress) .Values.etcdAddr -}}
{{- end -}}

{{- define "dynamo-operator.addressArgs" -}}
{{- with include "dynamo-operator.natsAddress" . }}
- {{ printf "--natsAddr=%s" . | quote }}
{{- end }}
{{- with include "dynamo-operator.etcdAddress" . }}
- {{ printf "--etcdAddr=%s" . | quote }}
{{- end }}
{{- end -}}
