{{/* Values that would install something broken: charts.md section 13. Included at the top of the Deployment. */}}

{{- define "dynamo-operator.validate" -}}
{{- $election := default dict .Values.controllerManager.leaderElection -}}
{{- if not (include "dynamo-operator.restricted" .) -}}
{{- $id := default "" $election.id -}}
{{- if and $id (ne $id "dynamo.nvidia.com") -}}
{{- fail (printf "VALIDATION WARNING: Using custom leader election ID '%s' in a cluster-wide installation. Two cluster-wide operators with different IDs would both act on every object (split-brain). Remove controllerManager.leaderElection.id, or set namespaceRestriction.enabled=true." $id) -}}
{{- end -}}
{{- if eq (default "" $election.namespace) .Release.Namespace -}}
{{- fail (printf "WARNING: Leader election namespace is set to the same as release namespace '%s'. Cluster-wide operators in different namespaces would not see each other's Lease (split-brain). Remove controllerManager.leaderElection.namespace (default: kube-system)." .Release.Namespace) -}}
{{- end -}}
{{- end -}}
{{- $backend := default "" .Values.discoveryBackend -}}
{{- if not (has $backend (list "kubernetes" "etcd")) -}}
{{- fail (printf "VALIDATION ERROR: discoveryBackend must be 'kubernetes' (default) or 'etcd'. Got: '%v'" $backend) -}}
{{- end -}}
{{- if eq (include "dynamo-operator.certificateMode" .) "cert-manager" -}}
{{- $issuer := default dict .Values.webhook.certManager.issuerRef -}}
{{- if and (or $issuer.kind $issuer.group) (not $issuer.name) -}}
{{- fail "VALIDATION ERROR: webhook.certManager.issuerRef has a kind or a group, but no name. Set webhook.certManager.issuerRef.name to the issuer, or remove issuerRef: the chart then makes a CA of its own." -}}
{{- end -}}
{{- end -}}
{{- end -}}
