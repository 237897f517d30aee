{{/* Values that would install something broken. Included at the top of the StatefulSet. */}}
{{- define "etcd.validate" -}}
{{- $count := int .Values.replicaCount -}}
{{- if lt $count 1 -}}
{{- fail (printf "etcd.replicaCount: must be at least 1. Got: %v. To install no etcd set etcd.enabled=false" .Values.replicaCount) -}}
{{- end -}}
{{- /* The first members are listed when the cluster is made; a later one must be added by hand before it starts. */ -}}
{{- if and .Release.IsUpgrade (ne (default "new" .Values.initialClusterState) "existing") -}}
{{- $running := lookup "apps/v1" "StatefulSet" .Release.Namespace (include "etcd.statefulSetName" .) -}}
{{- $before := int (($running).spec).replicas -}}
{{- if and (gt $before 0) (ne $before $count) -}}
{{- fail (printf "etcd.replicaCount: the cluster has %d members and cannot become one of %d by a new number alone. Add or remove the members with \"etcdctl member\", then upgrade with etcd.initialClusterState=existing; or uninstall, delete the claims and install again" $before $count) -}}
{{- end -}}
{{- end -}}
{{- $client := default dict .Values.auth.client -}}
{{- if and $client.enableAuthentication (or $client.useAutoTLS (not $client.secureTransport)) -}}
{{- fail "etcd.auth.client.enableAuthentication: clients show certificates over TLS with a CA that you name. Set etcd.auth.client.secureTransport=true, existingSecret and caFilename, and useAutoTLS=false" -}}
{{- end -}}
{{- $peer := default dict .Values.auth.peer -}}
{{- if and $peer.enableAuthentication (or $peer.useAutoTLS (not $peer.secureTransport)) -}}
{{- fail "etcd.auth.peer.enableAuthentication: members show certificates over TLS with a CA that you name. Set etcd.auth.peer.secureTransport=true, existingSecret and caFilename, and useAutoTLS=false" -}}
{{- end -}}
{{- if and (include "etcd.rbac" .) .Values.auth.rbac.existingSecret .Values.auth.rbac.rootPassword -}}
{{- fail "etcd.auth.rbac: existingSecret and rootPassword are both set. Keep one of them" -}}
{{- end -}}
{{- end -}}
