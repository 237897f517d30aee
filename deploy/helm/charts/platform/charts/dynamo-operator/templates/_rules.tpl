{{/* What each role may do; the same text serves the ClusterRole and the Role of a restricted operator. */}}
{{/* Least privilege: a verb is here because the operator, or a role it hands out, needs it. Objects are written by
POST, PATCH and DELETE; `update` is only where a comment says why. */}}

{{- define "dynamo-operator.managerRules" -}}
{{- $owned := list "create" "delete" "get" "list" "patch" "watch" | toJson -}}
# Graphs are the users'; the operator keeps their annotations and status.
- apiGroups: [nvidia.com]
  resources: [dynamographdeployments]
  verbs: [get, list, watch, patch]
# Components are made from graphs.
- apiGroups: [nvidia.com]
  resources: [dynamocomponentdeployments]
  verbs: {{ $owned }}
# So are the adapters by which their services are scaled.
- apiGroups: [nvidia.com]
  resources: [dynamographdeploymentscalingadapters]
  verbs: {{ $owned }}
# Counted by state, for the metric resources_total.
- apiGroups: [nvidia.com]
  resources: [dynamographdeploymentrequests, dynamomodels]
  verbs: [get, list, watch]
# Counted, too; and pods start from those that are ready.
- apiGroups: [nvidia.com]
  resources: [dynamocheckpoints]
  verbs: [get, list, watch]
# Conditions, phases and counts of replicas.
- apiGroups: [nvidia.com]
  resources:
    - dynamographdeployments/status
    - dynamocomponentdeployments/status
    - dynamographdeploymentscalingadapters/status
  verbs: [patch]
# To be named as an owner that blocks deletion: the API server asks for `update`, where it checks that.
- apiGroups: [nvidia.com]
  resources: [dynamographdeployments/finalizers, dynamocomponentdeployments/finalizers]
  verbs: [update]
# What a component becomes.
- apiGroups: [apps]
  resources: [deployments]
  verbs: {{ $owned }}
{{- with include "dynamo-operator.checkpointRules" . }}
{{ . }}
{{- end }}
# Services of components; accounts of their pods; the configuration of a graph's endpoint picker.
- apiGroups: [""]
  resources: [services, serviceaccounts, configmaps]
  verbs: {{ $owned }}
# Claims of graphs are made where they are missing; never changed or deleted, for what a volume holds.
- apiGroups: [""]
  resources: [persistentvolumeclaims]
  verbs: [create, get, list, watch]
# How frontends are reached from outside.
- apiGroups: [networking.k8s.io]
  resources: [ingresses]
  verbs: {{ $owned }}
{{- if include "dynamo-operator.makesVirtualServices" . }}
# The same through Istio.
- apiGroups: [networking.istio.io]
  resources: [virtualservices]
  verbs: {{ $owned }}
{{- end }}
# Between the gateway and a graph's endpoint picker.
- apiGroups: [inference.networking.k8s.io]
  resources: [inferencepools]
  verbs: {{ $owned }}
# The discovery Role of each graph, and the bindings of all handed-out roles.
- apiGroups: [rbac.authorization.k8s.io]
  resources: [roles, rolebindings]
  verbs: {{ $owned }}
# Why a component is not ready: what its pods say, and the events about volumes that they wait for.
- apiGroups: [""]
  resources: [pods, events]
  verbs: [get, list, watch]
# Events about graphs and components; patch, for repeated ones.
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create, patch]
# Which Secret opens which image registry: one watch of the Secrets of that type.
- apiGroups: [""]
  resources: [secrets]
  verbs: [get, list, watch]
{{- with include "dynamo-operator.writtenSecretRules" . }}
{{ . }}
{{- end }}
{{- with include "dynamo-operator.queueRules" . }}
{{ . }}
{{- end }}
{{ include "dynamo-operator.scopeRules" . }}
# The three rules of the discovery Role that each graph gets: nobody can hand out rights he does not have. This is why
# `update` is here.
- apiGroups: [""]
  resources: [endpoints]
  verbs: [get, list, watch]
