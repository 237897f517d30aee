{{/* Lines of NOTES: how admission is set up, and which values do nothing here, so that nobody waits for their effect. Never an
error: value files written for other versions must stay usable (charts.md section 3). */}}

{{/* Call with (list VALUES-OF-THE-OPERATOR SCOPE-OF-THE-SUBCHART). */}}
{{- define "dynamo-platform.webhooks" -}}
{{- $webhook := default dict (index . 0).webhook -}}
{{- $scope := index . 1 -}}
{{- $mode := include "dynamo-operator.certificateMode" $scope -}}
{{- if not $mode -}}
off; the operator checks objects before it acts on them
{{- else -}}
{{- $secret := include "dynamo-operator.certificateSecret" $scope -}}
{{- $issuer := (($webhook.certManager).issuerRef).name -}}
{{- $chain := ternary (printf "issuer %s" $issuer) "a CA of its own" (not (empty $issuer)) -}}
{{- $makers := dict "operator" "the operator" "cert-manager" (printf "cert-manager (%s)" $chain) "external" "you" "jobs" "Helm hook jobs, renewed by upgrades only," -}}
on (failure policy {{ default "Fail" $webhook.failurePolicy }}), certificate by {{ index $makers $mode }} in Secret {{ $secret }}
{{- end -}}
{{- end -}}

{{/* Call with the values of the operator. Storage types are not checked at render (charts.md section 3). */}}
{{- define "dynamo-platform.checkpointWarnings" -}}
{{- $warnings := list -}}
{{- if (.checkpoint).enabled -}}
{{- $storage := default dict .checkpoint.storage -}}
{{- $type := default "" $storage.type -}}
{{- $path := printf "dynamo-operator.checkpoint.storage.%s" $type -}}
{{- $needed := dict "pvc" (list "pvcName" "basePath") "s3" (list "uri") "oci" (list "uri") -}}
{{- if hasKey $needed $type -}}
{{- $place := default dict (index $storage $type) -}}
{{- range $key := index $needed $type -}}
{{- if not (index $place $key) -}}
{{- $warnings = append $warnings (printf "%s.%s is empty: no pod can start from a checkpoint." $path $key) -}}
{{- end -}}
{{- end -}}
{{- if $place.credentialsSecretRef -}}
{{- $warnings = append $warnings (printf "%s.credentialsSecretRef: the agent on the nodes reads the credentials; it has no effect." $path) -}}
{{- end -}}
{{- else -}}
{{- $warnings = append $warnings (printf "dynamo-operator.checkpoint.storage.type %q is unknown; it counts as pvc, with the operator's own claim and folder." $type) -}}
{{- end -}}
{{- end -}}
{{- toYaml $warnings -}}
{{- end -}}

{{- define "dynamo-platform.warnings" -}}
{{- $warnings := include "dynamo-platform.bundledWarnings" . | fromJsonArray -}}
{{- $operator := default dict (index .Values "dynamo-operator") -}}
{{- if $operator.enabled -}}
{{- if not (($operator.dynamo).mpiRun).secretName -}}
{{- $warnings = append $warnings "dynamo-operator.dynamo.mpiRun.secretName is empty: the operator does not start without it." -}}
{{- end -}}
{{- $warnings = concat $warnings (include "dynamo-platform.deadValues" $operator | fromYamlArray) -}}
{{- $warnings = concat $warnings (include "dynamo-platform.checkpointWarnings" $operator | fromYamlArray) -}}
{{- $webhook := default dict $operator.webhook -}}
{{- $mode := include "dynamo-operator.certificateMode" (index $.Subcharts "dynamo-operator") -}}
{{- if $mode -}}
{{- if and $webhook.caBundle (ne $mode "external") -}}
{{- $warnings = append $warnings "dynamo-operator.webhook.caBundle: used only with certificateSecret.external (and without certManager.enabled); it has no effect." -}}
{{- end -}}
{{- if and ($webhook.certificateSecret).external (ne $mode "external") -}}
{{- $warnings = append $warnings "dynamo-operator.webhook.certificateSecret.external: certManager.enabled wins; it has no effect." -}}
{{- end -}}
{{- if and ($webhook.certGenerator).enabled (ne $mode "jobs") -}}
{{- $winner := ternary "certificateSecret.external" "certManager.enabled" (eq $mode "external") -}}
{{- $warnings = append $warnings (printf "dynamo-operator.webhook.certGenerator.enabled: %s wins; it has no effect." $winner) -}}
{{- end -}}
{{- $image := default dict ($webhook.certGenerator).image -}}
{{- if or (ne (default "" $image.repository) "bitnami/kubectl") (ne (toString (default "" $image.tag)) "latest") -}}
{{- $warnings = append $warnings "dynamo-operator.webhook.certGenerator.image: no effect; certificates are made by the operator's own image." -}}
{{- end -}}
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
