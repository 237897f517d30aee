{{/* A second operator for the whole cluster: charts.md section 13. Only a cluster-wide install looks, and it needs the right to
list cluster roles; a restricted one must not need it. */}}

{{- define "dynamo-operator.validateAlone" -}}
{{- $own := printf "%s-manager-role" (include "dynamo-operator.fullname" .) -}}
{{- $other := dict -}}
{{- range $role := (lookup "rbac.authorization.k8s.io/v1" "ClusterRole" "" "").items -}}
{{- $name := $role.metadata.name -}}
{{- $labels := default dict $role.metadata.labels -}}
{{- /* The chart label tells an operator whatever it is called; the name, one whose labels somebody took away. */ -}}
{{- $known := or (hasPrefix "dynamo-operator-" (default "" (index $labels "helm.sh/chart"))) (contains "-dynamo-operator-" $name) -}}
{{- if and $known (hasSuffix "-manager-role" $name) -}}
{{- /* Helm writes these two on everything that it installs. */ -}}
{{- $helm := default dict $role.metadata.annotations -}}
{{- $release := coalesce (index $helm "meta.helm.sh/release-name") (index $labels "release") (index $labels "app.kubernetes.io/instance") "unknown" -}}
{{- $namespace := coalesce (index $helm "meta.helm.sh/release-namespace") (include "dynamo-operator.boundNamespace" $name) -}}
{{- $here := ternary (eq (default "" $namespace) $.Release.Namespace) (eq $name $own) (not (empty $namespace)) -}}
{{- if not (and (eq $release $.Release.Name) $here) -}}
{{- $other = dict "role" $name "release" $release "namespace" $namespace -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if $other -}}
{{- $place := ternary (printf " in namespace '%s'" $other.namespace) "" (not (empty $other.namespace)) -}}
{{- $flag := ternary (printf " -n %s" $other.namespace) "" (not (empty $other.namespace)) -}}
{{- fail (printf "VALIDATION ERROR: Found existing cluster-wide Dynamo operator from release '%s'%s (ClusterRole: %s). Two of them would act on the same graphs. Either use that one, or remove it first: helm uninstall %s%s; or restrict this one to a namespace: --set namespaceRestriction.enabled=true (with the platform chart: --set dynamo-operator.namespaceRestriction.enabled=true)." $other.release $place $other.role $other.release $flag) -}}
{{- end -}}
{{- end -}}

{{/* The namespace of the account that is bound to a cluster role; empty when no binding tells. Call with the role's name. */}}
{{- define "dynamo-operator.boundNamespace" -}}
{{- $namespace := "" -}}
{{- range $binding := (lookup "rbac.authorization.k8s.io/v1" "ClusterRoleBinding" "" "").items -}}
{{- if eq $binding.roleRef.name $ -}}
{{- range $binding.subjects -}}{{- $namespace = coalesce .namespace $namespace "" -}}{{- end -}}
{{- end -}}
{{- end -}}
{{- $namespace -}}
{{- end -}}