- apiGroups: [discovery.k8s.io]
  resources: [endpointslices]
  verbs: [get, list, watch]
- apiGroups: [nvidia.com]
  resources: [dynamoworkermetadatas]
  verbs: [create, delete, get, list, patch, update, watch]
{{- end -}}

{{/* Only while checkpoints are on. They and their Jobs are never deleted: both outlive the graph that asked for them. */}}
{{- define "dynamo-operator.checkpointRules" -}}
{{- if (.Values.checkpoint).enabled -}}
# Those that graphs lack are made; patch, for the label by which one is found.
- apiGroups: [nvidia.com]
  resources: [dynamocheckpoints]
  verbs: [create, patch]
- apiGroups: [nvidia.com]
  resources: [dynamocheckpoints/status]
  verbs: [patch]
# To be named as the owner of a Job that blocks deletion: the API server asks for `update`, where it checks that.
- apiGroups: [nvidia.com]
  resources: [dynamocheckpoints/finalizers]
  verbs: [update]
# A checkpoint is made by a Job.
- apiGroups: [batch]
  resources: [jobs]
  verbs: [create, get, list, patch, watch]
{{- end -}}
{{- end -}}

{{/* "true" when the operator may make VirtualServices: with a gateway, or by the hidden value istioVirtualServiceEnabled. */}}
{{- define "dynamo-operator.makesVirtualServices" -}}
{{- if or (include "dynamo-operator.istioGateway" .) .Values.istioVirtualServiceEnabled -}}true{{- end -}}
{{- end -}}

{{/* Rights that differ by scope. */}}
{{- define "dynamo-operator.scopeRules" -}}
{{- if include "dynamo-operator.restricted" . -}}
# The marker Lease by which a restricted operator claims its namespace; a POST has no name that a rule could hold.
# `update`: it is renewed whole, bound to the version that was seen.
- apiGroups: [coordination.k8s.io]
  resources: [leases]
  verbs: [create]
- apiGroups: [coordination.k8s.io]
  resources: [leases]
  resourceNames: [dynamo-operator-namespace-scope]
  verbs: [get, update, delete]
{{- else -}}
# The marker Leases of restricted operators, in all namespaces: one watch by name.
- apiGroups: [coordination.k8s.io]
  resources: [leases]
  resourceNames: [dynamo-operator-namespace-scope]
  verbs: [get, list, watch]
# To bind the accounts of planner and EPP pods to these roles without holding their rights; get, to say which one is
# missing.
- apiGroups: [rbac.authorization.k8s.io]
  resources: [clusterroles]
  resourceNames:
    {{- range list "epp" "planner" }}
    - {{ include "dynamo-operator.fullname" $ }}-{{ . }}
    {{- end }}
  verbs: [get, bind]
{{- end -}}
{{- end -}}

{{/* Secrets of the release namespace that pods of graphs get, as copies in their own namespace: the MPI key, and what opens NATS
and etcd. */}}
{{- define "dynamo-operator.sharedSecrets" -}}
{{- $dynamo := default dict .Values.dynamo -}}
{{- $names := list ($dynamo.mpiRun).secretName ($dynamo.natsAuth).secretName ($dynamo.etcdAuth).secretName ($dynamo.natsTLS).caSecretName -}}
{{- compact $names | uniq | toJson -}}
{{- end -}}

{{/* "true" when they are copied: not when the only namespace that is served has them already. */}}
{{- define "dynamo-operator.copiesSecrets" -}}
{{- if ne (include "dynamo-operator.sharedSecrets" .) "[]" -}}
{{- if or (not (include "dynamo-operator.restricted" .)) (include "dynamo-operator.servesAnotherNamespace" .) -}}true{{- end -}}
{{- end -}}
{{- end -}}

{{/* "true" when the operator makes the MPI key where it is missing. */}}
{{- define "dynamo-operator.makesMpiSecret" -}}
{{- $mpi := default dict (.Values.dynamo).mpiRun -}}
{{- if and $mpi.secretName ($mpi.sshKeygen).enabled -}}true{{- end -}}
{{- end -}}

