{{/* Values that would install something broken. Included at the top of the StatefulSet. */}}
{{- define "nats.validate" -}}
{{- $config := .Values.config -}}
{{- if and ($config.cluster).enabled ($config.jetstream).enabled (lt (include "nats.replicas" . | int) 2) -}}
{{- fail (printf "nats.config.cluster.replicas: JetStream in a cluster needs at least 2 servers, better 3. Got: %v. Set a larger number, or nats.config.cluster.enabled=false for one server" $config.cluster.replicas) -}}
{{- end -}}
{{- if and ($config.monitor).enabled (($config.monitor).tls).enabled (not (($config.nats).tls).enabled) -}}
{{- fail "nats.config.monitor.tls.enabled: the monitor uses the certificate of nats.config.nats.tls, which is off. Set nats.config.nats.tls.enabled=true" -}}
{{- end -}}
{{- if and (.Values.promExporter).enabled (not ($config.monitor).enabled) -}}
{{- fail "nats.promExporter.enabled: the exporter reads the monitor, which is off. Set nats.config.monitor.enabled=true" -}}
{{- end -}}
{{- if and ($config.mqtt).enabled (not ($config.jetstream).enabled) -}}
{{- fail "nats.config.mqtt.enabled: MQTT keeps its sessions in JetStream, which is off. Set nats.config.jetstream.enabled=true" -}}
{{- end -}}
{{- end -}}
