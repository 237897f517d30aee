{{/* YAML of a claim template: call with (list . PVC-VALUES SUFFIX DEFAULT-SIZE PATH-OF-THE-VALUE). */}}
{{- define "nats.claim" -}}
{{- $root := index . 0 -}}
{{- $values := index . 1 -}}
{{- $size := include "nats.text" (default (index . 3) $values.size) -}}
{{- $_ := include "nats.bytes" (list $size (printf "%s.size" (index . 4))) -}}
{{- $claim := dict "metadata" (dict "name" (include "nats.claimName" (list $root $values (index . 2)))) -}}
{{- $spec := dict "accessModes" (list "ReadWriteOnce") "resources" (dict "requests" (dict "storage" $size)) -}}
{{- with $values.storageClassName -}}{{- $_ := set $spec "storageClassName" . -}}{{- end -}}
{{- $_ := set $claim "spec" $spec -}}
{{- include "nats.changed" (list (toJson $claim) $values (printf "%s.patch" (index . 4))) -}}
{{- end -}}