{{/* The copies; and the MPI key itself, where the manager role covers the release namespace. */}}
{{- define "dynamo-operator.writtenSecretRules" -}}
{{- $names := "[]" -}}
{{- if include "dynamo-operator.copiesSecrets" . -}}
{{- $names = include "dynamo-operator.sharedSecrets" . -}}
{{- else if include "dynamo-operator.makesMpiSecret" . -}}
{{- $names = list .Values.dynamo.mpiRun.secretName | toJson -}}
{{- end -}}
{{- if ne $names "[]" -}}
# The MPI key, and the copies of Secrets in the namespaces of graphs; a POST has no name that a rule could hold.
- apiGroups: [""]
  resources: [secrets]
  verbs: [create]
- apiGroups: [""]
  resources: [secrets]
  resourceNames: {{ $names }}
  verbs: [patch]
{{- end -}}
{{- end -}}

{{/* The same Secrets in the release namespace, for a restricted operator that serves another one. */}}
{{- define "dynamo-operator.sharedSecretRules" -}}
- apiGroups: [""]
  resources: [secrets]
  resourceNames: {{ include "dynamo-operator.sharedSecrets" . }}
  verbs: [get, list, watch]
{{- if include "dynamo-operator.makesMpiSecret" . }}
# The MPI key is made here; a POST has no name that a rule could hold.
- apiGroups: [""]
  resources: [secrets]
  verbs: [create]
- apiGroups: [""]
  resources: [secrets]
  resourceNames: [{{ .Values.dynamo.mpiRun.secretName }}]
  verbs: [patch]
{{- end }}
{{- end -}}

{{/* Queues of the KAI scheduler have no namespace. A cluster-wide operator makes those that graphs name by default, when the
scheduler comes after the chart; a restricted one reads them, by the cluster role of rbac-queues.yaml. */}}
{{- define "dynamo-operator.queueRules" -}}
{{- if not (include "dynamo-operator.restricted" .) -}}
# The default queues of the KAI scheduler; a graph waits for its queue.
- apiGroups: [scheduling.run.ai]
  resources: [queues]
  verbs: [create, get, list, watch]
{{- end -}}
{{- end -}}

{{/* The certificate of the webhook server, by name. The Role is contract in every certificate mode (charts.md section 6),
so it stays where the operator reads mounted files instead and does not use it. */}}
{{- define "dynamo-operator.certificateReaderRules" -}}
- apiGroups: [""]
  resources: [secrets]
  resourceNames: [{{ include "dynamo-operator.certificateSecret" . }}]
  verbs: [get, list, watch]
{{- end -}}

{{/* The operator makes the certificate and renews it. */}}
{{- define "dynamo-operator.certificateWriterRules" -}}
# A POST has no name that a rule could hold.
- apiGroups: [""]
  resources: [secrets]
  verbs: [create]
- apiGroups: [""]
  resources: [secrets]
  resourceNames: [{{ include "dynamo-operator.certificateSecret" . }}]
  verbs: [patch]
{{- end -}}

{{/* The two hook jobs. */}}
{{- define "dynamo-operator.generateRules" -}}
# A POST has no name that a rule could hold.
- apiGroups: [""]
  resources: [secrets]
  verbs: [create]
- apiGroups: [""]
  resources: [secrets]
  resourceNames: [{{ include "dynamo-operator.certificateSecret" . }}]
  verbs: [get, patch]
{{- end -}}

{{- define "dynamo-operator.injectRules" -}}
- apiGroups: [""]
  resources: [secrets]
  resourceNames: [{{ include "dynamo-operator.certificateSecret" . }}]
  verbs: [get]
{{- end -}}

{{/* The election Lease: `update` takes it, bound to the version that was seen, patch gives it back. */}}
{{- define "dynamo-operator.leaderElectionRules" -}}
# A POST has no name that a rule could hold.
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
