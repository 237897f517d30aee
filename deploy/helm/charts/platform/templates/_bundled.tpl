{{/* What the platform knows of its bundled parts and the operator does not: a subchart sees its own values only. */}}

{{/* Address of the bundled NATS, by the rules of its chart; empty when it is off. Call with the scope of the platform. */}}
{{- define "dynamo-platform.natsAddress" -}}
{{- with index .Subcharts "nats" -}}
{{- $nats := default dict .Values.config.nats -}}
{{- $scheme := ternary "tls" "nats" (not (empty ($nats.tls).enabled)) -}}
{{- $domain := include "dynamo-platform.clusterDomain" $ -}}
{{- printf "%s://%s.%s.svc.%s:%d" $scheme (include "nats.serviceName" .) (include "nats.namespace" .) $domain (default 4222 $nats.port | int) -}}
{{- end -}}
{{- end -}}

{{/* Address of the bundled etcd; without a scheme, as v0.9 has it, unless it is TLS. */}}
{{- define "dynamo-platform.etcdAddress" -}}
{{- with index .Subcharts "etcd" -}}
{{- $address := printf "%s.%s.svc.%s:%d" (include "etcd.fullname" .) .Release.Namespace (include "dynamo-platform.clusterDomain" $) (include "etcd.clientPort" . | int) -}}
{{- if eq (include "etcd.clientScheme" .) "https" -}}https://{{- end -}}
{{- $address -}}
{{- end -}}
{{- end -}}

{{- define "dynamo-platform.clusterDomain" -}}
{{- default "cluster.local" (default dict (index .Values "dynamo-operator")).kubernetesClusterDomain -}}
{{- end -}}

{{/* JSON of how etcd's chart runs the operator's program. The operator may be off; its values are here all the same. */}}
{{- define "dynamo-platform.operatorProgram" -}}
{{- $operator := default dict (index .Values "dynamo-operator") -}}
{{- $image := default dict (($operator.controllerManager).manager).image -}}
{{- $tag := default .Chart.Version $image.tag -}}
{{- /* A number that was not quoted is a float, as in dynamo-operator.imageTag, which is not there while the operator is off. */ -}}
{{- if kindIs "float64" $tag -}}{{- $tag = int64 $tag -}}{{- end -}}
{{- $program := dict "image" (ternary (printf "%s:%v" $image.repository $tag) (printf "%s@%s" $image.repository $image.digest) (empty $image.digest)) -}}
{{- with $image.pullPolicy -}}{{- $_ := set $program "pullPolicy" . -}}{{- end -}}
{{- with $operator.imagePullSecrets -}}{{- $_ := set $program "pullSecrets" . -}}{{- end -}}
{{- toJson $program -}}
{{- end -}}

{{/* Lines of NOTES about what the bundled parts need from the user. */}}
{{- define "dynamo-platform.bundledNotes" -}}
{{- with include "dynamo-platform.awaitedSecrets" . | fromJsonArray }}
Pods wait for Secrets that no value names; make them in namespace {{ $.Release.Namespace }}:
{{- range . }}
  {{ . }}
{{- end }}

{{ end }}
{{- with include "dynamo-platform.etcdCertificateNames" . | fromJsonArray }}
Names that the certificates of etcd must have, by Secret:
{{- range . }}
  {{ . }}
{{- end }}

{{ end }}
{{- end -}}

