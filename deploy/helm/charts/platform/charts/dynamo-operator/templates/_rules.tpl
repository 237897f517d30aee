{{/* What each role may do; the same text serves the ClusterRole and the Role of a restricted operator. */}}
{{/* Least privilege: a verb is here because the operator, or a role it hands out, needs it. */}}

{{- define "dynamo-operator.managerRules" -}}
{{- $all := list "create" "delete" "get" "list" "patch" "update" "watch" | toJson -}}
- apiGroups: [nvidia.com]
  resources: [dynamographdeployments]
  verbs: [get, list, watch, patch, update]
- apiGroups: [nvidia.com]
  resources: [dynamocomponentdeployments]
  verbs: {{ $all }}
- apiGroups: [nvidia.com]
  resources: [dynamographdeployments/status, dynamocomponentdeployments/status]
  verbs: [get, patch, update]
- apiGroups: [nvidia.com]
  resources: [dynamographdeployments/finalizers, dynamocomponentdeployments/finalizers]
  verbs: [update]
- apiGroups: [apps]
  resources: [deployments]
  verbs: {{ $all }}
- apiGroups: [""]
  resources: [services, serviceaccounts]
  verbs: {{ $all }}
- apiGroups: [rbac.authorization.k8s.io]
  resources: [roles, rolebindings]
  verbs: {{ $all }}
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create, patch]
# The three rules of the discovery Role that each graph gets: nobody can hand out rights he does not have.
- apiGroups: [""]
  resources: [endpoints]
  verbs: [get, list, watch]
- apiGroups: [discovery.k8s.io]
  resources: [endpointslices]
  verbs: [get, list, watch]
- apiGroups: [nvidia.com]
  resources: [dynamoworkermetadatas]
  verbs: {{ $all }}
{{- end -}}

{{/* The election Lease. */}}
{{- define "dynamo-operator.leaderElectionRules" -}}
- apiGroups: [coordination.k8s.io]
  resources: [leases]
  verbs: [create]
- apiGroups: [coordination.k8s.io]
  resources: [leases]
  resourceNames: [{{ include "dynamo-operator.leaderElectionId" . }}]
  verbs: [get, update, patch]
{{- end -}}

{{- define "dynamo-operator.plannerRules" -}}
- apiGroups: [nvidia.com]
  resources: [dynamocomponentdeployments, dynamographdeployments]
  verbs: [get, list, create, update, patch]
- apiGroups: [nvidia.com]
  resources: [dynamographdeploymentscalingadapters/scale]
  verbs: [patch]
- apiGroups: [discovery.k8s.io]
  resources: [endpointslices]
  verbs: [get, list, watch]
- apiGroups: [nvidia.com]
  resources: [dynamoworkermetadatas]
  verbs: [get, list, watch, create, update, patch, delete]
{{- end -}}

{{- define "dynamo-operator.eppRules" -}}
- apiGroups: [inference.networking.x-k8s.io]
  resources: [inferencepools, inferenceobjectives, inferencemodelrewrites]
  verbs: [get, watch, list]
- apiGroups: [inference.networking.k8s.io]
  resources: [inferencepools]
  verbs: [get, watch, list]
- apiGroups: [""]
  resources: [pods]
  verbs: [get, watch, list]
- apiGroups: [discovery.k8s.io]
  resources: [endpointslices]
  verbs: [get, list, watch]
- apiGroups: [nvidia.com]
  resources: [dynamoworkermetadatas]
  verbs: [create, get, list, watch, update, patch, delete]
{{- if not (include "dynamo-operator.restricted" .) }}
- apiGroups: [authentication.k8s.io]
  resources: [tokenreviews]
  verbs: [create]
- apiGroups: [authorization.k8s.io]
  resources: [subjectaccessreviews]
  verbs: [create]
{{- end }}
{{- end -}}

{{- define "dynamo-operator.dgdr-profilingRules" -}}
- apiGroups: [""]
  resources: [configmaps]
  verbs: [create, get, update, patch, delete]
- apiGroups: [nvidia.com]
  resources: [dynamographdeploymentrequests]
  verbs: [get]
- apiGroups: [nvidia.com]
  resources: [dynamographdeployments]
  verbs: [get, create, delete, list, watch]
- apiGroups: [""]
  resources: [pods]
  verbs: [list, get, create, delete]
- apiGroups: [""]
  resources: [pods/log]
  verbs: [get]
{{- if not (include "dynamo-operator.restricted" .) }}
- apiGroups: [""]
  resources: [nodes]
  verbs: [get, list, watch]
{{- end }}
{{- end -}}
