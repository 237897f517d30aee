{{/* Metrics: where the operator serves them, and who scrapes what (charts.md sections 5, 6, 11). */}}

{{/* The listener takes the place of the reference's proxy; of the proxy's arguments its address is read. */}}
{{- define "dynamo-operator.metricsAddress" -}}
{{- $address := "0.0.0.0:8443" -}}
{{- range default list (.Values.controllerManager.kubeRbacProxy).args -}}
{{- if hasPrefix "--secure-listen-address=" . -}}{{- $address = trimPrefix "--secure-listen-address=" . -}}{{- end -}}
{{- end -}}
{{- $address -}}
{{- end -}}

{{- define "dynamo-operator.metricsPort" -}}
{{- include "dynamo-operator.metricsAddress" . | regexFind "[0-9]+$" -}}
{{- end -}}

{{/* "true" when who scrapes must show a token. */}}
{{- define "dynamo-operator.metricsAuthentication" -}}
{{- if ne (toString (.Values.metricsService).authentication) "false" -}}true{{- end -}}
{{- end -}}

{{- define "dynamo-operator.metricsArgs" -}}
- --metrics-secure-bind-address={{ include "dynamo-operator.metricsAddress" . }}
{{- if not (include "dynamo-operator.metricsAuthentication" .) }}
- --metrics-anonymous=true
{{- end }}
{{- end -}}

{{/* YAML of the ports of the Service. */}}
{{- define "dynamo-operator.metricsServicePorts" -}}
{{- default (list (dict "name" "https" "port" 8443 "protocol" "TCP" "targetPort" "https")) (.Values.metricsService).ports | toYaml -}}
{{- end -}}

{{/* Name of the port of the Service that leads to the metrics: a ServiceMonitor knows ports by their names. */}}
{{- define "dynamo-operator.metricsServicePort" -}}
{{- $found := "" -}}
{{- $ports := include "dynamo-operator.metricsServicePorts" . | fromYamlArray -}}
{{- range $ports -}}
{{- $target := default .port .targetPort -}}
{{- if kindIs "float64" $target -}}{{- $target = int64 $target -}}{{- end -}}
{{- if has (toString $target) (list "https" (include "dynamo-operator.metricsPort" $)) -}}{{- $found = default $found .name -}}{{- end -}}
{{- end -}}
{{- if not $found -}}
{{- fail (printf "VALIDATION ERROR: metricsService.ports has no port with a name and targetPort https, by which the ServiceMonitor finds the metrics. Got: %s. Add {name: https, port: 8443, targetPort: https}, or set metricsService.serviceMonitor.enabled=false." (toJson $ports)) -}}
{{- end -}}
{{- $found -}}
{{- end -}}

{{/* "true" when monitors are made: call with (list . VALUE). A boolean decides; null: they are, where the cluster knows them. */}}
{{- define "dynamo-operator.monitored" -}}
{{- $wanted := index . 1 -}}
{{- if kindIs "bool" $wanted -}}
{{- if $wanted -}}true{{- end -}}
{{- else if (index . 0).Capabilities.APIVersions.Has "monitoring.coreos.com/v1" -}}true
{{- end -}}
{{- end -}}

{{- define "dynamo-operator.validateMetrics" -}}
{{- $address := include "dynamo-operator.metricsAddress" . -}}
{{- if not (regexMatch ":[0-9]+$" $address) -}}
{{- fail (printf "VALIDATION ERROR: controllerManager.kubeRbacProxy.args: --secure-listen-address must end with a port, such as 0.0.0.0:8443. Got: '%s'" $address) -}}
{{- end -}}
{{- end -}}
