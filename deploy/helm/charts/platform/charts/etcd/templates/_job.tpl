{{/* What the pods of both jobs have in common. */}}

{{/* Call with (list . PULL-SECRETS-OF-THE-IMAGE). */}}
{{- define "etcd.jobPlacement" -}}
{{- $root := index . 0 -}}
{{- $values := merge (dict "image" (dict "pullSecrets" (index . 1))) (omit $root.Values "image") -}}
{{- include "etcd.placement" (dict "Values" $values) }}
{{- /* The nodes of the members, too; but a job has no reason to keep near or away from pods. */}}
{{- with (default dict $root.Values.affinity).nodeAffinity }}
affinity:
  nodeAffinity:
    {{- toYaml . | nindent 4 }}
{{- end -}}
{{- end -}}

{{/* No more than the wish of a small pod: what the user says of the server's resources is meant for the server. */}}
{{- define "etcd.jobContainer" -}}
{{- with include "etcd.clientCertificateMount" . }}
volumeMounts:
  {{- . | nindent 2 }}
{{- end }}
resources:
  requests:
    cpu: 10m
    memory: 32Mi
  limits:
    memory: 128Mi
{{- include "etcd.containerSecurity" . }}
{{- end -}}

{{- define "etcd.clientCertificateMount" -}}
{{- if contains "certs-client" (include "etcd.certificates" .) -}}
- name: certs-client
  mountPath: /certs/client
  readOnly: true
{{- end -}}
{{- end -}}

{{- define "etcd.jobVolumes" -}}
{{- range include "etcd.certificates" . | fromJsonArray }}
{{- if eq .name "certs-client" }}
volumes:
  - name: certs-client
    secret:
      secretName: {{ .secret | quote }}
      defaultMode: 288
{{- end }}
{{- end }}
{{- end -}}
