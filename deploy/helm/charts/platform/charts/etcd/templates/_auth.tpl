{{/* Passwords: who may read and write. */}}

{{- define "etcd.rbac" -}}
{{- if (.Values.auth.rbac).create -}}true{{- end -}}
{{- end -}}

{{/* The Secret with root's password. One that nobody named and nobody made is waited for: no password is invented here, since
the clients must know it. */}}
{{- define "etcd.passwordSecret" -}}
{{- default (include "etcd.fullname" .) .Values.auth.rbac.existingSecret -}}
{{- end -}}

{{- define "etcd.passwordKey" -}}
{{- default "etcd-root-password" .Values.auth.rbac.existingSecretPasswordKey -}}
{{- end -}}

{{/* How a program reaches the server over TLS, as arguments: call with (list . CA CERTIFICATE KEY), the names of its flags. etcdctl
and the operator's program spell them in two ways. */}}
{{- define "etcd.tlsArguments" -}}
{{- $client := default dict (index . 0).Values.auth.client -}}
{{- if $client.useAutoTLS }}
- --insecure-skip-tls-verify
{{- else if $client.secureTransport }}
{{- with include "etcd.caFile" (list $client "/certs/client") }}
- --{{ index $ 1 }}={{ . }}
{{- end }}
{{- if $client.enableAuthentication }}
- --{{ index . 2 }}=/certs/client/{{ default "cert.pem" $client.certFilename }}
- --{{ index . 3 }}=/certs/client/{{ default "key.pem" $client.certKeyFilename }}
{{- end }}
{{- end }}
{{- end -}}

{{/* Image of the Job that turns passwords on: the operator's, which the platform chart tells. */}}
{{- define "etcd.authImage" -}}
{{- $image := default (.Values.operator).image .Values.auth.rbac.image -}}
{{- if not $image -}}
{{- fail "etcd.auth.rbac.image: passwords are turned on by the operator's program; set this to its image" -}}
{{- end -}}
image: {{ $image | quote }}
{{- with (.Values.operator).pullPolicy }}
imagePullPolicy: {{ . }}
{{- end }}
{{- end -}}

{{- define "etcd.passwordVariable" -}}
valueFrom:
  secretKeyRef:
    name: {{ include "etcd.passwordSecret" . | quote }}
    key: {{ include "etcd.passwordKey" . | quote }}
{{- end -}}

{{/* The password that is to be replaced. Optional: the key is taken out of the Secret when the change is done. */}}
{{- define "etcd.oldPasswordVariable" -}}
valueFrom:
  secretKeyRef:
    name: {{ include "etcd.passwordSecret" . | quote }}
    key: {{ .Values.auth.rbac.existingSecretOldPasswordKey | quote }}
    optional: true
{{- end -}}
