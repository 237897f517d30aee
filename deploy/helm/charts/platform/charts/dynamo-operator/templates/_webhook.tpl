{{/* Names and choices of the admission webhooks: charts.md sections 3 and 9. Objects are in the webhook-*.yaml files. */}}

{{- define "dynamo-operator.webhooks" -}}
{{- if (.Values.webhook).enabled -}}true{{- end -}}
{{- end -}}

{{/* Who makes the certificate: cert-manager, external (the user), jobs (Helm hooks) or operator. The first that is asked for
wins, in this order. Empty without webhooks. */}}
{{- define "dynamo-operator.certificateMode" -}}
{{- if include "dynamo-operator.webhooks" . -}}
{{- $webhook := .Values.webhook -}}
{{- if ($webhook.certManager).enabled -}}cert-manager
{{- else if ($webhook.certificateSecret).external -}}external
{{- else if ($webhook.certGenerator).enabled -}}jobs
{{- else -}}operator
{{- end -}}
{{- end -}}
{{- end -}}

{{/* A name of at most 63 characters, as Services and Jobs need: call with (list . "suffix"). A prefix that is too long is cut
and gets a short hash, so that two long releases keep two names. */}}
{{- define "dynamo-operator.shortName" -}}
{{- $fullname := include "dynamo-operator.fullname" (index . 0) -}}
{{- $suffix := index . 1 -}}
{{- $name := printf "%s-%s" $fullname $suffix -}}
{{- if le (len $name) 63 -}}
{{- $name -}}
{{- else -}}
{{- $room := sub 53 (len $suffix) | int -}}
{{- printf "%s-%s-%s" (trunc $room $fullname | trimSuffix "-") (sha256sum $fullname | trunc 8) $suffix -}}
{{- end -}}
{{- end -}}

{{- define "dynamo-operator.webhookService" -}}
{{- include "dynamo-operator.shortName" (list . "webhook-service") -}}
{{- end -}}

{{- define "dynamo-operator.certificateSecret" -}}
{{- default "webhook-server-cert" (.Values.webhook.certificateSecret).name -}}
{{- end -}}

{{- define "dynamo-operator.servingCertificate" -}}
{{- include "dynamo-operator.fullname" . -}}-serving-cert
{{- end -}}

{{/* Cluster-scoped objects of a restricted release carry the release namespace: releases of one name do not share them. */}}
{{- define "dynamo-operator.scopeSuffix" -}}
{{- if include "dynamo-operator.restricted" . -}}-{{ .Release.Namespace }}{{- end -}}
{{- end -}}

{{- define "dynamo-operator.clusterPrefix" -}}
{{- include "dynamo-operator.fullname" . -}}{{- include "dynamo-operator.scopeSuffix" . -}}
{{- end -}}

{{- define "dynamo-operator.validatingConfiguration" -}}
{{- include "dynamo-operator.fullname" . -}}-validating{{- include "dynamo-operator.scopeSuffix" . -}}
{{- end -}}

{{- define "dynamo-operator.mutatingConfiguration" -}}
{{- include "dynamo-operator.fullname" . -}}-mutating{{- include "dynamo-operator.scopeSuffix" . -}}
{{- end -}}

{{/* The bundle of an external certificate on one line, without the line breaks that `base64` makes. */}}
{{- define "dynamo-operator.externalBundle" -}}
{{- if eq (include "dynamo-operator.certificateMode" .) "external" -}}
{{- regexReplaceAll "\\s" (default "" .Values.webhook.caBundle) "" -}}
{{- end -}}
{{- end -}}

{{/* "true" when the operator reads the published bundle: to write it, or to be ready only when the API server trusts its
certificate. Not for hook jobs (Helm may wait for readiness before it runs the job that publishes), nor for an external
certificate without bundle (somebody else sees to trust). */}}
{{- define "dynamo-operator.readsConfigurations" -}}
{{- $mode := include "dynamo-operator.certificateMode" . -}}
{{- if or (has $mode (list "operator" "cert-manager")) (include "dynamo-operator.externalBundle" .) -}}true{{- end -}}
{{- end -}}

{{/* The serving certificate is a mounted Secret unless the operator makes it itself. */}}
{{- define "dynamo-operator.mountsCertificate" -}}
{{- if has (include "dynamo-operator.certificateMode" .) (list "cert-manager" "external" "jobs") -}}true{{- end -}}
{{- end -}}

{{/* Namespaces whose objects are reviewed: the selector of the user, else the served namespace when restricted, else all. */}}
{{- define "dynamo-operator.namespaceSelector" -}}
{{- if .Values.webhook.namespaceSelector -}}
{{- toYaml .Values.webhook.namespaceSelector -}}
{{- else if include "dynamo-operator.restricted" . -}}
matchLabels:
  kubernetes.io/metadata.name: {{ include "dynamo-operator.restrictedNamespace" . }}
{{- end -}}
{{- end -}}

{{/* Seconds; values files give floats. */}}
{{- define "dynamo-operator.webhookTimeout" -}}
{{- default 10 .Values.webhook.timeoutSeconds | int64 -}}
{{- end -}}

{{- define "dynamo-operator.certificateValidity" -}}
{{- default 365 .Values.webhook.certificateValidity | int64 -}}
{{- end -}}

{{/* One entry of a webhook configuration: call with (list . "name" "path" "resource" (list "OPERATION")). */}}
{{- define "dynamo-operator.webhookEntry" -}}
{{- $root := index . 0 -}}
- name: {{ index . 1 }}
  admissionReviewVersions: [v1]
  clientConfig:
    {{- with include "dynamo-operator.externalBundle" $root }}
    caBundle: {{ . | quote }}
    {{- end }}
    service:
      name: {{ include "dynamo-operator.webhookService" $root }}
      namespace: {{ $root.Release.Namespace }}
      path: {{ index . 2 }}
  failurePolicy: {{ default "Fail" $root.Values.webhook.failurePolicy }}
  {{- with include "dynamo-operator.namespaceSelector" $root }}
  namespaceSelector:
    {{- . | nindent 4 }}
  {{- end }}
  rules:
    - apiGroups: [nvidia.com]
      apiVersions: [v1alpha1]
      operations: {{ index . 4 | toJson }}
      resources: [{{ index . 3 }}]
  sideEffects: None
  timeoutSeconds: {{ include "dynamo-operator.webhookTimeout" $root }}
{{- end -}}