{{/* JSON list of lines: the names that the certificates of etcd must have. The operator and the pods of graphs use the domain of the
cluster; the Jobs and the members do so only with etcd.clusterDomain, since a new address would replace the members of installs
that run. */}}
{{- define "dynamo-platform.etcdCertificateNames" -}}
{{- $lines := list -}}
{{- with index .Subcharts "etcd" -}}
{{- $scope := . -}}
{{- $full := printf "%s.svc.%s" .Release.Namespace (include "dynamo-platform.clusterDomain" $) -}}
{{- $domains := uniq (list $full (include "etcd.serviceDomain" .)) -}}
{{- range $part := list "client" "peer" -}}
{{- $values := default dict (index $scope.Values.auth $part) -}}
{{- if and $values.secureTransport (not $values.useAutoTLS) -}}
{{- $hosts := list (printf "*.%s" (include "etcd.headlessServiceName" $scope)) -}}
{{- if eq $part "client" -}}{{- $hosts = prepend $hosts (include "etcd.fullname" $scope) -}}{{- end -}}
{{- $names := list -}}
{{- range $host := $hosts -}}
{{- range $domains -}}{{- $names = append $names (printf "%s.%s" $host .) -}}{{- end -}}
{{- end -}}
{{- $secret := default (printf "%s-%s-tls" (include "etcd.fullname" $scope) $part) $values.existingSecret -}}
{{- $lines = append $lines (printf "%s (etcd.auth.%s): %s" $secret $part (join ", " $names)) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- toJson $lines -}}
{{- end -}}

{{/* JSON list of Secrets that the chart expects under names of its own choice. */}}
{{- define "dynamo-platform.awaitedSecrets" -}}
{{- $secrets := list -}}
{{- with index .Subcharts "nats" -}}
{{- range $listener := include "nats.listeners" . | fromJsonArray -}}
{{- $section := index $.Values.nats.config $listener.name -}}
{{- $name := include "nats.tlsSecret" (list (index $.Subcharts "nats") $listener.name $section) -}}
{{- if and $name (not ($section.tls).secretName) -}}
{{- $secrets = append $secrets (printf "%s (nats.config.%s.tls.secretName): tls.crt, tls.key" $name $listener.name) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- with index .Subcharts "etcd" -}}
{{- $scope := . -}}
{{- range $part := list "client" "peer" -}}
{{- $values := default dict (index $scope.Values.auth $part) -}}
{{- if and $values.secureTransport (not $values.useAutoTLS) (not $values.existingSecret) -}}
{{- $secrets = append $secrets (printf "%s-%s-tls (etcd.auth.%s.existingSecret): the certificate and its key" (include "etcd.fullname" $scope) $part $part) -}}
{{- end -}}
{{- end -}}
{{- if and (include "etcd.rbac" .) (not .Values.auth.rbac.existingSecret) (not .Values.auth.rbac.rootPassword) -}}
{{- $secrets = append $secrets (printf "%s (etcd.auth.rbac.existingSecret): %s" (include "etcd.passwordSecret" .) (include "etcd.passwordKey" .)) -}}
{{- end -}}
{{- end -}}
{{- toJson $secrets -}}
{{- end -}}

{{/* Values of the bundled parts that do nothing, or not what they seem to. JSON list. */}}
{{- define "dynamo-platform.bundledWarnings" -}}
{{- $warnings := list -}}
{{- with index .Subcharts "etcd" -}}
{{- $values := .Values -}}
{{- range $key := list "disasterRecovery" "startFromSnapshot" "defrag" "networkPolicy" -}}
{{- $section := index $values $key -}}
{{- if kindIs "map" $section -}}
{{- if $section.enabled -}}
{{- $warnings = append $warnings (printf "etcd.%s.enabled: not in this version; it has no effect." $key) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if and (not .Values.persistence.enabled) (gt (int .Values.replicaCount) 1) -}}
{{- $warnings = append $warnings "etcd.persistence.enabled is false with several members: one that loses its pod cannot come back by itself." -}}
{{- end -}}
{{- end -}}
{{- $operator := default dict (index .Values "dynamo-operator") -}}
{{- if and $operator.enabled (eq (toString $operator.discoveryBackend) "etcd") (not (include "dynamo-operator.etcdAddress" (index .Subcharts "dynamo-operator"))) -}}
{{- $warnings = append $warnings "dynamo-operator.discoveryBackend is etcd, but etcd.enabled is false and dynamo-operator.etcdAddr is empty: workers will not find each other." -}}
{{- end -}}
{{- toJson $warnings -}}
{{- end -}}
