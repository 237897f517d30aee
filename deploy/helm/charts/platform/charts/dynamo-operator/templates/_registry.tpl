{{/* The Secret by which pods of graphs pull images, and its checks: charts.md section 8. */}}

{{/* The name that accounts of pods carry; empty when no Secret is asked for. */}}
{{- define "dynamo-operator.registrySecret" -}}
{{- $registry := default dict (.Values.dynamo).dockerRegistry -}}
{{- if $registry.useKubernetesSecret -}}
{{- default (printf "%s-regcred" (include "dynamo-operator.fullname" .)) $registry.existingSecretName -}}
{{- end -}}
{{- end -}}

{{/* Where an account of pods names the Secret. */}}
{{- define "dynamo-operator.registryPullSecrets" -}}
{{- with include "dynamo-operator.registrySecret" . -}}
imagePullSecrets:
  - name: {{ . }}
{{- end -}}
{{- end -}}

{{/* The host of a server or of a key of `auths`, without scheme and path. Docker Hub has several names, and one here. */}}
{{- define "dynamo-operator.registryHost" -}}
{{- $host := regexReplaceAll "^[a-z]+://" . "" | splitList "/" | first -}}
{{- ternary "docker.io" $host (has $host (list "docker.io" "index.docker.io" "registry-1.docker.io")) -}}
{{- end -}}

{{/* Encoded, not pasted together: a quote in a password must not break the document. */}}
{{- define "dynamo-operator.dockerConfig" -}}
{{- $registry := .Values.dynamo.dockerRegistry -}}
{{- $host := include "dynamo-operator.registryHost" $registry.server -}}
{{- $key := ternary "https://index.docker.io/v1/" $host (eq $host "docker.io") -}}
{{- $auth := printf "%s:%s" $registry.username $registry.password | b64enc -}}
{{- $entry := dict "username" $registry.username "password" $registry.password "auth" $auth -}}
{{- dict "auths" (dict $key $entry) | toJson -}}
{{- end -}}

{{- define "dynamo-operator.validateRegistry" -}}
{{- $registry := default dict (.Values.dynamo).dockerRegistry -}}
{{- if $registry.useKubernetesSecret -}}
{{- if $registry.existingSecretName -}}
{{- include "dynamo-operator.validateExistingSecret" . -}}
{{- else -}}
{{- $remedy := "or name a Secret of yours in dynamo.dockerRegistry.existingSecretName" -}}
{{- if not $registry.server -}}
{{- fail (printf "docker registry server is required: set dynamo.dockerRegistry.server, %s." $remedy) -}}
{{- end -}}
{{- range $key := list "username" "password" -}}
{{- if not (index $registry $key) -}}
{{- fail (printf "docker registry %s is required when not using existing secret: set dynamo.dockerRegistry.%s, %s." $key $key $remedy) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* What is in the cluster is judged only where a cluster is seen: a render without one (helm template, GitOps) finds no object
at all, which says nothing about the Secret. */}}
{{- define "dynamo-operator.validateExistingSecret" -}}
{{- $registry := .Values.dynamo.dockerRegistry -}}
{{- $name := $registry.existingSecretName -}}
{{- $namespace := include "dynamo-operator.podNamespace" . -}}
{{- $secret := lookup "v1" "Secret" $namespace $name -}}
{{- if $secret -}}
{{- if ne $secret.type "kubernetes.io/dockerconfigjson" -}}
{{- fail (printf "Secret %s is not of type kubernetes.io/dockerconfigjson but of type %s. Make it with: kubectl create secret docker-registry %s -n %s" $name $secret.type $name $namespace) -}}
{{- end -}}
{{- $config := index (default dict $secret.data) ".dockerconfigjson" | default "" | b64dec | fromJson -}}
{{- if not (kindIs "map" $config.auths) -}}
{{- fail (printf "Secret %s does not contain auths field in its key .dockerconfigjson. Make it with: kubectl create secret docker-registry %s -n %s" $name $name $namespace) -}}
{{- end -}}
{{- if $registry.server -}}
{{- $host := include "dynamo-operator.registryHost" $registry.server -}}
{{- $hosts := list -}}
{{- range $key, $_ := $config.auths -}}{{- $hosts = append $hosts (include "dynamo-operator.registryHost" $key) -}}{{- end -}}
{{- if not (has $host $hosts) -}}
{{- fail (printf "Secret %s does not contain auth for server %s (extracted from %s). Add an entry for it, or correct dynamo.dockerRegistry.server." $name $host $registry.server) -}}
{{- end -}}
{{- end -}}
{{- else if or (lookup "v1" "Namespace" "" $namespace) (lookup "v1" "Namespace" "" "kube-system") -}}
{{- fail (printf "Secret %s not found in namespace %s. Make it first, or correct dynamo.dockerRegistry.existingSecretName." $name $namespace) -}}
{{- end -}}
{{- end -}}
