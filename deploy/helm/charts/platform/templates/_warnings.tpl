{{/* Values that do nothing here, named in NOTES so that nobody waits for their effect. Never an error: value files
written for other versions must stay usable (charts.md section 3). */}}

{{- define "dynamo-platform.warnings" -}}
{{- $warnings := list -}}
{{- range $key := list "nats" "etcd" "grove" "kai-scheduler" -}}
{{- $values := index $.Values $key -}}
{{- if and (kindIs "map" $values) (dig "enabled" false $values) -}}
{{- $warnings = append $warnings (printf "%s.enabled: a bundled %s is not in this version; nothing was installed for it." $key $key) -}}
{{- end -}}
{{- end -}}
{{- $operator := default dict (index .Values "dynamo-operator") -}}
{{- if $operator.enabled -}}
{{- range $path := list "nats.enabled" "checkpoint.enabled" "metricsService.enabled" "networkPolicy.enabled" "dynamo.dockerRegistry.useKubernetesSecret" "dynamo.enableRestrictedSecurityContext" "dynamo.virtualServiceSupportsHTTPS" -}}
{{- $value := $operator -}}
{{- range splitList "." $path -}}
{{- if kindIs "map" $value -}}{{- $value = index $value . -}}{{- else -}}{{- $value = false -}}{{- end -}}
{{- end -}}
{{- if $value -}}
{{- $warnings = append $warnings (printf "dynamo-operator.%s: not in this version; it has no effect." $path) -}}
{{- end -}}
{{- end -}}
{{- if not (($operator.dynamo).mpiRun).secretName -}}
{{- $warnings = append $warnings "dynamo-operator.dynamo.mpiRun.secretName is empty: the operator does not start without it." -}}
{{- end -}}
{{- if and (eq (toString $operator.discoveryBackend) "etcd") (not $operator.etcdAddr) -}}
{{- $warnings = append $warnings "dynamo-operator.discoveryBackend is etcd, but dynamo-operator.etcdAddr is empty: workers will not find each other." -}}
{{- end -}}
{{- end -}}
{{- range $key := list "natsAddr" "etcdAddr" "modelExpressURL" "discoveryBackend" "namespaceRestriction" "controllerManager" "imagePullSecrets" "dynamo" "mpiRun" "ingress" "istio" "metrics" "webhook" "checkpoint" -}}
{{- if hasKey $.Values $key -}}
{{- $under := ternary "dynamo-operator.dynamo." "dynamo-operator." (has $key (list "mpiRun" "ingress" "istio" "metrics")) -}}
{{- $warnings = append $warnings (printf "%s has no effect at the top level; the key is %s%s." $key $under $key) -}}
{{- end -}}
{{- end -}}
{{- if $warnings }}
Warnings:
{{- range $warnings }}
  - {{ . }}
{{- end }}
{{ end }}
{{- end -}}
